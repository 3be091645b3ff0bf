"""Logits at the edges of arithmetic: huge, tied, one-hot, infinite, denormal."""

import ml_dtypes
import numpy as np
import pytest

import foveate
from support.cases import DTYPES
from support.numerics import (
    ACTIVATIONS,
    IN_F32_RANGE,
    Q_LENS,
    everything,
    is_finite,
    is_nan,
    with_logits,
    within_bounds,
)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", IN_F32_RANGE)
@pytest.mark.parametrize("q_len", Q_LENS)
@pytest.mark.parametrize("size", [1e3, 1e10, 1e30, 2e38])
def test_huge(isa, size, q_len, dtype, activation):
    mixed, low = [size, -size, 0.0, size / 2, -size], [-size, -size / 2, -size]
    for logits in (mixed, low, [size], [-size], [-size, size] * 40):
        actual = within_bounds(*with_logits(logits, q_len, dtype), scale=1.0, activation=activation)
        assert not any(is_nan(array).any() for array in actual.values())
        if activation == "softmax" and size > 1e3:
            assert (np.abs(actual["weights"].astype(np.float64).sum(axis=-1) - 1.0) < 0.01).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_one_hot(isa, q_len, dtype):
    """One logit far above the rest: weight 1, the others exactly 0, at any place and on any tile."""
    for kv_len, hot in ((5, 0), (300, 299), (300, 64), (1100, 513)):
        query, key, value = with_logits(np.where(np.arange(kv_len) == hot, 1000.0, -1000.0), q_len, dtype)
        actual = within_bounds(query, key, value, scale=1.0)
        assert (actual["weights"][:, np.arange(kv_len) != hot] == 0.0).all()
        eps = float(ml_dtypes.finfo(DTYPES[dtype]).eps)
        assert (np.abs(actual["weights"][:, hot].astype(np.float64) - 1.0) <= eps).all()
        np.testing.assert_allclose(actual["lse"], 1000.0, rtol=3 * 2.0**-24)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_ties_share(isa, q_len, dtype):
    logits = np.full(70, -40.0)
    logits[[3, 17, 40, 69]] = 12.5
    weights = within_bounds(*with_logits(logits, q_len, dtype), scale=1.0)["weights"]
    assert (weights[:, [3, 17, 40, 69]] == weights[:, [3]]).all()
    assert (weights[:, 0] < 1e-6).all()


@pytest.mark.parametrize("level", [0.0, -1e4, 1e4])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", [1, 9])
def test_flat_rows_of_many_keys(isa, q_len, dtype, level):
    query, key, value = with_logits(np.full(100_000, level), q_len, dtype, value_dim=2)
    actual = within_bounds(query, key, value, scale=1.0)
    assert (actual["weights"] == actual["weights"][0, 0]).all()
    np.testing.assert_allclose(actual["lse"], float(key[0, 0]) + np.log(100_000.0), rtol=1e-6)


