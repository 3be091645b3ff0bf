"""No call holds the matrix of logits: peak memory of a fresh process, measured as in benchmarks/."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).parents[1] / "benchmarks" / "peak_memory.py"
MIB = 2**20
LENGTH = 16384  # the logits would be 1 GiB
LIMIT = 4 * MIB  # what two threads' tiles may take


def grown(*command):
    """Bytes that a child of this Python reports."""
    env = {**os.environ, "PYTHONPATH": str(MEASURE.parent)}
    child = [sys.executable, *command]
    run = subprocess.run(child, check=False, capture_output=True, text=True, timeout=120, env=env)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("causal", [False, True], ids=["dense", "causal"])
def test_extra_memory_is_small_against_the_logits(causal):
    command = [str(MEASURE), "--length", str(LENGTH), "--head-dim", "64"]
    assert grown(*command, *(["--causal"] if causal else [])) < LIMIT


#: modes that keep more than a tile: totals per key, lists of the keys that may have a weight
KEEPING = {
    "key_stats sum": "key_stats='sum'",
    "key_stats max": "activation='sigmoid', key_stats='max'",
    "lists": "activation='sparsemax', key_stats='sum'",
    "selection": "combine=foveate.Select(4)",
    "additive": "score='additive'",
}
KEEPING_LENGTH = 8192  # the logits would be 256 MiB
KEEPING_LIMIT = 8 * MIB  # measured 1.3 MiB for the lists, the others less
CHILD = """
import numpy as np, foveate
from peak_memory import growth
x = np.random.default_rng(0).standard_normal(({length}, 16), np.float32)
out = np.ones_like(x)
foveate.attention(x[:64], x[:64], x[:64], {options})
print(growth(lambda: foveate.attention(x, x, x, {options}, out=out)))
assert np.isfinite(out).all() and not (out == 1.0).all()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("options", KEEPING.values(), ids=KEEPING)
def test_modes_keep_no_matrix(options):
    assert grown("-c", CHILD.format(length=KEEPING_LENGTH, options=options)) < KEEPING_LIMIT


SHARED = """
import numpy as np, foveate
from peak_memory import growth
x = np.random.default_rng(0).standard_normal((2, 8192, 16), np.float32)
out, mask = np.ones_like(x), np.tri(8192, dtype=bool)
foveate.attention(x[:, :64], x[:, :64], x[:, :64], mask=mask[:64, :64])
print(growth(lambda: foveate.attention(x, x, x, mask=mask, out=out)))
assert np.isfinite(out).all() and not (out == 1.0).all()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_bits_of_a_mask_that_heads_share_are_bounded():
    """8 MiB of bits, of which 2 are kept."""
    assert grown("-c", SHARED) < LIMIT
