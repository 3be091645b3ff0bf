"""combine="product": one more axis, in every layout, with out= and strides; and key_stats=."""

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import foveate
from foveate import Select, reference

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
U = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def rand(*shape, dtype=np.float64):
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


def products(weights, value):
    """w_ij v_jd in float64 of weights (..., H, Lq, Lk) and value (..., H, Lk, Dv)."""
    return weights.astype(np.float64)[..., None] * value.astype(np.float64)[..., None, :, :]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhld", "blhd"])
@pytest.mark.parametrize("q_len", [1, 3, 40])
def test_product_is_weights_times_values(q_len, layout, dtype):
    q, k, v = (
        rand(2, 4, q_len, 8, dtype=dtype),
        rand(2, 2, 37, 8, dtype=dtype),
        rand(2, 2, 37, 5, dtype=dtype),
    )
    mask = rand(q_len, 37) > -0.5
    arrays = [np.swapaxes(a, 1, 2) for a in (q, k, v)] if layout == "blhd" else [q, k, v]
    result = foveate.attention(*arrays, combine="product", layout=layout, mask=mask, return_weights=True)
    output = np.swapaxes(result.output, 1, 2) if layout == "blhd" else result.output
    assert output.shape == (2, 4, q_len, 37, 5)
    assert output.dtype == dtype
    assert not output[..., ~mask, :].any()
    expected = products(result.weights, np.repeat(v, 2, axis=1))
    # the weights that come out are rounded to the dtype, the product once more; float16 has steps of 2^-24
    step = (
        2.0**-24
        * (1 + np.abs(np.repeat(v, 2, axis=1).astype(float)[..., None, :, :]))
        * (dtype is np.float16)
    )
    bound = 4 * U[np.dtype(dtype).name] * np.abs(expected) + step
    assert np.all(np.abs(output.astype(np.float64) - expected) <= bound)


def test_product_of_one_head_has_no_head_axis():
    q, k, v = rand(3, 4), rand(5, 4), rand(5, 2)
    assert foveate.attention(q, k, v, combine="product").shape == (3, 5, 2)
    assert foveate.attention(q, k, v, combine="product", layout="blhd").shape == (3, 5, 2)
    assert foveate.attention(q[None], k, v, combine="product").shape == (1, 3, 5, 2)
    assert foveate.attention(q, k, v, combine=Select(2)).shape == (3, 2)


@pytest.mark.parametrize("lengths", [(0, 5, 2), (3, 0, 2), (3, 5, 0)])
def test_product_of_axes_of_length_zero(lengths):
    q_len, kv_len, value_dim = lengths
    q, k, v = rand(2, q_len, 4), rand(2, kv_len, 4), rand(2, kv_len, value_dim)
    assert foveate.attention(q, k, v, combine="product").shape == (2, q_len, kv_len, value_dim)
    weights = rand(2, q_len, kv_len)
    assert foveate.combine(weights, v, "product").shape == (2, q_len, kv_len, value_dim)


