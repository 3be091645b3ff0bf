"""MultiHeadAttention and GroupQueryAttention against the formula, written out in float64."""

import numpy as np
import pytest

from foveate.layers import GroupQueryAttention, MultiHeadAttention

# f64: some hundred roundings of numbers up to 10, u = 2^-53. f32: what issue and docs promise against Keras.
TOLERANCE = {"float64": 1e-13, "float32": 1e-5}
Q_LEN, KV_LEN = 5, 7


def inputs(dtype="float64"):
    rng = np.random.default_rng(2)
    return [
        rng.standard_normal((3, n, dim)).astype(dtype) for n, dim in ((Q_LEN, 6), (KV_LEN, 8), (KV_LEN, 4))
    ]


def random_weights(layer, arrays, seed=3):
    """Biases as well, which start as zeros."""
    layer.build(arrays[0].shape, arrays[1].shape, arrays[2].shape if len(arrays) > 2 else None)
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(-0.5, 0.5, weight.shape) for weight in layer.weights])


def expected(layer, arrays, attended=True):
    query, value, *key = (array.astype(np.float64) for array in arrays)
    named = dict(zip(layer.weight_names, layer.get_weights(), strict=True))

    def project(name, x, equation="bld,dhe->blhe"):
        kernel = named[f"{name}/kernel"].astype(np.float64)
        return np.einsum(equation, x, kernel) + named.get(f"{name}/bias", 0.0)

    q, k, v = project("query", query), project("key", key[0] if key else value), project("value", value)
    groups = q.shape[2] // k.shape[2]
    k, v = (np.repeat(x, groups, axis=2) for x in (k, v))
    logits = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1])
    weights = np.exp(np.where(attended, logits, -np.inf))
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total == 0.0, 1.0, total)
    heads = np.einsum("bhqk,bkhd->bqhd", weights, v)
    if layer.use_gate:
        heads = heads / (1.0 + np.exp(-project("gate", query)))
    shape = named["attention_output/kernel"].shape[2:]
    equation = "blhe,heo->blo" if len(shape) == 1 else "blhe,heop->blop"
    return project("attention_output", heads, equation), weights


def check(layer, arrays, attended=True, **options):
    dtype = arrays[0].dtype
    query, value, *key = arrays
    actual = layer(query, value, *key, **options, return_attention_scores=True)
    for array, exact in zip(actual, expected(layer, arrays, attended), strict=True):
        assert array.dtype == dtype
        assert array.shape == exact.shape
        np.testing.assert_allclose(array, exact, rtol=0, atol=TOLERANCE[dtype.name])
    assert np.array_equal(layer(query, value, *key, **options), actual[0])


