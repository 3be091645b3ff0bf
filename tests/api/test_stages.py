"""scores, activate and combine alone."""

import ml_dtypes
import numpy as np
import pytest

import foveate
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


@pytest.mark.parametrize("shape", [(), (7,), (4, 1), (4, 7), (1, 4, 7), (3, 1, 1), (2, 1, 4, 7)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_mask_of_activate(shape, axis):
    logits = rand(2, 3, 4, 7)
    mask = rand(*shape) > -0.3
    weights = foveate.activate(logits, mask=mask, axis=axis)
    expected = foveate.reference.activate(logits, mask=mask, axis=axis)
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


def test_stages_make_attention():
    q, k, v = rand(2, 4, 3, 8), rand(2, 2, 5, 8), rand(2, 2, 5, 6)
    for activation in ("softmax", "sigmoid"):
        weights = foveate.activate(foveate.scores(q, k), activation)
        expected = foveate.reference.attention(q, k, v, activation=activation)
        near(foveate.combine(weights, v), expected, foveate.combine(weights, np.abs(v)), n_terms=8 + 5 + 5)


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
