"""int8 and float8 keys and values with scales: every mode, every ISA, the fast way and the others."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

import foveate
from foveate import reference
from foveate.error_bound import bounds, worst_ratio
from support.cases import QUANTIZED, SCALES, cases
from support.numerics import ISAS, SHAPES, within_bounds

F8 = ml_dtypes.float8_e4m3fn
N_CASES = 60


def problem(shape, kind, dtype=np.float32, head_dim=64, value_dim=64):
    n_q_heads, n_kv_heads, q_len, kv_len = SHAPES[shape]
    rng = np.random.default_rng(len(shape))
    query = rng.standard_normal((2, n_q_heads, q_len, head_dim)).astype(dtype)
    rows = [rng.standard_normal((2, n_kv_heads, kv_len, dim)) * 40 for dim in (head_dim, value_dim)]
    key, value = (np.rint(array.clip(-127, 127)).astype(QUANTIZED[kind]) for array in rows)
    scales = (rng.uniform(0.5, 1, (2, n_kv_heads, kv_len)).astype(np.float32) / 40 for _ in range(2))
    return (query, key, value), dict(zip(("k_scale", "v_scale"), scales, strict=True))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", QUANTIZED)
def test_random_problems_are_within_the_bounds(isa, kind):
    seen = 0
    with foveate.use_isa(isa):
        for number, case in enumerate(cases(17, N_CASES)):
            scales = ["j", ""] if case.two_axes else SCALES
            pattern = scales[number % len(scales)]
            case = replace(case, quantized=kind, scales=(pattern, None if number % 7 == 0 else pattern))
            arrays, options = case.arrays(), case.options()
            expected = reference.attention(**arrays, **options, return_weights=True)
            limit = bounds(**arrays, **options)
            actual = foveate.attention(**arrays, **options, return_weights=True)
            for name in ("output", "weights"):
                ratio = worst_ratio(getattr(actual, name), getattr(expected, name), getattr(limit, name))
                assert ratio <= 1.0, (case, name, ratio)
            seen += int(np.isfinite(limit.output).any())
    assert seen > N_CASES // 2


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "f64"])
@pytest.mark.parametrize("kind", QUANTIZED)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_way_of_cutting_a_call(isa, dtype, kind, shape):
    types = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f64": np.float64}
    arrays, scales = problem(shape, kind, types[dtype])
    with foveate.use_isa(isa):
        within_bounds(*arrays, **scales)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", ["f16", "bf16", *QUANTIZED])
@pytest.mark.parametrize("q_len", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("dim", [16, 64, 80, 128, 256])
def test_reading_stored_rows_has_the_bits_of_reading_copies(isa, kind, q_len, dim):
    """A step of two elements makes the driver copy rows into reals; else few rows convert as they read."""
    rng = np.random.default_rng(dim)
    kv_len = 83
    options = {}
    if kind in QUANTIZED:
        query = rng.standard_normal((q_len, dim)).astype(np.float32)
        key, value = (
            np.rint(rng.standard_normal((kv_len, dim)) * 40).astype(QUANTIZED[kind]) for _ in range(2)
        )
        options = {
            name: rng.uniform(0.01, 0.03, kv_len).astype(np.float32) for name in ("k_scale", "v_scale")
        }
    else:
        dtype = np.float16 if kind == "f16" else ml_dtypes.bfloat16
        query, key, value = (rng.standard_normal((n, dim)).astype(dtype) for n in (q_len, kv_len, kv_len))
    apart = [np.repeat(array, 2, axis=-1)[:, ::2] for array in (key, value)]
    with foveate.use_isa(isa):
        direct = foveate.attention(query, key, value, **options)
        copied = foveate.attention(query, *apart, **options)
    np.testing.assert_array_equal(direct.view(np.uint8), copied.view(np.uint8))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("q_len", [1, 20])
def test_every_float8_number(isa, q_len):
    """All 256 patterns, the two NaN among them, as values of one attended key each."""
    patterns = np.arange(256, dtype=np.uint8).view(F8)
    key = np.zeros((256, 16), F8)
    value = np.repeat(patterns[:, None], 16, axis=1)
    query = np.zeros((q_len, 16), np.float32)
    with foveate.use_isa(isa):
        for number in range(256):
            mask = np.arange(256) == number
            with_mask = foveate.attention(query, key, value, mask=mask)
            alone = foveate.attention(query, key[:1], value[number : number + 1])
            expected = np.full((q_len, 16), patterns[number].astype(np.float32))
            np.testing.assert_array_equal(with_mask, expected)
            np.testing.assert_array_equal(alone, expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", [np.nan, np.inf])
@pytest.mark.parametrize("q_len", [1, 20])
def test_a_masked_key_with_a_bad_scale_stays_out(isa, scale, q_len):
    arrays, scales = problem("rows", "int8")
    query, key, value = (array[:, :1] for array in arrays)
    query = np.repeat(query, 20, axis=2)[:, :, :q_len]
    scales = {name: array[:, :1].copy() for name, array in scales.items()}
    with foveate.use_isa(isa):
        expected = foveate.attention(query, key, value, **scales, kv_lengths=60)
        for array in scales.values():
            array[..., 60:] = scale
        actual = foveate.attention(query, key, value, **scales, kv_lengths=60)
    np.testing.assert_array_equal(actual, expected)


def test_scales_of_huge_rows_keep_their_range():
    """127 times 2.6e36 is a float32; the elements alone times a large query are none."""
    query = np.full((1, 16), 1e36, np.float32)
    key = np.full((2, 16), 100, np.int8)
    key[1] = -100
    value = np.array([[3] * 16, [-3] * 16], np.int8)
    tiny = np.full(2, 1e-39 * 2**20, np.float32)
    result = foveate.attention(query, key, value, k_scale=tiny, v_scale=np.ones(2, np.float32))
    expected = reference.attention(query, key, value, k_scale=tiny, v_scale=np.ones(2, np.float32))
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("kind", QUANTIZED)
def test_same_bits_for_any_number_of_threads(kind, threads):
    arrays, scales = problem("rows, three chunks", kind)
    one = foveate.attention(*arrays, **scales, num_threads=1)
    np.testing.assert_array_equal(one, foveate.attention(*arrays, **scales, num_threads=threads))
