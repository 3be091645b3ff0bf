"""The oracle with masks, NaN, infinities and empty rows; its combines; its totals over the queries."""

import math

import numpy as np
import pytest

from foveate import Bilinear, Entmax, Select, Sigmoid, TopK, reference

EPS = 2.0**-52
RNG = np.random.default_rng(8)
Q, K, V = RNG.standard_normal((4, 3, 5)), RNG.standard_normal((2, 6, 5)), RNG.standard_normal((2, 6, 2))
SPARSE = ["sparsemax", "entmax15", Entmax(1.2), Entmax(3.0), TopK(2)]
ELEMENTWISE = ["sigmoid", Sigmoid(-1.5), "relu", "relu2", "tanh", "identity"]
EVERY = ["softmax", "softmax1", *SPARSE, *ELEMENTWISE]


# ----- masked, NaN, infinite, empty


def edge(activation):
    """How far a weight may move when the threshold moves by 8 EPS: (8 EPS)**power from 0, if steep there."""
    power = 1.0 / (activation.alpha - 1.0) if isinstance(activation, Entmax) else 1.0
    return max(power, 1.0) * (8 * EPS) ** min(power, 1.0)


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_masked_logits_are_absent(activation):
    x = RNG.standard_normal((20, 6))
    seen = RNG.random((20, 6)) < 0.6
    seen[3], seen[4] = False, True
    weights = reference.activate(x, activation, mask=seen)
    assert np.all(weights[~seen] == 0)
    for row in range(20):
        alone = reference.activate(x[row, seen[row]], activation)
        np.testing.assert_allclose(weights[row, seen[row]], alone, rtol=32 * EPS, atol=edge(activation))


@pytest.mark.parametrize("activation", EVERY, ids=str)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 4)])
def test_activations_of_nothing(activation, shape):
    assert reference.activate(np.empty(shape), activation).shape == shape


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_nan_and_infinity_stay_in_their_rows(activation):
    x = RNG.standard_normal((4, 5))
    clean = reference.activate(x, activation)
    x[1, 2], x[2, 3] = np.nan, np.inf
    x[1:3, 0] = -np.inf
    weights = reference.activate(x, activation)
    assert np.array_equal(weights[[0, 3]], clean[[0, 3]])
    assert np.all(weights[1:3, 0] == 0)
    assert np.isnan(weights[1, 2])
    if activation in ELEMENTWISE:
        assert np.isfinite(weights[1:3, [1, 4]]).all()
        assert not np.isnan(weights[2]).any()
    else:
        assert np.isnan(weights[1:3, 1:]).all()


@pytest.mark.parametrize("combine", ["weighted_sum", "product", Select(3)], ids=str)
@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_values_of_masked_keys_and_of_exact_zeros_do_not_matter(activation, combine):
    logits = np.array([[1.0, 6.0, -np.inf, 5.75, -7.0]])
    options = {"scale": 0.0, "bias": logits, "activation": activation, "combine": combine}
    values = RNG.standard_normal((5, 2))
    q, k = np.zeros((1, 1)), np.zeros((5, 1))
    clean = reference.attention(q, k, values, **options, return_weights=True)
    values[2] = np.nan
    output = reference.attention(q, k, values, **options)
    assert np.array_equal(output, clean.output)
    if activation in SPARSE:
        assert (clean.weights[0, [0, 2, 4]] == 0).any()
        values[clean.weights[0] == 0] = np.inf
        assert np.array_equal(reference.attention(q, k, values, **options), clean.output)


@pytest.mark.parametrize("activation", ["relu", "relu2", "tanh", "identity"])
def test_attended_weight_of_zero_times_nan_is_nan(activation):
    k, v = np.zeros((2, 1)), np.array([[np.nan], [1.0]])
    assert np.isnan(reference.attention([[1.0]], k, v, activation=activation)).all()


@pytest.mark.parametrize("activation", EVERY, ids=str)
@pytest.mark.parametrize("combine", ["weighted_sum", "product", Select(1)], ids=str)
def test_empty_rows_are_zero(activation, combine):
    mask = np.ones((4, 3, 6), bool)
    mask[1, 2] = False
    options = {"activation": activation, "combine": combine, "mask": mask}
    has_lse = activation in ("softmax", "softmax1")
    result = reference.attention(Q, K, V, **options, return_lse=has_lse, return_weights=True)
    assert not result.output[1, 2].any()
    assert not result.weights[1, 2].any()
    if has_lse:
        assert result.lse[1, 2] == (0.0 if activation == "softmax1" else -np.inf)


# ----- combines