@pytest.mark.parametrize("layout", ["bhld", "blhd"])
def test_product_into_out_of_any_strides(layout):
    x = rand(2, 3, 6, 4) if layout == "bhld" else rand(2, 6, 3, 4)
    expected = foveate.attention(x, x, x, combine="product", layout=layout)
    assert expected.shape == ((2, 3, 6, 6, 4) if layout == "bhld" else (2, 6, 3, 6, 4))
    memory = np.full((4, *[2 * n for n in reversed(expected.shape[1:])]), np.nan)
    out = memory.transpose(0, 4, 3, 2, 1)[::2, ::2, ::-2, ::2, ::2]
    assert foveate.attention(x, x, x, combine="product", layout=layout, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert np.isnan(memory).sum() == memory.size - out.size


def test_out_of_a_product_is_checked():
    x = rand(2, 6, 4)
    with pytest.raises(
        ValueError, match=r"out must have the shape of the result, \(2, 6, 6, 4\), got \(2, 6, 4\)"
    ):
        foveate.attention(x, x, x, combine="product", out=np.empty_like(x))
    with pytest.raises(ValueError, match="out must not overlap itself"):
        foveate.attention(
            x, x, x, combine="product", out=as_strided(np.zeros(64), (2, 6, 6, 4), (0, 8, 8, 8))
        )


def test_product_too_large_for_memory_addresses():
    wide = np.broadcast_to(np.float32(0), (2**31, 1))
    with pytest.raises(ValueError, match=r"2\*\*63"):
        foveate.attention(wide, wide, np.broadcast_to(np.float32(0), (2**31, 8)), combine="product")


# ----- key_stats


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["softmax", "tanh"])
@pytest.mark.parametrize("q_len", [1, 5, 70])
def test_key_stats(q_len, activation, dtype):
    q, k = rand(2, 4, q_len, 8, dtype=dtype), rand(2, 2, 300, 8, dtype=dtype)
    options = {"activation": activation, "return_weights": True}
    if q_len == 5:
        options["mask"] = rand(5, 300) > 0
    for kind in ("sum", "max"):
        result = foveate.attention(q, k, k, key_stats=kind, **options)
        assert result.lse is None
        assert result.key_stats.shape == (2, 4, 300)
        assert result.key_stats.dtype == (np.float64 if dtype is np.float64 else np.float32)
        weights = result.weights.astype(np.float64)
        expected = weights.sum(axis=-2) if kind == "sum" else weights.max(axis=-2)
        # the weights that come out are rounded to the dtype, the sum in the compute type
        rounding = U[np.dtype(dtype).name] + q_len * U["float64" if dtype is np.float64 else "float32"]
        bound = rounding * np.abs(weights).sum(axis=-2) + q_len * 2.0**-25 * (dtype is np.float16)
        assert np.all(np.abs(result.key_stats - expected) <= bound)
        alone = foveate.attention(q, k, k, key_stats=kind, **{**options, "return_weights": False})
        assert alone.weights is None
        np.testing.assert_array_equal(alone.key_stats, result.key_stats)
        np.testing.assert_array_equal(alone.output, result.output)


def test_key_stats_shapes():
    q, k, v = rand(3, 4), rand(5, 4), rand(5, 2)
    assert foveate.attention(q, k, v, key_stats="sum").key_stats.shape == (5,)
    for empty in (foveate.attention(q[:0], k, v, key_stats=kind) for kind in ("sum", "max")):
        np.testing.assert_array_equal(empty.key_stats, np.zeros(5))
    assert foveate.attention(q, k[:0], v[:0], key_stats="max").key_stats.shape == (0,)
    blhd = foveate.attention(
        rand(2, 3, 4, 8), rand(2, 5, 2, 8), rand(2, 5, 2, 6), layout="blhd", key_stats="sum"
    )
    assert blhd.key_stats.shape == (2, 4, 5)
    assert foveate.Mode()(q, k, v, key_stats="max", return_lse=True).lse.shape == (3,)


def test_key_stats_of_masked_keys_are_zero():
    x = rand(2, 6, 4)
    for kind in ("sum", "max"):
        stats = foveate.attention(x, x, x, key_stats=kind, kv_lengths=4).key_stats
        assert not stats[:, 4:].any()
        assert np.all(stats[:, :4] > 0)


@pytest.mark.parametrize(
    ("value", "kind"), [("mean", ValueError), (True, TypeError), (1, TypeError), (b"sum", TypeError)]
)
def test_key_stats_is_a_name(value, kind):
    x = rand(2, 6, 4)
    with pytest.raises(kind, match="key_stats must be"):
        foveate.attention(x, x, x, key_stats=value)


def test_reference_has_the_same_shapes():
    q, k, v = rand(1, 3, 4, 3, 8), rand(2, 1, 2, 5, 8), rand(2, 1, 2, 5, 6)
    for layout in ("bhld", "blhd"):
        arrays = (q, k, v) if layout == "bhld" else tuple(np.swapaxes(a, -3, -2) for a in (q, k, v))
        for combine in ("weighted_sum", "product", Select(2)):
            options = {
                "combine": combine,
                "layout": layout,
                "key_stats": "max",
                "return_weights": True,
                "return_lse": True,
            }
            ours, theirs = foveate.attention(*arrays, **options), reference.attention(*arrays, **options)
            assert [a.shape for a in ours] == [a.shape for a in theirs]
