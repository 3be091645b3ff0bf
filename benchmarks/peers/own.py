"""foveate itself: the mode, the softmax it is held against, and what a mode prepares."""

import numpy as np

import foveate
from benchmarks.peers.naive_numpy import unit
from benchmarks.rivals import Arrays, Call
from benchmarks.workloads import Workload

SOFTMAX, PREPARATION = "foveate softmax", "preparation"
# a target of a workload -> the calls whose times add up to its yardstick
YARDSTICKS = {"softmax": (SOFTMAX,), "softmax after preparation": (SOFTMAX, PREPARATION)}


def mode_call(workload: Workload, arrays: Arrays) -> Call:
    """The public function, as a user writes it."""
    query, key, value = arrays
    options = dict(workload.options)
    if "key_stats" not in options:
        return lambda: foveate.attention(query, key, value, **options)

    def call() -> tuple[object, object]:
        result = foveate.attention(query, key, value, **options)
        return result.output, result.key_stats

    return call


def _preparation_call(workload: Workload, arrays: Arrays) -> Call:
    """In NumPy what a caller of scaled_dot would compute first."""
    query, key, _ = arrays
    score = workload.score
    if isinstance(score, foveate.Bilinear):
        return lambda: np.matmul(query, score.w)
    if isinstance(score, foveate.Cosine):
        return lambda: (unit(query), unit(key))
    raise ValueError(f"{workload} has nothing to prepare")


def yardstick_calls(workload: Workload, arrays: Arrays) -> dict[str, Call]:
    """The calls of all yardsticks that the workload names."""
    query, key, value = arrays
    makers = {
        SOFTMAX: lambda: lambda: foveate.attention(query, key, value),
        PREPARATION: lambda: _preparation_call(workload, arrays),
    }
    names = [name for target in workload.targets for name in YARDSTICKS.get(target, ())]
    return {name: makers[name]() for name in names}
