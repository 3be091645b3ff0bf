r"""How far a result may stand from the float64 reference, element by element, in every mode.

Each stage passes on what it is given and adds its own::

    dx_j   a logit: score, scale, softcap, bias, ALiBi, modifier   foveate.error_bound_logits
    dw_j   a weight: how dx reaches it, the activation's own    foveate.error_bound_weights
    do     an output: how dw reaches it, the combine's own      foveate.error_bound_outputs

with u the unit roundoff of the compute type (2^-24 for f32, f16 and bf16 inputs, 2^-53 for f64) and g_n = n u
/ (1 - n u) the error of n roundings. Their docstrings derive each term; docs/numerics.md adds how the kernels
round, step by step. Then each result is stored::

    |w_j - ref| <= dw_j + u_out |w_j| + tiny
    |lse - ref| <= dlse + u_lse |lse| + tiny

The reference computes in float64 and obeys the same bounds with u = 2^-53; its share is added, which
matters where f64 is measured against f64.

Keys and values of int8 or float8 come with scales: a row times its scale is rounded once, relatively by u.
The logits count it as `foveate.error_bound_logits` says, and the output adds 2 u |w_j| |v_j|; no product of a
scale and an element may be below the normal range.

On the ISA amx bfloat16, float16 and, by `precision`, float32 arrays may be multiplied in tile registers: see
`foveate.error_bound_tiles`.

A selection (topk, select) jumps where two keys change places. Rows in which the errors may do that, the k-th
and the next too close together, have no bound: theirs are infinite. So are those of results that may
overflow their dtype.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate import reference
from foveate._runtime import use_isa
from foveate.error_bound_logits import COMPUTE_F32, COMPUTE_F64, F64, Options, logits, stage_of
from foveate.error_bound_outputs import STORING, Storing, key_stats_error, output_error
from foveate.error_bound_tiles import TILED, lost_outputs, rounded_weights, tiled_logits, tiles_of
from foveate.error_bound_weights import Problem, weight_errors
from foveate.reference_modifier import modified
from foveate.reference_stages import LSE

__all__ = ["COMPUTE_F32", "COMPUTE_F64", "STORING", "Bounds", "bounds", "bounds_per_isa", "worst_ratio"]


class Bounds(NamedTuple):
    """Largest admitted distances, of the shapes of output, lse, weights and key_stats.

    None where the activation has no lse, and where no key_stats were asked for.
    """

    output: F64
    lse: F64 | None
    weights: F64
    key_stats: F64 | None = None


def bounds(query: ArrayLike, key: ArrayLike, value: ArrayLike, **options: Any) -> Bounds:
    """Bounds for ``attention(query, key, value, **options)`` in the dtype of ``query``.

    Parameters
    ----------
    query, key, value : array_like
        As for `foveate.attention`: float32, float64, float16 or bfloat16, already rounded to it, and for key
        and value int8 or float8_e4m3fn. The bounds are those of the ISA in use.
    **options
        Those options of `foveate.attention` that change values. A ``modifier`` counts as exact on what it is
        given and must not move two logits apart: |M(x) - M(y)| <= |x - y|, as additions and masks do.

    Returns
    -------
    Bounds
        Arrays of float64: output (..., Hq, Lq, Dv) or as the combine has it, lse (..., Hq, Lq), weights
        (..., Hq, Lq, Lk), key_stats (..., Hq, Lk). Infinite where a selection hangs on rounding errors.

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
    kind = options.pop("key_stats", None)
    precision = options.pop("precision", "highest")
    name, stage = stage_of("activation", options.get("activation", "softmax"), reference.ACTIVATIONS)
    combine = stage_of("combine", options.get("combine", "weighted_sum"), reference.COMBINES)
    storing, kernel = STORING[dtype.name], COMPUTE_F64 if dtype == np.float64 else COMPUTE_F32
    scaled = np.asarray(key).dtype.name not in STORING
    layout = options.get("layout", "bhld")
    score, _ = stage_of("score", options.get("score", "scaled_dot"), reference.SCORES)
    tiles = tiles_of(query, key, value, (score, name, combine[0]), options, precision)
    key = reference.scaled_rows(key, options.pop("k_scale", None), layout)
    value = reference.scaled_rows(value, options.pop("v_scale", None), layout)
    has_lse = name in LSE
    with np.errstate(all="ignore"):
        exact = reference.attention(query, key, value, **options, return_weights=True, return_lse=has_lse)
        assert isinstance(exact, reference.Result)
        assert exact.weights is not None
        weights, n_keys = exact.weights, exact.weights.shape[-1]
        attended = _attended(query, key, value, options)
        change = None
        if "modifier" in options:
            change = _change(query, key, value, options)
            attended = attended & ~np.isneginf(change)
        sizes = logits(query, key, weights.shape, options, change, scaled)
        problem = Problem(
            logits=tiled_logits(sizes, query, key, options, tiles) if tiles.scores else sizes,
            exact_logits=lambda: _exact_logits(query, key, value, attended, options),
            weights=weights,
            attended=attended,
            kernel=kernel,
            options=options,
        )
        errors = weight_errors(name, stage, problem)
        errors = rounded_weights(name, errors, weights, tiles) if tiles.sums else errors
        smallest = kernel.smallest + COMPUTE_F64.smallest
        stored = errors.weights + storing.u_out * np.abs(weights) + (smallest + storing.half_step)
        stored = np.where(errors.unclear[..., None], np.inf, stored)
        stored = _or_overflow(stored, weights, storing)
        rounded = storing._replace(u_out=storing.u_out + 2 * kernel.u) if scaled else storing
        output = output_error(*combine, problem, errors, value, rounded) * (1 + 2 * kernel.u if scaled else 1)
        output = output + lost_outputs(weights, value, options, tiles) if tiles.sums else output
        output = _or_overflow(output, exact.output, storing)
        lse = None
        if errors.lse is not None and exact.lse is not None:
            lse_size = np.where(np.isneginf(exact.lse), 0.0, np.abs(exact.lse))
            lse = errors.lse + storing.u_lse * lse_size + n_keys * smallest
        stats = None if kind is None else key_stats_error(kind, problem, errors, storing)
        return Bounds(output, lse, stored, stats)


