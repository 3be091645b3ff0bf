"""Timing of rivals in turns, in one process, so that a noisy machine is noisy for all of them."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.rivals import Call

# s; idle threads that still spin steal the rival's core: libgomp's for some ms, OpenBLAS' for 2^26 cycles,
# 30 ms at 2.3 GHz
PAUSE = 0.04
BURST = 0.002  # s; calls are timed in bursts of about this length


@dataclass(frozen=True)
class Times:
    """Seconds per call of the timed bursts."""

    bursts: tuple[float, ...]

    @property
    def min(self) -> float:
        return min(self.bursts)

    @property
    def median(self) -> float:
        return statistics.median(self.bursts)


def check_agreement(calls: Mapping[str, Call], dtype: str) -> None:
    """Raise when two rivals do not compute the same thing; the values are about 1."""
    results = {name: np.asarray(call()) for name, call in calls.items()}
    first, expected = next(iter(results.items()))
    tolerance = 100 * float(np.finfo(dtype).eps)
    for name, result in results.items():
        difference = np.abs(result.reshape(expected.shape) - expected).max()
        if not difference <= tolerance:
            raise RuntimeError(f"{name} and {first} differ by {difference:.2e}, more than {tolerance:.2e}")


def _calls_per_burst(call: Call) -> int:
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    if once >= BURST:
        return 1
    n = max(1, int(BURST / 4 / max(once, 1e-7)))
    start = time.perf_counter()
    for _ in range(n):
        call()
    return max(1, round(BURST * n / (time.perf_counter() - start)))


def _burst(call: Call, n_calls: int, pause: float) -> float:
    time.sleep(pause)
    call()  # wakes the threads, fills the caches
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    return (time.perf_counter() - start) / n_calls


def interleave(calls: Mapping[str, Call], repeats: int, budget: float, pause: float) -> dict[str, Times]:
    """Time the calls in turns, a burst each.

    Parameters
    ----------
    calls : mapping of name to call
    repeats : int
        Bursts of each call.
    budget : float
        Seconds after which no new round starts, once three are done.
    pause : float
        Seconds of sleep before each burst.

    Returns
    -------
    dict of name to Times
    """
    n_calls = {}
    for name, call in calls.items():
        call()
        time.sleep(pause)
        n_calls[name] = _calls_per_burst(call)
    bursts: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    start = time.perf_counter()
    for round_ in range(repeats):
        if round_ >= 3 and time.perf_counter() - start > budget:
            break
        for name in order:
            bursts[name].append(_burst(calls[name], n_calls[name], pause))
        order.reverse()  # nobody always follows the same rival
    return {name: Times(tuple(times)) for name, times in bursts.items()}
