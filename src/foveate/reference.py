r"""Attention in plain float64 NumPy: the specification that the compiled kernels are measured against.

Nothing here is tiled, fused or fast; the whole matrix of logits exists. For one head and one query row q
at key position p = i + q_offset, with keys k_j and values v_j::

    s_j = score(q, k_j)                 for scores, activations, combines: reference_stages.py
    x_j = scale * s_j                   scale = 1 / sqrt(D) for scaled_dot if not given, 1 for the others
    x_j = c * tanh(x_j / c)             softcap c                                                [1]
    x_j = x_j + bias_j + m_h * (j - p)  bias, and ALiBi with slope m_h of head h                 [2]
    x_j = modifier(x_j)                 the caller's function
    x_j = -inf                          where the key is masked
    w   = activation(x)                 softmax: w_j = exp(x_j - lse),
                                                 lse = log(exp(sink_h) + sum_j exp(x_j))         [3]
    o   = combine(w, v)                 weighted_sum: sum_j w_j v_j

With k_scale and v_scale, k_j and v_j are the elements of their row times its scale. Head h of the query
reads head h // group_size of key and value [4]. A key is masked where ``mask`` is False, ``bias`` is -inf,
j >= kv_length, j > p under causal, or j lies outside [p - left, p + right] of the window. A logit of -inf is
masked whatever put it there: its weight is 0 and its value is left out, even when key or value is NaN or
infinite; so is the value of a weight of exactly 0 of the activations with exact zeros. A row that attends no
key has output 0 and lse = sink, -inf without a sink, 0 for softmax1. An attended NaN makes that row NaN and
no other, and all its attended weights where they depend on each other.

References
----------
.. [1] Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024, section 2.
.. [2] Press, Smith, Lewis, "Train Short, Test Long: Attention with Linear Biases Enables Input Length
       Extrapolation", 2022.
.. [3] Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2024; here the sink is a
       logit per head without a key or a value. Without sinks exp(sink_h) is 0.
.. [4] Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head
       Checkpoints", 2023.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from foveate.reference_modifier import modified
from foveate.reference_stages import ACTIVATIONS, COMBINES, DEFAULTS, EXACT_ZEROS, LSE, SCORES
from foveate.stages import Activation, Combine, Score, kernel_of

__all__ = ["ACTIVATIONS", "COMBINES", "SCORES", "Result", "activate", "attention", "combine", "scores"]

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Result(NamedTuple):
    """What ``attention`` returns when more than the output is asked for; None is what was not asked for."""

    output: Array
    lse: Array | None
    weights: Array | None
    key_stats: Array | None = None


def _stage(kind: str, stage: object, known: dict[str, Any]) -> tuple[str, Any]:
    """(name, stage object or None) of a name or an object."""
    name = kernel_of(kind, stage, tuple(known))
    return name, DEFAULTS.get(name) if isinstance(stage, str) else stage


# ----- shapes and positions


def _heads_first(array: npt.ArrayLike, layout: str) -> Array:
    """(..., H, L, D) in float64; a 2-D array is one head."""
    wide = np.asarray(array).astype(np.float64)
    if wide.ndim == 2:
        return wide[None]
    return wide if layout == "bhld" else np.swapaxes(wide, -3, -2)


def scaled_rows(array: npt.ArrayLike, scale: npt.ArrayLike | None, layout: str = "bhld") -> Array:
    """Row j of (..., H, L, D) times the float32 ``scale[..., j]`` (..., H, L), in float64."""
    wide = np.asarray(array).astype(np.float64)
    if scale is None:
        return wide
    factors = np.asarray(scale).astype(np.float32).astype(np.float64)
    if layout == "blhd" and wide.ndim > 2 and factors.ndim > 1:
        factors = np.swapaxes(factors, -2, -1)
    elif layout == "blhd" and wide.ndim > 2 and factors.ndim == 1:
        factors = factors[:, None]
    with np.errstate(all="ignore"):
        return wide * factors[..., None]


def _repeat_heads(array: Array, n_q_heads: int) -> Array:
    """Head h of the result is head h // group_size of ``array``."""
    n_kv_heads = array.shape[-3]
    if n_kv_heads and n_q_heads % n_kv_heads:
        raise ValueError(f"query heads must be a multiple of key heads, got {n_q_heads} and {n_kv_heads}")
    return np.repeat(array, n_q_heads // n_kv_heads if n_kv_heads else 1, axis=-3)


def _scaled_scores(
    query: Array, key: Array, score: str | Score, scale: float | None, softcap: float | None
) -> Array:
    name, stage = _stage("score", score, SCORES)
    if name in ("additive", "bilinear"):
        stage.check_sizes(query.shape[-3], query.shape[-1], key.shape[-1])
    if scale is None:
        scale = max(query.shape[-1], 1) ** -0.5 if name == "scaled_dot" else 1.0
    logits = SCORES[name](query, _repeat_heads(key, query.shape[-3]), stage) * scale
    return logits if softcap is None else softcap * np.tanh(logits / softcap)


def _distances(
    q_len: int,
    kv_len: int,
    causal: bool | str,
    window: tuple[int | None, int | None] | None,
    q_offset: npt.ArrayLike | None,
) -> npt.NDArray[np.int64]:
    """j - (i + q_offset) for every pair, shape (batch axes of q_offset, 1, Lq, Lk)."""
    if q_offset is None:
        aligned = isinstance(causal, str) or not (causal or window is not None)
        if q_len != kv_len and not aligned:
            raise ValueError(
                f"causal={causal!r}, window={window!r} with {q_len} queries and {kv_len} keys needs an "
                "alignment: causal='top_left', causal='bottom_right' or q_offset"
            )
        q_offset = kv_len - q_len if causal == "bottom_right" else 0
    offsets = np.asarray(q_offset, np.int64)[..., None, None, None]
    return np.arange(kv_len) - (np.arange(q_len)[:, None] + offsets)


def _attended(
    distances: npt.NDArray[np.int64],
    causal: bool | str,
    window: tuple[int | None, int | None] | None,
    kv_lengths: npt.ArrayLike | None,
) -> Bools:
    """True where the positions let a query see a key."""
    left, right = (None, None) if window is None else window
    seen = np.ones(distances.shape, np.bool_)
    if causal:
        seen = seen & (distances <= 0)
    if left is not None:
        seen = seen & (distances >= -left)
    if right is not None:
        seen = seen & (distances <= right)
    if kv_lengths is not None:
        seen = seen & (np.arange(distances.shape[-1]) < np.asarray(kv_lengths)[..., None, None, None])
    return seen


def _swap_heads(output: Array, combine: str) -> Array:
    """(..., Hq, Lq, Dv) as (..., Lq, Hq, Dv), and likewise with the axis Lk of a product."""
    return np.swapaxes(output, -4, -3) if combine == "product" else np.swapaxes(output, -3, -2)


def _key_stats(weights: Array, kind: str | None) -> Array | None:
    """(..., Hq, Lk): totals of the weights of each key over the queries; 0 where there is no query."""
    if kind is None:
        return None
    if kind not in ("sum", "max"):
        raise ValueError(f"key_stats must be 'sum', 'max' or None, got {kind!r}")
    if kind == "sum" or weights.shape[-2] == 0:
        return np.asarray(np.sum(weights, axis=-2))
    return np.asarray(np.max(weights, axis=-2))


# ----- the public functions


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
    out: npt.NDArray[np.generic] | None = None,
    num_threads: int | None = None,
) -> Array | Result:
    """Attention of every query row over its keys, in float64.

    Parameters are those of `foveate.attention`; ``num_threads``, ``precision`` and ``tile_mask`` are
    ignored, scales taken with any dtype, and little is checked. ``modifier`` may also be a Python function of
    the logits (..., Hq, Lq, Lk) that returns as many.

    Returns
    -------
    ndarray or Result
        Output of shape (..., Hq, Lq, Dv), or (..., Lq, Hq, Dv) with ``layout="blhd"``, in float64; ``out``
        itself where it was given. With the combine "product" (..., Hq, Lq, Lk, Dv) or (..., Lq, Hq, Lk, Dv).
        A `Result` when ``return_lse``, ``return_weights`` or ``key_stats`` is set, with lse (..., Hq, Lq),
        weights (..., Hq, Lq, Lk) and key_stats (..., Hq, Lk).

    Raises
    ------
    ValueError
        For causal=True or a window with Lq != Lk and no alignment, and for lse or sinks of an activation
        that has none.

    Examples
    --------
    >>> import numpy as np
    >>> from foveate import reference
    >>> q, k, v = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]]
    >>> reference.attention(q, k, v, score="dot").round(3).tolist()
    [[2.462, 3.462], [1.538, 2.538]]
    """
    one_head = all(np.ndim(array) == 2 for array in (query, key, value))
    q, k, v = (_heads_first(array, layout) for array in (query, key, value))
    k, v = scaled_rows(k, k_scale), scaled_rows(v, v_scale)
    batch = np.broadcast_shapes(q.shape[:-3], k.shape[:-3], v.shape[:-3])
    q, k, v = (np.broadcast_to(array, batch + array.shape[-3:]) for array in (q, k, v))

    with np.errstate(all="ignore"):
        logits = _scaled_scores(q, k, score, scale, softcap)
        distances = _distances(q.shape[-2], k.shape[-2], causal, window, q_offset)
        attended = _attended(distances, causal, window, kv_lengths)
        if mask is not None:
            attended = attended & np.asarray(mask)
        if bias is not None:
            wide_bias = np.asarray(bias).astype(np.float64)
            attended = attended & ~np.isneginf(wide_bias)  # also where the logit is NaN: NaN - inf is NaN
            logits = logits + wide_bias
        if alibi_slopes is not None:
            logits = logits + np.asarray(alibi_slopes).astype(np.float64)[:, None, None] * distances
        if modifier is not None:
            logits = modified(logits, modifier)
        logits = np.where(attended, logits, -np.inf)

        name, stage = _stage("activation", activation, ACTIVATIONS)
        if return_lse and name not in LSE:
            raise ValueError(f"return_lse: activation {name!r} has no lse")
        if sinks is not None and name != "softmax":
            raise ValueError(f"sinks: only softmax takes them, activation is {name!r}")
        if sinks is not None:  # one more logit per row, whose weight goes nowhere
            row_sinks = np.asarray(sinks).astype(np.float64)[:, None, None]
            logits = np.concatenate([logits, np.broadcast_to(row_sinks, (*logits.shape[:-1], 1))], axis=-1)
        weights = ACTIVATIONS[name](logits, stage)
        lse = LSE[name](logits) if return_lse else None
        if sinks is not None:
            logits, weights = logits[..., :-1], weights[..., :-1]
        seen = ~np.isneginf(logits)
        if name in EXACT_ZEROS:
            seen = seen & (weights != 0.0)
        kind, stage = _stage("combine", combine, COMBINES)
        output = COMBINES[kind](weights, _repeat_heads(v, q.shape[-3]), seen, stage)
        stats = _key_stats(weights, key_stats)

    if one_head:
        output, weights = output[0], weights[0]
        lse, stats = (None if array is None else array[0] for array in (lse, stats))
    elif layout == "blhd":
        output = _swap_heads(output, kind)
    if out is not None:
        with np.errstate(all="ignore"):
            out[...] = output.astype(out.dtype)
        output = out  # type: ignore[assignment]
    if not (return_lse or return_weights or key_stats):
        return output
    return Result(output, lse, weights if return_weights else None, stats)


