r"""Attention in plain float64 NumPy: the specification that the compiled kernels are measured against.

Nothing here is tiled, fused or fast; the whole matrix of logits exists. For one head and one query row q
at key position p = i + q_offset, with keys k_j and values v_j::

    s_j = q . k_j                       dot; scaled_dot is the same with scale = 1 / sqrt(D)     [1]
    x_j = scale * s_j
    x_j = c * tanh(x_j / c)             softcap c                                                [2]
    x_j = x_j + bias_j + m_h * (j - p)  bias, and ALiBi with slope m_h of head h                 [3]
    x_j = -inf                          where the key is masked
    w_j = exp(x_j - lse)                softmax, lse = log(exp(sink_h) + sum_j exp(x_j))         [1, 4]
    w_j = 1 / (1 + exp(-x_j))           sigmoid, each weight by itself                           [5]
    o   = sum_j w_j v_j                 weighted_sum

Head h of the query reads head h // group_size of key and value [6]. A key is masked where ``mask`` is
False, ``bias`` is -inf, j >= kv_length, j > p under causal, or j lies outside [p - left, p + right] of the
window. A logit of -inf is masked whatever put it there: its weight is 0 and its value is left out, even
when key or value is NaN or infinite. A row that attends no key has output 0 and lse = sink, or -inf
without a sink. An attended NaN makes that row NaN and no other.

References
----------
.. [1] Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1.
.. [2] Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024, section 2.
.. [3] Press, Smith, Lewis, "Train Short, Test Long: Attention with Linear Biases Enables Input Length
       Extrapolation", 2022.
.. [4] Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2024; here the sink is a
       logit per head without a key or a value. Without sinks exp(sink_h) is 0.
.. [5] Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", 2024; the
       paper's bias -log(n) is left to ``bias``.
.. [6] Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head
       Checkpoints", 2023.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["ACTIVATIONS", "COMBINES", "SCORES", "Result", "activate", "attention", "combine", "scores"]

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Result(NamedTuple):
    """What ``attention`` returns when lse or weights are asked for; None is what was not asked for."""

    output: Array
    lse: Array | None
    weights: Array | None


# ----- stages: query (..., H, Lq, D), key (..., H, Lk, D), value (..., H, Lk, Dv), heads already repeated


def _dot(query: Array, key: Array) -> Array:
    return np.asarray(query @ np.swapaxes(key, -1, -2))


def _softmax(logits: Array, sinks: Array | None = None) -> tuple[Array, Array | None]:
    """Weights of the rows along the last axis, and lse; ``sinks`` broadcasts to the rows."""
    sink = np.asarray(-np.inf if sinks is None else sinks)
    row_max = np.maximum(np.max(logits, axis=-1, initial=-np.inf), sink)
    shift = np.where(np.isneginf(row_max), 0.0, row_max)  # -inf - -inf would be NaN
    exps = np.exp(logits - shift[..., None])
    row_sum = np.sum(exps, axis=-1) + np.exp(sink - shift)
    weights = np.where(np.isneginf(logits), 0.0, exps / row_sum[..., None])
    return weights, shift + np.log(row_sum)


def _sigmoid(logits: Array, sinks: Array | None = None) -> tuple[Array, Array | None]:
    if sinks is not None:
        raise ValueError("sinks: only softmax has a denominator, activation is 'sigmoid'")
    return 1.0 / (1.0 + np.exp(-logits)), None


def _weighted_sum(weights: Array, value: Array, attended: Bools) -> Array:
    """Sum of w_j v_j over the attended keys: masked values are left out, for 0 * NaN would be NaN."""
    finite = np.isfinite(value)
    output = weights @ np.where(finite, value, 0.0)
    others = np.where(finite, 0.0, value)
    for j in np.unique(np.nonzero(~finite)[-2]):
        terms = weights[..., j, None] * others[..., j, None, :]
        output = output + np.where(attended[..., j, None], terms, 0.0)
    return np.asarray(output)


#: name -> (query, key) -> logits, before the scale.
SCORES: dict[str, Callable[[Array, Array], Array]] = {"dot": _dot, "scaled_dot": _dot}
#: name -> (logits, sinks) -> (weights, lse or None), along the last axis.
ACTIVATIONS: dict[str, Callable[[Array, Array | None], tuple[Array, Array | None]]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
}
#: name -> (weights, value, attended) -> output.
COMBINES: dict[str, Callable[[Array, Array, Bools], Array]] = {"weighted_sum": _weighted_sum}


# ----- shapes and positions


def _heads_first(array: npt.ArrayLike, layout: str) -> Array:
    """(..., H, L, D) in float64; a 2-D array is one head."""
    wide = np.asarray(array).astype(np.float64)
    if wide.ndim == 2:
        return wide[None]
    return wide if layout == "bhld" else np.swapaxes(wide, -3, -2)


def _repeat_heads(array: Array, n_q_heads: int) -> Array:
    """Head h of the result is head h // group_size of ``array``."""
    n_kv_heads = array.shape[-3]
    return np.repeat(array, n_q_heads // n_kv_heads if n_kv_heads else 1, axis=-3)


def _scaled_scores(query: Array, key: Array, score: str, scale: float | None, softcap: float | None) -> Array:
    if scale is None:
        scale = max(query.shape[-1], 1) ** -0.5 if score == "scaled_dot" else 1.0
    logits = SCORES[score](query, _repeat_heads(key, query.shape[-3])) * scale
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


# ----- the public functions


def attention(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    score: str = "scaled_dot",
    activation: str = "softmax",
    combine: str = "weighted_sum",
    scale: float | None = None,
    softcap: float | None = None,
    causal: bool | str = False,
    window: tuple[int | None, int | None] | None = None,
    layout: str = "bhld",
    mask: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    alibi_slopes: npt.ArrayLike | None = None,
    sinks: npt.ArrayLike | None = None,
    kv_lengths: npt.ArrayLike | None = None,
    q_offset: npt.ArrayLike | None = None,
    return_lse: bool = False,
    return_weights: bool = False,
    out: npt.NDArray[np.generic] | None = None,
    num_threads: int | None = None,
) -> Array | Result:
    """Attention of every query row over its keys, in float64.

    Parameters are those of `foveate.attention`; ``num_threads`` is ignored and little is checked.

    Returns
    -------
    ndarray or Result
        Output of shape (..., Hq, Lq, Dv), or (..., Lq, Hq, Dv) with ``layout="blhd"``, in float64; ``out``
        itself where it was given. A `Result` when ``return_lse`` or ``return_weights`` is set, with lse
        (..., Hq, Lq) and weights (..., Hq, Lq, Lk).

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
        logits = np.where(attended, logits, -np.inf)

        row_sinks = None if sinks is None else np.asarray(sinks).astype(np.float64)[:, None]
        weights, lse = ACTIVATIONS[activation](logits, row_sinks)
        if return_lse and lse is None:
            raise ValueError(f"return_lse: activation {activation!r} has no lse")
        output = COMBINES[combine](weights, _repeat_heads(v, q.shape[-3]), ~np.isneginf(logits))

    if one_head:
        output, weights, lse = output[0], weights[0], None if lse is None else lse[0]
    elif layout == "blhd":
        output = np.swapaxes(output, -3, -2)
    if out is not None:
        with np.errstate(all="ignore"):
            out[...] = output.astype(out.dtype)
        output = out  # type: ignore[assignment]
    if not (return_lse or return_weights):
        return output
    return Result(output, lse if return_lse else None, weights if return_weights else None)


def scores(
    query: npt.ArrayLike,
    key: npt.ArrayLike,
    *,
    score: str = "scaled_dot",
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
    activation: str = "softmax",
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
        weights, _ = ACTIVATIONS[activation](np.moveaxis(wide, axis, -1), None)
    return np.moveaxis(weights, -1, axis)


def combine(
    weights: npt.ArrayLike,
    value: npt.ArrayLike,
    combine: str = "weighted_sum",
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
        output = COMBINES[combine](w, _repeat_heads(v, w.shape[-3]), w != 0.0)
    if np.ndim(weights) == np.ndim(value) == 2:
        return np.asarray(output[0])
    return output if layout == "bhld" else np.swapaxes(output, -3, -2)
