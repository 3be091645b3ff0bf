r"""How far a result may stand from the float64 reference, element by element.

With u the unit roundoff of the compute type (2^-24 for f32, f16 and bf16 inputs, 2^-53 for f64) and
g_n = n u / (1 - n u), one logit x_j is wrong by at most::

    dx_j = g_(D+1) S_j       S_j = |scale| sum_d |q_d k_jd|: D products and sums, and the scale
         + c e_tanh          softcap c: |tanh'| <= 1, so the error before it does not grow
         + r u X_j           X_j = min(S_j, c) + |bias_j| + |m (j - p)|: what is added up after the score

where r counts the roundings after the score: softcap 3 (1 / c, c, the product), bias 2 (its conversion to
the compute type, the sum), ALiBi 3 (slope, product, sum), and for sigmoid 2 for the argument of exp2.

**softmax.** The argument of exp2 is (x_j - m) c for every key, m the reference maximum and c a rounded
factor. With h_j = x_max - x_j and mean h = sum_j p_j h_j (over the keys), numerator and denominator gain::

    a(h) = 9/4 u h                                   difference, product, and log2(e), off by < u / 4
         + 4 T u + (1 + h / T) (e_exp + u)           more than 32 keys only, T = 8 ln 2

The first tile takes its own maximum for m: |x_j - m| = h_j, exactly. Tiles have 32 keys or more. Later, m may
lag by T (8 in log2 units), and moves by more than T: a key T above m rounds 2 u T, the moves after it 2 u for
each unit of their way, at most h + T, and one exponential and one product each, at most 1 + h / T of them.
With ds = max_j dx_j over the attended keys, a weight p_j = exp(x_j - lse) is wrong by the factor within
2 ds + 2 e_exp + a(h_j) + a(mean h) + u (u: one quotient), sums of Lk terms by g_Lk, storing by u_out::

    |o - ref|     <= sum_j (2 ds + 2 e_exp + 2 g_Lk + a(h_j) + a(mean h) + u + u_out) p_j |v_j| + tiny
    |w_j - ref|   <= (2 ds + 2 e_exp + 2 g_Lk + a(h_j) + a(mean h) + u + u_out) p_j + tiny
    |lse - ref|   <= ds + e_exp + g_Lk + a(mean h) + u mean h + u_lse |lse|

u mean h is the rounding of c, which in a weight is in the 2 ds. A sink s joins at the end, s log2(e) and m c
rounded, one subtracted from the other: all three gain u (2 |s| + 2 max_j X_j + 2 T + 2) + e_exp.
e_exp is the relative error of the exponential, tiny the largest products that flush to zero,
Lk * 2^-126 * max(1, max |v|), and half of the smallest step of the output dtype.

**sigmoid.** w = 1 / (1 + e) with e = exp(-x). Since d(log w)/dx = 1 - w lies in (0, 1), dx in the logit is
at most dx relative in w; likewise d(log w)/d(log e) = -(1 - w), so e_exp in the exponential is at most
e_exp; the sum 1 + e and the quotient round once each. Nothing is normalised, so errors stay with their key::

    |w_j - ref|   <= w_j (dx_j + e_exp + 2 u + u_out) + tiny
    |o - ref|     <= sum_j w_j |v_j| (dx_j + e_exp + 2 u + g_Lk + u_out) + tiny

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
STALE = 8 * np.log(2.0)  # how far the reference maximum of softmax may lag
SMALLEST_TILE = 32  # keys; csrc/attention/plan.c


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
    options = {name: option for name, option in options.items() if option is not None}
    softmax = options.get("activation", "softmax") == "softmax"
    storing, kernel = STORING[dtype.name], COMPUTE_F64 if dtype == np.float64 else COMPUTE_F32
    with np.errstate(all="ignore"):
        exact = reference.attention(query, key, value, **options, return_weights=True, return_lse=softmax)
        assert isinstance(exact, reference.Result)
        assert exact.weights is not None
        weights, n_keys = exact.weights, exact.weights.shape[-1]
        sizes = _sizes(query, key, weights.shape, options)
        attended = _attended(query, key, value, options)
        # the kernel's share and the oracle's; u_out and the rounding of lse are the kernel's alone
        shares = [
            _factors(sizes, attended, weights, arithmetic, options) for arithmetic in (kernel, COMPUTE_F64)
        ]
        relative = shares[0].relative + shares[1].relative + storing.u_out
        smallest = kernel.smallest + COMPUTE_F64.smallest

        magnitudes = np.abs(np.asarray(value).astype(np.float64))
        largest = np.max(magnitudes, where=np.isfinite(magnitudes), initial=1.0)
        in_sum = relative + (shares[0].output_only + shares[1].output_only)
        output = reference.combine(weights * in_sum, magnitudes, layout=options.get("layout", "bhld"))
        output = output + (n_keys * smallest * largest + storing.half_step)
        stored = weights * relative + (smallest + storing.half_step)
        if not softmax:
            return Bounds(output, None, stored)
        assert exact.lse is not None
        lse_size = np.where(np.isneginf(exact.lse), 0.0, np.abs(exact.lse))
        lse = shares[0].lse + shares[1].lse + storing.u_lse * lse_size + n_keys * smallest
        return Bounds(output, lse, stored)


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


class _Sizes(NamedTuple):
    """What the error of a logit is proportional to."""

    head_dim: int
    scores: F64  # S_j
    added: F64  # X_j
    roundings: int  # r
    cap: float  # 0 without softcap


class _Factors(NamedTuple):
    """Relative errors that one arithmetic causes."""

    relative: F64  # of each weight
    output_only: float  # of the sum over keys, where the weights do not have it already
    lse: F64  # absolute, softmax only


def _factors(
    sizes: _Sizes, attended: NDArray[np.bool_], weights: F64, arithmetic: Arithmetic, options: Options
) -> _Factors:
    u, e_exp, e_tanh, _ = arithmetic
    errors = _g(sizes.head_dim + 1, u) * sizes.scores + sizes.cap * e_tanh + sizes.roundings * u * sizes.added
    errors = np.where(attended, errors, 0.0)
    sums = _g(weights.shape[-1], u)
    if options.get("activation", "softmax") == "sigmoid":
        return _Factors(errors + e_exp + 2 * u, sums, np.zeros(()))
    row = np.max(errors, axis=-1, initial=0.0)
    logs = np.log(weights)  # a quotient of weights may overflow
    below = np.where(weights > 0.0, np.max(logs, axis=-1, keepdims=True, initial=-np.inf) - logs, 0.0)
    total = np.sum(weights, axis=-1)
    mean = np.where(total > 0.0, np.sum(weights * below, axis=-1) / total, 0.0)
    side, mean_side = (_argument(h, weights.shape[-1], arithmetic) for h in (below, mean))
    common = np.zeros(())
    if "sinks" in options:
        sinks = np.abs(np.asarray(options["sinks"]).astype(np.float64))
        sinks = np.where(np.isinf(sinks), 0.0, sinks)  # -inf is none
        sinks = sinks if row.ndim == 1 else sinks[:, None]
        reach = np.max(np.where(attended, sizes.added, 0.0), axis=-1, initial=0.0)
        common = u * (2 * sinks + 2 * reach + 2 * STALE + 2) + e_exp
    relative = (2 * row + 2 * e_exp + 2 * sums + u + mean_side + common)[..., None] + side
    return _Factors(relative, 0.0, np.asarray(row + e_exp + sums + mean_side + u * mean + common))


def _argument(below: F64, n_keys: int, arithmetic: Arithmetic) -> F64:
    """a(h) of the module's formula."""
    u, e_exp, _, _ = arithmetic
    moves = 4 * STALE * u + (1 + below / STALE) * (e_exp + u) if n_keys > SMALLEST_TILE else 0.0
    return np.asarray(2.25 * u * below + moves)


def _sizes(query: ArrayLike, key: ArrayLike, shape: tuple[int, ...], options: Options) -> _Sizes:
    q, k = (np.abs(np.asarray(array).astype(np.float64)) for array in (query, key))
    scale, cap = options.get("scale"), options.get("softcap", 0.0)
    scores = reference.scores(
        q,
        k,
        score=options.get("score", "scaled_dot"),
        scale=None if scale is None else abs(scale),
        layout=options.get("layout", "bhld"),
    )
    added, roundings = (np.minimum(scores, cap), 3) if cap else (scores, 0)
    if "bias" in options:
        bias = np.abs(np.asarray(options["bias"]).astype(np.float64))
        added, roundings = added + np.where(np.isinf(bias), 0.0, bias), roundings + 2
    if "alibi_slopes" in options:
        added, roundings = added + np.abs(_alibi(shape, options)), roundings + 3
    if options.get("activation") == "sigmoid":
        roundings += 2
    return _Sizes(q.shape[-1], scores, np.asarray(added), roundings, cap)


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
