"""scores, activate and combine alone."""

import ml_dtypes
import numpy as np
import pytest

import foveate
from foveate import Additive, Bilinear, Cosine, Entmax, Select, Sigmoid, TopK
from foveate.error_bound import STORING

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


def rand(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def near(actual, expected, sizes, n_terms):
    """|actual - expected| <= (n_terms + 4) roundings of the compute type on ``sizes``, and one of the output.

    4: the scale, and exp with its sum and quotient; the float64 reference has as many of its own.
    """
    u = 2.0**-53 if actual.dtype == np.float64 else 2.0**-24
    storing = STORING[actual.dtype.name]
    bound = (2 * (n_terms + 4) * u + storing.u_out) * np.abs(sizes) + storing.half_step
    assert actual.shape == expected.shape
    assert np.all((np.abs(actual.astype(np.float64) - expected) <= bound) | (actual == expected))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhld", "blhd"])
@pytest.mark.parametrize(
    "options", [{}, {"score": "dot"}, {"scale": 0.3}, {"score": "dot", "scale": -2.0}], ids=str
)
def test_scores(options, layout, dtype):
    q, k = rand(2, 4, 3, 8, dtype=dtype), rand(1, 2, 5, 8, dtype=dtype)
    if layout == "blhd":
        q, k = np.swapaxes(q, 1, 2), np.swapaxes(k, 1, 2)
    logits = foveate.scores(q, k, layout=layout, **options)
    assert logits.dtype == dtype
    expected = foveate.reference.scores(q, k, layout=layout, **options)
    sizes = foveate.reference.scores(*(np.abs(a.astype(float)) for a in (q, k)), layout=layout, **options)
    near(logits, expected, sizes, n_terms=8)


RNG = np.random.default_rng(11)
LEARNT = {
    "additive": "additive",
    "additive with all": Additive(
        RNG.standard_normal(6).astype("f"),
        w_q=RNG.standard_normal((4, 8, 6)).astype("f"),
        w_k=RNG.standard_normal((8, 6)).astype("f"),
    ),
    "additive with w_k": Additive(w_k=RNG.standard_normal((4, 8, 8)).astype("f")),
    "bilinear": Bilinear(RNG.standard_normal((8, 8)).astype("f")),
    "bilinear per head": Bilinear(RNG.standard_normal((4, 8, 8)).astype("f")),
    "cosine": "cosine",
    "cosine with temperature": Cosine(0.25),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhld", "blhd"])
@pytest.mark.parametrize("name", LEARNT)
def test_learnt_scores(name, layout, dtype):
    score = LEARNT[name]
    q, k = rand(2, 4, 3, 8, dtype=dtype), rand(1, 2, 5, 8, dtype=dtype)
    arrays = (np.swapaxes(q, 1, 2), np.swapaxes(k, 1, 2)) if layout == "blhd" else (q, k)
    logits = foveate.scores(*arrays, score=score, layout=layout)
    assert logits.dtype == dtype
    expected = foveate.reference.scores(*arrays, score=score, layout=layout)
    near(logits, expected, sizes_of(score, q, k), n_terms=8 + 8)


def sizes_of(score, q, k):
    """What the roundings of a logit are relative to: the sums of the absolute values of what is added."""
    wide = [np.abs(a.astype(float)) for a in (q, k)]
    if isinstance(score, Bilinear):
        return foveate.reference.scores(*wide, score=Bilinear(np.abs(score.w)))
    if score == "cosine" or isinstance(score, Cosine):
        return foveate.reference.scores(*wide, score=score)
    given = Additive() if score == "additive" else score
    q_size, k_size = wide[0], np.repeat(wide[1], 2, axis=1)
    if given.w_q is not None:
        q_size = q_size @ np.abs(given.w_q.astype(float))
    if given.w_k is not None:
        k_size = k_size @ np.abs(given.w_k.astype(float))
    v = np.ones(q_size.shape[-1]) if given.v is None else np.abs(given.v.astype(float))
    # tanh is at most 1 and has at most the slope 1
    return np.sum(v * (1.0 + q_size[..., :, None, :] + k_size[..., None, :, :]), axis=-1)


def test_softcap_of_scores():
    q, k = rand(3, 8), 10 * rand(5, 8)
    logits = foveate.scores(q, k, softcap=2.0)
    assert logits.shape == (3, 5)
    assert np.max(np.abs(logits)) <= 2.0
    sizes = foveate.reference.scores(np.abs(q), np.abs(k)) + 2.0 * 4  # tanh: 4 u of its range
    near(logits, foveate.reference.scores(q, k, softcap=2.0), sizes, n_terms=8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("shape", [(7,), (4, 7), (2, 4, 7), (2, 3, 4, 7), (2, 1, 3, 4, 7), (3, 0), (0, 3)])
def test_activate_every_axis(shape, activation, dtype):
    logits = rand(*shape, dtype=dtype)
    for axis in range(-len(shape), len(shape)):
        weights = foveate.activate(logits, activation, axis=axis)
        assert weights.dtype == dtype
        expected = foveate.reference.activate(logits, activation, axis=axis)
        near(weights, expected, expected, n_terms=shape[axis])


ACTIVATIONS = ["softmax", "softmax1", "sigmoid", Sigmoid(-1.0), "relu", "relu2", "tanh", "identity"]
SPARSE = ["sparsemax", "entmax15", Entmax(1.3), TopK(3)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *SPARSE], ids=str)
@pytest.mark.parametrize("axis", [0, -1])
def test_activate(axis, activation, dtype):
    logits = 2 * rand(9, 3, 37, dtype=dtype)
    logits[0, 1], logits[:, 2, 5] = -np.inf, -np.inf
    weights = foveate.activate(logits, activation, axis=axis)
    assert weights.dtype == dtype
    expected = foveate.reference.activate(logits, activation, axis=axis)
    # the threshold of the sparse ones is rounded like a number of the size of the logits, below 16
    sizes = np.where(expected > 0, 16.0, 0.0) if activation in SPARSE[:3] else expected
    n_terms = 4 if activation in ACTIVATIONS[2:] else logits.shape[axis]
    if activation in SPARSE[:3]:
        at_the_edge = np.maximum(expected, weights.astype(float)) < 1e-5
        assert np.array_equal((weights == 0)[~at_the_edge], (expected == 0)[~at_the_edge])
        sizes = 16.0
    near(weights, expected, np.broadcast_to(sizes, weights.shape), n_terms)


@pytest.mark.parametrize("shape", [(), (7,), (4, 1), (4, 7), (1, 4, 7), (3, 1, 1), (2, 1, 4, 7)])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("activation", ["softmax", "tanh", "identity", TopK(7)], ids=str)
def test_mask_of_activate(activation, shape, axis):
    logits = rand(2, 3, 4, 7)
    mask = rand(*shape) > -0.3
    weights = foveate.activate(logits, activation, mask=mask, axis=axis)
    expected = foveate.reference.activate(logits, activation, mask=mask, axis=axis)
    near(weights, expected, expected, n_terms=7)
    assert np.all(weights[~np.broadcast_to(mask, weights.shape)] == 0)


def test_activate_strided_and_masked_logits():
    logits = rand(6, 10)[::-2, ::3]
    logits[1] = -np.inf
    logits[0, 1] = -np.inf
    before = logits.copy()
    weights = foveate.activate(logits)
    assert not weights[1].any()
    assert weights[0, 1] == 0
    near(weights, foveate.reference.activate(before), weights, n_terms=4)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhld", "blhd"])
def test_combine(layout, dtype):
    weights, value = rand(2, 4, 3, 5, dtype=dtype), rand(1, 2, 5, 6, dtype=dtype)
    if layout == "blhd":
        value = np.swapaxes(value, 1, 2)
    output = foveate.combine(weights, value, layout=layout)
    assert output.dtype == dtype
    expected = foveate.reference.combine(weights, value, layout=layout)
    sizes = foveate.reference.combine(*(np.abs(a.astype(float)) for a in (weights, value)), layout=layout)
    near(output, expected, sizes, n_terms=5)


@pytest.mark.parametrize(
    ("w", "v"),
    [
        ((3, 5), (5, 6)),
        ((3, 5), (1, 5, 6)),
        ((2, 3, 5), (5, 6)),
        ((4, 2, 3, 5), (2, 5, 6)),
        ((2, 3, 0), (2, 0, 6)),
    ],
)
def test_shapes_of_combine(w, v):
    weights, value = rand(*w), rand(*v)
    sizes = foveate.reference.combine(np.abs(weights), np.abs(value))
    near(foveate.combine(weights, value), foveate.reference.combine(weights, value), sizes, n_terms=5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhld", "blhd"])
@pytest.mark.parametrize("stage", ["product", Select(1), Select(3, temperature=0.5), Select(9)], ids=str)
def test_other_combines(stage, layout, dtype):
    weights, value = rand(2, 4, 3, 5, dtype=dtype), rand(1, 2, 5, 6, dtype=dtype)
    weights[0, 0, 0], weights[0, 0, 1, ::2] = 0, 0
    if layout == "blhd":
        value = np.swapaxes(value, 1, 2)
    output = foveate.combine(weights, value, stage, layout=layout)
    assert output.dtype == dtype
    expected = foveate.reference.combine(weights, value, stage, layout=layout)
    # selected weights sum to 1; each is off by a few roundings, twice that for the square
    sizes = expected if stage == "product" else np.full(expected.shape, 2 * np.abs(value.astype(float)).max())
    near(output, expected, sizes, n_terms=5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_select_of_small_weights_at_a_low_temperature(dtype):
    """2e-4 to the power of 100 is no number, but the largest of the selected still gains all."""
    weights = np.array([[0.0, 1e-4, -4e-4, 2e-4]], dtype)
    value = np.array([[5.0], [1.0], [2.0], [3.0]], dtype)
    assert foveate.combine(weights, value, Select(2, temperature=0.01)).tolist() == [[3.0]]
    assert foveate.combine(weights[:, :3], value[:3], Select(1, temperature=0.01)).tolist() == [[1.0]]
    assert foveate.combine(weights[:, [0, 2]], value[[0, 2]], Select(1)).tolist() == [[-2.0]]


@pytest.mark.parametrize("combine", ["weighted_sum", "product", Select(3)], ids=str)
@pytest.mark.parametrize("score", LEARNT)
def test_stages_make_attention(score, combine):
    q, k, v = rand(2, 4, 3, 8), rand(2, 2, 5, 8), rand(2, 2, 5, 6)
    score = LEARNT[score]
    for activation in ("softmax", "sigmoid", "sparsemax"):
        logits = foveate.scores(q, k, score=score)
        output = foveate.combine(foveate.activate(logits, activation), v, combine)
        expected = foveate.attention(q, k, v, score=score, activation=activation, combine=combine)
        # both have the same logits but for their roundings, which are absolute errors of the weights
        moved = 1.0 + np.max(sizes_of(score, q, k))
        near(output, expected, np.full(output.shape, 5 * moved * np.abs(v).max()), n_terms=8 + 8 + 5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", [np.nan, np.inf])
def test_weight_zero_leaves_its_value_out(hidden, dtype):
    weights, value = np.ones((3, 4), dtype), rand(4, 2, dtype=dtype)
    weights[:, 2] = 0
    value[2] = hidden
    output = foveate.combine(weights, value)
    expected = foveate.reference.combine(weights, value)
    assert np.all(np.isfinite(expected))
    near(output, expected, np.sum(np.abs(value[[0, 1, 3]].astype(float)), axis=0), n_terms=4)
