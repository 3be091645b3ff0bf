"""The stages of the specification: every score, activation and combine, plain, in float64, the matrix whole.

Scores take query (..., H, Lq, D) and key (..., H, Lk, Dk), heads already repeated, and the stage object or
None. Activations take logits, -inf where masked, and make weights along the last axis. Combines take weights,
value (..., H, Lk, Dv), which keys each row attends, and the stage object or None.

References
----------
.. [1] Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1: scaled_dot, softmax, weighted_sum.
.. [2] Bahdanau, Cho, Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate", 2015,
       appendix A.1.2: additive.
.. [3] Luong, Pham, Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
       equation 8: dot, and "general", here bilinear.
.. [4] Graves, Wayne, Danihelka, "Neural Turing Machines", 2014, equations 5 and 6: cosine.
.. [5] Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", 2024.
.. [6] Miller, "Attention Is Off By One", 2023: softmax1.
.. [7] Wortsman et al., "Replacing softmax with ReLU in Vision Transformers", 2023; their division by the
       number of keys is left to the caller.
.. [8] So et al., "Primer: Searching for Efficient Transformers for Language Modeling", 2021, and Shen et al.,
       "A Study on ReLU and Softmax in Transformer", 2023: relu2, the square of relu.
.. [9] Martins, Astudillo, "From Softmax to Sparsemax", 2016, algorithm 1.
.. [10] Peters, Niculae, Martins, "Sparse Sequence-to-Sequence Models", 2019, algorithms 1 (bisection) and 2
        (exact, alpha = 1.5).
.. [11] Gupta et al., "Memory-efficient Transformers via Top-k Attention", 2021: topk.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from foveate.stages import Additive, Bilinear, Cosine, Select, Sigmoid, TopK

__all__ = ["ACTIVATIONS", "COMBINES", "DEFAULTS", "EXACT_ZEROS", "LSE", "SCORES"]

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
F64 = np.dtype(np.float64)


# ----- scores


def _dot(query: Array, key: Array, stage: None) -> Array:
    return np.asarray(query @ np.swapaxes(key, -1, -2))


def _additive(query: Array, key: Array, stage: Additive) -> Array:
    """sum_d v_d tanh(a_d + b_d) [2], one query row at a time."""
    v, w_q, w_k = stage.parameters(F64)
    a = query if w_q is None else query @ w_q
    b = key if w_k is None else key @ w_k
    weights = np.ones(a.shape[-1]) if v is None else v if v.ndim == 1 else v[:, None, :]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    logits = np.empty((*batch, a.shape[-2], b.shape[-2]))
    for i in range(a.shape[-2]):
        logits[..., i, :] = np.sum(weights * np.tanh(a[..., i, None, :] + b), axis=-1)
    return logits


def _bilinear(query: Array, key: Array, stage: Bilinear) -> Array:
    return _dot(query @ stage.w.astype(np.float64), key, None)


def _cosine(query: Array, key: Array, stage: Cosine) -> Array:
    return _dot(_unit(query), _unit(key), None) / stage.temperature


def _unit(vectors: Array) -> Array:
    """Each row divided by its norm, 0 where that is 0; by its largest element first: squares may overflow."""
    peak = np.max(np.abs(vectors), axis=-1, keepdims=True, initial=0.0)
    scaled = vectors / np.where(peak == 0.0, 1.0, peak)
    norm = np.sqrt(np.sum(scaled * scaled, axis=-1, keepdims=True))
    return scaled / np.where(norm == 0.0, 1.0, norm)


# ----- activations


def _row_max(logits: Array) -> Array:
    return np.asarray(np.max(logits, axis=-1, keepdims=True, initial=-np.inf))


def _log_sum_exp(logits: Array) -> Array:
    row_max = _row_max(logits)
    shift = np.where(np.isneginf(row_max), 0.0, row_max)  # -inf - -inf would be NaN
    return np.asarray((shift + np.log(np.sum(np.exp(logits - shift), axis=-1, keepdims=True)))[..., 0])


def _softmax(logits: Array, stage: None) -> Array:
    row_max = _row_max(logits)
    exps = np.exp(logits - np.where(np.isneginf(row_max), 0.0, row_max))
    return np.where(np.isneginf(logits), 0.0, exps / np.sum(exps, axis=-1, keepdims=True))


def _with_zero(logits: Array) -> Array:
    return np.concatenate([logits, np.zeros((*logits.shape[:-1], 1))], axis=-1)


def _softmax1(logits: Array, stage: None) -> Array:
    """Softmax with one extra logit of 0, whose weight goes nowhere: a row may attend to nothing [6]."""
    return _softmax(_with_zero(logits), None)[..., :-1]


def _elementwise(function: Callable[[Array], Array]) -> Callable[[Array, None], Array]:
    return lambda logits, stage: np.where(np.isneginf(logits), 0.0, function(logits))


def _sigmoid(logits: Array, stage: Sigmoid) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-(logits + stage.bias))))


def _relu(logits: Array) -> Array:
    return np.maximum(logits, 0.0)


def _sparse(weights_of: Callable[[Array], Array], logits: Array, *, from_max: bool = True) -> Array:
    """Weights of rows whose maximum is moved to 0, which changes none of them: differences are what counts.

    A row with an attended NaN or +inf is NaN in all its attended weights.
    """
    attended, row_max = ~np.isneginf(logits), _row_max(logits)
    regular = np.isfinite(row_max)
    moved = logits - np.where(regular, row_max, 0.0) if from_max else logits
    weights = weights_of(np.where(regular, moved, 0.0))
    return np.where(attended, np.where(regular, weights, np.nan), 0.0)


def _sum_to_one(weights: Array) -> Array:
    return np.asarray(weights / np.sum(weights, axis=-1, keepdims=True))


def _mean_of(z: Array, kept: Bools) -> Array:
    total = np.sum(np.where(kept, z, 0.0), axis=-1, keepdims=True)
    return np.asarray(total / np.sum(kept, axis=-1, keepdims=True))


def _sparsemax(z: Array) -> Array:
    """max(z - tau, 0): the k largest have a weight, tau = (their sum - 1) / k [9]."""
    largest = np.sort(z, axis=-1)[..., ::-1]
    counts = np.arange(1, z.shape[-1] + 1)
    k = np.sum(1.0 + counts * largest > np.cumsum(largest, axis=-1), axis=-1, keepdims=True)
    kept = _ranks(z) < k
    return _sum_to_one(np.maximum(z - (_mean_of(z, kept) - 1.0 / k), 0.0))


def _entmax15(z: Array) -> Array:
    """max(z / 2 - tau, 0)**2: tau = mean - sqrt((1 - sum (z / 2 - mean)**2) / k) over the k largest [10]."""
    half = np.maximum(z / 2.0, -1.0)  # tau >= -1: what lies below has no weight
    largest = np.sort(half, axis=-1)[..., ::-1]
    counts = np.arange(1, z.shape[-1] + 1)
    means = np.cumsum(largest, axis=-1) / counts
    squares = np.cumsum(largest**2, axis=-1) - counts * means**2
    k = np.sum(means - np.sqrt(np.maximum((1.0 - squares) / counts, 0.0)) < largest, axis=-1, keepdims=True)
    kept = _ranks(half) < k
    mean = _mean_of(half, kept)
    square = np.sum(np.where(kept, half - mean, 0.0) ** 2, axis=-1, keepdims=True)
    tau = mean - np.sqrt(np.maximum((1.0 - square) / k, 0.0))
    return _sum_to_one(np.where(half > -1.0, np.maximum(half - tau, 0.0), 0.0) ** 2)


def _entmax_convex(z: Array, alpha: float) -> Array:
    """max((alpha - 1) z - tau, 0)**(1 / (alpha - 1)), alpha <= 2: tau + 1 by bisection [10].

    tau lies between -1 and -n**(1 - alpha); tau + 1 is small near alpha = 1, like z.
    """
    n, z = max(z.shape[-1], 1), (alpha - 1.0) * z
    low = np.zeros((*z.shape[:-1], 1))
    high = np.full_like(low, -np.expm1((1.0 - alpha) * np.log(n)))
    root = _bisection(lambda t: np.exp(np.log1p(np.maximum(z - t, -1.0)) / (alpha - 1.0)), high, low)
    return _sum_to_one(root)


def _entmax_concave(x: Array, alpha: float) -> Array:
    """The same for alpha > 2, whose smallest weights y**(1 / (alpha - 1)) have a y far below an ulp of tau.

    The unknown is u, the weight of the last logit of the support. With c what the weights were if tau were
    there, w = (u**(alpha - 1) + c**(alpha - 1))**(1 / (alpha - 1)). The logits are not moved: their smallest
    differences count.
    """
    if x.shape[-1] == 0:
        return x
    last = _last_of_support(x, alpha)
    support = x >= last
    c = _powers_above(x, last, alpha)

    def weights(u: Array) -> Array:
        large, small = np.maximum(c, u), np.minimum(c, u)
        ratio = np.divide(small, large, out=np.zeros_like(c), where=large > 0.0) ** (alpha - 1.0)
        return np.where(support, large * (1.0 + ratio) ** (1.0 / (alpha - 1.0)), 0.0)

    return _sum_to_one(_bisection(weights, np.zeros_like(last), np.ones_like(last)))


def _powers_above(x: Array, v: Array, alpha: float) -> Array:
    above = np.where(x > v, (alpha - 1.0) * (x - v), 0.0)
    return np.asarray(above ** (1.0 / (alpha - 1.0)))


def _last_of_support(x: Array, alpha: float) -> Array:
    """The smallest of each row with a weight: those above add up to less than 1 if it were the threshold."""
    largest = -np.sort(-x, axis=-1)
    inside = np.zeros((*x.shape[:-1], 1), np.intp)
    outside = np.full_like(inside, x.shape[-1])
    while np.any(outside - inside > 1):
        middle = (inside + outside) // 2
        v = np.take_along_axis(largest, middle, axis=-1)
        joins = np.sum(_powers_above(x, v, alpha), axis=-1, keepdims=True) < 1.0
        joins = joins & ~np.isneginf(v)
        inside, outside = np.where(joins, middle, inside), np.where(joins, outside, middle)
    return np.asarray(np.take_along_axis(largest, inside, axis=-1))


def _bisection(weights: Callable[[Array], Array], less: Array, more: Array) -> Array:
    """The weights that sum to 1: their unknown lies between one that gives less and one that gives more."""
    while True:
        middle = (less + more) / 2.0
        if np.all((middle == less) | (middle == more)):
            return weights(more)
        enough = np.sum(weights(middle), axis=-1, keepdims=True) >= 1.0
        more, less = np.where(enough, middle, more), np.where(enough, less, middle)


def _entmax(logits: Array, alpha: float) -> Array:
    if alpha <= 2.0:
        return _sparse(lambda z: _entmax_convex(z, alpha), logits)
    return _sparse(lambda x: _entmax_concave(x, alpha), logits, from_max=False)


def _ranks(values: Array) -> npt.NDArray[np.int64]:
    """0 for the largest of each row, then 1; of equal ones the lower index first; NaN last."""
    order = np.argsort(-values, axis=-1, kind="stable")
    return np.asarray(np.argsort(order, axis=-1, kind="stable"), np.int64)


def _topk(logits: Array, stage: TopK) -> Array:
    kept = _ranks(logits) < stage.k
    return _sparse(lambda z: _softmax(np.where(kept, z, -np.inf), None), logits)


# ----- combines


def _weighted_sum(weights: Array, value: Array, attended: Bools, stage: None) -> Array:
    """Sum of w_j v_j over the attended keys: masked values are left out, for 0 * NaN would be NaN."""
    finite = np.isfinite(value)
    output = weights @ np.where(finite, value, 0.0)
    others = np.where(finite, 0.0, value)
    for j in np.unique(np.nonzero(~finite)[-2]):
        terms = weights[..., j, None] * others[..., j, None, :]
        output = output + np.where(attended[..., j, None], terms, 0.0)
    return np.asarray(output)


def _product(weights: Array, value: Array, attended: Bools, stage: None) -> Array:
    """w_j v_j for every key, (..., H, Lq, Lk, Dv); 0 where masked."""
    return np.where(attended[..., None], weights[..., None] * value[..., None, :, :], 0.0)


def _select(weights: Array, value: Array, attended: Bools, stage: Select) -> Array:
    """The weighted sum over the k largest attended weights, each sign(w) |w|**(1 / temperature), normalised.

    They are divided by the largest first, so that no power overflows and not all of them underflow.
    """
    selected = attended & (_ranks(np.where(attended, weights, np.nan)) < stage.k)
    size = np.where(selected, np.abs(weights), 0.0)
    peak = np.max(size, axis=-1, keepdims=True, initial=0.0)
    power = (size / np.where(peak == 0.0, 1.0, peak)) ** (1.0 / stage.temperature)
    total = np.sum(power, axis=-1, keepdims=True)
    chosen = np.sign(weights) * power / np.where(total == 0.0, 1.0, total)
    bad = np.any(attended & np.isnan(weights), axis=-1, keepdims=True)
    chosen = np.where(bad, np.where(attended, np.nan, 0.0), np.where(selected, chosen, 0.0))
    return _weighted_sum(chosen, value, chosen != 0.0, None)


# ----- the tables

#: name -> (query, key, stage) -> logits, before the scale.
SCORES: dict[str, Callable[[Array, Array, Any], Array]] = {
    "dot": _dot,
    "scaled_dot": _dot,
    "additive": _additive,
    "bilinear": _bilinear,
    "cosine": _cosine,
}
#: name -> (logits, stage) -> weights.
ACTIVATIONS: dict[str, Callable[[Array, Any], Array]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "softmax1": _softmax1,
    "relu": _elementwise(_relu),
    "relu2": _elementwise(lambda logits: _relu(logits) ** 2),
    "tanh": _elementwise(np.tanh),
    "identity": _elementwise(lambda logits: logits),
    "sparsemax": lambda logits, stage: _sparse(_sparsemax, logits),
    "entmax15": lambda logits, stage: _sparse(_entmax15, logits),
    "entmax": lambda logits, stage: _entmax(logits, stage.alpha),
    "topk": _topk,
}
#: Activations with a log-sum-exp: name -> (logits) -> lse.
LSE: dict[str, Callable[[Array], Array]] = {
    "softmax": _log_sum_exp,
    "softmax1": lambda logits: _log_sum_exp(_with_zero(logits)),
}
#: Activations whose weights of exactly 0 leave their values out, like masked ones.
EXACT_ZEROS = ("sparsemax", "entmax15", "entmax", "topk")
#: name -> (weights, value, attended, stage) -> output.
COMBINES: dict[str, Callable[[Array, Array, Bools, Any], Array]] = {
    "weighted_sum": _weighted_sum,
    "product": _product,
    "select": _select,
}
#: What a bare name stands for, where the stage has parameters.
DEFAULTS = {"additive": Additive(), "cosine": Cosine(), "sigmoid": Sigmoid()}
