"""What a score modifier and a tile mask see and do, in every mode: C functions through ctypes."""

import numpy as np
import pytest

import foveate
from foveate import _core, error_bound, reference
from support import modifiers
from support.cases import DTYPES

#: heads of queries and keys, lengths: queries in the lanes, few rows, several chunks of keys, groups
SHAPES = {
    "lanes": (2, 2, 70, 130),
    "lanes, group": (6, 2, 33, 65),
    "decode": (2, 2, 1, 500),
    "decode, group": (8, 2, 1, 999),
    "few rows": (1, 1, 5, 77),
    "chunks": (2, 1, 3, 6000),
}
ACTIVATIONS = ["softmax", "softmax1", "sigmoid", "relu", "relu2", "tanh", "identity"]
ACTIVATIONS += ["sparsemax", "entmax15", foveate.Entmax(1.25), foveate.TopK(5)]
SCORES = ["dot", "scaled_dot", "additive", "cosine", foveate.Bilinear(np.eye(8)[::-1])]
SLOPE, REACH = np.array([0.01]), np.array([9, 0])


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return modifiers.load(modifiers.build(tmp_path_factory.mktemp("modifiers")))


def problem(shape, dtype="f32", dim=8, seed=0):
    rng = np.random.default_rng(seed)
    q_heads, kv_heads, q_len, kv_len = SHAPES[shape]
    sizes = (q_heads, q_len, dim), (kv_heads, kv_len, dim), (kv_heads, kv_len, 5)
    return [rng.standard_normal((2, *size)).astype(DTYPES[dtype]) for size in sizes]


def apart(query, key):
    return np.abs(np.arange(query.shape[-2])[:, None] - np.arange(key.shape[-2]))


def assert_within_bounds(arrays, modifier, expected=None, **options):
    """Output, weights and what else is asked for, against the reference."""
    got = foveate.attention(*arrays, **options, modifier=modifier, return_weights=True)
    expected = options | ({"modifier": modifier} if expected is None else expected)
    exact = reference.attention(*arrays, **expected, return_weights=True)
    bounds = error_bound.bounds(
        *arrays, **{k: v for k, v in options.items() if k != "return_lse"}, modifier=modifier
    )
    for name in ("output", "lse", "weights", "key_stats"):
        if getattr(got, name) is not None:
            ratio = error_bound.worst_ratio(getattr(got, name), getattr(exact, name), getattr(bounds, name))
            assert ratio <= 1.0, f"{name} stands {ratio} bounds from the reference"
    return got


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "chunks"])
def test_tiles_say_where_they_are(library, shape, dtype):
    arrays = problem(shape, "f64")  # weights of f64: f32 cannot hold the numbers of batch element 1
    if dtype == "f32":
        arrays = [array[:1].astype(np.float32) for array in arrays]
        arrays[0], arrays[1], arrays[2] = (array[..., :16, :] for array in arrays)
    weights = foveate.attention(
        *arrays, activation="identity", modifier=library.place, return_weights=True
    ).weights
    batch, heads, q_len, kv_len = weights.shape
    axes = np.meshgrid(*(np.arange(n) for n in (batch, heads, q_len, kv_len)), indexing="ij")
    number = ((axes[0] * 1000 + axes[1]) * 1000 + axes[2]) * 1000 + axes[3]
    np.testing.assert_array_equal(weights, number.astype(arrays[0].dtype))


@pytest.mark.parametrize("dtype", [*DTYPES])
@pytest.mark.parametrize("shape", SHAPES)
def test_distance_is_a_bias(library, shape, dtype):
    arrays = problem(shape, dtype)
    bias = -SLOPE[0] * apart(*arrays[:2])
    modifier = library.distance, SLOPE
    assert_within_bounds(arrays, modifier, {"bias": bias, "return_lse": True}, return_lse=True)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("score", SCORES, ids=lambda score: getattr(score, "kernel", score))
def test_every_mode(library, score, activation):
    for shape, dtype in (("lanes, group", "f32"), ("decode, group", "f64")):
        for combine in ("weighted_sum", "product", foveate.Select(3)):
            arrays = problem(shape, dtype)
            options = {"score": score, "activation": activation, "combine": combine, "key_stats": "sum"}
            if activation == "softmax":
                options["sinks"] = np.linspace(-1, 1, arrays[0].shape[1])
            assert_within_bounds(arrays, (library.distance, SLOPE), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": -2.5, "softcap": 3.0},
        {"softcap": 3.0, "bias": np.linspace(-3, 3, 65)},
        {"scale": 0.3, "alibi_slopes": np.arange(1, 7) / 8, "causal": "bottom_right"},
        {"window": (20, 5), "q_offset": 7},
        {"kv_lengths": np.array([40, 0]), "key_stats": "max"},
        {"mask": np.arange(65) % 3 > 0, "causal": "top_left"},
    ],
    ids=lambda options: " ".join(options),
)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_logits_come_scaled_capped_and_biased(library, options, dtype):
    """The modifier adds to natural units; masks follow."""
    assert_within_bounds(problem("lanes, group", dtype), (library.distance, SLOPE), **options)


