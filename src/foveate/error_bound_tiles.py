r"""What products of bf16 tiles (ISA amx) add to the errors: `foveate.error_bound`.

Where query, key and value are bfloat16 and a call has more than 8 rows per key head, 16 keys and 16 columns,
the dot product and the weighted sum run in tile registers, which multiply bf16 numbers exactly and add in
f32, in an order of their own: g_D and g_Lk hold for every order. Three things are new.

**Weights are rounded to bf16 before the weighted sum**, to nearest: by u_b = 2^-8 of themselves. The sum that
softmax divides by is that of the rounded weights, so that a row's weights add up to 1; it is off by u_b at
most, and what is divided by it by u_s = u_b / (1 - u_b)::

    softmax, softmax1   dw_j gains u_s (w_j + dw_j), then lse u_s
    weighted_sum        dw_j gains u_b (w_j + dw_j)

A mean of values v_j is then off by sum_j w_j d_j (v_j - mean v) with |d_j| <= u_b: at most 2 u_b times
sum_j w_j |v_j|, about as much as storing it (u_out = 2^-8); an output of equal values stays exact.

**Subnormal inputs count as zero**, which loses a product in the logit, or in the sum::

    E_j += |scale| sum_d |q_d k_jd|    over d where q_d or k_jd is below 2^-126
    do  += sum_j |w_j| |v_j|           over j where v_j is

Sums below 2^-126 flush, as they do in every f32 kernel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from foveate import reference
from foveate._runtime import get_isa
from foveate.error_bound_logits import COMPUTE_F32, F64, Arithmetic, Logits, Options
from foveate.error_bound_weights import WeightErrors
from foveate.reference_stages import LSE

__all__ = ["Tiles", "lost_logits", "lost_outputs", "rounded_weights", "tiles_of"]

U_B = 2.0**-8
U_S = U_B / (1.0 - U_B)
FEW_ROWS, LEAST_TILED = 8, 16  # csrc/attention/plan.c
SPARSE = ("sparsemax", "entmax15", "entmax", "topk")


class Tiles(NamedTuple):
    """Which stages of a call run in tile registers."""

    scores: bool
    sums: bool


def tiles_of(
    query: ArrayLike, key: ArrayLike, value: ArrayLike, names: tuple[str, str, str], options: Options
) -> Tiles:
    """For score, activation and combine of these names, on the ISA in use."""
    arrays = [np.asarray(array) for array in (query, key, value)]
    if any(array.dtype.name != "bfloat16" for array in arrays) or get_isa() != "amx":
        return Tiles(False, False)
    q, k, v = (reference._heads_first(array, options.get("layout", "bhld")) for array in arrays)
    rows = q.shape[-2] * (q.shape[-3] // k.shape[-3] if k.shape[-3] else 1)
    enough = rows > FEW_ROWS and k.shape[-2] >= LEAST_TILED
    score, activation, combine = names
    return Tiles(
        scores=enough and score in ("dot", "scaled_dot") and q.shape[-1] >= LEAST_TILED,
        sums=enough and combine == "weighted_sum" and activation not in SPARSE and v.shape[-1] >= LEAST_TILED,
    )


def _subnormal(sizes: F64) -> F64:
    return np.where(sizes < COMPUTE_F32.smallest, sizes, 0.0)


def lost_logits(logits: Logits, query: ArrayLike, key: ArrayLike, options: Options) -> Logits:
    """The logits' errors with the products of subnormal numbers."""
    layout = options.get("layout", "bhld")
    q, k = (np.abs(reference._heads_first(array, layout)) for array in (query, key))
    k = reference._repeat_heads(k, q.shape[-3])
    if not (np.any(_subnormal(q)) or np.any(_subnormal(k))):
        return logits
    scale = options.get("scale")
    if scale is None:
        scale = q.shape[-1] ** -0.5 if options.get("score", "scaled_dot") == "scaled_dot" else 1.0
    lost = _subnormal(q) @ np.swapaxes(k, -1, -2) + q @ np.swapaxes(_subnormal(k), -1, -2)
    lost = abs(scale) * (lost[0] if np.ndim(query) == np.ndim(key) == 2 else lost)

    def by_kernel(a: Arithmetic) -> float:
        return float(a.u == COMPUTE_F32.u)

    return logits._replace(terms=[*logits.terms, (lost, by_kernel)])


def rounded_weights(name: str, errors: WeightErrors, weights: F64) -> WeightErrors:
    """The weights' errors of one activation where the weighted sum takes bf16 numbers."""
    of_sum = U_S if name in LSE else 0.0
    sizes = np.abs(weights)
    own = errors.weights + of_sum * (sizes + errors.weights)
    in_sum = errors.in_sum + of_sum * (sizes + errors.in_sum)
    lse = None if errors.lse is None else errors.lse + of_sum
    return errors._replace(weights=own, in_sum=in_sum + U_B * (sizes + in_sum), lse=lse)


def lost_outputs(weights: F64, value: ArrayLike, options: Options) -> Any:
    """What subnormal values would have added."""
    lost = _subnormal(np.abs(np.asarray(value).astype(np.float64)))
    if not np.any(lost):
        return 0.0
    return reference.combine(np.abs(weights), lost, "weighted_sum", layout=options.get("layout", "bhld"))
