"""foveate.layers against the layers of Keras whose weights they load."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from foveate import layers

INSTALL = "see tests/peers/requirements.txt"
os.environ.setdefault("KERAS_BACKEND", "torch")  # read when Keras is imported
pytest.importorskip(os.environ["KERAS_BACKEND"], reason=f"needs a backend of Keras: {INSTALL}")
keras = pytest.importorskip("keras", reason=f"needs Keras: {INSTALL}")

pytestmark = [
    pytest.mark.peers,  # the second: Keras on torch and NumPy 2, not ours
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

AGREES = 1e-5  # of numbers around 1, both sides in float32
EXAMPLE = Path(__file__).parents[2] / "examples" / "article_model.py"


def to_numpy(tensors):
    if isinstance(tensors, list | tuple):
        return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]
    return keras.ops.convert_to_numpy(tensors)


def randomise(layer, seed=5):
    """Numbers for all weights of a built Keras layer: its scales start as ones and its biases as zeros."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(-0.7, 0.7, w.shape).astype(np.float32) for w in layer.get_weights()])


def agree(ours, theirs):
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=AGREES)


# ----- Attention, AdditiveAttention

RNG = np.random.default_rng(3)
QUERY = RNG.standard_normal((3, 5, 8)).astype(np.float32)
VALUE = RNG.standard_normal((3, 7, 8)).astype(np.float32)
KEY = RNG.standard_normal((3, 7, 8)).astype(np.float32)
QUERY_MASK = np.array([[True, False, True, True, False]] * 3)
VALUE_MASK = np.arange(7) < np.array([[7], [4], [1]])

PLAIN = {
    "dot": ("Attention", {}),
    "scaled_dot": ("Attention", {"use_scale": True}),
    "concat": ("Attention", {"score_mode": "concat"}),
    "scaled_concat": ("Attention", {"score_mode": "concat", "use_scale": True}),
    "dropout": ("Attention", {"use_scale": True, "dropout": 0.5, "seed": 1}),
    "additive": ("AdditiveAttention", {}),
    "unscaled_additive": ("AdditiveAttention", {"use_scale": False}),
    "additive_dropout": ("AdditiveAttention", {"dropout": 0.3}),
}


@pytest.mark.parametrize(("name", "options"), PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("inputs", [[QUERY, VALUE], [QUERY, VALUE, KEY]], ids=["value", "key"])
@pytest.mark.parametrize("causal", [False, True], ids=["open", "causal"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_attention(name, options, inputs, causal, masked):
    theirs = getattr(keras.layers, name)(**options)
    theirs.build([array.shape for array in inputs])
    randomise(theirs)
    ours = getattr(layers, name)(**options)
    ours.set_weights(theirs.get_weights())
    mask = [QUERY_MASK, VALUE_MASK] if masked else None
    call = {"mask": mask, "use_causal_mask": causal, "return_attention_scores": True}
    for one, other in zip(ours(inputs, **call), to_numpy(theirs(inputs, **call)), strict=True):
        agree(one, other)


# ----- MultiHeadAttention, GroupQueryAttention

PROJECTED = {
    "multi_head": ("MultiHeadAttention", {"num_heads": 4, "key_dim": 6}),
    "value_dim": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 6, "value_dim": 3}),
    "no_bias": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 6, "use_bias": False}),
    "output_shape": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 6, "output_shape": 5}),
    "output_matrix": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 6, "output_shape": (3, 2)}),
    "multi_head_gate": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 6, "use_gate": True}),
    "multi_head_window": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 6, "sliding_window": 3}),
    "dropout": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 6, "dropout": 0.5}),
    "grouped": ("GroupQueryAttention", {"head_dim": 6, "num_query_heads": 6, "num_key_value_heads": 2}),
    "multi_query": (
        "GroupQueryAttention",
        {"head_dim": 6, "num_query_heads": 3, "num_key_value_heads": 1, "use_bias": False},
    ),
    "grouped_gate": (
        "GroupQueryAttention",
        {"head_dim": 6, "num_query_heads": 4, "num_key_value_heads": 2, "use_gate": True},
    ),
    "grouped_window": (
        "GroupQueryAttention",
        {"head_dim": 6, "num_query_heads": 4, "num_key_value_heads": 2, "sliding_window": 2},
    ),
}
PAIRS = np.random.default_rng(4).random((3, 5, 7)) < 0.6
PAIRS[..., 0] = True  # no row without a key: there Keras and foveate differ
KEY_MASK = np.arange(7) != np.array([[1], [2], [3]])
MASKS = {
    "unmasked": {},
    "causal": {"use_causal_mask": True},
    "value_mask": {"value_mask": VALUE_MASK},
    "attention_mask": {"attention_mask": PAIRS},
    "attention_mask_for_all": {"attention_mask": PAIRS[0]},
    "all": {
        "value_mask": VALUE_MASK,
        "key_mask": KEY_MASK,
        "attention_mask": PAIRS,
        "use_causal_mask": True,
    },
}


def pair_of_layers(name, options, arrays):
    theirs = getattr(keras.layers, name)(**options)
    theirs(*arrays)
    randomise(theirs)
    ours = getattr(layers, name)(**options)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


# a window and a mask of values together leave rows without a key, too
CASES = [
    pytest.param(*PROJECTED[layer], MASKS[mask], id=f"{layer}-{mask}")
    for layer in PROJECTED
    for mask in MASKS
    if not ("window" in layer and "value_mask" in MASKS[mask])
]


