r"""How far one logit may stand from the float64 reference: `foveate.error_bound`, from the score to the mask.

With u the unit roundoff and g_n = n u / (1 - n u) the error of n roundings, x_j is off by at most::

    dx_j = E_j               the score, times the scale: below
         + c e_tanh          softcap c: |tanh'| <= 1, so the error before it does not grow
         + r u X_j           X_j = min(S_j, c) + |bias_j| + |m (j - p)| + |M_j|: what is added up after it

S_j bounds the scaled score. r counts the roundings after it: softcap 3 (1 / c, c, the product), bias 2 (its
conversion to the compute type, the sum), ALiBi 3 (slope, product, sum), and what the activation adds.

M_j is what a modifier adds to the logit of the reference. It counts as exact on what it is given and must not
move two logits apart, so that the error before it does not grow; r gains 3, for a slope, a product and a sum
of its own in the compute type. Where it masks, M_j is 0.

Where keys come with scales, one more rounding of each element of k_j adds s u S_j: s = 2 for dot and
bilinear, 3 for cosine, whose norm changes too; additive has 2 u |scale| sum_d |v_d| (|k_j| |W_k|)_d.

**dot, scaled_dot.** D products and sums, and the scale::

    S_j = |scale| sum_d |q_d k_jd|,  E_j = g_(D+1) S_j

**bilinear.** q W is a sum of D products, each off by g_D and by the rounding of W; then a dot product of Dk::

    S_j = |scale| sum_de |q_d W_de k_je|,  E_j = g_(D+Dk+2) S_j

**cosine.** A sum of D squares is off by g_D, its inverse root by g_D / 2; the root, the quotient, their
rounding and the product with the element are 4 more. With t = (1 - g_D)^(-1/2) - 1 + 4 u per vector::

    S_j = |scale / temperature| sum_d |q_d k_jd| / (|q| |k_j|),  1 + E_j / S_j = (1 + t)^2 (1 + g_(D+2))

**additive.** With a = q W_q and b = k_j W_k, off by da = g_(D+1) |q| |W_q| and db (0 without projection; W is
rounded once, as in bilinear), and |tanh'| <= 1::

    S_j = |scale| sum_d |v_d|
    E_j = (e_term + 2 g_D + 4 u) S_j + |scale| sum_d |v_d| (da_d + db_d)
    e_term = 2 ((2 e_code + u) / 4 + u + g_18 + 9/8 u)

A term is v (1 - 2 r), r = 1 / x, x = 1 + A B, A = e^(2a), B = e^(2b). e_code = e_exp + 17/16 u is the
relative error of A: the rounding of the argument of exp2 is put back in first order, which rounds once, and
its second order is below u / 16. Relative to x the errors of A and B and of the product count A B / x = 1 - r
of 2 e_code + u, so r (1 - r) <= 1/4 of it in r; the sum x rounds once. Eight terms over one denominator: two
of them, n = v_0 x_1 + v_1 x_0, round 2 times each, m = x_0 x_1 once; when two groups join, n m' + n' m rounds
twice more and brings what m' has, 1 and then 3: 5 and 10 in all; the denominator 7 times, the product with
the reciprocal once: g_18; the reciprocal is off by 9/8 u at most. A term alone, or tanh itself, which is off
by e_tanh + 3/2 u, has less. Then D sums of terms that are 2 |v_d| at most, and 4 roundings: v, sum_d v_d, the
difference, the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate import reference
from foveate.reference_stages import DEFAULTS
from foveate.stages import kernel_of

__all__ = ["COMPUTE_F32", "COMPUTE_F64", "Arithmetic", "Logits", "g", "logits", "stage_of"]

F64 = NDArray[np.float64]
Options = Mapping[str, Any]
_DOUBLE = np.dtype(np.float64)


class Arithmetic(NamedTuple):
    """What one compute type promises."""

    u: float  # unit roundoff
    e_exp: float  # relative error of exp
    e_tanh: float  # error of tanh, absolute
    smallest: float  # smaller results are flushed to zero


COMPUTE_F32 = Arithmetic(u=2.0**-24, e_exp=2.0**-23, e_tanh=2.0**-22, smallest=2.0**-126)
COMPUTE_F64 = Arithmetic(u=2.0**-53, e_exp=4 * 2.0**-53, e_tanh=4 * 2.0**-53, smallest=2.0**-1022)


def g(n: float, u: float) -> float:
    """Relative error of n roundings in a row."""
    return n * u / (1.0 - n * u)


def stage_of(kind: str, stage: object, known: Mapping[str, Any]) -> tuple[str, Any]:
    """(name, stage object or None) of a name or an object."""
    name = kernel_of(kind, stage, tuple(known))
    return name, DEFAULTS.get(name) if isinstance(stage, str) else stage


class Logits(NamedTuple):
    """What the errors of the logits are proportional to; of the shape of the weights or broadcasting."""

    terms: list[tuple[F64, Callable[[Arithmetic], float]]]  # of the score: size, and what multiplies it
    added: F64  # X_j
    roundings: int  # r
    cap: float  # 0 without softcap

    def errors(self, arithmetic: Arithmetic, more_roundings: int = 0) -> F64:
        """dx_j in one arithmetic; the activation adds its roundings of X_j."""
        score = sum(factor(arithmetic) * size for size, factor in self.terms)
        roundings = self.roundings + more_roundings
        return np.asarray(score + self.cap * arithmetic.e_tanh + roundings * arithmetic.u * self.added)


def logits(
    query: ArrayLike,
    key: ArrayLike,
    shape: tuple[int, ...],
    options: Options,
    change: F64 | None = None,
    scaled: bool = False,
) -> Logits:
    """The sizes for one call whose weights have this shape.

    ``change``: what a modifier adds; ``scaled``: the keys are products of elements and scales.
    """
    name, stage = stage_of("score", options.get("score", "scaled_dot"), reference.SCORES)
    layout, cap = options.get("layout", "bhld"), options.get("softcap", 0.0)
    q, k = (np.abs(reference._heads_first(array, layout)) for array in (query, key))
    k = reference._repeat_heads(k, q.shape[-3])
    scale = options.get("scale")
    if scale is None:
        scale = max(q.shape[-1], 1) ** -0.5 if name == "scaled_dot" else 1.0
    terms = _SCORES.get(name, _dot)(q, k, abs(scale), stage)
    if scaled:
        terms.append(_of_scaled_keys(name, terms[0][0], q, k, abs(scale), stage))
    if np.ndim(query) == np.ndim(key) == 2:
        terms = [(size[0], factor) for size, factor in terms]
    size = terms[0][0]
    added, roundings = (np.minimum(size, cap), 3) if cap else (size, 0)
    if "bias" in options:
        bias = np.abs(np.asarray(options["bias"]).astype(np.float64))
        added, roundings = added + np.where(np.isinf(bias), 0.0, bias), roundings + 2
    if "alibi_slopes" in options:
        added, roundings = added + np.abs(_alibi(shape, options)), roundings + 3
    if change is not None:
        added, roundings = added + np.where(np.isfinite(change), np.abs(change), 0.0), roundings + 3
    return Logits(terms, np.asarray(added), roundings, cap)


Terms = list[tuple[F64, Callable[[Arithmetic], float]]]


def _products(q: F64, k: F64) -> F64:
    return np.asarray(q @ np.swapaxes(k, -1, -2))


def _dot(q: F64, k: F64, scale: float, stage: None) -> Terms:
    dim = q.shape[-1]
    return [(scale * _products(q, k), lambda a: g(dim + 1, a.u))]


def _bilinear(q: F64, k: F64, scale: float, stage: Any) -> Terms:
    w = np.abs(stage.w.astype(np.float64))
    roundings = sum(w.shape[-2:]) + 2
    return [(scale * _products(q @ w, k), lambda a: g(roundings, a.u))]


def _cosine(q: F64, k: F64, scale: float, stage: Any) -> Terms:
    dim = q.shape[-1]

    def factor(a: Arithmetic) -> float:
        unit = np.expm1(-0.5 * np.log1p(-g(dim, a.u))) + 4 * a.u
        return float(np.expm1(2.0 * np.log1p(unit) + np.log1p(g(dim + 2, a.u))))

    cosines = reference.SCORES["cosine"](q, k, stage)
    return [(scale * cosines, factor)]


def _additive(q: F64, k: F64, scale: float, stage: Any) -> Terms:
    v, w_q, w_k = (None if p is None else np.abs(p) for p in stage.parameters(_DOUBLE))
    dim = (q if w_q is None else w_q).shape[-1]
    weights = np.full((1, 1, dim), scale) if v is None else scale * (v if v.ndim == 2 else v[None])[:, None]

    def factor(a: Arithmetic) -> float:
        code = a.e_exp + 17 / 16 * a.u
        term = 2 * ((2 * code + a.u) / 4 + a.u + g(18, a.u) + 9 / 8 * a.u)
        return term + 2 * g(dim, a.u) + 4 * a.u

    whole = np.sum(weights, axis=-1)[..., None]
    batch = np.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    terms: Terms = [(np.broadcast_to(whole, (*batch, q.shape[-2], k.shape[-2])), factor)]
    for rows, w, of_queries in ((q, w_q, True), (k, w_k, False)):
        if w is not None:
            n = rows.shape[-1] + 1
            size = np.sum(weights * (rows @ w), axis=-1)
            pairs = size[..., :, None] if of_queries else size[..., None, :]
            terms.append((pairs, lambda a, n=n: g(n, a.u)))  # type: ignore[misc]
    return terms


def _of_scaled_keys(
    name: str, size: F64, q: F64, k: F64, scale: float, stage: Any
) -> tuple[F64, Callable[[Arithmetic], float]]:
    if name == "additive":
        v, _, w_k = (None if p is None else np.abs(p) for p in stage.parameters(_DOUBLE))
        codes = k if w_k is None else k @ w_k
        weights = 1.0 if v is None else (v if v.ndim == 2 else v[None])[:, None]
        size = np.broadcast_to(scale * np.sum(weights * codes, axis=-1)[..., None, :], size.shape)
    return size, lambda a: (3 if name == "cosine" else 2) * a.u


_SCORES: dict[str, Callable[[F64, F64, float, Any], Terms]] = {
    "bilinear": _bilinear,
    "cosine": _cosine,
    "additive": _additive,
}


def _alibi(shape: tuple[int, ...], options: Options) -> F64:
    """m (j - p), of the shape of the weights or broadcasting to it."""
    q_len, kv_len = shape[-2:]
    offset = kv_len - q_len if options.get("causal") == "bottom_right" else options.get("q_offset", 0)
    positions = np.arange(q_len)[:, None] + np.asarray(offset)[..., None, None, None]
    slopes = np.asarray(options["alibi_slopes"]).astype(np.float64)[:, None, None]
    terms = slopes * (np.arange(kv_len) - positions)  # (batch axes of q_offset or 1, Hq, Lq, Lk)
    return np.asarray(terms if len(shape) > 2 else terms.reshape(shape))
