"""The only query block of a task reads keys that are no reals in pieces; the bits are as of whole tiles."""

import ml_dtypes
import numpy as np
import pytest

import foveate
from support.cases import DTYPES
from support.numerics import assert_same_bits, everything, within_bounds

DIMS = [1, 17, 64, 128, 300]  # pieces of 2048 keys, 120, 32, 16 and 8
KV_LENS = [1, 63, 129, 300]
NARROW = {"bf16": ml_dtypes.bfloat16, "f16": np.float16}


def arrays(q_len, kv_len, dim, dtype=np.float32):
    rng = np.random.default_rng([q_len, kv_len, dim])
    return tuple(rng.standard_normal((2, n, dim)).astype(dtype) for n in (q_len, kv_len, kv_len))


@pytest.mark.parametrize("kv_len", KV_LENS)
@pytest.mark.parametrize("dim", DIMS)
def test_rows_of_other_strides(isa, dim, kv_len):
    """Every second column, rows backwards: read into scratch, and the numbers are the same."""
    q, k, v = arrays(33, kv_len, dim)
    strided = np.zeros((2, kv_len, 2 * dim), np.float32)
    strided[..., ::2] = k[:, ::-1]
    read = everything(q, strided[:, ::-1, ::2], v)
    assert_same_bits(read, everything(q, k, v))
    within_bounds(q, strided[:, ::-1, ::2], v)


@pytest.mark.skipif(foveate.get_isa() == "amx", reason="tile registers take bf16 as it is")
@pytest.mark.parametrize("kv_len", KV_LENS)
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_types(isa, dtype, dim, kv_len):
    """The logits are those of float32 arrays that hold the same numbers."""
    q, k, v = arrays(33, kv_len, dim, NARROW[dtype])
    wide = (a.astype(np.float32) for a in (q, k, v))
    result, expected = foveate.attention(q, k, v), foveate.attention(*wide)
    assert_same_bits({"output": result}, {"output": expected.astype(NARROW[dtype])})


@pytest.mark.parametrize(
    "options", [{}, {"causal": True, "q_offset": 90}, {"window": (100, 0), "q_offset": 90}]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_block_or_several(isa, dtype, options):
    """40 rows alone have the bits of the first of 200, which read all keys of a tile at once."""
    q, k, v = arrays(200, 300, 64, DTYPES[dtype])
    options = {**options, "q_offset": 90} if options else {}
    alone = everything(q[:, :40], k, v, **options)
    assert_same_bits(alone, everything(q, k, v, **options), where=(slice(None), slice(40)))


@pytest.mark.parametrize("kv_dtype", [np.int8, ml_dtypes.float8_e4m3fn])
def test_quantized_keys(isa, kv_dtype):
    q, k, v = arrays(33, 300, 64)
    scale = np.random.default_rng(0).uniform(0.01, 0.02, (2, 300)).astype(np.float32)
    small = [(a * 20).astype(kv_dtype) for a in (k, v)]
    wide = [a.astype(np.float32) * scale[..., None] for a in small]
    result = everything(q, *small, k_scale=scale, v_scale=scale)
    assert_same_bits(result, everything(q, *wide))
