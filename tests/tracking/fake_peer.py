"""A peer of benchmarks.targets that computes in NumPy, looks at the other workers, and fails in two ways."""

import os
from pathlib import Path

import numpy as np

from benchmarks import rivals
from foveate.cli.peers import Prepared

LOG = "FAKE_PEER_LOG"  # the environment variable with the path of what was seen
LAST_WORDS = "what the library said before it ended"


def state(pid):
    """As /proc has it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def siblings():
    parent = os.getppid()
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return {int(pid): state(pid) for pid in children if int(pid) != os.getpid()}


def _looking(call):
    def look():
        with open(os.environ[LOG], "a", encoding="ascii") as log:
            for pid, found in siblings().items():
                log.write(f"{os.getpid()} {pid} {found}\n")
        return call()

    return look


def _refuse():
    raise NotImplementedError("no such operator")


def forms(work, n_threads):
    right = rivals.numpy_call(work.target.shape, work.arrays)
    return {
        "fake": lambda: Prepared(_looking(right)),
        "fake, wrong": lambda: Prepared(lambda: right() * np.float32(1.01)),
        "fake, refused": _refuse,
    }
