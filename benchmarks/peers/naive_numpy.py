"""Every mode in plain NumPy, as one writes it who knows NumPy: whole arrays, in place, BLAS for products."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals import Arrays, Call
from benchmarks.workloads import Workload

Array = NDArray[np.floating]
BLOCK = 2**18  # elements of a block of tanh: 1 MiB of float32, half of an L2


def set_threads(n_threads: int) -> None:
    """Only BLAS has threads; `benchmarks.rivals.set_threads` sets them."""


# ----- scores


def _dot(query: Array, key: Array, scale: float) -> Array:
    return np.matmul(query * query.dtype.type(scale), key.swapaxes(-1, -2))


def _additive(query: Array, key: Array, scale: float) -> Array:
    """In blocks of queries: all of (Lq, Lk, D) at once is slower by its memory."""
    logits = np.empty((*query.shape[:-1], key.shape[-2]), query.dtype)
    n_rows = max(1, BLOCK // (key.shape[-2] * key.shape[-1]))
    for head in np.ndindex(query.shape[:-2]):
        for first in range(0, query.shape[-2], n_rows):
            rows = slice(first, first + n_rows)
            block = query[head][rows, None, :] + key[head]
            np.tanh(block, out=block)
            np.sum(block, axis=-1, out=logits[head][rows])
    if scale != 1.0:
        logits *= logits.dtype.type(scale)
    return logits


def unit(array: Array) -> Array:
    """Rows of length 1."""
    return array / np.sqrt(np.einsum("...d,...d->...", array, array))[..., None]


def _logits(workload: Workload, query: Array, key: Array) -> Array:
    score, scale = workload.score, workload.scale
    match getattr(score, "kernel", score):
        case "scaled_dot":
            return _dot(query, key, scale)
        case "additive":
            return _additive(query, key, scale)
        case "bilinear":
            return _dot(np.matmul(query, score.w), key, scale)
        case "cosine":
            return _dot(unit(query), unit(key), scale / score.temperature)
    raise ValueError(f"score: nobody has written {score!r} in NumPy")


# ----- activations, in place where they can


def softmax(x: Array) -> Array:
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def softmax1(x: Array) -> Array:
    largest = np.maximum(x.max(axis=-1, keepdims=True), 0)
    x -= largest
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True) + np.exp(-largest)
    return x


def sigmoid(x: Array) -> Array:
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1
    return np.reciprocal(x, out=x)


def relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x)


def relu2(x: Array) -> Array:
    np.maximum(x, 0, out=x)
    return np.square(x, out=x)


def tanh(x: Array) -> Array:
    return np.tanh(x, out=x)


def identity(x: Array) -> Array:
    return x


def _descending(x: Array) -> Array:
    return np.sort(x, axis=-1)[..., ::-1]


def _last_of(x: Array, n_keys: Array) -> Array:
    """The element of each row that stands last among the first n_keys of it."""
    return np.take_along_axis(x, n_keys - 1, axis=-1)


def sparsemax(x: Array) -> Array:
    """Algorithm 1 of Martins, Astudillo 2016."""
    x -= x.max(axis=-1, keepdims=True)
    ordered = _descending(x)
    sums = np.cumsum(ordered, axis=-1) - 1
    count = np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    n_keys = np.count_nonzero(ordered * count > sums, axis=-1, keepdims=True)
    x -= _last_of(sums, n_keys) / n_keys.astype(x.dtype)
    return np.maximum(x, 0, out=x)


def entmax15(x: Array) -> Array:
    """Algorithm 2 of Peters, Niculae, Martins 2019."""
    x -= x.max(axis=-1, keepdims=True)
    x *= 0.5
    ordered = _descending(x)
    count = np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    mean = np.cumsum(ordered, axis=-1)
    mean /= count
    scatter = np.cumsum(np.square(ordered), axis=-1)
    scatter -= count * np.square(mean)
    tau = mean - np.sqrt(np.maximum((1 - scatter) / count, 0))
    n_keys = np.count_nonzero(tau <= ordered, axis=-1, keepdims=True)
    x -= _last_of(tau, n_keys)
    np.maximum(x, 0, out=x)
    return np.square(x, out=x)


def entmax(x: Array, alpha: float) -> Array:
    """Bisection of the threshold; 24 halvings of an interval of at most 1 reach float32's half ulp of 1."""
    x -= x.max(axis=-1, keepdims=True)
    x *= alpha - 1
    power = x.dtype.type(1 / (alpha - 1))
    low = np.full_like(x[..., :1], -1)
    width = x.dtype.type(1)
    for _ in range(24):
        width /= 2
        total = np.power(np.maximum(x - (low + width), 0), power).sum(axis=-1, keepdims=True)
        low += np.where(total >= 1, width, 0)
    x -= low
    np.maximum(x, 0, out=x)
    np.power(x, power, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def topk(x: Array, k: int) -> Array:
    """Of equal logits all are kept: no ties here."""
    k = min(k, x.shape[-1])
    smallest = np.partition(x, -k, axis=-1)[..., -k, None]
    x[x < smallest] = -np.inf
    return softmax(x)


def _weights(workload: Workload, x: Array) -> Array:
    activation = workload.activation
    match getattr(activation, "kernel", activation):
        case "topk":
            return topk(x, activation.k)
        case "entmax":
            return entmax(x, activation.alpha)
    plain: dict[str, Callable[[Array], Array]] = {
        function.__name__: function
        for function in (softmax, softmax1, sigmoid, relu, relu2, tanh, identity, sparsemax, entmax15)
    }
    return plain[activation](x)


# ----- combines


def select(weights: Array, value: Array, k: int) -> Array:
    """The k largest weights, which are not negative here, at temperature 1."""
    k = min(k, weights.shape[-1])
    smallest = np.partition(weights, -k, axis=-1)[..., -k, None]
    weights[weights < smallest] = 0
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.matmul(weights, value)


def _output(workload: Workload, weights: Array, value: Array) -> Array:
    combine = workload.combine
    match getattr(combine, "kernel", combine):
        case "product":
            return weights[..., None] * value[..., None, :, :]
        case "select":
            return select(weights, value, combine.k)
    return np.matmul(weights, value)


def _key_stats(weights: Array, kind: str) -> Array:
    return np.asarray(weights.sum(axis=-2) if kind == "sum" else weights.max(axis=-2))


def calls(workload: Workload, arrays: Arrays) -> dict[str, Call]:
    query, key, value = arrays
    kind = workload.options.get("key_stats")

    def attend() -> Array:
        return _output(workload, _weights(workload, _logits(workload, query, key)), value)

    def attend_with_stats() -> tuple[Array, Array]:
        weights = _weights(workload, _logits(workload, query, key))
        return _output(workload, weights, value), _key_stats(weights, kind)

    return {"numpy": attend if kind is None else attend_with_stats}