def scores(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    *,
    score: str | Score = "scaled_dot",
    scale: float | None = None,
    softcap: float | None = None,
    layout: str = "bhld",
    num_threads: int | None = None,
) -> Array:
    """Logits (..., Hq, Lq, Lk) in float64: the score, times the scale, softcapped.

    Examples
    --------
    >>> from foveate import reference
    >>> reference.scores([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]], score="dot").tolist()
    [[11.0, 17.0]]
    """
    q, k = _heads_first(query, layout), _heads_first(key, layout)
    with np.errstate(all="ignore"):
        logits = _scaled_scores(q, k, score, scale, softcap)
    return logits[0] if np.ndim(query) == np.ndim(key) == 2 else logits


def activate(
    logits: npt.ArrayLike,
    activation: str | Activation = "softmax",
    *,
    mask: npt.ArrayLike | None = None,
    axis: int = -1,
    num_threads: int | None = None,
) -> Array:
    """Weights of the shape of ``logits`` in float64; -inf and a False in ``mask`` give weight 0.

    Examples
    --------
    >>> from foveate import reference
    >>> reference.activate([0.0, 0.0, 5.0], mask=[True, True, False]).tolist()
    [0.5, 0.5, 0.0]
    """
    wide = np.asarray(logits).astype(np.float64)
    with np.errstate(all="ignore"):
        wide = wide if mask is None else np.where(np.asarray(mask), wide, -np.inf)
        name, stage = _stage("activation", activation, ACTIVATIONS)
        weights = ACTIVATIONS[name](np.moveaxis(wide, axis, -1), stage)
    return np.moveaxis(weights, -1, axis)


def combine(
    weights: npt.ArrayLike,
    value: npt.ArrayLike,
    combine: str | Combine = "weighted_sum",
    *,
    layout: str = "bhld",
    num_threads: int | None = None,
) -> Array:
    """Output (..., Hq, Lq, Dv) of weights (..., Hq, Lq, Lk) in float64; a weight of 0 leaves its value out.

    Examples
    --------
    >>> from foveate import reference
    >>> reference.combine([[0.5, 0.5, 0.0]], [[1.0], [3.0], [float("nan")]]).tolist()
    [[2.0]]
    """
    w, v = _heads_first(weights, "bhld"), _heads_first(value, layout)
    with np.errstate(all="ignore"):
        name, stage = _stage("combine", combine, COMBINES)
        output = COMBINES[name](w, _repeat_heads(v, w.shape[-3]), w != 0.0, stage)
    if np.ndim(weights) == np.ndim(value) == 2:
        return np.asarray(output[0])
    return output if layout == "bhld" else _swap_heads(output, name)
