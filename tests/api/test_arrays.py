"""Shapes, layouts, strides and dtypes that attention takes, against the reference."""

import itertools

import ml_dtypes
import numpy as np
import pytest

import foveate
from foveate.error_bound import bounds, worst_ratio

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


def rand(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def check(q, k, v, **options):
    """One call against the reference within the error bound; returns the output."""
    output = foveate.attention(q, k, v, **options)
    expected = foveate.reference.attention(q, k, v, **options)
    assert isinstance(output, np.ndarray)
    assert output.shape == expected.shape
    assert output.dtype == np.asarray(q).dtype
    assert worst_ratio(output, expected, bounds(q, k, v, **options).output) <= 1
    return output


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    check(*(rand(2, 3, n, 8, dtype=dtype) for n in (5, 7, 7)))


@pytest.mark.parametrize(
    ("q", "k", "v"),
    [
        ((3, 4), (5, 4), (5, 6)),  # one head
        ((2, 3, 4), (2, 5, 4), (2, 5, 6)),  # heads, no batch
        ((6, 3, 4), (2, 5, 4), (2, 5, 1)),  # grouped queries
        ((2, 6, 3, 4), (2, 3, 5, 4), (2, 3, 5, 6)),
        ((2, 1, 6, 3, 4), (4, 3, 5, 4), (1, 1, 3, 5, 6)),  # batch axes broadcast, of different number
        ((3, 4), (2, 1, 5, 4), (2, 1, 5, 6)),  # a 2-D query beside batched keys is one head
        ((3, 4), (1, 5, 4), (5, 6)),
        ((2, 4, 3, 4), (5, 4), (5, 6)),
        ((1, 1, 1, 1, 1, 2, 3, 4), (2, 5, 4), (1, 2, 5, 6)),
    ],
)
def test_shapes(q, k, v):
    check(rand(*q), rand(*k), rand(*v))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_layout_moves_axes_and_nothing_else(batch):
    q, k, v = rand(*batch, 4, 3, 8), rand(*batch, 2, 5, 8), rand(*batch, 2, 5, 6)
    turned = [np.ascontiguousarray(np.swapaxes(array, -3, -2)) for array in (q, k, v)]
    plain = foveate.attention(q, k, v, return_lse=True, return_weights=True)
    blhd = foveate.attention(*turned, layout="blhd", return_lse=True, return_weights=True)
    np.testing.assert_array_equal(np.swapaxes(blhd.output, -3, -2), plain.output)
    np.testing.assert_array_equal(blhd.lse, plain.lse)
    np.testing.assert_array_equal(blhd.weights, plain.weights)


def test_layout_of_2d_arrays_is_one_head():
    x = rand(4, 3)
    np.testing.assert_array_equal(foveate.attention(x, x, x, layout="blhd"), foveate.attention(x, x, x))
    check(x, rand(2, 5, 1, 3), rand(2, 5, 1, 3), layout="blhd")


def unaligned(array):
    """A copy whose data starts at an odd address."""
    memory = np.empty(array.nbytes + 1, np.uint8)
    copy = memory[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


STRIDES = {
    "transposed": lambda a: np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2),
    "reversed": lambda a: np.ascontiguousarray(a[:, ::-1, ::-1, ::-1])[:, ::-1, ::-1, ::-1],
    "spaced": lambda a: np.repeat(np.repeat(a, 3, axis=-1), 2, axis=-2)[..., ::2, ::3],
    "heads last": lambda a: np.ascontiguousarray(np.moveaxis(a, 1, -1)).transpose(0, 3, 1, 2),
    "unaligned": unaligned,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", STRIDES)
def test_same_bits_whatever_the_strides(kind, dtype):
    q, k, v = (rand(2, 2, n, 8, dtype=dtype) for n in (5, 7, 7))
    expected = foveate.attention(q, k, v)
    views = [STRIDES[kind](array) for array in (q, k, v)]
    for view, array in zip(views, (q, k, v), strict=True):
        assert view.strides != array.strides or not view.flags.aligned or dtype().itemsize == 1
        np.testing.assert_array_equal(view, array)
    for chosen in itertools.product((0, 1), repeat=3):
        mixed = [(array, view)[one] for one, array, view in zip(chosen, (q, k, v), views, strict=True)]
        np.testing.assert_array_equal(foveate.attention(*mixed), expected)


def test_read_only_and_broadcast_inputs():
    q = np.broadcast_to(rand(3, 8), (2, 4, 3, 8))
    k = np.broadcast_to(rand(8), (2, 2, 5, 8))
    v = rand(2, 2, 5, 6)
    v.flags.writeable = False
    check(q, k, v)


@pytest.mark.parametrize("kind", ["list", "subclass", "__array__", "buffer"])
def test_array_likes(kind):
    class Subclass(np.ndarray):
        pass

    class Convertible:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    make = {
        "list": np.ndarray.tolist,
        "subclass": lambda a: a.view(Subclass),
        "__array__": Convertible,
        "buffer": memoryview,
    }[kind]
    x = rand(4, 3)
    output = foveate.attention(make(x), make(x), make(x))
    assert type(output) is np.ndarray
    np.testing.assert_array_equal(output, foveate.attention(x, x, x))


# Axes: batch, Hq, Hkv, Lq, Lk, D, Dv; one of them (or two) is 0.
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize(
    "sizes",
    [
        (0, 2, 2, 3, 5, 4, 6),
        (2, 0, 0, 3, 5, 4, 6),
        (2, 0, 2, 3, 5, 4, 6),
        (2, 2, 2, 0, 5, 4, 6),
        (2, 2, 2, 3, 0, 4, 6),
        (2, 2, 2, 3, 5, 0, 6),
        (2, 2, 2, 3, 5, 4, 0),
        (2, 2, 2, 0, 0, 4, 6),
        (2, 2, 2, 3, 0, 0, 6),
        (2, 2, 2, 3, 5, 0, 0),
    ],
)
def test_zero_lengths(sizes, activation):
    batch, n_q_heads, n_kv_heads, q_len, kv_len, head_dim, value_dim = sizes
    q = rand(batch, n_q_heads, q_len, head_dim)
    k, v = rand(batch, n_kv_heads, kv_len, head_dim), rand(batch, n_kv_heads, kv_len, value_dim)
    softmax = activation == "softmax"
    result = foveate.attention(q, k, v, activation=activation, return_weights=True, return_lse=softmax)
    assert result.output.shape == (batch, n_q_heads, q_len, value_dim)
    assert result.weights.shape == (batch, n_q_heads, q_len, kv_len)
    if kv_len == 0:
        assert not result.output.any()
        assert not softmax or np.all(result.lse == -np.inf)
    if n_q_heads:
        expected = foveate.reference.attention(
            q, k, v, activation=activation, return_weights=True, return_lse=softmax
        )
        admitted = bounds(q, k, v, activation=activation)
        assert worst_ratio(result.output, expected.output, admitted.output) <= 1
        assert worst_ratio(result.weights, expected.weights, admitted.weights) <= 1
        if softmax:
            assert result.lse.shape == (batch, n_q_heads, q_len)
            assert worst_ratio(result.lse, expected.lse, admitted.lse) <= 1


B, HQ, HKV, LQ, LK, D = 2, 4, 2, 3, 5, 8


@pytest.mark.parametrize("layout", ["bhld", "blhd"])
@pytest.mark.parametrize(
    "shape", [(), (1,), (LK,), (LQ, 1), (LQ, LK), (HQ, 1, LK), (B, 1, LQ, LK), (B, HQ, LQ, LK)]
)
@pytest.mark.parametrize("kind", ["mask", "bias"])
def test_mask_and_bias_broadcast(kind, shape, layout):
    q, k, v = rand(B, HQ, LQ, D), rand(B, HKV, LK, D), rand(B, HKV, LK, D)
    if layout == "blhd":
        q, k, v = (np.swapaxes(array, 1, 2) for array in (q, k, v))
    array = rand(*shape)
    check(q, k, v, layout=layout, **{kind: array > -0.5 if kind == "mask" else array})


@pytest.mark.parametrize("dtype", DTYPES)
def test_bias_of_any_float_dtype(dtype):
    check(*(rand(LK, D, dtype=np.float32) for _ in range(3)), bias=rand(LK, LK, dtype=dtype))


def test_mask_with_strides():
    x = rand(6, 4)
    mask = np.repeat(rand(6, 6) > 0, 2, axis=1)[::-1, ::2]
    assert not mask.flags.c_contiguous
    np.testing.assert_array_equal(
        foveate.attention(x, x, x, mask=mask), foveate.attention(x, x, x, mask=np.ascontiguousarray(mask))
    )
    check(x, x, x, mask=mask.tolist())


@pytest.mark.parametrize(
    "lengths", [0, 3, LK, np.int32(2), np.array(4), [0, LK], [[1], [2], [4]], np.array([2, 3], np.uint8)]
)
def test_kv_lengths(lengths):
    q, k, v = rand(3, B, HQ, LQ, D), rand(B, HKV, LK, D), rand(B, HKV, LK, D)
    check(q, k, v, kv_lengths=lengths)


@pytest.mark.parametrize(
    "options",
    [
        {"causal": "top_left"},
        {"causal": "bottom_right"},
        {"causal": "bottom_right", "kv_lengths": [2, 4]},
        {"causal": "bottom_right", "window": (1, 1)},
        {"causal": "top_left", "window": (2, 0)},
        {"causal": True, "q_offset": 2},
        {"causal": True, "q_offset": -2},
        {"causal": True, "q_offset": [0, 3]},
        {"causal": True, "window": (1, None), "q_offset": np.array([[1], [2], [-7]])},
        {"window": (1, 0), "q_offset": 1},
        {"window": (None, 1), "q_offset": 2**40},
        {"window": (2**63, 2**70), "q_offset": -(2**61)},
        {"window": (None, None), "q_offset": 1, "alibi_slopes": [0.5, 0.25, 1, 2]},
        {"alibi_slopes": np.float32([0.5, 0.25, 1, 2]), "causal": "bottom_right"},
        {"sinks": [0.0, 1.0, -2.0, 5.0]},
        {"softcap": 1.5, "scale": -0.3},
        {"score": "dot", "activation": "sigmoid"},
    ],
    ids=str,
)
def test_options(options):
    q, k, v = rand(3, B, HQ, LQ, D), rand(B, HKV, LK, D), rand(B, HKV, LK, D)
    check(q, k, v, **options)


def test_causal_true_of_equal_lengths_is_both_alignments():
    x = rand(2, 5, 4)
    plain = check(x, x, x, causal=True)
    for causal in ("top_left", "bottom_right"):
        np.testing.assert_array_equal(foveate.attention(x, x, x, causal=causal), plain)


def test_scale_replaces_the_default():
    x = rand(5, 4)
    halved = foveate.attention(x, x, x, scale=0.5)  # 4 ** -0.5
    np.testing.assert_array_equal(halved, foveate.attention(x, x, x))
    np.testing.assert_array_equal(halved, foveate.attention(x, x, x, score="dot", scale=0.5))
    assert not np.array_equal(halved, foveate.attention(x, x, x, score="dot"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_extras(dtype):
    q, k, v = (rand(2, 3, n, 8, dtype=dtype) for n in (5, 7, 7))
    admitted = bounds(q, k, v)
    expected = foveate.reference.attention(q, k, v, return_lse=True, return_weights=True)
    both = foveate.attention(q, k, v, return_lse=True, return_weights=True)
    assert isinstance(both, foveate.AttentionResult)
    assert both.weights.dtype == dtype
    assert both.lse.dtype == (np.float64 if dtype is np.float64 else np.float32)
    assert worst_ratio(both.weights, expected.weights, admitted.weights) <= 1
    assert worst_ratio(both.lse, expected.lse, admitted.lse) <= 1
    output, lse, weights, key_stats = foveate.attention(q, k, v, return_lse=True)
    assert weights is key_stats is None
    np.testing.assert_array_equal(lse, both.lse)
    assert worst_ratio(output, expected.output, admitted.output) <= 1
    assert foveate.attention(q, k, v, return_weights=True).lse is None


def test_extras_of_one_head_have_no_head_axis():
    q, k = rand(3, 4), rand(5, 4)
    result = foveate.attention(q, k, k, return_lse=True, return_weights=True)
    assert (result.output.shape, result.lse.shape, result.weights.shape) == ((3, 4), (3,), (3, 5))


@pytest.mark.parametrize("n", [1, 2, np.int64(3), 10**30])
def test_num_threads_changes_no_bit(n):
    x = rand(4, 65, 16)
    np.testing.assert_array_equal(foveate.attention(x, x, x, num_threads=n), foveate.attention(x, x, x))


@pytest.mark.parametrize("combine", ["weighted_sum", "product"])
def test_any_stride_on_an_axis_of_length_1(combine):
    """NumPy leaves what it likes there: x[::2**60] has such strides."""
    x = np.random.default_rng(0).standard_normal((1, 1, 5, 8), np.float32)
    expected = foveate.attention(x[:, :, :1], x, x, combine=combine)
    far = np.lib.stride_tricks.as_strided
    strange = far(x, x.shape, (2**62, -(2**63), 32, 4))
    query = far(x, (1, 1, 1, 8), (2**62, 2**61, 2**60, 4))
    room = np.zeros(expected.shape, np.float32)
    moved = tuple(2**60 if n == 1 else s for n, s in zip(room.shape, room.strides, strict=True))
    out = far(room, room.shape, moved)
    assert foveate.attention(query, strange, strange, combine=combine, out=out) is out
    np.testing.assert_array_equal(out, expected)