LAYERS = {
    "multi_head": lambda **o: MultiHeadAttention(3, 4, **o),
    "value_dim": lambda **o: MultiHeadAttention(2, 5, value_dim=3, **o),
    "output_shape": lambda **o: MultiHeadAttention(2, 4, output_shape=5, **o),
    "output_matrix": lambda **o: MultiHeadAttention(2, 4, output_shape=(3, 2), **o),
    "no_bias": lambda **o: MultiHeadAttention(2, 4, use_bias=False, **o),
    "gate": lambda **o: MultiHeadAttention(2, 4, value_dim=3, use_gate=True, **o),
    "grouped": lambda **o: GroupQueryAttention(4, 6, 2, **o),
    "multi_query": lambda **o: GroupQueryAttention(4, 3, 1, use_bias=False, **o),
    "grouped_gate": lambda **o: GroupQueryAttention(4, 4, 2, use_gate=True, **o),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("with_key", [True, False])
def test_formula(make, dtype, with_key):
    layer, arrays = make(dtype=dtype), inputs(dtype)[: 3 if with_key else 2]
    random_weights(layer, arrays)
    check(layer, arrays)


@pytest.mark.parametrize("make", [LAYERS["multi_head"], LAYERS["grouped"]], ids=["multi_head", "grouped"])
class TestMasks:
    VALUE = np.arange(KV_LEN) < np.array([[7], [4], [1]])
    KEY = np.arange(KV_LEN) != np.array([[0], [1], [2]])
    QUERY = np.array([[True, False, True, True, False]] * 3)
    PAIRS = np.random.default_rng(9).random((3, Q_LEN, KV_LEN)) < 0.7

    def layer(self, make, **options):
        layer = make(dtype="float64", **options)
        random_weights(layer, inputs())
        return layer

    def test_value_and_key_mask(self, make):
        seen = (self.VALUE & self.KEY)[:, None, None, :]
        check(self.layer(make), inputs(), seen, value_mask=self.VALUE, key_mask=self.KEY)

    def test_query_mask_leaves_the_last_bias(self, make):
        layer = self.layer(make)
        check(layer, inputs(), self.QUERY[:, None, :, None], query_mask=self.QUERY)
        output = layer(*inputs(), query_mask=self.QUERY)
        assert np.array_equal(output[~self.QUERY], np.broadcast_to(layer.weights[-1], (6, 6)))

    @pytest.mark.parametrize("n_axes", [2, 3, 4])
    def test_attention_mask(self, make, n_axes):
        layer = self.layer(make)
        n_heads = layer.weights[0].shape[1]
        per_head = np.random.default_rng(8).random((3, n_heads, Q_LEN, KV_LEN)) < 0.7
        mask, seen = {
            2: (self.PAIRS[0], self.PAIRS[0]),
            3: (self.PAIRS, self.PAIRS[:, None]),
            4: (per_head, per_head),
        }[n_axes]
        check(layer, inputs(), seen, attention_mask=mask)
        check(layer, inputs(), seen, attention_mask=mask.astype(np.uint8))

    def test_causal_mask(self, make):
        check(self.layer(make), inputs(), np.tri(Q_LEN, KV_LEN, dtype=bool), use_causal_mask=True)

    @pytest.mark.parametrize("causal", [False, True])
    @pytest.mark.parametrize("width", [1, 3])
    def test_sliding_window(self, make, width, causal):
        distance = np.arange(KV_LEN) - np.arange(Q_LEN)[:, None]
        seen = (np.abs(distance) < width) & ((distance <= 0) | (not causal))
        check(self.layer(make, sliding_window=width), inputs(), seen, use_causal_mask=causal)

    def test_all_masks_at_once(self, make):
        seen = (self.VALUE & self.KEY)[:, None, None, :] & self.QUERY[:, None, :, None] & self.PAIRS[:, None]
        seen = seen & np.tri(Q_LEN, KV_LEN, dtype=bool)
        masks = {"query_mask": self.QUERY, "value_mask": self.VALUE, "key_mask": self.KEY}
        check(self.layer(make), inputs(), seen, **masks, attention_mask=self.PAIRS, use_causal_mask=True)

    def test_masked_nan_does_not_reach_the_output(self, make):
        layer, arrays = self.layer(make), inputs()
        clean = layer(*arrays, value_mask=self.VALUE)
        for array in arrays[1:]:
            array[~self.VALUE] = np.nan
        assert np.array_equal(layer(*arrays, value_mask=self.VALUE), clean)

    def test_refusals(self, make):
        layer = self.layer(make)
        with pytest.raises(ValueError, match=r"key_mask must have shape \(3, 7\), got \(3, 5\)"):
            layer(*inputs(), key_mask=self.QUERY)
        with pytest.raises(ValueError, match=r"attention_mask must have shape \(T, S\).* got shape \(7,\)"):
            layer(*inputs(), attention_mask=np.ones(7, bool))
        with pytest.raises(ValueError, match=r"attention_mask .* \(3, \d, 5, 7\), got shape \(3, 7, 5\)"):
            layer(*inputs(), attention_mask=self.PAIRS.swapaxes(1, 2), value_mask=self.VALUE)
        with pytest.raises(TypeError, match=r"attention_mask must be bool .* got float64"):
            layer(*inputs(), attention_mask=np.zeros((Q_LEN, KV_LEN)))


class TestRefusals:
    def test_axes(self):
        for axes in (2, (1, 2), (-1,)):
            with pytest.raises(ValueError, match="attention_axes must be None"):
                MultiHeadAttention(2, 4, attention_axes=axes)
        layer = MultiHeadAttention(2, 4, attention_axes=(1,), seed=0)
        x = inputs("float32")[0]
        assert np.array_equal(layer(x, x), MultiHeadAttention(2, 4, seed=0)(x, x))
        with pytest.raises(ValueError, match=r"query must have shape \(batch, length, dim\)"):
            layer(x[None], x[None])

    def test_sizes(self):
        with pytest.raises(ValueError, match="num_heads must be an int >= 1, got 0"):
            MultiHeadAttention(0, 4)
        with pytest.raises(TypeError, match=r"key_dim must be an int >= 1, got 4\.0"):
            MultiHeadAttention(2, 4.0)
        with pytest.raises(TypeError, match="output_shape must be an int >= 1, got 'a'"):
            MultiHeadAttention(2, 4, output_shape="a")
        with pytest.raises(
            ValueError, match="num_query_heads must be a multiple of num_key_value_heads, got 5"
        ):
            GroupQueryAttention(4, 5, 2)
        with pytest.raises(ValueError, match="sliding_window must be an int >= 1, got 0"):
            GroupQueryAttention(4, 4, 2, sliding_window=0)

    def test_other_columns_than_built_for(self):
        layer = MultiHeadAttention(2, 4, name="encoder")
        query, value, _ = inputs("float32")
        layer(query, value)
        with pytest.raises(ValueError, match="value must have 8 columns, as encoder was built for"):
            layer(query, query, value)
