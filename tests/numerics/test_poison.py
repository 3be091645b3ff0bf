"""NaN and infinities where no query looks change not one bit; where some look, only their rows."""

import numpy as np
import pytest

from foveate import reference
from support.cases import DTYPES
from support.numerics import ACTIVATIONS, SHAPES, assert_same_bits, everything, heads_problem, is_nan, largest

SHORT = [name for name in SHAPES if "chunks" not in name]


def unattended(means, shape):
    """Options that hide keys, and which keys of (batch 2, Lk) they hide from every query."""
    _, _, q_len, kv_len = SHAPES[shape]
    hidden = np.zeros((2, kv_len), bool)
    if means == "kv_lengths":
        lengths = np.array([kv_len - 30, 13])
        return {"kv_lengths": lengths}, np.arange(kv_len) >= lengths[:, None]
    if means == "causal":
        offset = kv_len // 2 - q_len
        return {"causal": True, "q_offset": offset}, hidden | (np.arange(kv_len) >= kv_len // 2)
    if means == "window":
        first, last = 9 - 3, 9 + q_len - 1 + 2
        hidden |= (np.arange(kv_len) < first) | (np.arange(kv_len) > last)
        return {"window": (3, 2), "q_offset": 9}, hidden
    hidden |= np.random.default_rng(2).random((2, kv_len)) < 0.5
    hidden[:, [0, kv_len - 1]] = [[True, False], [False, True]]
    if means == "mask":
        return {"mask": ~hidden[:, None, None, :]}, hidden
    return {"bias": np.where(hidden, -np.inf, 0.25).astype(np.float32)[:, None, None, :]}, hidden


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("means", ["kv_lengths", "causal", "window", "mask", "bias"])
def test_unattended_keys_never_matter(isa, means, shape, dtype, activation):
    query, key, value = heads_problem(shape, dtype)
    options, hidden = unattended(means, shape)
    options["activation"] = activation
    clean = everything(query, key, value, **options)
    assert not any(is_nan(array).any() for array in clean.values())
    where = hidden[:, None, :, None]
    for poison in (np.nan, np.inf, -np.inf, largest(dtype)):
        poisoned = [np.where(where, poison, array).astype(key.dtype) for array in (key, value)]
        for pair in (poisoned, (poisoned[0], value), (key, poisoned[1])):
            assert_same_bits(everything(query, *pair, **options), clean)


def seen_by_some(means, q_len, kv_len, key_at):
    """Options by which only some of the rows attend the key, and those rows."""
    rows = np.arange(q_len) % 3 == 1
    if means == "mask":
        mask = np.ones((q_len, kv_len), bool)
        mask[:, key_at] = rows
        return {"mask": mask}, rows
    if means == "bias":
        bias = np.zeros((q_len, kv_len), np.float32)
        bias[:, key_at] = np.where(rows, 0.5, -np.inf)
        return {"bias": bias}, rows
    offset = key_at - q_len // 2
    if means == "causal":
        return {"causal": True, "q_offset": offset}, np.arange(q_len) + offset >= key_at
    seen = (np.arange(q_len) + offset >= key_at) & (np.arange(q_len) + offset - q_len // 4 <= key_at)
    return {"window": (q_len // 4, 0), "q_offset": offset}, seen


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ["rows", "rows, three chunks", "lanes", "lanes, two tasks"])
@pytest.mark.parametrize("means", ["mask", "bias", "causal", "window"])
def test_a_poisoned_key_reaches_exactly_the_rows_that_attend_it(isa, means, shape, dtype, activation):
    q_len, kv_len = SHAPES[shape][2:]
    query, key, value = heads_problem(shape, dtype)
    key_at = kv_len - 7
    options, rows = seen_by_some(means, q_len, kv_len, key_at)
    options["activation"] = activation
    assert rows.any()
    assert not rows.all()
    clean = everything(query, key, value, **options)
    for poison in (np.nan, np.inf, -np.inf):
        for target in ("key", "value"):
            poisoned = {"key": key.copy(), "value": value.copy()}
            poisoned[target][:, :, key_at, 1] = poison
            actual = everything(query, **poisoned, **options)
            expected = everything(query, **poisoned, **options, module=reference)
            for name in actual:
                np.testing.assert_array_equal(is_nan(actual[name]), is_nan(expected[name]), err_msg=name)
            if np.isnan(poison) and target == "value":
                assert is_nan(actual["output"])[:, :, rows, 1].all()
            assert_same_bits(actual, clean, (slice(None), slice(None), ~rows))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", ["query", "bias", "sinks", "key", "value"])
def test_attended_nan_fills_its_rows_and_no_other(isa, target, shape, dtype):
    n_q_heads, n_kv_heads, q_len, kv_len = SHAPES[shape]
    query, key, value = heads_problem(shape, dtype)
    arrays = {"query": query, "key": key, "value": value}
    arrays["bias"] = np.zeros((2, n_q_heads, q_len, 1), np.float32)
    arrays["sinks"] = np.zeros(n_q_heads, np.float32)
    clean = everything(**arrays)
    heads, rows = np.arange(n_q_heads), np.arange(q_len)
    heads = heads[: n_q_heads // n_kv_heads] if target in ("key", "value") else heads[-1:]
    rows = rows[-1:] if target in ("query", "bias") else rows
    spoiled = {name: array.copy() for name, array in arrays.items()}
    index = {
        "query": (1, heads[0], rows[0], 2),
        "bias": (1, heads[0], rows[0], 0),
        "sinks": (heads[0],),
        "key": (1, 0, kv_len // 2, 2),
        "value": (1, 0, kv_len // 2, 2),
    }[target]
    spoiled[target][index] = np.nan
    actual = everything(**spoiled)
    reached = np.zeros((2, n_q_heads, q_len), bool)
    reached[np.ix_([0, 1] if target == "sinks" else [1], heads, rows)] = True
    if target == "value":
        expected = np.zeros(actual["output"].shape, bool)
        expected[..., 2] = reached
        np.testing.assert_array_equal(is_nan(actual["output"]), expected)
        for name in ("lse", "weights"):
            assert_same_bits({name: actual[name]}, {name: clean[name]})
    else:
        for name, array in actual.items():
            rows_of = np.broadcast_to(reached if name == "lse" else reached[..., None], array.shape)
            np.testing.assert_array_equal(is_nan(array), rows_of, err_msg=name)
    assert_same_bits(actual, clean, ~reached)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHORT)
def test_masked_weights_of_a_nan_row_are_zero(isa, shape, dtype):
    """Masked weight is 0, whatever stands in the rest of the row."""
    kv_len = SHAPES[shape][3]
    query, key, value = heads_problem(shape, dtype)
    key[:, :, 3] = np.nan
    mask = np.ones(kv_len, bool)
    mask[5] = mask[kv_len - 3] = False
    weights = everything(query, key, value, mask=mask)["weights"]
    assert is_nan(weights[..., mask]).all()
    assert (weights[..., ~mask] == 0.0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", [1, 11])
def test_hidden_nan_keeps_the_sign_of_zero(isa, q_len, dtype):
    """A flushed product is -0.0; adding 0 * value would make it 0.0, leaving the value out would not."""
    tiny = -1.5 * 2.0 ** (-1022 if dtype == "f64" else -126)
    query, key = np.zeros((q_len, 1), DTYPES[dtype]), np.zeros((4, 1), DTYPES[dtype])
    value = np.array([[0.0], [tiny], [1.0], [1.0]]).astype(DTYPES[dtype])
    bias = np.array([0.0, -8.0, 0.0, 0.0], np.float32)
    mask = np.tile([True, True, False, False], (q_len, 1))
    clean = everything(query, key, value, bias=bias, mask=mask)
    value[2:] = np.nan
    assert_same_bits(everything(query, key, value, bias=bias, mask=mask), clean)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_padding_never_matters(isa, shape, dtype, activation):
    """Arrays inside larger ones: NaN in front of, behind and between the rows, True around the mask."""

    def padded(array, poison):
        around = np.full([n + 5 for n in array.shape], poison, array.dtype)
        inner = around[tuple(slice(2, 2 + n) for n in array.shape)]
        inner[...] = array
        return inner

    n_q_heads, _, q_len, kv_len = SHAPES[shape]
    arrays = dict(zip(("query", "key", "value"), heads_problem(shape, dtype), strict=True))
    rng = np.random.default_rng(1)
    arrays["mask"] = rng.random((2, n_q_heads, q_len, kv_len)) < 0.8
    arrays["bias"] = rng.standard_normal((n_q_heads, q_len, kv_len)).astype(DTYPES[dtype])
    clean = everything(**arrays, activation=activation)
    wide = {name: padded(array, True if name == "mask" else np.nan) for name, array in arrays.items()}
    assert_same_bits(everything(**wide, activation=activation), clean)
