"""Entmax at every alpha: rows against a solution in 50 digits, from 1 + 2**-52 to 1000."""

from functools import cache

import mpmath
import numpy as np
import pytest

import foveate
from foveate import Entmax, reference
from foveate.error_bound import bounds
from support.cases import DTYPES
from support.numerics import bits, with_logits, within_bounds

ALPHAS = [1 + 2**-52, 1 + 1e-9, 1.0001, 1.3, 1.9999, 2.0001, 2.5, 5.0, 10.0, 20.0, 50.0, 1000.0]
EPS = 2.0**-52
OFF = 32 * EPS  # docs/numerics.md, "Exact zeros and selections": e and o_j at 5 keys, all below 60 u


def solution(x, alpha):
    """Weights by every support in turn; the unknown is the logarithm of how far its last key is above tau."""
    with mpmath.workdps(50):
        q = mpmath.mpf(alpha) - 1
        order = np.argsort(-x, kind="stable")
        z = [q * mpmath.mpf(float(x[i])) for i in order]
        found = []
        for k in range(1, len(z) + 1):
            if k < len(z) and z[k] == z[k - 1]:
                continue

            def weights(log, k=k):
                return [(t - z[k - 1] + mpmath.exp(log)) ** (1 / q) for t in z[:k]]

            low, high = -200 * (q + 1), mpmath.mpf(1)
            if sum(weights(low)) >= 1:
                continue  # without the last key they are more than 1
            for _ in range(180):
                middle = (low + high) / 2
                low, high = (middle, high) if sum(weights(middle)) < 1 else (low, middle)
            if k == len(z) or z[k - 1] - z[k] >= mpmath.exp(low):
                found.append(weights(low))
        assert len(found) == 1
        expected = np.zeros(len(x))
        expected[order[: len(found[0])]] = [float(w) for w in found[0]]
        return expected


@cache
def rows(alpha):
    """Logits that are exact in f32, many of them within reach of each other, and their weights."""
    rng = np.random.default_rng(7)
    reach = min(1.0 / (alpha - 1.0), 5.0)
    problems = []
    for i in range(9):
        x = rng.standard_normal(int(rng.integers(2, 6))) * reach * (1.0, 0.1, 0.01)[i % 3]
        if i == 4:
            x[-1] = x[0]
        problems.append(x)
    for gap in (0.3, 0.9, 0.999, 1.001):
        problems.append(np.array([0.0, -gap / (alpha - 1.0)]))
    problems.append(np.array([0.98 * reach, 1e-20, 2e-20]))  # apart by far less than an ulp of the largest
    problems.append(problems[0] + 1024.0)
    exact = [x.astype(np.float32).astype(np.float64) for x in problems]
    return [(x, solution(x, alpha)) for x in exact]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_against_50_digits(isa, alpha, dtype):
    for x, expected in rows(alpha):
        actual = foveate.activate(x.astype(DTYPES[dtype]), Entmax(alpha))
        off = OFF + (2.0**-24 * expected if dtype == "f32" else 0.0)
        wide = actual.astype(np.float64)
        assert (np.abs(wide - expected) <= off).all(), (x, wide, expected)
        assert (bits(actual)[expected == 0.0] == 0).all(), (x, wide)
        assert (wide[expected > 1e-37] > 0.0).all(), (x, wide, expected)
        assert abs(wide.sum() - 1.0) <= 4 * float(np.finfo(DTYPES[dtype]).eps)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_reference_against_50_digits(alpha):
    for x, expected in rows(alpha):
        actual = reference.activate(x, Entmax(alpha))
        assert (np.abs(actual - expected) <= OFF).all(), (x, actual, expected)
        assert ((actual > 0.0) == (expected > 0.0)).all(), (x, actual, expected)
        assert abs(actual.sum() - 1.0) <= 4 * EPS


@pytest.mark.parametrize("module", [foveate, reference], ids=["foveate", "reference"])
@pytest.mark.parametrize("alpha", [5.0, 10.0, 20.0, 50.0, 1000.0])
def test_two_logits(isa, alpha, module):
    """0.3 of the reach apart: w**(alpha - 1) = 0.3 + (1 - w)**(alpha - 1), which is a contraction."""
    p = 1.0 / (alpha - 1.0)
    w = 1.0
    for _ in range(100):
        w = (0.3 + (1.0 - w) ** (alpha - 1.0)) ** p
    weights = module.activate(np.array([0.0, -0.3 * p]), Entmax(alpha))
    np.testing.assert_allclose(weights, [w, 1.0 - w], rtol=0, atol=OFF)


@pytest.mark.parametrize("alpha", [5.0, 50.0, 1000.0, 1e300])
def test_ties_share(isa, alpha):
    for n in (2, 7, 300):
        logits = np.concatenate([np.full(n, 3.0), [2.0, -np.inf]])
        for weights in (foveate.activate(logits, Entmax(alpha)), reference.activate(logits, Entmax(alpha))):
            np.testing.assert_allclose(weights[:n], 1.0 / n, rtol=4 * EPS)
            assert (weights[n:] == 0.0).all()


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kv_len", [5, 70])
def test_calls_keep_their_bounds(isa, kv_len, dtype, alpha):
    logits = np.random.default_rng(kv_len).standard_normal(kv_len) * min(0.5 / (alpha - 1.0), 2.0)
    within_bounds(*with_logits(logits, 9, dtype), scale=1.0, activation=Entmax(alpha))


@pytest.mark.parametrize(("alpha", "most"), [(1 + 2**-52, 1e-13), (1 + 1e-9, 1e-13), (1.0001, 1e-13)])
def test_bounds_near_softmax(alpha, most):
    problem = with_logits(np.linspace(-2.0, 2.0, 9), 1, "f64")
    near = bounds(*problem, scale=1.0, activation=Entmax(alpha)).weights
    assert near.max() < most
    assert (near >= 2.0**-53 * reference.activate(problem[1][:, 0])).all()


@pytest.mark.parametrize("alpha", [5.0, 20.0])
def test_bounds_of_weights_that_are_no_edge(alpha):
    """Equal weights of a half stay where they are: 0.5**(alpha - 1) is well above rounding."""
    bound = bounds(*with_logits([1.0, 1.0, -9.0], 1, "f64"), scale=1.0, activation=Entmax(alpha)).weights
    assert (bound[0, :2] < 1e-8).all()
    assert bound[0, 2] < 1e-300
