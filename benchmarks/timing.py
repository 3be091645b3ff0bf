"""Timing of rivals in turns, in one process, so that a noisy machine is noisy for all of them."""

import functools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals import Call

# s; idle threads that still spin steal the rival's core: libgomp's for some ms, OpenBLAS' for 2^28
# cycles of the time stamp counter, 117 ms at 2.3 GHz (measured)
PAUSE = 0.15
BURST = 0.002  # s; calls are timed in bursts of about this length
LONG = 0.25  # s; what a call this long finds cold no longer shows in its time
MIN_BURSTS = 3


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


def _results(call: Call) -> list[NDArray[np.floating]]:
    """The arrays that a call returns, one or a tuple of them."""
    result = call()
    return [np.asarray(array) for array in (result if type(result) is tuple else (result,))]


def check_agreement(calls: Mapping[str, Call], dtype: str, unclear: NDArray[np.bool_] | None = None) -> None:
    """Raise when two rivals do not compute the same thing.

    The tolerance is 100 eps of the largest expected element, or of 1 where that is larger. ``unclear`` marks
    rows that hang on rounding errors; they are not compared.
    """
    compared = ... if unclear is None else ~unclear
    results = {name: _results(call) for name, call in calls.items()}
    first, expected = next(iter(results.items()))
    for name, arrays in results.items():
        for array, right in zip(arrays, expected, strict=True):
            tolerance = 100 * float(np.finfo(dtype).eps) * max(1.0, float(np.abs(right).max()))
            difference = np.abs(array.reshape(right.shape)[compared] - right[compared]).max()
            if not difference <= tolerance:
                raise RuntimeError(
                    f"{name} and {first} differ by {difference:.2e}, more than {tolerance:.2e}"
                )


def _time(call: Call, n_calls: int) -> float:
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    return (time.perf_counter() - start) / n_calls


def _calls_per_burst(call: Call, once: float) -> int:
    if once >= BURST:
        return 1
    n = max(1, int(BURST / 4 / max(once, 1e-7)))
    return max(1, round(BURST / _time(call, n)))


def burst(call: Call, n_calls: int, once: float, pause: float) -> float:
    """Seconds per call, after ``pause`` seconds of sleep and one call that is not timed."""
    time.sleep(pause)
    if once < LONG:
        call()  # wakes the threads, fills the caches
    return _time(call, n_calls)


def calibrate(call: Call, pause: float) -> tuple[float, int]:
    """Seconds of one warm call, and how many calls make a burst."""
    once = _time(call, 1)
    if once < LONG:
        time.sleep(pause)
        once = _time(call, 1)
    return once, _calls_per_burst(call, once)


def in_turns(
    bursts: Mapping[str, Callable[[], float]], once: Mapping[str, float], repeats: int, budget: float
) -> dict[str, Times]:
    """Call each function, which times a burst, in turns.

    Parameters
    ----------
    bursts : mapping of name to function
        Times a burst and returns its seconds per call.
    once : mapping of name to float
        About how long one call takes, in seconds.
    repeats : int
        Bursts of each call.
    budget : float
        Seconds after which no new round starts, once three are done. A call of over 0.25 s that has used up
        its share of them has three bursts and no more.

    Returns
    -------
    dict of name to Times
    """
    share = budget / len(bursts)
    limits = {
        name: MIN_BURSTS if once[name] >= LONG and once[name] * repeats > share else repeats
        for name in bursts
    }
    times: dict[str, list[float]] = {name: [] for name in bursts}
    order = list(bursts)
    start = time.perf_counter()
    for round_ in range(repeats):
        if round_ >= MIN_BURSTS and time.perf_counter() - start > budget:
            break
        for name in order:
            if round_ < limits[name]:
                times[name].append(bursts[name]())
        order.reverse()  # nobody always follows the same rival
    return {name: Times(tuple(seconds)) for name, seconds in times.items()}


def interleave(calls: Mapping[str, Call], repeats: int, budget: float, pause: float) -> dict[str, Times]:
    """Time the calls of this process in turns, a burst each.

    Parameters
    ----------
    calls : mapping of name to call
    repeats, budget
        As for `in_turns`.
    pause : float
        Seconds of sleep before each burst.

    Returns
    -------
    dict of name to Times
    """
    sizes = {name: calibrate(call, pause) for name, call in calls.items()}
    bursts = {
        name: functools.partial(burst, calls[name], n_calls, once, pause)
        for name, (once, n_calls) in sizes.items()
    }
    return in_turns(bursts, {name: once for name, (once, _) in sizes.items()}, repeats, budget)
