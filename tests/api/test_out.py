"""out=: written in place, whatever its strides, and left alone by every error."""

import ml_dtypes
import numpy as np
import pytest

import foveate

SHAPE = (2, 3, 5, 4)
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


def inputs(dtype=np.float32):
    rng = np.random.default_rng(1)
    return tuple(rng.standard_normal((2, 3, 5, 4)).astype(dtype) for _ in range(3))


VIEWS = {
    "contiguous": lambda a: a,
    "reversed": lambda a: a[::-1, :, ::-1, ::-1],
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "transposed": lambda a: a.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0),
    "inside a larger one": lambda a: np.pad(a, 2)[2:-2, 2:-2, 2:-2, 2:-2],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", VIEWS)
def test_written_in_place(kind, dtype):
    q, k, v = inputs(dtype)
    out = VIEWS[kind](np.full(SHAPE, 7, dtype))
    result = foveate.attention(q, k, v, out=out)
    assert result is out
    np.testing.assert_array_equal(out, foveate.attention(q, k, v))


def test_nothing_beside_it_is_written():
    q, k, v = inputs()
    padded = np.full((4, 5, 7, 6), 7, np.float32)
    foveate.attention(q, k, v, out=padded[1:-1, 1:-1, 1:-1, 1:-1])
    padded[1:-1, 1:-1, 1:-1, 1:-1] = 7
    assert np.all(padded == 7)


def test_layout_and_extras():
    q, k, v = (np.swapaxes(array, 1, 2) for array in inputs())
    out = np.empty((2, 5, 3, 4), np.float32)
    result = foveate.attention(q, k, v, layout="blhd", out=out, return_lse=True)
    assert result.output is out
    np.testing.assert_array_equal(out, foveate.attention(q, k, v, layout="blhd"))


def test_subclass_is_returned_as_it_came(tmp_path):
    q, k, v = inputs()
    out = np.memmap(tmp_path / "out", np.float32, "w+", shape=SHAPE)
    assert foveate.attention(q, k, v, out=out) is out
    np.testing.assert_array_equal(out, foveate.attention(q, k, v))


def interlocked():
    """Strides that interlock without touching: offsets 0, 2, 4 and 3, 5, 7."""
    return np.lib.stride_tricks.as_strided(np.zeros(8), (2, 3), (24, 16))


def test_interlocked_strides_are_no_overlap():
    x = np.random.default_rng(0).standard_normal((2, 3))
    out = interlocked()
    foveate.attention(x, x, x, out=out)
    np.testing.assert_array_equal(out, foveate.attention(x, x, x))


@pytest.mark.parametrize("strides", [(0, 8), (8, 0), (8, 8), (16, 8), (4, 12), (24, 4), (8, -8)], ids=str)
def test_refused_where_it_overlaps_itself(strides):
    x = np.zeros((2, 3))
    out = np.lib.stride_tricks.as_strided(np.zeros(16)[8:], (2, 3), strides)
    with pytest.raises(ValueError, match=r"out must not overlap itself, got strides .* for shape \(2, 3\)"):
        foveate.attention(x, x, x, out=out)


@pytest.mark.parametrize("name", ["query", "key", "value", "bias"])
def test_refused_where_it_overlaps_an_input(name):
    memory = np.zeros(9, np.float64)
    first, second = memory[:6].reshape(2, 3), memory[3:].reshape(2, 3)
    arrays = {key: np.ones((2, 3)) for key in ("query", "key", "value")}
    arrays["bias"] = np.zeros((2, 2))
    arrays[name] = first[:, :2] if name == "bias" else first
    bias = arrays.pop("bias")
    with pytest.raises(ValueError, match=f"out must not overlap any input, got memory shared with {name}"):
        foveate.attention(**arrays, bias=bias, out=second)
    assert not memory.any()


def test_mask_overlap_is_refused():
    memory = np.zeros(12, np.float32)
    x = np.ones((3, 4), np.float32)
    mask = memory.view(np.bool_)[:9].reshape(3, 3)
    with pytest.raises(ValueError, match="shared with mask"):
        foveate.attention(x, x, x, mask=mask, out=memory.reshape(3, 4))


def test_interleaved_with_an_input_is_fine():
    memory = np.random.default_rng(2).standard_normal((5, 8))
    x, out = memory[:, ::2], memory[:, 1::2]
    expected = foveate.attention(x.copy(), x.copy(), x.copy())
    np.testing.assert_array_equal(foveate.attention(x, x, x, out=out), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"kv_lengths": 9},
        {"causal": True, "q_offset": 1.5},
        {"sinks": np.zeros(7)},
        {"bias": np.zeros((5, 5), int)},
        {"mask": np.ones((4, 4), bool)},
        {"num_threads": 0},
        {"activation": "sigmoid", "return_lse": True},
        {"activation": "nope"},
    ],
    ids=str,
)
def test_untouched_by_errors(options):
    out = np.full(SHAPE, 7, np.float32)
    with pytest.raises((TypeError, ValueError)):
        foveate.attention(*inputs(), out=out, **options)
    assert np.all(out == 7)
