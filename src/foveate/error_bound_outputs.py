r"""How far an output may stand from the float64 reference: `foveate.error_bound`, the combines and key_stats.

Each takes dw_j, how far the weight w_j of the activation may be off (`foveate.error_bound_weights`); u_out is
the rounding to the dtype of the result, tiny the largest products that flush to zero,
Lk * 2^-126 * max(1, max |v|), and half of the smallest step of that dtype.

**weighted_sum.** Lk products and sums::

    |o - ref| <= sum_j (dw_j + g_Lk (|w_j| + dw_j) + u_out |w_j|) |v_j| + tiny

**product.** One product, rounded, and stored::

    |o_j - ref| <= (dw_j + (u + u_out) (|w_j| + dw_j)) |v_j| + tiny

**select.** s_j = sign(w_j) |w_j|^t / N, N = sum |w_i|^t over the k selected, t = 1 / temperature. s is the
same for all multiples of w, so w is taken over its largest size: with D_j(dw) as for entmax, p = t, in
float64::

    ds_j = (D_j + |s_j| sum_i D_i) / (N - sum_i D_i) + (g_k + (t + 4) u_64 + u) |s_j|

u: the conversion to the compute type. dw here has the smallest normal number added: a weight that vanishes in
one of the two may count in the other. Then as weighted_sum. As with topk, a row where dw may change which
keys are selected is unclear, and its bounds are infinite, unless only those change places that are that
small.

**key_stats.** Of Lq rows; a kernel adds up to 48 rows in the compute type, the rest in float64::

    sum: |t_j - ref| <= sum_i (dw_ij + g_min(Lq,48) (|w_ij| + dw_ij)) + u_stats |t_j|
    max: |t_j - ref| <= max_i dw_ij + u_stats |t_j|
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate import reference
from foveate.error_bound_logits import COMPUTE_F64, F64, Options, g
from foveate.error_bound_weights import Problem, WeightErrors, g_of, power_error, unclear_order

__all__ = ["STORING", "Storing", "key_stats_error", "output_error"]

LANES_ADDED = 48  # 3 vectors of 16 rows: csrc/kernels/modify/modify.h, totals
U_64 = COMPUTE_F64.u


class Storing(NamedTuple):
    """Rounding of the results to their dtypes."""

    u_out: float
    half_step: float  # half of the smallest subnormal
    u_lse: float  # of lse and key_stats
    largest: float


STORING = {
    "float32": Storing(2.0**-24, 2.0**-150, 2.0**-24, (2 - 2.0**-23) * 2.0**127),
    "float64": Storing(2.0**-53, 0.0, 2.0**-53, (2 - 2.0**-52) * 2.0**1023),  # half of 2^-1074 is no number
    "float16": Storing(2.0**-11, 2.0**-25, 2.0**-24, 65504.0),
    "bfloat16": Storing(2.0**-8, 2.0**-134, 2.0**-24, (2 - 2.0**-7) * 2.0**127),
}


def output_error(
    name: str, stage: Any, problem: Problem, errors: WeightErrors, value: ArrayLike, storing: Storing
) -> F64:
    """Bound of the output of one combine, of its shape."""
    magnitudes = np.abs(np.asarray(value).astype(np.float64))
    largest = np.max(magnitudes, where=np.isfinite(magnitudes), initial=1.0)
    sizes, unclear = np.abs(problem.weights), errors.unclear
    if name == "select":
        per_key, unclear = _select(stage, problem, errors, storing)
    elif name == "product":
        rounding = problem.kernel.u + U_64 + storing.u_out
        per_key = errors.weights + rounding * (sizes + errors.weights)
    else:
        per_key = errors.in_sum + storing.u_out * sizes
    per_key = np.where(unclear[..., None], 0.0, per_key)
    kind = "product" if name == "product" else "weighted_sum"
    output = _combine(per_key, magnitudes, kind, problem.options)
    n_keys = sizes.shape[-1]
    smallest = problem.kernel.smallest + COMPUTE_F64.smallest
    output = output + ((1 if kind == "product" else n_keys) * smallest * largest + storing.half_step)
    if np.any(unclear):
        rows = np.broadcast_to(unclear[..., None], sizes.shape).astype(np.float64)
        output = np.where(
            _combine(rows, np.ones_like(magnitudes), kind, problem.options) > 0.0, np.inf, output
        )
    return output


def _combine(weights: F64, value: F64, kind: str, options: Options) -> F64:
    return reference.combine(weights, value, kind, layout=options.get("layout", "bhld"))


def _select(
    stage: Any, problem: Problem, errors: WeightErrors, storing: Storing
) -> tuple[F64, NDArray[np.bool_]]:
    """Errors of the selected weights in the sum, and rows that are unclear."""
    weights, sizes = problem.weights, np.abs(problem.weights)
    power, n = 1.0 / stage.temperature, min(stage.k, weights.shape[-1])
    smallest = problem.kernel.smallest + COMPUTE_F64.smallest
    joins = problem.attended & ((sizes + errors.weights > 0.0) | errors.positive)
    changes = np.where(joins, errors.weights + smallest, 0.0)
    negligible = joins & (sizes + changes <= 4 * smallest)
    kept, unclear = unclear_order(weights, changes, joins, negligible, stage.k)
    peak = np.max(np.where(kept, sizes, 0.0), axis=-1, keepdims=True, initial=0.0)
    scaled, moved = (array / np.where(peak == 0.0, 1.0, peak) for array in (sizes, changes))
    change = np.where(kept | negligible, power_error(scaled, power, np.zeros(()), moved), 0.0)
    powers = np.where(kept, scaled**power, 0.0)
    whole, changed = (np.sum(array, axis=-1, keepdims=True) for array in (powers, change))
    share = powers / np.where(whole == 0.0, 1.0, whole)
    left = whole - changed
    in_double = 2 * (g_of(np.asarray(float(n)), U_64) + (power + 4) * U_64) + problem.kernel.u
    error = (change + share * changed) / np.where(left > 0.0, left, 1.0) + in_double * share
    # a whole that its errors may make 0: the shares are at most 1 in size
    error = np.where(left > 0.0, error, np.where(joins, 2.0, 0.0))
    sums = g(n, problem.kernel.u) + g(n, U_64)
    return error + sums * (share + error) + storing.u_out * share, unclear | errors.unclear


def key_stats_error(kind: str, problem: Problem, errors: WeightErrors, storing: Storing) -> F64:
    """Bound of key_stats, (..., Hq, Lk)."""
    weights, changes = problem.weights, errors.weights
    changes = np.where(errors.unclear[..., None], np.inf, changes)
    smallest = problem.kernel.smallest + COMPUTE_F64.smallest
    if kind == "max":
        total = np.abs(np.max(weights, axis=-2, initial=0.0 if weights.shape[-2] == 0 else -np.inf))
        return np.asarray(np.max(changes, axis=-2, initial=0.0) + storing.u_lse * total + smallest)
    n_rows = weights.shape[-2]
    sums = g(min(n_rows, LANES_ADDED), problem.kernel.u) + 2 * g(n_rows, U_64)
    size = np.abs(weights) + changes
    total = np.sum(changes + (sums + storing.u_lse) * size, axis=-2)
    return np.asarray(total + n_rows * smallest)
