"""The functions users call. Each is a short way to a Mode and its compiled Plan."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, Literal, Unpack, overload

import numpy as np
import numpy.typing as npt

from foveate import _core, _validate
from foveate._options import AttentionOptions
from foveate._result import AttentionResult
from foveate.mode import Mode
from foveate.stages import Activation, Additive, Bilinear, Combine, Score

__all__ = ["activate", "attention", "combine", "scores"]


def _make(
    score: Any, activation: Any, combine: Any, scale: Any, softcap: Any, causal: Any, *others: Any
) -> Mode:
    """``others``: layout, precision and the sides of the window; ``typed`` tells 1 from True, in no tuple."""
    return Mode(score, activation, combine, scale, softcap, causal, others[2:] or None, *others[:2])


_HOLD_ARRAYS = (Additive, Bilinear)
_cached = lru_cache(maxsize=256, typed=True)(_make)
_cached_with_arrays = lru_cache(maxsize=8, typed=True)(_make)  # a cache keeps the arrays alive


def _mode(
    score: Any,
    activation: Any,
    combine: Any,
    scale: Any,
    softcap: Any,
    causal: Any,
    window: Any,
    layout: Any,
    precision: Any = "highest",
) -> Mode:
    """The Mode of these options, from the cache where they can be hashed."""
    if window is None or (type(window) is tuple and window):
        cached = _cached_with_arrays if isinstance(score, _HOLD_ARRAYS) else _cached
        try:
            return cached(
                score, activation, combine, scale, softcap, causal, layout, precision, *(window or ())
            )
        except TypeError:  # unhashable, or refused: the same words below, without this line in the traceback
            pass
    return Mode(score, activation, combine, scale, softcap, causal, window, layout, precision)


@overload
def attention(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    return_lse: Literal[False] = False,
    return_weights: Literal[False] = False,
    key_stats: None = None,
    **options: Unpack[AttentionOptions],
) -> npt.NDArray[Any]: ...


@overload
def attention(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    return_lse: Literal[True],
    return_weights: bool = False,
    key_stats: str | None = None,
    **options: Unpack[AttentionOptions],
) -> AttentionResult: ...


@overload
def attention(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    return_lse: bool = False,
    return_weights: Literal[True],
    key_stats: str | None = None,
    **options: Unpack[AttentionOptions],
) -> AttentionResult: ...


@overload
def attention(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    return_lse: bool = False,
    return_weights: bool = False,
    key_stats: str,
    **options: Unpack[AttentionOptions],
) -> AttentionResult: ...


@overload
def attention(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    return_lse: bool,
    return_weights: bool,
    key_stats: str | None,
    **options: Unpack[AttentionOptions],
) -> npt.NDArray[Any] | AttentionResult: ...


@partial(_core.attention_like, mode_of=_mode, plan=Mode()._plan)
def attention(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    score: str | Score = "scaled_dot",
    activation: str | Activation = "softmax",
    combine: str | Combine = "weighted_sum",
    scale: float | None = None,
    softcap: float | None = None,
    causal: bool | str = False,
    window: tuple[int | None, int | None] | None = None,
    layout: str = "bhld",
    precision: str = "highest",
    k_scale: npt.ArrayLike | None = None,
    v_scale: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    alibi_slopes: npt.ArrayLike | None = None,
    sinks: npt.ArrayLike | None = None,
    kv_lengths: npt.ArrayLike | None = None,
    q_offset: npt.ArrayLike | None = None,
    modifier: Any = None,
    tile_mask: Any = None,
    return_lse: bool = False,
    return_weights: bool = False,
    key_stats: str | None = None,
    out: npt.NDArray[Any] | None = None,
    num_threads: int | None = None,
) -> npt.NDArray[Any] | AttentionResult:
    """Attention of every query over its keys, fused: the q_len x kv_len logits never exist in memory.

    ``logits = mask(modifier(softcap(score(query, key) * scale) + bias))``, ``weights = activation(logits)``,
    ``output = combine(weights, value)``.

    Parameters
    ----------
    query : array_like, (..., Hq, Lq, D)
        float32, float64, float16 or bfloat16 (ml_dtypes). Any strides, read-only arrays and axes of length 0
        are fine; no array is copied. Lists become float64 arrays. A 2-D array is one head, and with three of
        them the result is 2-D.
    key : array_like, (..., Hkv, Lk, D)
        Hq is a multiple of Hkv; query head h reads key head ``h // (Hq // Hkv)``. The leading (batch) axes
        of query, key and value broadcast together. `Bilinear`, and `Additive` with projections, take keys of
        another head_dim than that of query. Key and value have the dtype of query, or both are int8, or both
        float8_e4m3fn (ml_dtypes).
    value : array_like, (..., Hkv, Lk, Dv)
        The values; Dv may differ from D.
    score, activation, combine : str or stage object
        The three choices of the mode, see `Mode`.
    scale, softcap, causal, window, layout, precision
        The other options of the mode, see `Mode`.
    k_scale, v_scale : array_like of floats, optional
        For int8 and float8: row j of key (value) stands for ``k_scale[..., j]`` times its elements. Each
        broadcasts to (..., Hkv, Lk) in every layout; float32, to which other floats are rounded.
    mask : array_like of bool, optional
        True = attend. Broadcasts to (..., Hq, Lq, Lk) in every layout, without a copy.
    bias : array_like of floats, optional
        Added to the logits after scale and softcap; broadcasts like ``mask``. A logit of -inf is masked.
    alibi_slopes : array_like, (Hq,), optional
        Adds ``slope * (j - (i + q_offset))`` to the logit of query i and key j.
    sinks : array_like, (Hq,), optional
        One more logit per row that has no value: it counts in the denominator and in lse. "softmax" only.
    kv_lengths : int or array_like of ints, optional
        How many keys there are, 0 to Lk; broadcasts to the batch axes. Keys beyond do not exist.
    q_offset : int or array_like of ints, optional
        Query i stands at key position i + q_offset (may be negative); broadcasts to the batch axes. Goes
        with ``causal=True`` or a window alone.
    modifier : compiled function or (function, user_data), optional
        Changes the logits tile by tile, after bias and ALiBi and before the masks; -inf masks. What
        `score_modifier` makes, a `scipy.LowLevelCallable`, a ctypes or cffi function pointer or a
        `numba.cfunc` of ``void (const fov_logits_tile *, void *)``. ``user_data`` is an address, a ctypes or
        cffi pointer or a contiguous NumPy array. It runs on several threads at a time without the GIL, and
        more than once on a logit: it must be a pure function of what it is given.
    tile_mask : compiled function or (function, user_data), optional
        ``int (const fov_logits_tile *, void *)``, given like ``modifier``: 0 where no query of the tile
        attends any of its keys, so that it is skipped. What it skips must be masked by something else too.
    return_lse, return_weights : bool, default False
        Return an `AttentionResult` with the log-sum-exp of each row ("softmax" and "softmax1" only), and with
        the weights that the activation makes.
    key_stats : {"sum", "max"}, optional
        Return an `AttentionResult` with the sum or the maximum over the queries of the weights of each key,
        (..., Hq, Lk): 0 where no query attends it, NaN where one of its weights is.
    out : ndarray, optional
        Where the output is written: shape and dtype of the result, any strides, overlapping no input.
        After an error it is as it was.
    num_threads : int, optional
        Most threads for this call, >= 1; the default is `get_num_threads`.

    Returns
    -------
    ndarray or AttentionResult
        (..., Hq, Lq, Dv), or (..., Lq, Hq, Dv) for ``layout="blhd"``, in the dtype of the inputs. With the
        combine "product" (..., Hq, Lq, Lk, Dv), or (..., Lq, Hq, Lk, Dv). A row that attends no key is 0 (its
        lse is -inf, the sink, or 0 for "softmax1"), and what stands in masked keys never reaches the result,
        NaN included.

    Raises
    ------
    TypeError
        An argument of the wrong type or dtype.
    ValueError
        Shapes that do not fit, values out of range, unknown names, options that exclude each other.
    MemoryError
        No memory for the result or the workspace.

    See Also
    --------
    Mode : the same with the options checked once.
    score_modifier : compiles a modifier.
    foveate.reference.attention : the specification, in plain NumPy.

    Examples
    --------
    >>> import numpy as np, foveate
    >>> q, k = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> v = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> foveate.attention(q, k, v, score="dot").round(3).tolist()
    [[2.462, 3.462], [1.538, 2.538]]
    """
    raise AssertionError("the binding computes every call that this signature takes")


def scores(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    *,
    score: str | Score = "scaled_dot",
    scale: float | None = None,
    softcap: float | None = None,
    layout: str = "bhld",
    num_threads: int | None = None,
) -> npt.NDArray[Any]:
    """The first stage alone: logits of every query and key.

    Parameters
    ----------
    query, key : array_like
        (..., Hq, Lq, D) and (..., Hkv, Lk, D), as in `attention`.
    score, scale, softcap, layout
        As in `Mode`.
    num_threads : int, optional
        Most threads for this call.

    Returns
    -------
    ndarray
        ``softcap(score(query, key) * scale)``, (..., Hq, Lq, Lk) in every layout, in the dtype of the
        inputs; (Lq, Lk) when both are 2-D.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `attention`.

    Examples
    --------
    >>> import foveate
    >>> foveate.scores([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]], score="dot").tolist()
    [[11.0, 17.0]]
    """
    plan = _mode(score, "softmax", "weighted_sum", scale, softcap, False, None, layout)._plan
    return plan.scores(query, key, num_threads)


def activate(
    logits: npt.ArrayLike,
    activation: str | Activation = "softmax",
    *,
    mask: npt.ArrayLike | None = None,
    axis: int = -1,
    num_threads: int | None = None,
) -> npt.NDArray[Any]:
    """The second stage alone: weights of logits along one axis.

    Parameters
    ----------
    logits : array_like
        Any shape with at least one axis; float32, float64, float16 or bfloat16. -inf is masked.
    activation : str or stage object, default "softmax"
        As in `Mode`.
    mask : array_like of bool, optional
        True = attend; broadcasts to the shape of ``logits``.
    axis : int, default -1
        The axis of the keys.
    num_threads : int, optional
        Most threads for this call.

    Returns
    -------
    ndarray
        Weights of the shape and dtype of ``logits``; 0 where masked.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `attention`.

    Examples
    --------
    >>> import foveate
    >>> foveate.activate([0.0, 0.0, 5.0], mask=[True, True, False]).tolist()
    [0.5, 0.5, 0.0]
    """
    plan = _mode("scaled_dot", activation, "weighted_sum", None, None, False, None, "bhld")._plan
    array = _validate.as_ndarray("logits", logits)
    if _validate.float_code(array.dtype) < 0:
        _validate.refuse_dtype("logits", array)
    if not array.ndim:
        _validate.refuse_ndim("logits", array.shape)
    n = _validate.index("axis", axis, "an int")
    if not -array.ndim <= n < array.ndim:
        known = f"{-array.ndim}..{array.ndim - 1}"
        raise ValueError(f"axis must lie in {known} for logits of shape {array.shape}, got {n}")
    mask_array = None
    if mask is not None:
        mask_array = _validate.mask(mask)
        sizes = zip(reversed(mask_array.shape), reversed(array.shape), strict=False)
        if mask_array.ndim > array.ndim or any(size not in (1, target) for size, target in sizes):
            _validate.refuse_broadcast("mask", mask_array.shape, array.shape)
    weights = np.empty(array.shape, array.dtype)
    moved = weights
    if n not in (-1, array.ndim - 1):  # the axis of the keys goes last, as views
        array, moved = np.moveaxis(array, n, -1), np.moveaxis(weights, n, -1)
        if mask_array is not None:
            wide = mask_array[(None,) * (array.ndim - mask_array.ndim) + (...,)]
            mask_array = np.moveaxis(wide, n, -1)
    plan.activate(array, moved, mask_array, num_threads)
    return weights


def combine(
    weights: npt.ArrayLike,
    value: npt.ArrayLike,
    combine: str | Combine = "weighted_sum",
    *,
    layout: str = "bhld",
    num_threads: int | None = None,
) -> npt.NDArray[Any]:
    """The third stage alone: the output of weights and values.

    Parameters
    ----------
    weights : array_like, (..., Hq, Lq, Lk)
        In this order of axes whatever the layout. A value whose weight is 0 is left out, even if it is NaN.
    value : array_like, (..., Hkv, Lk, Dv)
        The values, of the dtype of ``weights``; (..., Lk, Hkv, Dv) for ``layout="blhd"``.
    combine : str or stage object, default "weighted_sum"
        As in `Mode`.
    layout : str, default "bhld"
        Order of the axes of value and output.
    num_threads : int, optional
        Most threads for this call.

    Returns
    -------
    ndarray
        (..., Hq, Lq, Dv), or (..., Lq, Hq, Dv) for ``layout="blhd"``; (Lq, Dv) when both are 2-D. With
        "product" an axis Lk comes before Dv.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `attention`.

    Examples
    --------
    >>> import foveate
    >>> foveate.combine([[0.5, 0.5, 0.0]], [[1.0], [3.0], [float("nan")]]).tolist()
    [[2.0]]
    """
    plan = _mode("scaled_dot", "softmax", combine, None, None, False, None, layout)._plan
    return plan.combine_weights(weights, value, num_threads)
