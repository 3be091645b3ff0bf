"""The error bounds hold for honest float32 arithmetic and catch results that are wrong."""

import numpy as np
import pytest

from foveate import reference
from foveate.error_bound import bounds, worst_ratio


def problem(dtype=np.float32):
    rng = np.random.default_rng(3)
    shapes = (2, 9, 16), (2, 33, 16), (2, 33, 5)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def float32_attention(q, k, v, activation):
    """The textbook formula with every operation in float32."""
    logits = q @ k.swapaxes(-1, -2) * np.float32(0.25)
    if activation == "sigmoid":
        return (1 / (1 + np.exp(-logits))) @ v
    exps = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True) @ v


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_float32_arithmetic_keeps_the_bound(activation):
    q, k, v = problem()
    output = float32_attention(q, k, v, activation)
    expected = reference.attention(q, k, v, activation=activation)
    bound = bounds(q, k, v, activation=activation).output
    assert output.dtype == np.float32
    assert 0.0 < worst_ratio(output, expected, bound) <= 1.0
    assert np.max(bound / np.abs(v).max()) < 1e-4  # it says something


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("wrong", ["scale", "last key", "swapped heads", "float16"])
def test_wrong_results_exceed_it(wrong, activation):
    q, k, v = problem()
    expected = reference.attention(q, k, v, activation=activation)
    output = {
        "scale": lambda: reference.attention(q, k, v, activation=activation, scale=0.2501),
        "last key": lambda: reference.attention(q, k, v, activation=activation, kv_lengths=32),
        "swapped heads": lambda: expected[::-1],
        "float16": lambda: expected.astype(np.float16),
    }[wrong]()
    assert worst_ratio(output, expected, bounds(q, k, v, activation=activation).output) > 1.0


def test_wrong_lse_and_weights_exceed_it():
    q, k, v = problem()
    exact = reference.attention(q, k, v, return_lse=True, return_weights=True)
    bound = bounds(q, k, v)
    assert worst_ratio(exact.lse / np.log(2.0), exact.lse, bound.lse) > 1.0
    assert worst_ratio(exact.weights * 1.0001, exact.weights, bound.weights) > 1.0
    assert worst_ratio(exact.lse.astype(np.float32), exact.lse, bound.lse) <= 1.0
    assert worst_ratio(exact.weights.astype(np.float32), exact.weights, bound.weights) <= 1.0


@pytest.mark.parametrize(
    ("actual", "expected", "ratio"),
    [
        ([1.0, 2.5], [1.0, 2.0], 5.0),
        ([np.nan, np.inf, -np.inf], [np.nan, np.inf, -np.inf], 0.0),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.nan], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([np.inf], [1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_worst_ratio(actual, expected, ratio):
    assert worst_ratio(actual, expected, 0.1) == ratio


def test_worst_ratio_wants_equal_shapes():
    with pytest.raises(ValueError, match="shape"):
        worst_ratio([1.0], [[1.0]], 0.1)
