"""AttentionPooling: features, score, weights and result against formulas written out in float64."""

import ml_dtypes
import numpy as np
import pytest

import foveate
from foveate.layers import AttentionPooling

W = np.array([[1.0, -0.5, 0.25], [0.5, 1.0, -1.0]])
B = np.array([0.125, -0.25, 0.5])
QUERY = np.array([0.5, -1.0, 1.5])
X = np.random.default_rng(6).standard_normal((4, 5, 2))
LEARNT = foveate.Additive([1.0, -2.0], w_q=np.ones((3, 2)), w_k=np.eye(3)[:, :2])

SCORES = {
    "dot": ("dot", lambda f: f @ QUERY),
    "scaled_dot": ("scaled_dot", lambda f: f @ QUERY / np.sqrt(3.0)),
    "additive": ("additive", lambda f: np.tanh(f + QUERY).sum(axis=-1)),
    "learnt": (LEARNT, lambda f: np.tanh(QUERY.sum() + f[..., :2]) @ np.array([1.0, -2.0])),
}
ACTIVATIONS = {
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
}


def largest_two(weights):
    """Each row with its two largest weights, divided by the sum of their magnitudes."""
    kept = np.where(weights >= np.sort(weights, axis=-1)[..., -2:-1], weights, 0.0)
    return kept / np.abs(kept).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("combine", ["weighted_sum", "product", "select"])
def test_formula(score, activation, combine):
    stage, logits_of = SCORES[score]
    weights = ACTIVATIONS[activation](logits_of(X @ W + B))
    if activation == "relu":  # else a row could have one positive weight and ties for the second
        keep = (weights > 0.0).sum(axis=-1) >= 2
        assert keep.any()
    else:
        keep = np.ones(len(X), bool)
    exact = {
        "weighted_sum": np.einsum("bl,blf->bf", weights, X),
        "product": weights[..., None] * X,
        "select": np.einsum("bl,blf->bf", largest_two(weights[keep]), X[keep]),
    }[combine]
    how = foveate.Select(2) if combine == "select" else combine
    mode = foveate.Mode(score=stage, activation=activation, combine=how)
    result = AttentionPooling((W, B), QUERY, mode)(X, return_weights=True)
    output = result.output[keep] if combine == "select" else result.output
    assert (output.dtype, result.weights.dtype) == (np.float64, np.float64)
    np.testing.assert_allclose(output, exact, rtol=0, atol=1e-13)
    np.testing.assert_allclose(result.weights, weights, rtol=0, atol=1e-13)


def test_ways_to_write_the_same_features():
    mode = foveate.Mode(score="dot", activation="sigmoid")
    column = AttentionPooling(([[2.0], [0.0]], [1.0]), [1.0], mode)
    ways = {
        "vector": AttentionPooling(([2.0, 0.0], 1.0), 1.0, mode),
        "number per item": AttentionPooling(lambda x: 2.0 * x[..., 0] + 1.0, 1.0, mode),
        "one column": AttentionPooling(lambda x: 2.0 * x[..., :1] + 1.0, [1.0], mode),
        "elementwise": AttentionPooling((2, 1), [1, 0], mode),
    }
    expected = column(X)
    assert expected.shape == (4, 2)
    for name, pooling in ways.items():
        np.testing.assert_allclose(pooling(X), expected, rtol=0, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_other_dtypes(dtype):
    eps = float(ml_dtypes.finfo(dtype).eps)
    x = X.astype(dtype)
    output = AttentionPooling((W, B), QUERY)(x)
    assert output.dtype == dtype
    wide = x.astype(np.float64)
    features = wide @ W + B
    logits = features @ QUERY / np.sqrt(3.0)
    weights = ACTIVATIONS["softmax"](logits)
    exact = np.einsum("bl,blf->bf", weights, wide)
    # three features of magnitude < 8 with four roundings each, times at most 1.5; a weight errs by twice the
    # error of a logit; the rest is a handful of roundings of the output
    assert np.abs(features).max() < 8
    logit_error = 3 * 1.5 / np.sqrt(3.0) * 4 * 8 * eps / 2
    slack = np.abs(wide).max() * (2 * logit_error + 4 * eps)
    assert np.abs(output.astype(np.float64) - exact).max() <= slack


def test_no_batch_and_several_batch_axes():
    pooling = AttentionPooling((W, B), QUERY, foveate.Mode(combine="product"))
    every = pooling(X)
    assert every.shape == X.shape
    assert np.array_equal(pooling(X[2]), every[2])
    assert np.array_equal(pooling(X.reshape(2, 2, 5, 2)).reshape(X.shape), every)


def test_mask():
    pooling = AttentionPooling((W, B), QUERY)
    mask = np.arange(5) < np.array([[5], [3], [1], [0]])
    poisoned = np.where(mask[..., None], X, np.nan)
    result = pooling(poisoned, mask=mask, return_weights=True)
    for i, n in enumerate((5, 3, 1)):
        np.testing.assert_allclose(result.output[i], pooling(X[i, :n]), rtol=0, atol=1e-14)
    assert not result.output[3].any()
    assert not result.weights[~mask].any()
    shared = pooling(X, mask=mask[1])
    np.testing.assert_allclose(shared[1], result.output[1], rtol=0, atol=1e-14)


class TestRefusals:
    def test_features(self):
        with pytest.raises(TypeError, match=r"features must be a pair \(W, b\) or a callable, got str"):
            AttentionPooling("affine", QUERY)
        with pytest.raises(ValueError, match=r"W must have at most 2 axes, got shape \(1, 2, 3\)"):
            AttentionPooling((W[None], B), QUERY)
        with pytest.raises(ValueError, match=r"W must have a row for each column of x, got \(3, 2\)"):
            AttentionPooling((W.T, 0.0), QUERY)(X)
        with pytest.raises(ValueError, match="features must be one vector or number for each item"):
            AttentionPooling(lambda x: x[:, :2], QUERY)(X)
        with pytest.raises(TypeError, match=r"features\(x\) must be float32"):
            AttentionPooling(lambda x: x > 0.0, QUERY[:2])(X)

    def test_query_that_does_not_fit(self):
        with pytest.raises(ValueError, match="head_dim of query, 2, got 3"):
            AttentionPooling((W, B), QUERY[:2])(X)
        with pytest.raises(ValueError, match="query must have at most 1 axes"):
            AttentionPooling((W, B), W)

    @pytest.mark.parametrize("options", [{"causal": True}, {"window": (1, 1)}, {"layout": "blhd"}])
    def test_modes_with_positions(self, options):
        with pytest.raises(ValueError, match="mode must have no causal, window or layout"):
            AttentionPooling((W, B), QUERY, foveate.Mode(**options))

    def test_no_mode(self):
        with pytest.raises(TypeError, match=r"mode must be a foveate\.Mode, got 'softmax'"):
            AttentionPooling((W, B), QUERY, "softmax")

    def test_items(self):
        pooling = AttentionPooling((W, B), QUERY)
        with pytest.raises(TypeError, match="x must be float32"):
            pooling([[1, 2], [2, 3]])
        with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., L, F\), got shape \(2,\)"):
            pooling(np.ones(2))
        with pytest.raises(TypeError, match="mask must be bool"):
            pooling(X, mask=np.ones(5))
