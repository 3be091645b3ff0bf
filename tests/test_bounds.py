"""The error bounds hold for honest float32 arithmetic and catch results that are wrong."""

import numpy as np
import pytest

from foveate import Additive, Bilinear, Cosine, Entmax, Select, Sigmoid, TopK, reference
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


def test_worst_ratio_of_an_infinite_bound():
    assert worst_ratio([1.0, np.inf], [9.0, 1.0], np.inf) == 0.0
    assert worst_ratio([np.nan], [1.0], np.inf) == np.inf


def test_worst_ratio_wants_equal_shapes():
    with pytest.raises(ValueError, match="shape"):
        worst_ratio([1.0], [[1.0]], 0.1)


# ----- every mode

STAGES = [
    ("dot", "softmax1", "weighted_sum"),
    (Additive([1.0, -0.5, 2.0] * 5 + [0.25]), "relu2", "weighted_sum"),
    (Bilinear(np.eye(16)), "tanh", "product"),
    (Cosine(0.2), "sparsemax", "weighted_sum"),
    (Cosine(0.2), "entmax15", "product"),
    ("scaled_dot", Entmax(1.3), Select(4)),
    ("scaled_dot", Entmax(3.0), "weighted_sum"),
    ("scaled_dot", TopK(5), "weighted_sum"),
    ("scaled_dot", Sigmoid(-1.0), Select(3, temperature=0.5)),
    ("additive", "identity", "weighted_sum"),
    ("scaled_dot", "relu", Select(2)),
]


@pytest.mark.parametrize(("score", "activation", "combine"), STAGES, ids=str)
@pytest.mark.parametrize("key_stats", ["sum", "max"])
def test_float32_logits_keep_the_bounds(score, activation, combine, key_stats):
    """Logits rounded to float32, the rest exact: inside; rounded to float16: outside."""
    q, k, v = problem()
    options = {"score": score, "activation": activation, "combine": combine}
    expected = reference.attention(q, k, v, **options, return_weights=True, key_stats=key_stats)
    bound = bounds(q, k, v, **options, key_stats=key_stats)
    assert bound.output.shape == expected.output.shape
    assert bound.key_stats.shape == expected.key_stats.shape
    logits = reference.scores(q, k, score=score)
    for rounded, inside in ((np.float32, True), (np.float16, False)):
        weights = reference.activate(logits.astype(rounded), activation)
        results = {
            "weights": (weights, expected.weights),
            "output": (reference.combine(weights, v, combine), expected.output),
            "key_stats": (getattr(weights, key_stats)(axis=-2), expected.key_stats),
        }
        for name, (actual, exact) in results.items():
            assert (worst_ratio(actual, exact, getattr(bound, name)) <= 1.0) == inside, (name, rounded)


@pytest.mark.parametrize(
    ("activation", "combine"), [(TopK(2), "weighted_sum"), ("softmax", Select(2))], ids=str
)
def test_near_ties_have_no_bound(activation, combine):
    """Where rounding decides which keys are selected the bounds are infinite, in that row alone."""
    query, value = np.ones((2, 1), np.float32), np.eye(3, dtype=np.float32)
    key = np.array([[3.0], [1.0], [1.0 + 2.0**-23]], np.float32)
    query[1] = -1.0  # the two are the largest
    bound = bounds(query, key, value, score="dot", activation=activation, combine=combine)
    assert np.isinf(bound.output[0]).all()
    assert (bound.output[1] < 1e-5).all()
    apart = bounds(
        query, key * [[1], [1], [1.01]], value, score="dot", activation=activation, combine=combine
    )
    assert apart is not None


@pytest.mark.parametrize("alpha", [1.2, 1.5, 2.0, 3.0])
def test_keys_far_below_the_threshold_have_weight_zero(alpha):
    """Outside of what rounding can reach nothing but underflow is admitted."""
    query, value = np.ones((1, 1), np.float32), np.eye(4, dtype=np.float32)
    key = np.array([[30.0], [29.9], [10.0], [-5.0]], np.float32)
    bound = bounds(query, key, value, score="dot", activation=Entmax(alpha))
    assert (bound.weights[0, 2:] < 1e-37).all()
    assert (bound.weights[0, :2] > 1e-8).all()


@pytest.mark.parametrize(("alpha", "size"), [(2.0, 1e-5), (3.0, 1e-2)])
def test_alpha_above_two_is_only_hoelder_continuous(alpha, size):
    """At the edge of the support an error in the logit is, for alpha = 3, its square root in the weight."""
    query, value = np.ones((1, 1), np.float32), np.ones((2, 1), np.float32)
    for dx in (0.0, 1e-6):
        key = np.array([[2.0], [2.0 - 1.0 / (alpha - 1.0) + dx]], np.float32)
        bound = bounds(query, key, value, score="dot", activation=Entmax(alpha)).weights
        assert size / 100 < bound.max() < size


@pytest.mark.parametrize("key_stats", ["sum", "max"])
def test_key_stats_of_no_queries(key_stats):
    _, key, value = problem()
    bound = bounds(np.ones((2, 0, 16), np.float32), key, value, key_stats=key_stats).key_stats
    assert bound.shape == (2, 33)
    assert (bound <= 2.0**-125).all()


def test_results_that_may_overflow_have_no_bound():
    query, key = np.full((1, 1), 300.0, np.float16), np.array([[300.0], [1.0]], np.float16)
    bound = bounds(query, key, key, score="dot", activation="identity")
    assert np.isinf(bound.weights[0, 0])
    assert bound.weights[0, 1] < 1.0
