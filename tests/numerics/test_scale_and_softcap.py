"""Scales and softcaps of every size: none makes NaN of finite logits, or of masked ones."""

import numpy as np
import pytest

import foveate
from support.cases import DTYPES
from support.numerics import ACTIVATIONS, IN_F32_RANGE, Q_LENS, is_nan, with_logits, within_bounds

SCALES = [0.0, -0.0, -1.0, -1e-3, -100.0, 1e-30, 1e-38, 1e-40, 1e-46, -1e-40, 1e-300]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
@pytest.mark.parametrize("scale", SCALES)
def test_scale(isa, scale, q_len, dtype, activation):
    """Any finite scale, with masked keys: -inf times a scale that underflows must not become NaN."""
    rng = np.random.default_rng(4)
    query, key, value = (rng.standard_normal((n, 5)).astype(DTYPES[dtype]) for n in (q_len, 70, 70))
    for mask in (None, rng.random((q_len, 70)) < 0.7, np.arange(70) < 3):
        actual = within_bounds(query, key, value, scale=scale, mask=mask, activation=activation)
        assert not any(is_nan(array).any() for array in actual.values())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("q_len", Q_LENS)
@pytest.mark.parametrize("scale", [1e10, 1e25])
def test_huge_scale_of_tiny_scores(isa, scale, q_len, activation):
    """Scores of about 1 / scale: ordinary logits. Scores under 2^-126 would flush, so not beyond 1e30."""
    rng = np.random.default_rng(4)
    query = (rng.standard_normal((q_len, 5)) * scale**-0.5).astype(np.float32)
    key = (rng.standard_normal((70, 5)) * scale**-0.5).astype(np.float32)
    key[::3] = 0.0
    value = rng.standard_normal((70, 5)).astype(np.float32)
    actual = within_bounds(query, key, value, scale=scale, activation=activation)
    assert not any(is_nan(array).any() for array in actual.values())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", IN_F32_RANGE)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_scores_of_zero_times_the_largest_scale(isa, q_len, dtype, activation):
    """3e38 fits into f32, 3e38 log2(e) does not: 0 times it is no NaN."""
    query, key, value = with_logits(np.zeros(70), q_len, dtype)
    within_bounds(query, key, value, scale=3e38, activation=activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("q_len", Q_LENS)
@pytest.mark.parametrize("softcap", [1e-46, 1e-40, 1e-30, 1e-3, 1e10, 1e39])
def test_softcap(isa, softcap, q_len, dtype, activation):
    rng = np.random.default_rng(4)
    query, key, value = (rng.standard_normal((n, 5)).astype(DTYPES[dtype]) for n in (q_len, 70, 70))
    key[::3] = 0.0  # logits of exactly 0
    actual = within_bounds(query, key, value, softcap=softcap, activation=activation)
    assert not any(is_nan(array).any() for array in actual.values())


@pytest.mark.parametrize("softcap", [1e10, 1e20, 1e30])
def test_a_huge_softcap_is_none(isa, softcap):
    """c tanh(x / c) is x for c far above x."""
    rng = np.random.default_rng(4)
    for q_len in Q_LENS:
        query, key, value = (rng.standard_normal((n, 5)).astype(np.float32) for n in (q_len, 70, 70))
        plain = foveate.attention(query, key, value)
        capped = foveate.attention(query, key, value, softcap=softcap)
        np.testing.assert_allclose(capped, plain, rtol=1e-4, atol=1e-6)
