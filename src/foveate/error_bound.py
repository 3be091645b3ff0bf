r"""How far a result may stand from the float64 reference, element by element.

With u the unit roundoff of the compute type (2^-24 for f32, f16 and bf16 inputs, 2^-53 for f64) and
g_n = n u / (1 - n u), one logit x_j is wrong by at most::

    dx_j = g_(D+1) |scale| sum_d |q_d k_jd|     D products and sums, and the scale
         + u |bias_j| + u |m (j - p)|           rounding of bias and ALiBi term
         + c e_tanh                             softcap c: |tanh'| <= 1, so dx_j itself does not grow

**softmax.** With ds = max_j dx_j over the keys of the row (and u |sink|), a weight p_j = exp(x_j - lse) is
wrong by a factor within 2 ds + 2 e_exp (numerator and denominator each), the sums of Lk terms by g_Lk each,
and storing the output costs u_out::

    |o - ref|     <= (2 ds + 2 e_exp + 2 g_Lk + e_w + u_out) sum_j p_j |v_j| + tiny
    |w_j - ref|   <= (2 ds + 2 e_exp + 2 g_Lk + u_out) p_j + tiny
    |lse - ref|   <= ds + e_exp + g_Lk + u_lse |lse|

e_w, the rounding of stored weights, is 0: weights stay in the compute type. e_exp is the relative error of
the exponential, tiny the largest products that flush to zero, Lk * 2^-126 * max(1, max |v|), and half of
the smallest step of the output dtype.

**sigmoid.** w = 1 / (1 + e) with e = exp(-x). Since d(log w)/dx = 1 - w lies in (0, 1), dx in the logit is
at most dx relative in w; likewise d(log w)/d(log e) = -(1 - w), so e_exp in the exponential is at most
e_exp; the sum 1 + e and the quotient round once each. Nothing is normalised, so errors stay with their key,
and dx_j counts once, not twice as in the quotient of softmax: the roundings of x_j itself must be counted
too, one where bias or ALiBi is added and two in x log2(e), the argument of exp2::

    |w_j - ref|   <= w_j (dx_j + 3 u |x_j| + e_exp + 2 u + u_out) + tiny
    |o - ref|     <= sum_j w_j |v_j| (dx_j + 3 u |x_j| + e_exp + 2 u + g_Lk + u_out) + tiny

The reference computes in float64 and obeys the same bounds with u = 2^-53; its share is added, which
matters where f64 is measured against f64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate import reference

__all__ = ["Bounds", "bounds", "worst_ratio"]

F64 = NDArray[np.float64]
Options = Mapping[str, Any]


class Arithmetic(NamedTuple):
    """What one compute type promises."""

    u: float  # unit roundoff
    e_exp: float  # relative error of exp
    e_tanh: float  # error of tanh, absolute
    smallest: float  # smaller results are flushed to zero


COMPUTE_F32 = Arithmetic(u=2.0**-24, e_exp=2.0**-23, e_tanh=2.0**-22, smallest=2.0**-126)
COMPUTE_F64 = Arithmetic(u=2.0**-53, e_exp=4 * 2.0**-53, e_tanh=4 * 2.0**-53, smallest=2.0**-1022)


class Storing(NamedTuple):
    """Rounding of the results to their dtypes."""

    u_out: float
    half_step: float  # half of the smallest subnormal
    u_lse: float


STORING = {
    "float32": Storing(2.0**-24, 2.0**-150, 2.0**-24),
    "float64": Storing(2.0**-53, 0.0, 2.0**-53),  # half of 2^-1074 is no number
    "float16": Storing(2.0**-11, 2.0**-25, 2.0**-24),
    "bfloat16": Storing(2.0**-8, 2.0**-134, 2.0**-24),
}
EXACT = Storing(0.0, 0.0, 0.0)


class Bounds(NamedTuple):
    """Largest admitted distances, of the shapes of output, lse (None for sigmoid) and weights."""

    output: F64
    lse: F64 | None
    weights: F64


def bounds(query: ArrayLike, key: ArrayLike, value: ArrayLike, **options: Any) -> Bounds:
    """Bounds for ``attention(query, key, value, **options)`` in the dtype of ``query``.

    Parameters
    ----------
    query, key, value : array_like
        As for `foveate.attention`: float32, float64, float16 or bfloat16, already rounded to it.
    **options
        Those options of `foveate.attention` that change values.

    Returns
    -------
    Bounds
        Arrays of float64: output (..., Hq, Lq, Dv), lse (..., Hq, Lq), weights (..., Hq, Lq, Lk).

    Raises
    ------
    TypeError
        For any other dtype.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((4, 2), np.float32)
    >>> bool((bounds(x, x, x).output < 1e-5).all())
    True
    """
    dtype = np.asarray(query).dtype
    if dtype.name not in STORING:
        raise TypeError(f"query must be one of {', '.join(STORING)}, got {dtype}")
    arithmetic = COMPUTE_F64 if dtype == np.float64 else COMPUTE_F32
    kernel = _bounds(query, key, value, options, arithmetic, STORING[dtype.name])
    oracle = _bounds(query, key, value, options, COMPUTE_F64, EXACT)
    lse = None if kernel.lse is None or oracle.lse is None else kernel.lse + oracle.lse
    return Bounds(kernel.output + oracle.output, lse, kernel.weights + oracle.weights)


def worst_ratio(actual: ArrayLike, expected: ArrayLike, bound: ArrayLike) -> float:
    """The largest |actual - expected| / bound; equal elements (NaN and infinities too) count as 0.

    Parameters
    ----------
    actual, expected, bound : array_like of one shape

    Returns
    -------
    float
        inf where a NaN stands on one side alone, or where there is a distance and no bound.

    Raises
    ------
    ValueError
        Where the shapes of actual and expected differ.

    Examples
    --------
    >>> worst_ratio([1.0, 2.5], [1.0, 2.0], [0.1, 1.0])
    0.5
    """
    a, b = (np.asarray(array).astype(np.float64) for array in (actual, expected))
    if a.shape != b.shape:
        raise ValueError(f"actual must have the shape of expected, {b.shape}, got {a.shape}")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(all="ignore"):
        ratio = np.abs(a - b) / np.asarray(bound)
    ratio = np.where(np.isnan(ratio), np.inf, ratio)
    return float(np.max(np.where(same, 0.0, ratio), initial=0.0))


def _g(n: int, u: float) -> float:
    """Relative error of n roundings in a row."""
    return n * u / (1.0 - n * u)


def _bounds(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    given: Options,
    arithmetic: Arithmetic,
    storing: Storing,
) -> Bounds:
    u, e_exp, _, smallest = arithmetic
    softmax = given.get("activation", "softmax") == "softmax"
    options = {name: option for name, option in given.items() if option is not None}
    layout = options.get("layout", "bhld")
    with np.errstate(all="ignore"):
        exact = reference.attention(query, key, value, **options, return_weights=True, return_lse=softmax)
        assert isinstance(exact, reference.Result)
        assert exact.weights is not None
        weights = exact.weights
        errors = _logit_errors(query, key, weights.shape, options, arithmetic)
        errors = np.where(_attended(query, key, value, options), errors, 0.0)
        g_k = _g(weights.shape[-1], u)

        row_error = np.max(errors, axis=-1, initial=0.0)
        if "sinks" in options:
            sink_errors = u * np.abs(np.asarray(options["sinks"]).astype(np.float64))
            row_error = np.maximum(row_error, sink_errors if row_error.ndim == 1 else sink_errors[:, None])
        lse = None
        if softmax:
            assert exact.lse is not None
            relative = np.broadcast_to(2 * row_error[..., None] + 2 * e_exp, weights.shape)
            sums = 2 * g_k
            lse = row_error + e_exp + g_k + storing.u_lse * np.abs(exact.lse) + weights.shape[-1] * smallest
        else:
            argument = 3 * u * np.abs(_logits(query, key, weights.shape, options))
            argument = np.where(np.isfinite(argument), argument, 0.0)  # a weight of 0 or 1 or NaN, exactly
            relative, sums = errors + argument + e_exp + 2 * u, g_k

        magnitudes = np.abs(np.asarray(value).astype(np.float64))
        largest = np.max(magnitudes, where=np.isfinite(magnitudes), initial=1.0)
        output = reference.combine(weights * (relative + sums + storing.u_out), magnitudes, layout=layout)
        output = output + (weights.shape[-1] * smallest * largest + storing.half_step)
        weight_sums = sums if softmax else 0.0
        stored = weights * (relative + weight_sums + storing.u_out) + (smallest + storing.half_step)
    return Bounds(output, lse, stored)


def _logit_errors(
    query: ArrayLike, key: ArrayLike, shape: tuple[int, ...], options: Options, arithmetic: Arithmetic
) -> F64:
    """dx_j of the module's formula for every query and key, masked ones included."""
    u, _, e_tanh, _ = arithmetic
    q, k = (np.abs(np.asarray(array).astype(np.float64)) for array in (query, key))
    scale = options.get("scale")
    sizes = reference.scores(
        q,
        k,
        score=options.get("score", "scaled_dot"),
        scale=None if scale is None else abs(scale),
        layout=options.get("layout", "bhld"),
    )
    errors = np.broadcast_to(_g(q.shape[-1] + 1, u) * sizes, shape)
    if "bias" in options:
        bias = np.abs(np.asarray(options["bias"]).astype(np.float64))
        errors = errors + u * np.where(np.isinf(bias), 0.0, bias)
    if "alibi_slopes" in options:
        errors = errors + u * np.abs(_alibi(shape, options))
    if "softcap" in options:
        errors = errors + options["softcap"] * e_tanh
    return np.asarray(errors)