def bounds_per_isa(
    isas: Iterable[str], query: ArrayLike, key: ArrayLike, value: ArrayLike, **options: Any
) -> dict[str, Bounds]:
    """`bounds` on each of these instruction sets; only tile registers (amx) make a difference."""
    with use_isa("scalar"):
        found = dict.fromkeys(isas, bounds(query, key, value, **options))
    known = (None, options.get("precision", "highest"))
    dtypes = {dtype for dtype, precision in TILED if precision in known}
    if "amx" in found and np.asarray(query).dtype.name in dtypes:
        with use_isa("amx"):
            found["amx"] = bounds(query, key, value, **options)
    return found


def worst_ratio(actual: ArrayLike, expected: ArrayLike, bound: ArrayLike) -> float:
    """The largest |actual - expected| / bound.

    Equal elements (NaN and infinities too) count as 0, and so do numbers whose bound is infinite.

    Parameters
    ----------
    actual, expected, bound : array_like of one shape

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Where the shapes of actual and expected differ.

    Examples
    --------
    >>> worst_ratio([1.0, 2.5], [1.0, 2.0], [0.1, 1.0])
    0.5
    """
    a, b, most = (np.asarray(array).astype(np.float64) for array in (actual, expected, bound))
    if a.shape != b.shape:
        raise ValueError(f"actual must have the shape of expected, {b.shape}, got {a.shape}")
    same = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.isposinf(most) & ~np.isnan(a) & ~np.isnan(b))
    with np.errstate(all="ignore"):
        ratio = np.abs(a - b) / most
    ratio = np.where(np.isnan(ratio), np.inf, ratio)
    return float(np.max(np.where(same, 0.0, ratio), initial=0.0))


def _or_overflow(bound: F64, exact: F64, storing: Storing) -> F64:
    """The bound, infinite for a result that storing may make infinite."""
    return np.where(np.abs(exact) + bound > storing.largest, np.inf, bound)


_AFTER = ("activation", "combine", "sinks")  # the logits do not depend on them
_MASKS = ("causal", "window", "layout", "mask", "kv_lengths", "q_offset")


def _attended(query: ArrayLike, key: ArrayLike, value: ArrayLike, options: Options) -> NDArray[np.bool_]:
    """Which keys the rows attend: with keys of zeros every attended weight is above 0."""
    masks = {name: options[name] for name in _MASKS if name in options}
    if "bias" in options:
        masks["bias"] = np.where(np.isneginf(np.asarray(options["bias"]).astype(np.float64)), -np.inf, 0.0)
    q_shape, k_shape, v_shape = (np.shape(array) for array in (query, key, value))
    arrays = np.zeros((*q_shape[:-1], 1)), np.zeros((*k_shape[:-1], 1)), np.zeros((*v_shape[:-1], 1))
    result = reference.attention(*arrays, **masks, return_weights=True)
    assert isinstance(result, reference.Result)
    assert result.weights is not None
    return np.asarray(result.weights > 0.0)


def _change(query: ArrayLike, key: ArrayLike, value: ArrayLike, options: Options) -> F64:
    """What the modifier adds to each logit of the reference; -inf where it masks."""
    seen = []

    def record(before: F64) -> F64:
        after = modified(before, options["modifier"])
        seen.append(np.where(np.isneginf(after), -np.inf, after - before))
        return after

    value = np.zeros((*np.shape(value)[:-1], 0))
    others = {name: option for name, option in options.items() if name not in _AFTER}
    reference.attention(query, key, value, **others | {"modifier": record})
    one_head = all(np.ndim(array) == 2 for array in (query, key, value))
    return np.asarray(seen[0][0] if one_head else seen[0])


def _exact_logits(
    query: ArrayLike, key: ArrayLike, value: ArrayLike, attended: NDArray[np.bool_], options: Options
) -> F64:
    """The logits of the reference, -inf where not attended."""
    others = {name: option for name, option in options.items() if name not in _AFTER}
    value = np.zeros((*np.shape(value)[:-1], 0))
    result = reference.attention(query, key, value, **others, activation="identity", return_weights=True)
    assert isinstance(result, reference.Result)
    assert result.weights is not None
    return np.where(attended, result.weights, -np.inf)