@pytest.mark.parametrize("layout", ["bhld", "blhd"])
def test_layouts_and_strides(library, layout):
    arrays = problem("lanes, group")
    expected = foveate.attention(*arrays, modifier=(library.distance, SLOPE))
    if layout == "blhd":
        arrays = [np.swapaxes(array, -3, -2) for array in arrays]
        expected = np.swapaxes(expected, -3, -2)
    got = foveate.attention(*arrays, layout=layout, modifier=(library.distance, SLOPE))
    np.testing.assert_array_equal(got, expected)
    mode = foveate.Mode(layout=layout)
    np.testing.assert_array_equal(mode(*arrays, modifier=(library.distance, SLOPE)), expected)


@pytest.mark.parametrize("activation", ["softmax", "tanh", "sparsemax"])
@pytest.mark.parametrize("shape", SHAPES)
def test_minus_infinity_masks(library, shape, activation):
    query, key, value = problem(shape, "f32")
    near = apart(query, key) <= REACH[0]
    value[..., ~near.any(axis=0), :] = np.nan
    assert near.any(axis=1).all()
    options = {"activation": activation, "return_weights": True}
    got = foveate.attention(query, key, value, modifier=(library.near, REACH), **options)
    assert not got.weights[..., ~near].any()
    assert not np.isnan(got.output).any()
    assert_within_bounds(
        (query, key, value),
        (library.near, REACH),
        {"mask": near, "activation": activation},
        activation=activation,
    )


@pytest.mark.parametrize("shape", ["lanes", "lanes, group", "decode, group", "chunks"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "entmax15"])
def test_tile_mask_skips_and_changes_nothing(library, shape, activation):
    options = {"activation": activation, "return_weights": True, "key_stats": "sum", "num_threads": 1}
    arrays, counts, results = problem(shape), [], []
    for tile_mask in (None, (library.some_near, REACH)):
        data = np.array([REACH[0], 0])
        _core._count_tiles(True)
        modifier = library.near_counted, data
        results.append(foveate.attention(*arrays, modifier=modifier, tile_mask=tile_mask, **options))
        stats = _core._count_tiles(False)
        counts.append((data[1], stats["tiles_computed"], stats["tiles_dead"]))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    (called, computed, dead), (called_less, computed_less, dead_more) = counts
    assert called_less < called
    assert computed_less < computed
    assert dead_more == dead + computed - computed_less


def test_tile_mask_alone_skips(library):
    """Without a modifier a dead tile is masked, whole."""
    query, key, value = problem("chunks")
    value[..., 3000:, :] = np.nan
    got = foveate.attention(
        query, key, value, tile_mask=(library.some_near, np.array([2000])), return_weights=True
    )
    assert not np.isnan(got.output).any()
    assert not got.weights[..., 3000:].any()
    assert got.weights[..., :1900].all()


@pytest.mark.parametrize("shape", ["lanes", "decode, group", "chunks"])
def test_bits_do_not_depend_on_threads(library, shape):
    arrays = [np.concatenate([array] * 4) for array in problem(shape, dim=64)]
    modifier, tile_mask = (library.near, np.array([700])), (library.some_near, np.array([700]))
    options = {"modifier": modifier, "tile_mask": tile_mask, "return_lse": True, "key_stats": "max"}
    serial = foveate.attention(*arrays, **options, num_threads=1)
    for n in (2, 3):
        threaded = foveate.attention(*arrays, **options, num_threads=n)
        for one, other in zip(serial, threaded, strict=True):
            if one is not None:
                np.testing.assert_array_equal(one, other)


def test_empty_axes_call_nothing(library):
    data = np.array([3, 0])
    for lengths in ((0, 4), (4, 0)):
        query, key = (np.zeros((1, n, 2), np.float32) for n in lengths)
        assert not foveate.attention(query, key, key, modifier=(library.near_counted, data)).any()
    assert data[1] == 0


def test_reference_takes_python_functions():
    query, key, value = problem("lanes")
    slope = 0.25 * apart(query, key)
    got = reference.attention(query, key, value, modifier=lambda logits: logits - slope)
    np.testing.assert_allclose(got, reference.attention(query, key, value, bias=-slope), rtol=1e-14)


def test_bound_grows_by_what_is_added(library):
    arrays = problem("lanes")
    plain = error_bound.bounds(*arrays).weights
    small = error_bound.bounds(*arrays, modifier=lambda logits: logits + 1e-3).weights
    large = error_bound.bounds(*arrays, modifier=lambda logits: logits + 1e3).weights
    assert (plain <= small).all()
    assert (10 * small < large).all()