@pytest.mark.parametrize("dtype", IN_F32_RANGE)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_logits_whose_base_2_form_overflows(isa, q_len, dtype):
    """Beyond 3.4e38 / log2(e) = 2.36e38 the lse may be clamped; the row is not empty and not NaN."""
    for logits in ([3e38, 0.0, 1e38], [-3e38, -3.3e38, -3e38]):
        query, key, value = with_logits(logits, q_len, dtype)
        actual = everything(query, key, value, scale=1.0)
        assert np.isfinite(actual["output"].astype(np.float64)).all()
        assert (np.abs(actual["weights"].astype(np.float64).sum(axis=-1) - 1.0) < 0.01).all()
        assert np.isfinite(actual["lse"]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_infinite_logits(isa, q_len, dtype):
    """inf makes the softmax row NaN where it is attended; -inf is masked, its value never arrives."""
    query, key, value = with_logits([0.5, 1.0, -2.0, 0.25], q_len, dtype)
    key[1] = np.inf
    row = everything(query, key, value, scale=1.0)
    assert is_nan(row["output"]).all()
    assert is_nan(row["lse"]).all()
    key[1], value[1] = -np.inf, np.nan
    for activation in ACTIVATIONS:
        hidden = everything(query, key, value, scale=1.0, activation=activation)
        mask = np.array([True, False, True, True])
        masked = everything(query, key, value, scale=1.0, activation=activation, mask=mask)
        for name in hidden:
            assert (hidden[name] == masked[name]).all()
        assert (hidden["weights"][:, 1] == 0.0).all()
    key[1] = np.inf
    sigmoid = everything(query, key, np.nan_to_num(value), scale=1.0, activation="sigmoid")
    assert (sigmoid["weights"][:, 1] == 1.0).all()
    hidden = everything(-query, key, value, scale=1.0)  # -1 * inf
    assert (hidden["weights"][:, 1] == 0.0).all()
    assert np.isfinite(hidden["output"].astype(np.float64)).all()


@pytest.mark.parametrize("q_len", Q_LENS)
def test_minus_infinity_of_every_making(isa, q_len):
    """A row that is empty only by arithmetic: as one that a mask emptied."""
    query, key, value = with_logits([-np.inf] * 20, q_len)
    value[3] = np.nan
    for made in (
        everything(query, key, value, scale=1.0),
        everything(query, np.zeros_like(key), value, bias=np.array(-1e300)),
        everything(-query, np.full_like(key, np.inf), value, scale=2.0),
        everything(query * np.float32(1e30), np.full_like(key, -1e30), value, scale=1.0),
        everything(query, np.full_like(key, -np.inf), value, scale=1.0, sinks=np.array([-np.inf])),
    ):
        assert (made["output"] == 0.0).all()
        assert (made["weights"] == 0.0).all()
        assert np.isneginf(made["lse"]).all()


@pytest.mark.parametrize("q_len", Q_LENS)
def test_f16_results_overflow_as_in_numpy(isa, q_len):
    """sigmoid does not normalise: sums round as NumPy rounds float32 to float16, 65520 to inf."""
    query, key = np.zeros((q_len, 3), np.float16), np.zeros((4, 3), np.float16)  # four weights of 1/2
    for values in (
        [65504.0, 65472.0, 32.0, 0.0],  # 65504
        [65504.0, 65504.0, 30.0, 0.0],  # 65519
        [65504.0, 65504.0, 32.0, 0.0],  # 65520
        [-65504.0, -65504.0, -32.0, 0.0],
        [65504.0, 65504.0, 65504.0, 65504.0],
        [2.0**-24, 0.0, 0.0, 0.0],  # half the smallest: to even, 0
        [3 * 2.0**-24, 0.0, 0.0, 0.0],  # 1.5 of the smallest: to even, 2
    ):
        value = np.array(values, np.float16)[:, None]
        exact = value.astype(np.float32).sum() / np.float32(2)
        with np.errstate(over="ignore"):
            expected = np.full((q_len, 1), exact).astype(np.float16)
        actual = foveate.attention(query, key, value, activation="sigmoid")
        np.testing.assert_array_equal(actual, expected, err_msg=str(exact))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_denormal_inputs_count(isa, q_len, activation):
    """Query 1e-40 times key 1e38 is 0.01: inputs are never flushed."""
    rng = np.random.default_rng(4)
    query = (rng.standard_normal((q_len, 5)) * 1e-40).astype(np.float32)
    key = (rng.standard_normal((70, 5)) * 1e38).astype(np.float32)
    value = rng.standard_normal((70, 3)).astype(np.float32)
    actual = within_bounds(query, key, value, scale=100.0, activation=activation)
    flat = everything(np.zeros_like(query), key, value, scale=100.0, activation=activation)
    assert not np.allclose(actual["output"], flat["output"], rtol=0.01)
    within_bounds(key[:q_len], np.tile(query, (70, 1))[:70], value, scale=100.0, activation=activation)


@pytest.mark.parametrize("q_len", Q_LENS)
def test_denormal_f16_and_bf16_inputs_count(isa, q_len):
    for dtype, small, big in (("f16", 2.0**-23, 2.0**15), ("bf16", 2.0**-131, 2.0**127)):
        query = np.full((q_len, 1), small, DTYPES[dtype])
        _, _, value = with_logits(np.zeros(40), q_len, dtype)
        key = (np.arange(-20, 20)[:, None] / 20 * big).astype(DTYPES[dtype])
        within_bounds(query, key, value, scale=0.5 / small / big * 8)


LARGE = {"f64": 1e307, "f32": 2e38, "bf16": 2e38}


@pytest.mark.parametrize("dtype", LARGE)
@pytest.mark.parametrize("kv_len", [3, 300, 20_000])  # one tile, several, and chunks that are merged
@pytest.mark.parametrize("q_len", Q_LENS)
def test_large_values_average_within_their_range(isa, q_len, kv_len, dtype):
    """A weighted mean lies among its values: sums on the way may not overflow what the result does not."""
    query, key, value = with_logits(np.linspace(0.0, 5.0, kv_len), q_len, dtype)
    value[:, 1:] = LARGE[dtype]
    value[::2, -1] = -LARGE[dtype]
    actual = within_bounds(query, key, value, scale=1.0)
    assert is_finite(actual["output"]).all()


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("q_len", Q_LENS)
def test_large_values_that_cancel(isa, q_len, dtype):
    """Elementwise weights are summed as they are, and only the whole sum has to be in range."""
    query, key, value = with_logits([1.0] * 80, q_len, dtype)
    value[...] = LARGE[dtype]
    value[40:] = -LARGE[dtype]
    actual = within_bounds(query, key, value, scale=1.0, activation="sigmoid")
    assert is_finite(actual["output"]).all()
    value[40:60] = LARGE[dtype]  # now it is not: 20 times too large
    output = everything(query, key, value, scale=1.0, activation="sigmoid")["output"]
    assert (output.astype(np.float64) == np.inf).all()


@pytest.mark.parametrize("dtype", LARGE)
def test_rows_and_columns_beside_an_overflow_keep_their_bits(isa, dtype):
    query, key, value = with_logits(np.linspace(0.0, 5.0, 300), 60, dtype)
    rng = np.random.default_rng(7)
    value[:] = rng.standard_normal(value.shape)
    calm = everything(query, key, value, scale=1.0)
    mask = np.ones((60, 300), bool)
    mask[::2, 200:] = False
    expected = everything(query, key, value, scale=1.0, mask=mask)
    value[200:, 0] = LARGE[dtype]
    actual = everything(query, key, value, scale=1.0, mask=mask)
    for name in ("weights", "lse"):
        np.testing.assert_array_equal(actual[name], expected[name])
    np.testing.assert_array_equal(actual["output"][::2], expected["output"][::2])
    np.testing.assert_array_equal(actual["output"][1::2, 1:], calm["output"][1::2, 1:])
    assert is_finite(actual["output"]).all()
    assert (actual["output"][1::2, 0].astype(np.float64) > LARGE[dtype] / 10).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_no_sigmoid_bias_unmasks(isa, q_len, dtype):
    """A bias beyond the range of the compute type saturates the others and leaves masked weights 0."""
    query, key, value = with_logits([0.5, 1.0, -2.0], q_len, dtype)
    value[1] = np.nan
    mask = np.array([True, False, True])
    for bias, weight in ((1e300, 1.0), (-1e300, 0.0)):
        row = everything(query, key, value, activation=foveate.Sigmoid(bias), mask=mask)
        assert (row["weights"] == np.array([weight, 0.0, weight])).all()
        assert np.isfinite(row["output"].astype(np.float64)).all()
