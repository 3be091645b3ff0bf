r"""What products of bf16 tiles (ISA amx) add to the errors: `foveate.error_bound`.

Where a call has more than 8 rows per key head, 16 keys and 16 columns, dot product and weighted sum may run
in tile registers, and of bfloat16 both of them from 4 rows on. They multiply bf16 numbers exactly and add in
f32, in an order of their own: g_n holds for every order. A number x stands there as one, two or three planes
of bf16 numbers, u_b = 2^-8, e its relative error::

    bfloat16                        one plane    e = 0
    float16                         two planes   e = 0        11 bits are 8 and 3
    float32, precision "high"       two planes   e = u_b^2    each plane is rounded to nearest
    float32, precision "medium"     one plane    e = u_b
    float32, "highest"              three        e = u_b^3    where FOVEATE_F32=amx asks for it

Beyond 2^128 (1 - 2^-9), where rounding would make infinity, numbers are cut off: e is twice as large there.

**Products.** Of two planes the product of the low parts is left out, l = u_b^2 (1 + u_b)^2, and P = 3
products are added for each, of sizes that add up to less than 1.02 times its own; of three planes P = 6 of
nine are, l = (2 u_b^3 + u_b^4) (1 + u_b)^2; of one l = 0, P = 1::

    E_j += ((1 + e)^2 - 1 + l + 1.02 g_(P D + 1)) S_j

**Weights** are rounded to one plane, by e_w = u_b, or stand in two, e_w = u_b^2, or three, u_b^3::

    weighted_sum   dw_j gains ((1 + e_w) (1 + e) - 1 + l + 1.02 g_(P Lk + 1)) (w_j + dw_j)

Of one plane the sum that softmax divides by is that of the rounded weights, so that a row's weights add up to
1; it is off by u_b at most, and what is divided by it by u_s = u_b / (1 - u_b)::

    softmax, softmax1   dw_j gains u_s (w_j + dw_j), then lse u_s

A mean of values v_j is then off by sum_j w_j d_j (v_j - mean v) with |d_j| <= u_b: at most 2 u_b times
sum_j w_j |v_j|, about as much as storing it in bf16 (u_out = 2^-8); an output of equal values stays exact.

**Subnormal numbers count as zero**: inputs, which loses a product, and low parts, which loses 2^-126 times
the other factor::

    E_j += |scale| sum_d |q_d k_jd|    over d where q_d or k_jd is below 2^-126; 2^-126 of x below 2^-117, and
                                       2^-126 more below 2^-108 of three planes
    do  += sum_j |w_j| |v_j|           over j where v_j is; and P Lk 2^-126 max(1, max |v|) for weights

Sums below 2^-126 flush, as they do in every f32 kernel.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from foveate import reference
from foveate._runtime import get_isa
from foveate.error_bound_logits import COMPUTE_F32, F64, Arithmetic, Logits, Options, g
from foveate.error_bound_weights import WeightErrors
from foveate.reference_stages import LSE

__all__ = ["TILED", "Tiles", "lost_outputs", "rounded_weights", "tiled_logits", "tiles_of"]

U_B = 2.0**-8
U_S = U_B / (1.0 - U_B)
#: (dtype, precision) -> planes, e
TILED = {
    ("bfloat16", None): (1, 0.0),
    ("float16", None): (2, 0.0),
    ("float32", "high"): (2, U_B**2),
    ("float32", "medium"): (1, U_B),
}
if os.environ.get("FOVEATE_F32") == "amx":
    TILED["float32", "highest"] = (3, U_B**3)
#: planes -> products of them that are added, and the size of those that are not
PRODUCTS = {
    1: (1, 0.0),
    2: (3, U_B**2 * (1 + U_B) ** 2),
    3: (6, (2 * U_B**3 + U_B**4) * (1 + U_B) ** 2),
}
CUT_OFF = 2.0**128 * (1 - 2.0**-9)
FEW_ROWS, LEAST_TILE_ROWS, LEAST_TILED = 8, 4, 16  # csrc/attention/plan.c
SPARSE = ("sparsemax", "entmax15", "entmax", "topk")


class Tiles(NamedTuple):
    """Which stages of a call run in tile registers, on how many planes, and e."""

    scores: bool
    sums: bool
    n_planes: int = 1
    e: float = 0.0

    def of_products(self, e_other: float, n_terms: int, a: Arithmetic) -> float:
        """The relative error of sums of n_terms products, of numbers off by e and e_other."""
        n_products, left_out = PRODUCTS[self.n_planes]
        return (1 + self.e) * (1 + e_other) - 1 + left_out + 1.02 * g(n_products * n_terms + 1, a.u)


def tiles_of(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    names: tuple[str, str, str],
    options: Options,
    precision: str,
) -> Tiles:
    """For score, activation and combine of these names, on the ISA in use."""
    arrays = [np.asarray(array) for array in (query, key, value)]
    dtypes = {array.dtype.name for array in arrays}
    dtype = dtypes.pop()
    planes = TILED.get((dtype, precision if dtype == "float32" else None))
    if dtypes or planes is None or get_isa() != "amx":
        return Tiles(False, False)
    q, k, v = (reference._heads_first(array, options.get("layout", "bhld")) for array in arrays)
    rows = q.shape[-2] * (q.shape[-3] // k.shape[-3] if k.shape[-3] else 1)
    score, activation, combine = names
    scores = score in ("dot", "scaled_dot") and q.shape[-1] >= LEAST_TILED
    sums = combine == "weighted_sum" and activation not in SPARSE and v.shape[-1] >= LEAST_TILED
    least = LEAST_TILE_ROWS if dtype == "bfloat16" and scores and sums else FEW_ROWS + 1
    enough = rows >= least and k.shape[-2] >= LEAST_TILED
    n_planes, e = planes
    if any(np.any((np.abs(x) >= CUT_OFF) & np.isfinite(x)) for x in (q, k, v)):
        e *= 2
    return Tiles(
        scores=enough and scores,
        sums=enough and sums,
        n_planes=n_planes,
        e=e,
    )


def _flushed(sizes: F64, tiles: Tiles) -> F64:
    """What is lost of each number."""
    smallest = COMPUTE_F32.smallest
    of_low_parts = sum(
        np.where(sizes < 2.0 ** (9 * plane) * smallest, smallest, 0.0) for plane in range(1, tiles.n_planes)
    )
    return np.where(sizes < smallest, sizes, of_low_parts)


def tiled_logits(logits: Logits, query: ArrayLike, key: ArrayLike, options: Options, tiles: Tiles) -> Logits:
    """The logits' errors with those of their planes, and the products of subnormal numbers."""
    layout = options.get("layout", "bhld")
    q, k = (np.abs(reference._heads_first(array, layout)) for array in (query, key))
    k = reference._repeat_heads(k, q.shape[-3])
    scale = options.get("scale")
    if scale is None:
        scale = q.shape[-1] ** -0.5 if options.get("score", "scaled_dot") == "scaled_dot" else 1.0
    dim = q.shape[-1]

    def of_planes(a: Arithmetic) -> float:
        return tiles.of_products(tiles.e, dim, a) if a.u == COMPUTE_F32.u else 0.0

    def by_kernel(a: Arithmetic) -> float:
        return float(a.u == COMPUTE_F32.u)

    terms = [*logits.terms, (logits.terms[0][0], of_planes)]
    lost_q, lost_k = _flushed(q, tiles), _flushed(k, tiles)
    if np.any(lost_q) or np.any(lost_k):
        lost = lost_q @ np.swapaxes(k, -1, -2) + q @ np.swapaxes(lost_k, -1, -2)
        lost = abs(scale) * (lost[0] if np.ndim(query) == np.ndim(key) == 2 else lost)
        terms.append((lost, by_kernel))
    return logits._replace(terms=terms)


