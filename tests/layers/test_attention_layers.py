"""Attention and AdditiveAttention against Keras' formulas, written out in float64."""

import numpy as np
import pytest

from foveate.layers import AdditiveAttention, Attention

# f64: some hundred roundings of numbers around 1, u = 2^-53. f32: what issue and docs promise against Keras.
TOLERANCE = {"float64": 1e-13, "float32": 1e-5}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
SCALE, CONCAT = 0.7, -1.3


def inputs(dtype, with_key=True, kv_len=7, value_dim=5):
    rng = np.random.default_rng(1)
    shapes = [(3, 4, 6), (3, kv_len, value_dim), (3, kv_len, 6)]
    return [rng.standard_normal(shape).astype(dtype) for shape in (shapes if with_key else shapes[:1] * 2)]


def softmax(logits, attended=True):
    exps = np.exp(np.where(attended, logits, -np.inf))
    return exps / exps.sum(axis=-1, keepdims=True)


def expected(arrays, score, attended=True):
    query, value, *key = (array.astype(np.float64) for array in arrays)
    key = key[0] if key else value
    weights = softmax(score(query[:, :, None, :], key[:, None, :, :]), attended)
    return np.einsum("bqk,bkd->bqd", weights, value), weights


def dot(q, k, scale=1.0):
    return scale * np.sum(q * k, axis=-1)


def concat(q, k, scale=1.0, weight=1.0):
    return weight * np.sum(np.tanh(scale * (q + k)), axis=-1)


def additive(q, k, scale):
    return np.sum(scale * np.tanh(q + k), axis=-1)


def check(actual, arrays, score, attended=True):
    """Output and weights, in the dtype of the inputs."""
    dtype = arrays[0].dtype
    for array, exact in zip(actual, expected(arrays, score, attended), strict=True):
        assert array.dtype == dtype
        np.testing.assert_allclose(array, exact, rtol=0, atol=TOLERANCE[dtype.name])


@each_dtype
@pytest.mark.parametrize("with_key", [True, False])
class TestScores:
    def test_dot(self, dtype, with_key):
        arrays = inputs(dtype, with_key)
        check(Attention(dtype=dtype)(arrays, return_attention_scores=True), arrays, dot)

    def test_scaled_dot(self, dtype, with_key):
        arrays, layer = inputs(dtype, with_key), Attention(use_scale=True, dtype=dtype)
        layer.set_weights([np.array(SCALE)])
        check(layer(arrays, return_attention_scores=True), arrays, lambda q, k: dot(q, k, SCALE))

    def test_concat(self, dtype, with_key):
        arrays, layer = inputs(dtype, with_key), Attention(score_mode="concat", dtype=dtype)
        layer.set_weights([np.array(CONCAT)])
        result = layer(arrays, return_attention_scores=True)
        check(result, arrays, lambda q, k: concat(q, k, weight=CONCAT))

    def test_scaled_concat(self, dtype, with_key):
        arrays = inputs(dtype, with_key)
        layer = Attention(use_scale=True, score_mode="concat", dtype=dtype)
        layer.set_weights([np.array(SCALE), np.array(CONCAT)])
        result = layer(arrays, return_attention_scores=True)
        check(result, arrays, lambda q, k: concat(q, k, SCALE, CONCAT))

    def test_additive(self, dtype, with_key):
        arrays, layer = inputs(dtype, with_key), AdditiveAttention(seed=4, dtype=dtype)
        result = layer(arrays, return_attention_scores=True)
        scale = layer.get_weights()[0].astype(np.float64)
        assert np.ptp(scale) > 0.1
        check(result, arrays, lambda q, k: additive(q, k, scale))

    def test_additive_without_scale(self, dtype, with_key):
        arrays, layer = inputs(dtype, with_key), AdditiveAttention(use_scale=False, dtype=dtype)
        check(layer(arrays, return_attention_scores=True), arrays, lambda q, k: additive(q, k, 1.0))
        assert layer.get_weights() == []


