"""A peer of benchmarks.targets whose process ends: at its first form, or while it is timed."""

import os

from benchmarks import rivals
from foveate.cli.peers import Prepared
from tracking.fake_peer import LAST_WORDS

CALLS = "FAKE_PEER_CALLS"  # the environment variable with the number of calls that it survives


def forms(work, n_threads):
    right = rivals.numpy_call(work.target.shape, work.arrays)
    left = iter(range(int(os.environ[CALLS])))

    def call():
        if next(left, None) is None:
            os.write(1, LAST_WORDS.encode() + b"\n")
            os._exit(3)
        return right()

    return {"dying": lambda: Prepared(call)}
