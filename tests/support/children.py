"""What the child processes of the fork tests run: importable by name, as spawn and forkserver need it."""

import signal
from pathlib import Path

import numpy as np

import foveate

HANG_SECONDS = 30


def arrays():
    rng = np.random.default_rng(5)
    return [rng.standard_normal((8, 512, 64), dtype=np.float32) for _ in range(3)]


def compute():
    """Also the work of the children. The alarm kills one that hangs, and its parent sees that."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(HANG_SECONDS)
    output = foveate.attention(*arrays(), causal=True).tobytes()
    signal.alarm(0)
    return output


def pool_threads():
    """Threads of foveate's own pool in this process; they carry its name."""
    names = (task / "comm" for task in Path("/proc/self/task").iterdir())
    return sum(name.read_text(encoding="ascii", errors="replace").strip() == "foveate" for name in names)


def compute_and_look():
    """(output, threading layer, threads of the pool)"""
    return compute(), foveate.info()["threads"]["layer"], pool_threads()