@pytest.mark.parametrize("layer_class", [Attention, AdditiveAttention])
class TestMasks:
    QUERY = np.array([[True, False, True, True]] * 2 + [[False, True, True, False]])
    VALUE = np.arange(7) < np.array([[7], [4], [1]])

    def score(self, layer):
        scale = layer.get_weights()[0] if isinstance(layer, AdditiveAttention) else None
        return dot if scale is None else (lambda q, k: additive(q, k, scale))

    def test_value_mask(self, layer_class):
        arrays, layer = inputs("float64"), layer_class(dtype="float64", seed=1)
        result = layer(arrays, mask=[None, self.VALUE], return_attention_scores=True)
        check(result, arrays, self.score(layer), self.VALUE[:, None, :])

    def test_integers_are_masks_as_in_keras(self, layer_class):
        arrays, layer = inputs("float64"), layer_class(dtype="float64", seed=1)
        result = layer(arrays, mask=[None, self.VALUE.astype(np.int32) * 2], return_attention_scores=True)
        check(result, arrays, self.score(layer), self.VALUE[:, None, :])

    def test_causal_mask(self, layer_class):
        arrays, layer = inputs("float64"), layer_class(dtype="float64", seed=1)
        result = layer(arrays, use_causal_mask=True, return_attention_scores=True)
        check(result, arrays, self.score(layer), np.tri(4, 7, dtype=bool))

    def test_query_mask_zeroes_rows_of_the_output_only(self, layer_class):
        arrays, layer = inputs("float64"), layer_class(dtype="float64", seed=1)
        output, weights = layer(arrays, mask=[self.QUERY, self.VALUE], return_attention_scores=True)
        exact, exact_weights = expected(arrays, self.score(layer), self.VALUE[:, None, :])
        assert not output[~self.QUERY].any()
        np.testing.assert_allclose(output[self.QUERY], exact[self.QUERY], rtol=0, atol=1e-13)
        np.testing.assert_allclose(weights, exact_weights, rtol=0, atol=1e-13)

    def test_all_masks_at_once(self, layer_class):
        arrays, layer = inputs("float64"), layer_class(dtype="float64", seed=1)
        output = layer(arrays, [self.QUERY, self.VALUE], use_causal_mask=True)
        seen = self.VALUE[:, None, :] & np.tri(4, 7, dtype=bool)
        exact = expected(arrays, self.score(layer), seen)[0] * self.QUERY[..., None]
        np.testing.assert_allclose(output, exact, rtol=0, atol=1e-13)

    def test_fully_masked_is_zero_even_with_nan_values(self, layer_class):
        arrays, layer = inputs("float32"), layer_class(seed=1)
        arrays[1][0] = np.nan
        value_mask = np.ones((3, 7), bool)
        value_mask[0] = False
        output, weights = layer(arrays, [None, value_mask], return_attention_scores=True)
        assert not output[0].any()
        assert not weights[0].any()
        assert np.isfinite(output).all()
        assert output[1:].any()

    def test_refusals(self, layer_class):
        arrays, layer = inputs("float32"), layer_class()
        with pytest.raises(ValueError, match=r"value_mask must have shape \(3, 7\), got \(3, 4\)"):
            layer(arrays, mask=[None, self.QUERY])
        with pytest.raises(ValueError, match=r"mask must be a list \[query_mask, value_mask\]"):
            layer(arrays, mask=self.VALUE)
        with pytest.raises(TypeError, match=r"query_mask must be bool .* got float64"):
            layer(arrays, mask=[np.ones((3, 4)), None])


@each_dtype
def test_published_example_of_keras(dtype):
    query, key = np.eye(2), np.eye(2)[::-1]
    value = np.array([[1.0, 2.0], [3.0, 4.0]])
    output = Attention(dtype=dtype)([query, value, key])
    assert output.dtype == dtype
    np.testing.assert_allclose(output, [[2.462, 3.462], [1.538, 2.538]], rtol=0, atol=5e-4)
    output = AdditiveAttention(use_scale=False, dtype=dtype)([query, value, key])
    np.testing.assert_allclose(output, [[1.727, 2.727], [2.272, 3.272]], rtol=0, atol=1e-3)  # 2.2725 cut


def test_any_number_of_batch_axes():
    query, value, key = inputs("float64")
    layer = Attention(dtype="float64")
    both = layer([query, value, key])
    one = layer([query[1], value[1], key[1]])
    assert one.shape == (4, 5)
    assert np.array_equal(one, both[1])
    four_axes = layer([x.reshape(3, 1, *x.shape[1:]) for x in (query, value, key)])
    assert np.array_equal(four_axes[:, 0], both)


def test_inputs_are_cast_to_the_dtype_of_the_layer():
    arrays = inputs("float64")
    layer = Attention()
    assert layer(arrays).dtype == np.float32
    assert np.array_equal(layer(arrays), layer([x.astype(np.float32) for x in arrays]))
    with pytest.raises(TypeError, match="query must be float32"):
        layer([np.ones((3, 4, 6), np.int64), *arrays[1:]])


def test_inputs_are_left_as_they_are():
    arrays = inputs("float32")
    before = [array.copy() for array in arrays]
    layer = Attention(use_scale=True, score_mode="concat")
    layer.set_weights([np.array(SCALE), np.array(CONCAT)])
    layer(arrays, [TestMasks.QUERY, TestMasks.VALUE])
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))


class TestRefusals:
    def test_one_tensor_as_in_the_article(self):
        with pytest.raises(ValueError, match=r"inputs must be a list \[query, value\].* got ndarray"):
            Attention()(np.ones((1, 2, 3)))

    def test_a_list_of_one(self):
        with pytest.raises(ValueError, match="got 1 of them"):
            Attention()([np.ones((1, 2, 3))])

    def test_a_vector(self):
        with pytest.raises(
            ValueError, match=r"query must have shape \(\.\.\., length, dim\), got shape \(3,\)"
        ):
            Attention()([np.ones(3), np.ones((2, 3))])

    def test_unknown_score_mode(self):
        with pytest.raises(ValueError, match="score_mode must be one of 'dot', 'concat'"):
            Attention(score_mode="additive")

    def test_arguments_of_the_wrong_type(self):
        with pytest.raises(TypeError, match="use_scale must be True or False, got 1"):
            Attention(use_scale=1)
        with pytest.raises(TypeError, match="use_causal_mask must be True or False"):
            Attention()([np.ones((2, 3))] * 2, use_causal_mask="top_left")
        with pytest.raises(TypeError, match="dtype must be float32 or float64, got float16"):
            Attention(dtype="float16")

    def test_other_columns_than_built_for(self):
        layer = AdditiveAttention()
        layer([np.ones((2, 3))] * 2)
        with pytest.raises(ValueError, match="v must have a weight for each column of the sum, 4"):
            layer([np.ones((2, 4))] * 2)