def test_product_against_loops():
    weights = RNG.standard_normal((4, 3, 6))
    weights[2, 1, 4] = 0.0
    value = V.copy()
    value[1, 4] = np.nan
    output = reference.combine(weights, value, "product")
    assert output.shape == (4, 3, 6, 2)
    for h, i, j, d in np.ndindex(output.shape):
        w = weights[h, i, j]
        np.testing.assert_equal(output[h, i, j, d], w * value[h // 2, j, d] if w else 0.0)
    swapped = reference.combine(weights, value.swapaxes(0, 1), "product", layout="blhd")
    np.testing.assert_array_equal(swapped, output.swapaxes(0, 1))
    assert reference.combine(weights[0], value[0], "product").shape == (3, 6, 2)


@pytest.mark.parametrize("layout", ["bhld", "blhd"])
def test_products_add_up_to_the_weighted_sum(layout):
    q, k, v = (a if layout == "bhld" else a.swapaxes(0, 1) for a in (Q, K, V))
    product = reference.attention(q, k, v, combine="product", layout=layout)
    total = reference.attention(q, k, v, layout=layout)
    np.testing.assert_allclose(product.sum(axis=-2), total, rtol=0, atol=32 * EPS)  # 6 terms below 4


def select_by_loops(row, values, k, temperature):
    attended = [j for j, w in enumerate(row) if w != 0]
    chosen = sorted(attended, key=lambda j: (-row[j], j))[:k]
    powers = {j: math.copysign(abs(row[j]) ** (1 / temperature), row[j]) for j in chosen}
    total = math.fsum(abs(p) for p in powers.values())
    return [
        math.fsum(p / total * values[j][d] for j, p in powers.items()) if total else 0.0 for d in range(2)
    ]


@pytest.mark.parametrize("k", [1, 2, 4, 6, 50])
@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_select_against_loops(k, temperature):
    weights = RNG.integers(-2, 3, (4, 3, 6)) * 0.3  # ties, zeros, negative ones
    weights[0, 0] = 0.0
    output = reference.combine(weights, V, Select(k, temperature=temperature))
    expected = [
        [select_by_loops(row, V[h // 2].tolist(), k, temperature) for row in weights[h].tolist()]
        for h in range(4)
    ]
    np.testing.assert_allclose(output, expected, rtol=0, atol=64 * EPS)  # weights sum to 1, values below 4


def test_select_of_one_is_its_value_however_small():
    weights = np.array([[1e-200, 3e-200, 2e-200]])
    values = np.array([[1.0], [2.0], [3.0]])
    assert reference.combine(weights, values, Select(1, temperature=0.01)).tolist() == [[2.0]]
    assert reference.combine(-weights, values, Select(1)).tolist() == [[-1.0]]


def test_select_leaves_out_what_is_not_selected():
    values = np.array([[1.0], [np.nan], [3.0]])
    assert reference.combine([[0.5, 0.2, 0.5]], values, Select(2)).tolist() == [[2.0]]
    assert np.isnan(reference.combine([[0.5, np.nan, 0.5]], [[1.0], [2.0], [3.0]], Select(1))).all()


# ----- totals over the queries


@pytest.mark.parametrize("activation", EVERY, ids=str)
@pytest.mark.parametrize("layout", ["bhld", "blhd"])
def test_key_stats(activation, layout):
    q, k, v = (a if layout == "bhld" else a.swapaxes(0, 1) for a in (Q, K, V))
    mask = RNG.random((4, 3, 6)) < 0.7
    mask[:, :, 5] = False
    options = {"activation": activation, "layout": layout, "mask": mask}
    weights = reference.attention(q, k, v, **options, return_weights=True).weights
    for kind, over_queries in [("sum", np.sum), ("max", np.max)]:
        result = reference.attention(q, k, v, **options, combine=Select(2), key_stats=kind)
        assert result.weights is None
        np.testing.assert_array_equal(result.key_stats, over_queries(weights, axis=-2))
        assert not result.key_stats[:, 5].any()


def test_key_stats_without_queries_are_zero():
    for kind in ("sum", "max"):
        stats = reference.attention(Q[:, :0], K, V, key_stats=kind).key_stats
        np.testing.assert_array_equal(stats, np.zeros((4, 6)))
    assert reference.attention(Q[0], K[0], V[0], key_stats="max").key_stats.shape == (6,)


def test_max_of_negative_weights_is_negative():
    stats = reference.attention(
        -np.ones((2, 1)), [[1.0]], [[1.0]], activation="tanh", key_stats="max"
    ).key_stats
    assert stats.tolist() == [math.tanh(-1.0)]


# ----- refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"score": "bilinear"}, "Bilinear"),
        ({"activation": "entmax"}, "Entmax"),
        ({"activation": "topk"}, "TopK"),
        ({"combine": "select"}, "Select"),
        ({"score": "no"}, "must be one of"),
        ({"score": Bilinear(np.ones((5, 4)))}, "head_dim"),
        ({"activation": "softmax1", "sinks": np.zeros(4)}, "sinks"),
        ({"activation": TopK(2), "return_lse": True}, "return_lse"),
        ({"key_stats": "mean"}, "key_stats"),
    ],
    ids=str,
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        reference.attention(Q, K, V, **options)