@pytest.mark.parametrize(("name", "options", "masks"), CASES)
@pytest.mark.parametrize("with_key", [False, True], ids=["value", "key"])
def test_projected(name, options, masks, with_key):
    arrays = [QUERY, VALUE, KEY[..., :4]][: 3 if with_key else 2]
    ours, theirs = pair_of_layers(name, options, arrays)
    agree(ours(*arrays, **masks), to_numpy(theirs(*arrays, **masks)))
    both = ours(*arrays, **masks, return_attention_scores=True)
    for one, other in zip(
        both, to_numpy(theirs(*arrays, **masks, return_attention_scores=True)), strict=True
    ):
        agree(one, other)


@pytest.mark.parametrize("name", ["multi_head", "grouped", "grouped_gate"])
def test_weights_have_the_names_of_keras(name):
    ours, theirs = pair_of_layers(*PROJECTED[name], [QUERY, VALUE])
    assert ours.weight_names == [weight.path.split("/", 1)[1] for weight in theirs.weights]
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    theirs.set_weights(ours.get_weights())
    agree(ours(QUERY, VALUE), to_numpy(theirs(QUERY, VALUE)))


def test_initial_weights_have_the_range_of_keras():
    """Both uniform up to the same limit: the maxima of 2 x 10^4 draws differ by less than a thousandth."""
    for name, options in (
        ("MultiHeadAttention", {"num_heads": 8, "key_dim": 32, "output_shape": 80}),
        ("GroupQueryAttention", {"head_dim": 32, "num_query_heads": 8, "num_key_value_heads": 4}),
    ):
        theirs, ours = getattr(keras.layers, name)(**options), getattr(layers, name)(**options, seed=1)
        shapes = (1, 2, 96), (1, 2, 160)
        theirs.build(*shapes)
        ours.build(*shapes)
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(np.abs(one).max(), np.abs(other).max(), rtol=2e-3)


# ----- where they differ: the table of docs/layers.md


class TestDifferences:
    NO_KEY = np.array([[True], [False], [True]]) & np.ones(7, bool)

    def test_fully_masked_rows_of_attention(self):
        """Keras subtracts 1e9, beside which these logits are rounded away: the mean of the values."""
        mask = [None, self.NO_KEY]
        theirs = to_numpy(keras.layers.Attention()([QUERY, VALUE], mask=mask))
        ours = layers.Attention()([QUERY, VALUE], mask=mask)
        agree(ours[[0, 2]], theirs[[0, 2]])
        assert not ours[1].any()
        np.testing.assert_allclose(theirs[1], np.broadcast_to(VALUE[1].mean(axis=0), (5, 8)), atol=AGREES)

    def test_fully_masked_rows_of_multi_head_attention(self):
        """Keras answers in two ways, one with scores and one without; here they are the last bias."""
        ours, theirs = pair_of_layers(*PROJECTED["multi_head"], [QUERY, VALUE])
        mask = {"attention_mask": np.broadcast_to(self.NO_KEY[:, None, :], (3, 5, 7))}
        fused = to_numpy(theirs(QUERY, VALUE, **mask))
        explicit, _ = to_numpy(theirs(QUERY, VALUE, **mask, return_attention_scores=True))
        assert np.abs(fused[1] - explicit[1]).max() > 0.01
        output = ours(QUERY, VALUE, **mask)
        agree(output[[0, 2]], fused[[0, 2]])
        assert np.array_equal(output[1], np.broadcast_to(ours.weights[-1], (5, 8)))
        assert np.array_equal(ours(QUERY, VALUE, **mask, return_attention_scores=True)[0], output)

    def test_nan_in_a_masked_value(self):
        poisoned = np.where(VALUE_MASK[..., None], VALUE, np.nan)
        mask = [None, VALUE_MASK]
        inputs = [QUERY, poisoned, KEY]
        assert np.isnan(to_numpy(keras.layers.Attention()(inputs, mask=mask))).any()
        assert np.array_equal(
            layers.Attention()(inputs, mask=mask), layers.Attention()([QUERY, VALUE, KEY], mask=mask)
        )

    def test_query_mask_of_multi_head_attention(self):
        ours, theirs = pair_of_layers(*PROJECTED["multi_head"], [QUERY, VALUE])
        unmasked = to_numpy(theirs(QUERY, VALUE))
        assert np.array_equal(to_numpy(theirs(QUERY, VALUE, query_mask=QUERY_MASK)), unmasked)
        output = ours(QUERY, VALUE, query_mask=QUERY_MASK)
        agree(output[QUERY_MASK], unmasked[QUERY_MASK])
        assert np.array_equal(output[~QUERY_MASK], np.broadcast_to(ours.weights[-1], (6, 8)))


# ----- the article's model


@pytest.fixture(scope="module")
def article_model():
    spec = importlib.util.spec_from_file_location("article_model", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("attention", ["dot", "scaled_dot", "concat", "additive", "multi_head", "grouped"])
def test_article_model(article_model, attention):
    result = article_model.run(attention, epochs=2)
    assert result.keras_predictions.shape == result.predictions.shape == (100, 5, 1)
    agree(result.predictions, result.keras_predictions)
    np.testing.assert_allclose(result.loss, result.keras_loss, rtol=AGREES)
    assert result.losses[-1] < result.losses[0]
