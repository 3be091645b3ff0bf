"""Competitors timed alternately in one run: the naive NumPy attention, and the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# s; idle threads that still spin steal the next competitor's core: libgomp's for some ms, OpenBLAS' for 2^28
# cycles of the time stamp counter, 117 ms at 2.3 GHz (measured)
PAUSE = 0.15
BURST = 0.002  # s; short calls are timed in bursts of about this length
LONG = 0.25  # s; what a call this long finds cold no longer shows in its time
FINE = 1e-6  # s; the resolution of a clock that can time a burst
MIN_LONG = 3  # repetitions of such a call


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    budget: float,
    min_repeats: int = 5,
    max_repeats: int = 1000,
    pause: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds per call in every burst of each call, taken in turns.

    A machine that slows down then slows all of them down. A burst begins with a pause of ``pause`` seconds
    and one call that is not timed, which wakes the threads and fills the caches. ``budget`` is in seconds for
    all calls together, once each had ``min_repeats`` bursts; a call of over 0.25 s may have three.
    Bursts are timed by ``clock``.
    """
    sizes = {name: _burst_size(call, pause) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    deadline = time.perf_counter() + budget
    for i in range(max_repeats):
        late = time.perf_counter() > deadline
        if i >= min_repeats and late:
            break
        for name in order:
            once, n_calls = sizes[name]
            if late and once >= LONG and i >= MIN_LONG:
                continue
            time.sleep(pause)
            if once < LONG:
                calls[name]()
            times[name].append(_time(calls[name], n_calls, clock))
        order.reverse()  # nobody always follows the same competitor
    return times


def best_clock(n_threads: int) -> tuple[str, Callable[[], float]]:
    """ "cpu", the time of this process on the CPU, for one thread: what others run meanwhile is not in it.

    "wall" for several, which wait for each other, and where the other clock is coarse.
    """
    if n_threads == 1 and time.get_clock_info("process_time").resolution <= FINE:
        return "cpu", time.process_time
    return "wall", time.perf_counter


def _time(call: Callable[[], object], n_calls: int, clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    for _ in range(n_calls):
        call()
    return (clock() - start) / n_calls


def _burst_size(call: Callable[[], object], pause: float) -> tuple[float, int]:
    """Seconds of one warm call, and how many make a burst."""
    once = _time(call, 1)
    if once < LONG:
        time.sleep(pause)
        once = _time(call, 1)
    if once >= BURST:
        return once, 1
    once = _time(call, max(1, int(BURST / 4 / max(once, 1e-7))))
    return once, max(1, round(BURST / once))


def summary(times: list[float]) -> dict[str, float]:
    """Minimum, median and number of the repetitions."""
    return {"min": min(times), "median": statistics.median(times), "repeats": len(times)}


def numpy_attention(
    query: Array, key: Array, value: Array, *, scale: float, attend: Array | None = None
) -> Array:
    """softmax(scale Q K^T) V with the whole matrix of logits, as one writes it in NumPy.

    Query heads of one group are rows of one product, so keys and values are not copied for each; ``attend``
    is for groups of one.
    """
    *batch, n_q_heads, q_len, head_dim = query.shape if query.ndim > 2 else (1, *query.shape)
    n_kv_heads = key.shape[-3] if key.ndim > 2 else 1
    rows = query.reshape(*batch, n_kv_heads, n_q_heads // n_kv_heads * q_len, head_dim)
    logits = np.matmul(rows, np.swapaxes(key, -1, -2))
    logits *= np.asarray(scale, logits.dtype)
    if attend is not None:
        logits = np.where(attend, logits, -np.inf)
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    return np.asarray(np.matmul(logits, value).reshape(*query.shape[:-1], value.shape[-1]))


@contextmanager
def blas_threads(n_threads: int) -> Iterator[str]:
    """Hold NumPy's BLAS to ``n_threads``; yields what was achieved, in words."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        yield "as many threads as its BLAS takes (threadpoolctl would hold it to a number)"
        return
    with threadpool_limits(n_threads, user_api="blas"):
        yield f"{n_threads} thread{'s' if n_threads != 1 else ''}"
