r"""How far a result may stand from the float64 reference, element by element.

With u the unit roundoff of the compute type (2^-24 for f32, f16 and bf16 inputs, 2^-53 for f64) and
g_n = n u / (1 - n u), one logit x_j is wrong by at most::

    dx_j = g_(D+1) S_j       S_j = |scale| sum_d |q_d k_jd|: D products and sums, and the scale
         + c e_tanh          softcap c: |tanh'| <= 1, so the error before it does not grow
         + r u X_j           X_j = min(S_j, c) + |bias_j| + |m (j - p)|: what is added up after the score

where r counts the roundings after the score: softcap 3 (1 / c, c, the product), bias 2 (its conversion to
the compute type, the sum), ALiBi 3 (slope, product, sum), and with any of them, or without the maximum of
softmax to subtract (sigmoid), 2 for the argument of exp2 (log2(e), the product). The bare scores of softmax
have r = 0: log2(e) is in the scale, and exp2 takes a difference of logits.

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
e_exp; the sum 1 + e and the quotient round once each. Nothing is normalised, so errors stay with their key::

    |w_j - ref|   <= w_j (dx_j + e_exp + 2 u + u_out) + tiny
    |o - ref|     <= sum_j w_j |v_j| (dx_j + e_exp + 2 u + g_Lk + u_out) + tiny

The reference computes in float64 and obeys the same bounds with u = 2^-53; its share is added, which
matters where f64 is measured against f64.
"""

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from foveate import reference


class Arithmetic(NamedTuple):
    """What one compute type promises."""

    u: float  # unit roundoff
    e_exp: float  # relative error of exp
    e_tanh: float  # error of tanh, absolute
    smallest: float  # smaller results are flushed to zero


F32 = Arithmetic(u=2.0**-24, e_exp=2.0**-23, e_tanh=2.0**-22, smallest=2.0**-126)
F64 = Arithmetic(u=2.0**-53, e_exp=4 * 2.0**-53, e_tanh=4 * 2.0**-53, smallest=2.0**-1022)


class Bounds(NamedTuple):
    """Largest admitted distances, of the shapes of output, lse (None for sigmoid) and weights."""

    output: np.ndarray
    lse: np.ndarray | None
    weights: np.ndarray


def g(n: int, u: float) -> float:
    """Relative error of n roundings in a row."""
    return n * u / (1.0 - n * u)


def bounds(query: Any, key: Any, value: Any, **options: Any) -> Bounds:
    """Bounds for ``attention(query, key, value, **options)`` in the dtype of ``query``."""
    options = {name: option for name, option in options.items() if option is not None}
    softmax = options.get("activation", "softmax") == "softmax"
    dtype = np.asarray(query).dtype
    finfo = ml_dtypes.finfo(dtype)
    u_out, half_step = float(finfo.eps) / 2, float(finfo.smallest_subnormal) / 2
    kernel = F64 if dtype == np.float64 else F32
    with np.errstate(all="ignore"):
        exact = reference.attention(query, key, value, **options, return_weights=True, return_lse=softmax)
        weights, n_keys = exact.weights, exact.weights.shape[-1]
        sizes = _sizes(query, key, weights.shape, options)
        attended = _attended(query, key, value, options)
        # the kernel's share and the oracle's; u_out and the rounding of lse are the kernel's alone
        shares = [_factors(sizes, attended, arithmetic, options) for arithmetic in (kernel, F64)]
        relative = sum(share.relative for share in shares) + u_out
        smallest = kernel.smallest + F64.smallest

        magnitudes = np.abs(np.asarray(value).astype(np.float64))
        largest = np.max(magnitudes, where=np.isfinite(magnitudes), initial=1.0)
        in_sum = relative + sum(share.output_only for share in shares)
        output = reference.combine(weights * in_sum, magnitudes, layout=options.get("layout", "bhld"))
        output = output + (n_keys * smallest * largest + half_step)
        stored = weights * relative + (smallest + half_step)
        if not softmax:
            return Bounds(output, None, stored)
        lse_size = np.where(np.isneginf(exact.lse), 0.0, np.abs(exact.lse))
        lse = sum(share.lse for share in shares) + kernel.u * lse_size + n_keys * smallest
        return Bounds(output, lse, stored)


