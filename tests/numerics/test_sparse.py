"""Activations with exact zeros, and selections: which keys, sums of 1, ties, bad rows, long rows."""

import functools
import math

import numpy as np
import pytest

import foveate
from foveate import Entmax, Select, TopK, reference
from foveate.error_bound import bounds, worst_ratio
from support.cases import DTYPES
from support.numerics import Q_LENS, bits, everything, is_nan, with_logits, within_bounds

SPARSEST = {
    "sparsemax": "sparsemax",
    "entmax15": "entmax15",
    "entmax 1.2": Entmax(1.2),
    "entmax 3": Entmax(3.0),
    "topk 4": TopK(4),
}
SUM_TO_ONE = 4  # eps of the dtype
LEAST = 1e-6  # of a positive weight: f16 rounds weights below 3e-8 to 0
SEEDS = range(20)


@pytest.fixture(params=SPARSEST)
def activation(request):
    return SPARSEST[request.param]


def eps_of(dtype):
    return float(2.0 ** {"f32": -23, "f64": -52, "f16": -10, "bf16": -7}[dtype])


def with_margin(activation, seed, n, dtype):
    """Logits that are exact in every dtype, and whose support stays when each moves by 0.01."""
    numbers = np.random.default_rng([seed, n])
    while True:
        logits = np.round(numbers.permutation(4 * n)[:n] * 0.125 - n / 8, 4)  # multiples of 1/8, distinct
        logits = logits.astype(DTYPES[dtype]).astype(np.float64)
        moved = logits + numbers.uniform(-1e-2, 1e-2, (200, n))
        weights, others = reference.activate(logits, activation), reference.activate(moved, activation)
        support = weights > LEAST
        if ((weights > 0.0) == support).all() and ((others > 0.0) == support).all():
            return logits, support


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_zeros_where_the_reference_has_them(isa, q_len, dtype, activation):
    for seed in SEEDS:
        n = (5, 9, 33, 70)[seed % 4]
        logits, support = with_margin(activation, seed, n, dtype)
        actual = within_bounds(*with_logits(logits, q_len, dtype), scale=1.0, activation=activation)
        assert support.any()
        assert ((actual["weights"] != 0.0) == support).all(), (seed, logits)
        assert (bits(actual["weights"])[:, ~support] == 0).all()  # no -0.0


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("kv_len", [1, 7, 64, 300, 1500])
@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_sum_is_one(isa, spread, kv_len, dtype, activation):
    """The weights are divided by their sum, and each rounds by u w: together by u, if that sum is as good."""
    logits = np.random.default_rng(kv_len).standard_normal((40, kv_len)) * spread
    weights = foveate.activate(logits.astype(DTYPES[dtype]), activation).astype(np.float64)
    assert (weights >= 0.0).all()
    assert np.abs(weights.sum(axis=-1) - 1.0).max() <= SUM_TO_ONE * eps_of(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_equal_logits_share(isa, q_len, dtype, activation):
    """All keys have the same bits, and sum to 1; topk takes the first k."""
    for level, n in ((0.0, 1), (0.0, 6), (-40.0, 64), (30.0, 200)):
        weights = everything(*with_logits(np.full(n, level), q_len, dtype), scale=1.0, activation=activation)[
            "weights"
        ].astype(np.float64)
        k = min(4, n) if isinstance(activation, TopK) else n
        assert (weights[:, :k] == weights[0, 0]).all()
        np.testing.assert_allclose(weights[0, 0], 1.0 / k, rtol=SUM_TO_ONE * eps_of(dtype))
        assert (weights[:, k:] == 0.0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_one_dominates(isa, q_len, dtype, activation):
    """A logit 500 above the others has all the weight; topk's others are exp(-500), 0 in f32."""
    for n, hot in ((2, 0), (70, 69), (300, 130)):
        logits = np.where(np.arange(n) == hot, 250.0, -250.0)
        query, key, value = with_logits(logits, q_len, dtype)
        actual = everything(query, key, value, scale=1.0, activation=activation)
        assert (actual["weights"][:, hot] == 1.0).all()
        assert (actual["weights"].astype(np.float64).sum(axis=-1) == 1.0).all()
        assert (actual["output"] == value[hot]).all()


@pytest.mark.parametrize("n", [9, 70, 1000, 20_000])
@pytest.mark.parametrize("q_len", Q_LENS)
def test_ties_go_to_the_lowest_index(isa, q_len, n):
    """The k-th largest logit stands at many places, before and behind larger ones."""
    numbers = np.random.default_rng(n)
    for k in (1, 3, 8, n // 2, n - 1):
        logits = numbers.integers(0, 4, n).astype(np.float64)
        order = np.argsort(-logits, kind="stable")[:k]
        expected = np.isin(np.arange(n), order)
        query, key, value = with_logits(logits, q_len)
        weights = everything(query, key, value, scale=1.0, activation=TopK(k))["weights"]
        assert ((weights != 0.0) == expected).all(), k
        # a selection of equal weights: the mean of the values of those keys
        output = foveate.attention(query, key * 0.0, value, score="dot", combine=Select(k))
        np.testing.assert_allclose(output, np.tile(value[:k].mean(axis=0), (q_len, 1)), atol=1e-5)
        chosen = foveate.attention(query, key, value, score="dot", activation="identity", combine=Select(k))
        share = np.where(expected, logits, 0.0) / max(logits[order].sum(), 1.0)
        np.testing.assert_allclose(chosen, np.tile(share @ value, (q_len, 1)), atol=1e-5)


@pytest.mark.parametrize("k", [5, 6, 1000, 2**40])
@pytest.mark.parametrize("q_len", Q_LENS)
def test_more_than_there_are_is_all(isa, q_len, k):
    query, key, value = with_logits([0.5, -1.0, 2.0, 0.0, 1.0], q_len)
    for mask in (None, [True, False, True, True, False]):
        top, all_of_them = (
            everything(query, key, value, scale=1.0, mask=mask, activation=activation)["weights"]
            for activation in (TopK(k), "softmax")
        )
        np.testing.assert_allclose(top, all_of_them, rtol=1e-6)
        selected = foveate.attention(query, key, value, scale=1.0, mask=mask, combine=Select(k))
        plain = foveate.attention(query, key, value, scale=1.0, mask=mask)
        np.testing.assert_allclose(selected, plain, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("combine", ["weighted_sum", "product", Select(2)], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_bad_logits_make_their_rows_nan(isa, q_len, dtype, bad, combine, activation):
    """Attended weights are NaN, masked ones 0; rows that do not attend the bad key do not notice."""
    query, key, value = with_logits([1.0, -1.0, bad, 0.5, 0.0], q_len, dtype)
    mask = np.ones((q_len, 5), np.bool_)
    mask[:, 1] = False
    mask[::2, 2] = False  # every other row leaves the bad key out
    options = {"score": "dot", "mask": mask, "activation": activation, "combine": combine}
    actual = everything(query, key, value, **options)
    spoilt = mask[:, 2]
    assert (is_nan(actual["weights"]) == (mask & spoilt[:, None])).all()
    assert (actual["weights"][:, 1] == 0.0).all()
    clean = everything(
        query, np.where(key == key, np.clip(key, -9, 9), 0).astype(key.dtype), value, **options
    )
    for name in ("weights", "output"):
        assert (bits(actual[name][~spoilt]) == bits(clean[name][~spoilt])).all()
    if combine == "product":
        assert (is_nan(actual["output"]) == (mask & spoilt[:, None])[..., None]).all()
    else:
        assert is_nan(actual["output"][spoilt]).all()


@pytest.mark.parametrize("q_len", Q_LENS)
def test_values_without_weight_stay_out(isa, q_len, activation):
    """NaN and Inf in values of keys whose weight is exactly 0 do not reach the output."""
    query, key, value = with_logits([3.0, -90.0, 2.75, -80.0, 2.5, 2.25, -99.0], q_len)
    bad = value.copy()
    bad[[1, 3, 6]] = [np.nan], [np.inf], [-np.inf]
    for combine in ("weighted_sum", "product", Select(3)):
        options = {"score": "dot", "activation": activation, "combine": combine}
        expected, actual = (foveate.attention(query, key, v, **options) for v in (value, bad))
        assert (bits(actual) == bits(expected)).all()


@functools.cache
def long_row(kv_len, dtype, name, spread):
    """Arrays of one query row, the weights of the reference and their bound."""
    logits = np.random.default_rng(kv_len).standard_normal(kv_len) * spread
    arrays = with_logits(logits, 1, dtype)
    options = {"scale": 1.0, "activation": SPARSEST[name]}
    expected = reference.attention(*arrays, **options, return_weights=True).weights
    return arrays, expected, bounds(*arrays, **options).weights


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", SPARSEST)
@pytest.mark.parametrize("kv_len", [8192, 8193, 20_000])
def test_long_rows(isa, kv_len, name, dtype):
    """Beyond 8192 keys the lists are of 16 rows; supports from one key to all of them."""
    for spread in (0.0, 1e-4, 20.0):
        (query, key, value), expected, bound = long_row(kv_len, dtype, name, spread)
        for q_len in (1, 20):
            arrays = np.repeat(query, q_len, axis=0), key, value
            weights = everything(*arrays, scale=1.0, activation=SPARSEST[name])["weights"]
            assert (bits(weights) == bits(weights[:1])).all() or q_len == 1
            assert worst_ratio(weights, np.repeat(expected, q_len, axis=0), bound) <= 1.0
            assert abs(math.fsum([*weights[0].astype(np.float64), -1.0])) <= SUM_TO_ONE * eps_of(dtype)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "tanh", "entmax15", "relu2"])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("q_len", Q_LENS)
def test_selections(isa, q_len, temperature, activation):
    """Well apart, so nothing is unclear: the bounds are finite and hold, whatever the temperature."""
    logits = np.random.default_rng(3).permutation(60) * 0.0625 - 1.875
    for k in (1, 2, 7, 60):
        options = {"scale": 1.0, "activation": activation, "combine": Select(k, temperature=temperature)}
        within_bounds(*with_logits(logits, q_len), **options)
