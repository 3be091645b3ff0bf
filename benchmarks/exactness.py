"""How far a result is from the float64 reference, as a share of `foveate.error_bound`; on sampled rows.

The reference holds all logits of what it is given: 16 rows from the start of the queries and 16 from their
end stand for all of them. Where a result needs all rows (key_stats), or a row depends on where it stands
(ALiBi without causal), one key head with its query heads stands for all heads.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import reference
from foveate.error_bound import bounds, worst_ratio

N_ROWS = 16
BY_ROW = ("mask", "bias")  # (..., Lq, Lk) or broadcasting to it
BY_HEAD = ("alibi_slopes", "sinks")
AS_THEY_ARE = (
    "score", "activation", "combine", "precision", "scale", "softcap", "kv_lengths", "k_scale", "v_scale",
)  # fmt: skip

Array = NDArray[Any]
Options = Mapping[str, Any]


def attention_error(result: Any, arrays: tuple[Array, ...], options: Options) -> float:
    """Worst ratio of what ``foveate.attention(*arrays, **options)`` returned, over output, lse and key_stats.

    Infinite where the output holds a number that is not finite.
    """
    parts = result._asdict() if hasattr(result, "_asdict") else {"output": result}
    actual = {name: array for name, array in parts.items() if array is not None}
    if not np.isfinite(actual["output"].astype(np.float64)).all():
        return float("inf")
    product = str(options.get("combine", "")) == "product"
    worst = 0.0
    for where, few, given in samples(arrays, {**options, "return_lse": "lse" in actual}):
        want_lse = given.pop("return_lse")
        expected: Any = reference.attention(*few, **given, return_lse=want_lse)
        wanted = expected._asdict() if hasattr(expected, "_asdict") else {"output": expected}
        limit = bounds(*few, **given)._asdict()
        for name, array in actual.items():
            index = (..., where, *[slice(None)] * (_axes_after_rows(name, product)))
            part = array[where] if isinstance(where, tuple) else array[index]
            worst = max(worst, worst_ratio(part, wanted[name], limit[name]))
    return worst


def _axes_after_rows(name: str, product: bool) -> int:
    return 0 if name == "lse" else 2 if product else 1


def samples(arrays: tuple[Array, ...], options: Options) -> Iterator[tuple[Any, tuple[Array, ...], dict]]:
    """(where in the result, arrays, options) of the problems that stand for a call."""
    unknown = set(options) - {
        *BY_ROW, *BY_HEAD, *AS_THEY_ARE, "causal", "window", "q_offset", "key_stats", "return_lse"
    }  # fmt: skip
    if unknown:
        raise ValueError(f"options: got {sorted(unknown)}, which cannot be sampled")
    positioned = bool(options.get("causal")) or options.get("window") is not None
    if "key_stats" in options or ("alibi_slopes" in options and not positioned):
        yield _one_head(arrays, options)
        return
    query, key, value = arrays
    q_len, kv_len = query.shape[-2], key.shape[-2]
    starts = (0,) if q_len <= 2 * N_ROWS else (0, q_len - N_ROWS)
    n_rows = q_len if len(starts) == 1 else N_ROWS
    for start in starts:
        rows = slice(start, start + n_rows)
        given = dict(options)
        for name in BY_ROW:
            if name in given and given[name].shape[-2] != 1:
                given[name] = given[name][..., rows, :]
        if positioned:
            offset = kv_len - q_len if given.get("causal") == "bottom_right" else given.get("q_offset", 0)
            given["causal"] = bool(given.get("causal"))
            given["q_offset"] = np.asarray(offset) + start
        yield rows, (query[..., rows, :], key, value), given


def _one_head(arrays: tuple[Array, ...], options: Options) -> tuple[Any, tuple[Array, ...], dict]:
    query, key, value = arrays
    if query.ndim != 4:
        raise ValueError(f"query: got {query.ndim} axes, expected (batch, heads, rows, columns)")
    group = slice(0, query.shape[1] // key.shape[1])
    first = slice(0, 1)
    given = dict(options)
    for name in BY_HEAD:
        if name in given:
            given[name] = given[name][group]
    for name in BY_ROW:
        if name in given and given[name].ndim == 4:
            given[name] = given[name][first, group]
    return (first, group), (query[first, group], key[first, first], value[first, first]), given


def scores_error(logits: Array, query: Array, key: Array, **options: Any) -> float:
    """Worst ratio of ``foveate.scores``: they are the weights of the activation "identity"."""
    value = np.zeros((*key.shape[:-1], 1), key.dtype)
    worst = 0.0
    for rows, few, given in samples((query, key, value), options):
        expected = reference.scores(*few[:2], **given)
        limit = bounds(*few, activation="identity", **given).weights
        worst = max(worst, worst_ratio(logits[..., rows, :], expected, limit))
    return worst


def activate_error(weights: Array, logits: Array, activation: Any) -> float:
    """Worst ratio of ``foveate.activate`` on (..., Lq, Lk): a call whose bias the logits are."""
    rows = slice(0, 2 * N_ROWS)
    few = logits[..., rows, :]
    nothing = (
        np.zeros((*few.shape[:-1], 1), few.dtype),
        np.zeros((*few.shape[:-2], few.shape[-1], 1), few.dtype),
    )
    limit = bounds(*nothing, nothing[1], score="dot", bias=few, activation=activation).weights
    return worst_ratio(weights[..., rows, :], reference.activate(few, activation), limit)


def combine_error(output: Array, weights: Array, value: Array, combine: Any) -> float:
    """Worst ratio of ``foveate.combine``: "identity" of the bias that the weights are."""
    rows = slice(0, 2 * N_ROWS)
    few = weights[..., rows, :]
    query, key = np.zeros((*few.shape[:-1], 1), few.dtype), np.zeros((*value.shape[:-1], 1), few.dtype)
    options = {"score": "dot", "bias": few, "activation": "identity", "combine": combine}
    limit = bounds(query, key, value, **options).output
    part = output[..., rows, :, :] if str(combine) == "product" else output[..., rows, :]
    return worst_ratio(part, reference.combine(few, value, combine), limit)
