"""How layers hold weights: when they are made, from what, in which order, and what is refused."""

import math

import numpy as np
import pytest

from foveate.layers import AdditiveAttention, Attention, GroupQueryAttention, MultiHeadAttention

X = np.random.default_rng(0).standard_normal((2, 5, 6)).astype(np.float32)


def names_and_shapes(layer):
    return {name: array.shape for name, array in zip(layer.weight_names, layer.get_weights(), strict=True)}


def test_built_by_the_first_call():
    layer = MultiHeadAttention(2, 4)
    assert not layer.built
    assert layer.weights == []
    layer(X, X)
    assert layer.built
    assert len(layer.weights) == 8


def test_order_and_shapes_of_multi_head():
    layer = MultiHeadAttention(2, 4, value_dim=3, output_shape=(7, 2), use_gate=True)
    layer.build((None, None, 6), (None, None, 8), (None, None, 9))
    assert names_and_shapes(layer) == {
        "query/kernel": (6, 2, 4),
        "query/bias": (2, 4),
        "key/kernel": (9, 2, 4),
        "key/bias": (2, 4),
        "gate/kernel": (6, 2, 3),
        "gate/bias": (2, 3),
        "value/kernel": (8, 2, 3),
        "value/bias": (2, 3),
        "attention_output/kernel": (2, 3, 7, 2),
        "attention_output/bias": (7, 2),
    }


def test_order_and_shapes_of_group_query():
    layer = GroupQueryAttention(4, 6, 2, use_bias=False)
    layer.build((None, None, 6), (None, None, 8))
    assert names_and_shapes(layer) == {
        "query/kernel": (6, 6, 4),
        "key/kernel": (8, 2, 4),
        "value/kernel": (8, 2, 4),
        "attention_output/kernel": (6, 4, 6),
    }


def test_order_and_shapes_of_attention():
    layer = Attention(use_scale=True, score_mode="concat")
    layer.build([(None, 3, 6)] * 2)
    assert names_and_shapes(layer) == {"scale": (), "concat_score_weight": ()}
    assert layer.get_weights() == [1.0, 1.0]
    additive = AdditiveAttention()
    additive.build([(None, 3, 6)] * 2)
    assert names_and_shapes(additive) == {"scale": (6,)}


@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (MultiHeadAttention(8, 16, output_shape=48, seed=3), [64 + 128] * 3 + [128 + 48]),
        (GroupQueryAttention(16, 8, 2, seed=3), [64 + 128, 64 + 32, 64 + 32, 128 + 64]),
    ],
    ids=["multi_head", "group_query"],
)
def test_kernels_are_glorot_uniform_and_biases_zero(layer, fans):
    """Keras' fans are those of the whole projection: 64 columns to 8 heads of 16 are 64 to 128."""
    layer.build((None, None, 64), (None, None, 64))
    kernels, biases = layer.weights[::2], layer.weights[1::2]
    assert not any(bias.any() for bias in biases)
    for kernel, fan in zip(kernels, fans, strict=True):
        limit = math.sqrt(6.0 / fan)
        assert np.abs(kernel).max() <= limit
        # the largest of n >= 2048 uniform numbers is below 0.98 of the limit with probability 0.98^n < 1e-17
        assert np.abs(kernel).max() > 0.98 * limit
        # a uniform variable has variance limit^2 / 3; five standard deviations of the estimate over n numbers
        spread = 5 * math.sqrt(4 / 45 / kernel.size)
        assert abs(kernel.astype(np.float64).var() / limit**2 - 1 / 3) < spread


def test_vector_has_its_length_for_both_fans():
    layer = AdditiveAttention(seed=5)
    layer.build([(None, 3, 4096)] * 2)
    limit = math.sqrt(6.0 / (2 * 4096))
    assert 0.98 * limit < np.abs(layer.weights[0]).max() <= limit


def test_seed():
    first, same, other = (MultiHeadAttention(2, 4, seed=seed) for seed in (1, 1, 2))
    outputs = [layer(X, X) for layer in (first, same, other)]
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])
    wide = MultiHeadAttention(2, 4, seed=1, dtype="float64")
    wide.build(X.shape, X.shape)
    for a, b in zip(first.weights, wide.weights, strict=True):
        assert (a.dtype, b.dtype) == (np.float32, np.float64)
        assert np.array_equal(a, b.astype(np.float32))