def rounded_weights(name: str, errors: WeightErrors, weights: F64, tiles: Tiles) -> WeightErrors:
    """The weights' errors of one activation where the weighted sum takes planes."""
    one_plane = tiles.n_planes == 1
    of_sum = U_S if name in LSE and one_plane else 0.0
    of_products = tiles.of_products(U_B**tiles.n_planes, weights.shape[-1], COMPUTE_F32)
    sizes = np.abs(weights)
    own = errors.weights + of_sum * (sizes + errors.weights)
    in_sum = errors.in_sum + of_sum * (sizes + errors.in_sum)
    lse = None if errors.lse is None else errors.lse + of_sum
    return errors._replace(weights=own, in_sum=in_sum + of_products * (sizes + in_sum), lse=lse)


def lost_outputs(weights: F64, value: ArrayLike, options: Options, tiles: Tiles) -> Any:
    """What subnormal values, and low parts of values and weights, would have added."""
    sizes = np.abs(np.asarray(value).astype(np.float64))
    finite = sizes[np.isfinite(sizes)]
    n_lost = (PRODUCTS[tiles.n_planes][0] - 1) * weights.shape[-1]  # one is counted where results are flushed
    of_weights = n_lost * COMPUTE_F32.smallest * max(1.0, float(np.max(finite, initial=0.0)))
    lost = _flushed(sizes, tiles)
    if not np.any(lost):
        return of_weights
    layout = options.get("layout", "bhld")
    return of_weights + reference.combine(np.abs(weights), lost, "weighted_sum", layout=layout)