def worst_ratio(actual: Any, expected: Any, bound: Any) -> float:
    """The largest |actual - expected| / bound; equal elements (NaN and infinities too) count as 0."""
    actual, expected = (np.asarray(array).astype(np.float64) for array in (actual, expected))
    if actual.shape != expected.shape:
        raise AssertionError(f"shape {actual.shape}, expected {expected.shape}")
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(all="ignore"):
        ratio = np.abs(actual - expected) / bound
    ratio = np.where(np.isnan(ratio), np.inf, ratio)  # a NaN on one side alone, or no bound
    return float(np.max(np.where(same, 0.0, ratio), initial=0.0))


class _Sizes(NamedTuple):
    """What the error of a logit is proportional to."""

    head_dim: int
    scores: np.ndarray  # S_j
    added: np.ndarray  # X_j
    roundings: int  # r
    cap: float  # 0 without softcap


class _Factors(NamedTuple):
    """Relative errors that one arithmetic causes."""

    relative: np.ndarray  # of each weight
    output_only: float  # of the sum over keys, where the weights do not have it already
    lse: np.ndarray  # absolute, softmax only


def _factors(sizes: _Sizes, attended: np.ndarray, arithmetic: Arithmetic, options: Any) -> _Factors:
    u, e_exp, e_tanh, _ = arithmetic
    errors = g(sizes.head_dim + 1, u) * sizes.scores + sizes.cap * e_tanh + sizes.roundings * u * sizes.added
    errors = np.where(attended, errors, 0.0)
    sums = g(attended.shape[-1], u)
    if options.get("activation", "softmax") == "sigmoid":
        return _Factors(errors + e_exp + 2 * u, sums, np.zeros(()))
    row_error = np.max(errors, axis=-1, initial=0.0)
    if "sinks" in options:
        sink_errors = u * np.abs(np.asarray(options["sinks"]).astype(np.float64))
        row_error = np.maximum(row_error, sink_errors if row_error.ndim == 1 else sink_errors[:, None])
    relative = np.broadcast_to((2 * row_error + 2 * e_exp + 2 * sums)[..., None], attended.shape)
    return _Factors(relative, 0.0, row_error + e_exp + sums)


def _sizes(query: Any, key: Any, shape: tuple[int, ...], options: Any) -> _Sizes:
    query, key = (np.abs(np.asarray(array).astype(np.float64)) for array in (query, key))
    scale, cap = options.get("scale"), options.get("softcap", 0.0)
    scores = reference.scores(
        query,
        key,
        score=options.get("score", "scaled_dot"),
        scale=None if scale is None else abs(scale),
        layout=options.get("layout", "bhld"),
    )
    added, roundings = (np.minimum(scores, cap), 3) if cap else (scores, 0)
    if "bias" in options:
        bias = np.abs(np.asarray(options["bias"]).astype(np.float64))
        added, roundings = added + np.where(np.isinf(bias), 0.0, bias), roundings + 2
    if "alibi_slopes" in options:
        q_len, kv_len = shape[-2:]
        offset = kv_len - q_len if options.get("causal") == "bottom_right" else options.get("q_offset", 0)
        positions = np.arange(q_len)[:, None] + np.asarray(offset)[..., None, None, None]
        slopes = np.asarray(options["alibi_slopes"]).astype(np.float64)[:, None, None]
        steps = np.abs(slopes * (np.arange(kv_len) - positions))  # (batch axes of q_offset or 1, Hq, Lq, Lk)
        added, roundings = added + (steps if len(shape) > 2 else steps.reshape(shape)), roundings + 3
    if roundings or options.get("activation") == "sigmoid":
        roundings += 2
    return _Sizes(query.shape[-1], scores, added, roundings, cap)


def _attended(query, key, value, options) -> np.ndarray:
    """Which keys the rows attend: the masks alone leave every attended weight above 0."""
    masks = {name: options[name] for name in ("causal", "window", "layout", "mask") if name in options}
    masks |= {name: options[name] for name in ("kv_lengths", "q_offset") if name in options}
    if "bias" in options:
        masks["bias"] = np.where(np.isneginf(np.asarray(options["bias"]).astype(np.float64)), -np.inf, 0.0)
    zeros = (np.zeros((*np.shape(array)[:-1], 0)) for array in (query, key, value))  # no features: logits 0
    return reference.attention(*zeros, **masks, return_weights=True).weights > 0.0