def test_initializers():
    layer = MultiHeadAttention(2, 4, kernel_initializer="zeros", bias_initializer="ones")
    assert np.array_equal(layer(X, X), np.ones_like(X))


def test_weights_are_read_only_and_copied():
    layer = MultiHeadAttention(2, 4, seed=0)
    before = layer(X, X)
    with pytest.raises(ValueError, match="read-only"):
        layer.weights[0][...] = 0.0
    got = layer.get_weights()
    got[0][...] = 0.0
    assert np.array_equal(layer(X, X), before)
    layer.set_weights(got)
    got[2][...] = 0.0
    after = layer(X, X)
    assert not np.array_equal(after, before)
    layer.set_weights(layer.get_weights())
    assert np.array_equal(layer(X, X), after)


def test_new_weights_of_additive_attention_take_effect():
    layer = AdditiveAttention(seed=0)
    before = layer([X, X])
    layer.set_weights([np.full(6, 9.0)])
    after = layer([X, X])
    assert not np.allclose(before, after, rtol=0, atol=1e-2)


@pytest.mark.parametrize("use_gate", [False, True])
@pytest.mark.parametrize("use_bias", [False, True])
def test_weights_build_a_layer_that_was_not_called(use_bias, use_gate):
    def make(seed):
        return MultiHeadAttention(2, 4, 3, use_bias=use_bias, use_gate=use_gate, output_shape=5, seed=seed)

    trained, fresh = make(1), make(2)
    value, key = np.ones((2, 3, 7), np.float32), X[:, :3, :2]
    expected = trained(X, value, key)
    fresh.set_weights(trained.get_weights())
    assert np.array_equal(fresh(X, value, key), expected)


class TestRefusals:
    def test_another_number(self):
        layer = Attention(use_scale=True)
        with pytest.raises(ValueError, match=r"weights of Attention must be \[scale \(\)\], got 0 arrays"):
            layer.set_weights([])
        assert not layer.built

    @pytest.mark.parametrize("built", [False, True])
    def test_another_shape(self, built):
        layer = MultiHeadAttention(2, 4, name="mha", seed=0)
        if built:
            layer(X, X)
        wrong = MultiHeadAttention(2, 5, seed=0)
        wrong.build(X.shape, X.shape)
        with pytest.raises(ValueError, match=r"weights of mha must be \[query/kernel \(6, 2, 4\), "):
            layer.set_weights(wrong.get_weights())
        assert layer.built == built
        assert layer(X, X).shape == X.shape

    def test_no_kernel_at_all(self):
        with pytest.raises(ValueError, match=r"must begin with query/kernel .* got \[\(\)\]"):
            MultiHeadAttention(2, 4).set_weights([np.array(1.0)])

    def test_integers(self):
        with pytest.raises(TypeError, match=r"weights\[0\] must be float32"):
            Attention(use_scale=True).set_weights([np.array(1)])

    def test_unknown_sizes(self):
        with pytest.raises(ValueError, match="value_shape must say the last axis"):
            MultiHeadAttention(2, 4).build((None, None, 6), (None, None, None))
        with pytest.raises(ValueError, match="input_shape must say the last axis of query"):
            AdditiveAttention().build([(None, None)] * 2)

    def test_unknown_initializer(self):
        with pytest.raises(
            ValueError, match="kernel_initializer must be one of 'glorot_uniform', 'ones', 'z"
        ):
            MultiHeadAttention(2, 4, kernel_initializer="he_normal")


@pytest.mark.parametrize("layer", [Attention(dropout=0.5), MultiHeadAttention(2, 4, dropout=0.5, seed=0)])
def test_dropout_does_nothing_in_inference_and_is_refused_in_training(layer):
    call = (
        (lambda **o: layer([X, X], **o)) if isinstance(layer, Attention) else (lambda **o: layer(X, X, **o))
    )
    without = Attention() if isinstance(layer, Attention) else MultiHeadAttention(2, 4, seed=0)
    plain = without([X, X]) if isinstance(layer, Attention) else without(X, X)
    assert np.array_equal(call(), plain)
    assert np.array_equal(call(training=False), plain)
    with pytest.raises(ValueError, match=r"training must be False with dropout 0\.5"):
        call(training=True)
    with pytest.raises(ValueError, match=r"dropout must be a number from 0 to 1, got 1\.5"):
        Attention(dropout=1.5)
