"""foveate against torch.nn.functional.scaled_dot_product_attention on the same arrays."""

import numpy as np
import pytest

import foveate
from foveate import reference
from foveate.error_bound import bounds

torch = pytest.importorskip("torch", reason="needs torch: see tests/peers/requirements.txt")

pytestmark = pytest.mark.peers

DTYPES = ["float32", "float64"]
SHAPES = [  # batch, n_q_heads, n_kv_heads, q_len, kv_len, head_dim, value_dim
    pytest.param((1, 1, 1, 3, 3, 2, 2), id="tiny"),
    pytest.param((2, 3, 3, 33, 33, 64, 64), id="odd"),
    pytest.param((1, 2, 2, 257, 257, 80, 80), id="long"),
    pytest.param((2, 4, 4, 17, 129, 31, 31), id="cross"),
    pytest.param((1, 2, 2, 65, 63, 128, 40), id="value_dim"),
    pytest.param((1, 4, 4, 1, 511, 128, 128), id="decode"),
]
GROUPED = [
    pytest.param((1, 8, 2, 65, 65, 64, 64), id="grouped"),
    pytest.param((2, 6, 1, 31, 31, 32, 32), id="multi_query"),
    pytest.param((1, 32, 8, 1, 300, 128, 128), id="grouped_decode"),
]
SQUARE = [case for case in SHAPES + GROUPED if case.values[0][3] == case.values[0][4]]

# What torch's exp may err beyond ours: its fused f32 kernel takes one of 20 ulp (Vectorized::exp_u20), for a
# weight and for the sum.
TORCH_EXP_ULP = {"float32": 20, "float64": 0}


def arrays(shape, dtype):
    batch, n_q_heads, n_kv_heads, q_len, kv_len, head_dim, value_dim = shape
    rng = np.random.default_rng(sum(shape))
    query = rng.standard_normal((batch, n_q_heads, q_len, head_dim)).astype(dtype)
    key = rng.standard_normal((batch, n_kv_heads, kv_len, head_dim)).astype(dtype)
    value = rng.standard_normal((batch, n_kv_heads, kv_len, value_dim)).astype(dtype)
    return query, key, value


def check(query, key, value, *, mask=None, bias=None, causal=False):
    """The results differ by no more than the error bounds of both together."""
    dtype = query.dtype
    ours = foveate.attention(query, key, value, mask=mask, bias=bias, causal=causal)
    attn_mask = mask if mask is not None else bias
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.from_numpy, (query, key, value)),
        attn_mask=None if attn_mask is None else torch.from_numpy(attn_mask),
        is_causal=causal,
        enable_gqa=query.shape[1] != key.shape[1],
    ).numpy()
    options = {"mask": mask, "bias": bias, "causal": causal}
    bound = bounds(query, key, value, **options).output
    exp_error = 2 * TORCH_EXP_ULP[dtype.name] * np.finfo(dtype).eps
    magnitude = reference.attention(query, key, np.abs(value), **options)
    assert ours.dtype == dtype
    assert ours.shape == theirs.shape
    np.testing.assert_array_less(np.abs(ours - theirs), 2 * bound + exp_error * magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_dense(shape, dtype):
    check(*arrays(shape, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SQUARE)
def test_causal(shape, dtype):
    check(*arrays(shape, dtype), causal=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", GROUPED)
def test_grouped(shape, dtype):
    check(*arrays(shape, dtype))


def random_mask(shape):
    """Half of the keys, and never a row without one: there torch and foveate differ by intent."""
    mask = np.random.default_rng(7).random(shape) < 0.5
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("broadcast", ["full", "per_batch", "per_row"])
@pytest.mark.parametrize("shape", SHAPES + GROUPED)
def test_bool_mask(shape, broadcast, dtype):
    query, key, value = arrays(shape, dtype)
    batch, n_q_heads, _, q_len, kv_len, _, _ = shape
    mask_shape = {
        "full": (batch, n_q_heads, q_len, kv_len),
        "per_batch": (batch, 1, 1, kv_len),
        "per_row": (q_len, kv_len),
    }
    check(query, key, value, mask=random_mask(mask_shape[broadcast]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("infinite", [False, True], ids=["finite", "with_minus_inf"])
@pytest.mark.parametrize("shape", SHAPES + GROUPED)
def test_float_mask(shape, infinite, dtype):
    query, key, value = arrays(shape, dtype)
    batch, n_q_heads, _, q_len, kv_len, _, _ = shape
    bias = np.random.default_rng(8).standard_normal((batch, n_q_heads, q_len, kv_len)).astype(dtype)
    if infinite:
        bias[~random_mask(bias.shape)] = -np.inf
    check(query, key, value, bias=bias)


def test_fully_masked_row_is_zero_in_both():
    query, key, value = arrays((1, 1, 1, 4, 5, 8, 8), "float32")
    mask = np.ones((4, 5), dtype=bool)
    mask[2] = False
    ours = foveate.attention(query, key, value, mask=mask)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.from_numpy, (query, key, value)), attn_mask=torch.from_numpy(mask)
    ).numpy()
    assert not ours[0, 0, 2].any()
    assert not theirs[0, 0, 2].any()
    assert ours[0, 0, 1].any()
