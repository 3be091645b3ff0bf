"""What a timed call amounts to: its rate, and its share of what the machine can do at most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from benchmarks.shapes import Shape
from foveate.limits import Limits

LEVELS = ("l1", "l2", "l3")


class Sized(Protocol):
    """What a call has to do at least: a `benchmarks.shapes.Shape`, or `Work`."""

    @property
    def flops(self) -> float: ...
    @property
    def n_bytes(self) -> float: ...
    @property
    def dtype(self) -> str: ...


@dataclass(frozen=True)
class Work:
    """Multiplications and additions, bytes of arrays read and written once, and the dtype that computes."""

    flops: float
    n_bytes: float
    dtype: str = "float32"


def attended_work(shape: Shape, options: Mapping[str, Any]) -> Work:
    """The work of a call with masks: only pairs that attend each other count."""
    i, j = np.arange(shape.q_len)[:, None], np.arange(shape.kv_len)
    seen = np.ones((1, 1, shape.q_len, shape.kv_len), bool)
    if options.get("causal"):
        seen = seen & (j <= i)
    if (window := options.get("window")) is not None:
        left, right = (shape.kv_len if side is None else side for side in window)
        seen = seen & (i - left <= j) & (j <= i + right)
    if "kv_lengths" in options:
        seen = seen & (j < np.asarray(options["kv_lengths"]).reshape(-1, 1, 1, 1))
    if "mask" in options:
        seen = seen & options["mask"]
    pairs = seen.mean() * shape.q_len * shape.kv_len
    return Work(
        4.0 * shape.batch * shape.n_q_heads * pairs * shape.head_dim, float(shape.n_bytes), shape.dtype
    )


def least_seconds(work: Sized, limits: Limits) -> dict[str, float]:
    """How long the work takes at each limit that applies; the longest is what the machine could reach.

    Multiply-adds on the instruction set in use, and each byte once from the smallest level of memory that
    holds all of them (L1 and L2 are each thread's own). A limit that could not be measured is left out.
    """
    found = {}
    fma = "fma_f64" if work.dtype == "float64" else "fma_f32"
    if work.flops and (peak := limits.best(fma)) is not None:
        found[fma] = work.flops / peak * 1e-9
    for level in (*LEVELS, "dram"):
        bandwidth = limits.best(f"read_{level}")
        n_threads = 1 if level == "l3" else limits.threads
        holds = level == "dram" or work.n_bytes <= limits.cache_bytes.get(level, 0) * n_threads
        if holds and bandwidth is not None:
            found[f"read_{level}"] = work.n_bytes / bandwidth * 1e-9
            break
    return found


def figures(work: Sized, seconds: float, limits: Limits) -> dict[str, float | str]:
    """What goes into extra_info beside the time.

    Parameters
    ----------
    work : Sized
    seconds : float
        Of the fastest call: the limits are the best of their repetitions as well.
    limits : foveate.limits.Limits
        Measured in the same run with as many threads.

    Returns
    -------
    dict
        ``gb_per_s``, ``gflops`` where there are multiply-adds; ``limit``, the name of the one that binds, and
        ``share_of_limit``.
    """
    rates: dict[str, float | str] = {"gb_per_s": work.n_bytes / seconds * 1e-9}
    if work.flops:
        rates["gflops"] = work.flops / seconds * 1e-9
    least = least_seconds(work, limits)
    if least:
        name = max(least, key=least.__getitem__)
        rates |= {"limit": name, "share_of_limit": least[name] / seconds}
    return rates
