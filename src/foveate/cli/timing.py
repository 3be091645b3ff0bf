"""Competitors timed alternately in one run: the naive NumPy attention, torch, and the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, budget: float, min_repeats: int = 5, max_repeats: int = 1000
) -> dict[str, list[float]]:
    """Seconds of every repetition of each call, taken in turns after one warm-up round.

    A machine that slows down then slows all of them down. ``budget`` is in seconds for all calls together.
    """
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    deadline = time.perf_counter() + budget
    for i in range(max_repeats):
        if i >= min_repeats and time.perf_counter() > deadline:
            break
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return times


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


def torch_attention(query: Array, key: Array, value: Array, *, causal: bool) -> Callable[[], Array]:
    """A call of torch's scaled_dot_product_attention on the same memory; ImportError without torch."""
    import torch  # type: ignore[import-not-found, unused-ignore]

    q, k, v = (torch.from_numpy(array) for array in (query, key, value))
    grouped = query.shape[-3] != key.shape[-3]

    def call() -> Array:
        with torch.inference_mode():
            result = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, is_causal=causal, enable_gqa=grouped
            )
        return np.asarray(result.numpy())

    return call
