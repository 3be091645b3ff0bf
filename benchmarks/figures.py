"""What a timed call amounts to: its rate, and its share of what the machine can do at most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from benchmarks.shapes import Shape
from foveate.cli.bench_measure import least_seconds
from foveate.limits import Limits

MEMORY = ("read_l1", "read_l2", "read_l3", "read_dram")


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
    names = "fma_f64" if work.dtype == "float64" else "fma_f32", *MEMORY
    peaks = {name: limits.best(name) for name in names if work.flops or name in MEMORY}
    least = least_seconds(work.flops, work.n_bytes, peaks, limits.cache_bytes, limits.threads)
    if least:
        name = max(least, key=least.__getitem__)
        rates |= {"limit": name, "share_of_limit": least[name] / seconds}
    return rates