def _logits(query: ArrayLike, key: ArrayLike, shape: tuple[int, ...], options: Options) -> F64:
    """x_j for every query and key, masked ones included."""
    names = ("score", "scale", "softcap", "layout")
    some = {name: options[name] for name in names if name in options}
    logits = np.broadcast_to(reference.scores(query, key, **some), shape)
    if "bias" in options:
        logits = logits + np.asarray(options["bias"]).astype(np.float64)
    return logits + _alibi(shape, options) if "alibi_slopes" in options else logits


def _alibi(shape: tuple[int, ...], options: Options) -> F64:
    """m (j - p), of the shape of the weights or broadcasting to it."""
    q_len, kv_len = shape[-2:]
    offset = kv_len - q_len if options.get("causal") == "bottom_right" else options.get("q_offset", 0)
    positions = np.arange(q_len)[:, None] + np.asarray(offset)[..., None, None, None]
    slopes = np.asarray(options["alibi_slopes"]).astype(np.float64)[:, None, None]
    terms = slopes * (np.arange(kv_len) - positions)  # (batch axes of q_offset or 1, Hq, Lq, Lk)
    return np.asarray(terms if len(shape) > 2 else terms.reshape(shape))


def _attended(query: ArrayLike, key: ArrayLike, value: ArrayLike, options: Options) -> NDArray[np.bool_]:
    """Which keys the rows attend: the masks alone leave every attended weight above 0."""
    names = ("causal", "window", "layout", "mask", "kv_lengths", "q_offset")
    masks = {name: options[name] for name in names if name in options}
    if "bias" in options:
        masks["bias"] = np.where(np.isneginf(np.asarray(options["bias"]).astype(np.float64)), -np.inf, 0.0)
    zeros = (np.zeros(np.shape(array)) for array in (query, key, value))
    result = reference.attention(*zeros, **masks, return_weights=True)
    assert isinstance(result, reference.Result)
    assert result.weights is not None
    return np.asarray(result.weights > 0.0)
