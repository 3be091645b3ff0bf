"""One workload of ``foveate bench``: checked against the oracle, timed in turns, set against the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import foveate
from foveate import reference
from foveate.error_bound import bounds, worst_ratio
from foveate.limits import Limits

from .bench_cases import BenchCase
from .peers import Maker, Prepared
from .timing import PAUSE, best_clock, interleaved, summary

SAMPLED_ROWS = 16
LEVELS = ("l1", "l2", "l3")


def measure(case: BenchCase, makers: Mapping[str, Maker], n_threads: int, *, budget: float) -> dict[str, Any]:
    """Check every competitor on one shape, then time them in turns.

    Returns a dict with ``shape`` (its name), ``sizes``, ``flops``, ``bytes``, ``intensity`` (flops per byte),
    and by competitor ``seconds``, ``error_ratio`` (worst distance from the oracle over its bound, above 1 or
    nan is wrong) and ``correct``; by peer ``ratio``, its median time over foveate's. ``gflops`` and ``gbps``
    are foveate's at its minimum.
    """
    q, k, v = case.arrays()
    mode = foveate.Mode(causal=case.causal)
    calls = {"foveate": Prepared(lambda: mode(q, k, v, num_threads=n_threads))}
    for name, prepare in makers.items():
        calls[name] = prepare(q, k, v, causal=case.causal, n_threads=n_threads)
    ratios = {name: error_ratio(case, prepared.to_array(prepared.call())) for name, prepared in calls.items()}
    clocked = interleaved(
        {name: prepared.call for name, prepared in calls.items()},
        budget=budget,
        max_repeats=40 if makers else 400,
        clock=best_clock(n_threads)[1],
        pause=PAUSE if makers else 0.0,  # foveate alone has nobody to wait for
    )
    times = {name: summary(samples) for name, samples in clocked.items()}
    ours = times["foveate"]
    return {
        "shape": case.name,
        "sizes": {
            "n_q_heads": case.n_q_heads, "n_kv_heads": case.n_kv_heads, "q_len": case.q_len,
            "kv_len": case.kv_len, "head_dim": case.head_dim, "causal": case.causal, "dtype": "float32",
        },
        "flops": case.flops(),
        "bytes": case.n_bytes(),
        "intensity": case.flops() / case.n_bytes(),
        "correct": {name: ratio <= 1.0 for name, ratio in ratios.items()},
        "error_ratio": ratios,
        "seconds": times,
        "gflops": case.flops() / ours["min"] / 1e9,
        "gbps": case.n_bytes() / ours["min"] / 1e9,
        "ratio": {name: times[name]["median"] / ours["median"] for name in makers},
    }  # fmt: skip


def error_ratio(case: BenchCase, output: Any) -> float:
    """Sampled rows of every head against the float64 reference: the worst distance over its bound.

    Infinite where the shape is wrong or anything in the whole output is not finite.
    """
    q, k, v = case.arrays()
    if output.shape != (*q.shape[:-1], v.shape[-1]) or not np.isfinite(output).all():
        return float("inf")
    rows = np.unique(np.linspace(0, case.q_len - 1, SAMPLED_ROWS).astype(int))
    worst = 0.0
    for head in range(case.n_q_heads):
        kv_head = head * case.n_kv_heads // case.n_q_heads
        few = q[0, head, rows], k[0, kv_head], v[0, kv_head]
        mask = np.arange(case.kv_len) <= rows[:, None] if case.causal else None
        expected: Any = reference.attention(*few, mask=mask)
        worst = max(worst, worst_ratio(output[0, head, rows], expected, bounds(*few, mask=mask).output))
    return worst


def roofs(limits: Limits, n_threads: int) -> dict[str, float | None]:
    """GFLOP/s of multiply-adds on the ISA in use and GB/s of each level of memory, on so many threads."""
    names = "fma_f32", "read_l1", "read_l2", "read_l3", "read_dram"
    return {name: limits.best(name, threads=n_threads) for name in names}


def least_seconds(
    flops: float,
    n_bytes: float,
    peaks: Mapping[str, float | None],
    cache_bytes: Mapping[str, int],
    n_threads: int,
) -> dict[str, float]:
    """How long work takes at each limit that applies; the longest is what the machine could reach.

    Multiply-adds at the peak named "fma_...", and each byte once from the smallest level of memory that holds
    them all (L1 and L2 are each thread's own). A limit that could not be measured is left out.
    """
    found = {}
    for name, peak in peaks.items():
        if name.startswith("fma") and flops and peak is not None:
            found[name] = flops / peak * 1e-9
    for level in (*LEVELS, "dram"):
        bandwidth = peaks[f"read_{level}"]
        holds = level == "dram" or n_bytes <= cache_bytes.get(level, 0) * (1 if level == "l3" else n_threads)
        if holds and bandwidth is not None:
            found[f"read_{level}"] = n_bytes / bandwidth * 1e-9
            break
    return found


def limit_of(
    workload: Mapping[str, Any],
    found: Mapping[str, float | None],
    cache_bytes: Mapping[str, int],
    n_threads: int,
) -> dict[str, Any] | None:
    """What the machine would at most reach on a workload: a roof, its GFLOP/s, and the share reached.

    None where no limit that applies could be measured.
    """
    flops = workload["bytes"] * workload["intensity"]
    least = least_seconds(flops, workload["bytes"], found, cache_bytes, n_threads)
    if not least:
        return None
    name = max(least, key=least.__getitem__)
    gflops = flops / least[name] * 1e-9
    return {"name": name, "gflops": gflops, "share": workload["gflops"] / gflops}
