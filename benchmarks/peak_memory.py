"""How many bytes a call needs beyond its arrays; as a script, for one shape in a fresh process.

    python benchmarks/peak_memory.py --length 16384 --head-dim 64

The peak is VmHWM of Linux, not ru_maxrss: that one is inherited from the process that started this one.
"""

import argparse
import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

import foveate


def status_bytes(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    match = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if match is None:
        raise RuntimeError(f"/proc/self/status has no field {field}")
    return 1024 * int(match[1])


def growth(call: Callable[[], object]) -> int:
    """Growth of the resident set's peak during a call, which should find its threads and arrays there."""
    with contextlib.suppress(OSError):  # else the peak so far counts too, and the figure is larger
        Path("/proc/self/clear_refs").write_text("5")  # 5: the peak restarts from now
    before = status_bytes("VmRSS")
    call()
    return status_bytes("VmHWM") - before


def extra_bytes(length: int, head_dim: int, causal: bool) -> int:
    """What one call of plain attention needs; input and output pages exist before it."""
    rng = np.random.default_rng(0)
    query, key, value = (rng.standard_normal((length, head_dim), np.float32) for _ in range(3))
    output = np.ones_like(query)
    warm = np.ones((512, head_dim), np.float32)
    foveate.attention(warm, warm, warm, causal=causal)  # threads and their stacks
    extra = growth(lambda: foveate.attention(query, key, value, causal=causal, out=output))
    if not np.isfinite(output).all() or (output == 1.0).all():
        raise RuntimeError("the call did not compute")
    return extra


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes that one attention call needs beyond its arrays.")
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--causal", action="store_true")
    options = parser.parse_args()
    print(extra_bytes(options.length, options.head_dim, options.causal))


if __name__ == "__main__":
    main()
