"""Mode: frozen, hashable, picklable, readable, and exactly what attention does."""

import copy
import dataclasses
import inspect
import pickle
from itertools import product

import numpy as np
import pytest

import foveate
from foveate import Additive, Bilinear, Cosine, Entmax, Mode, Select, Sigmoid, TopK
from foveate._options import AttentionOptions, CallOptions

MODES = {
    "Mode()": Mode(),
    "Mode(activation='sigmoid')": Mode(activation="sigmoid"),
    "Mode(score='dot', scale=0.5)": Mode("dot", scale=0.5),
    "Mode(softcap=30.0, causal=True)": Mode(softcap=30, causal=True),
    "Mode(causal='bottom_right', window=(7, 0))": Mode(causal="bottom_right", window=[7, 0]),
    "Mode(window=(None, 3), layout='blhd')": Mode(window=(None, 3), layout="blhd"),
    "Mode(precision='high')": Mode(precision="high"),
    "Mode(score='additive', activation='sparsemax')": Mode("additive", "sparsemax"),
    "Mode(score=Cosine(temperature=0.1), activation=Entmax(alpha=1.25))": Mode(Cosine(0.1), Entmax(1.25)),
    "Mode(score=Additive(), activation=Sigmoid(bias=-3.0))": Mode(Additive(), Sigmoid(-3)),
    "Mode(activation=TopK(k=2), combine=Select(k=1, temperature=0.5))": Mode(
        activation=TopK(2), combine=Select(1, temperature=0.5)
    ),
    "Mode(activation='softmax1', combine='product')": Mode(activation="softmax1", combine="product"),
}


@pytest.mark.parametrize("text", MODES)
def test_repr_shows_what_is_not_default(text):
    assert repr(MODES[text]) == text
    assert eval(text) == MODES[text]


def test_equal_modes_are_one_key():
    for one, (text, mode) in enumerate(MODES.items()):
        for other, (_, second) in enumerate(MODES.items()):
            assert (mode == second) == (one == other)
        assert hash(eval(text)) == hash(mode)
    assert len(set(MODES.values()) | {eval(text) for text in MODES}) == len(MODES)


@pytest.mark.parametrize("text", MODES)
def test_copies_compute_the_same(text):
    mode = MODES[text]
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 8))
    expected = mode(x, x, x)
    protocols = range(2, pickle.HIGHEST_PROTOCOL + 1)
    copies = [pickle.loads(pickle.dumps(mode, protocol)) for protocol in protocols]
    for twin in [*copies, copy.copy(mode), copy.deepcopy(mode), dataclasses.replace(mode)]:
        assert twin == mode
        assert repr(twin) == text
        np.testing.assert_array_equal(twin(x, x, x), expected)


def test_modes_with_arrays_compare_by_the_array():
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 8))
    mode = Mode(Bilinear(np.random.default_rng(1).standard_normal((8, 8))), "relu")
    twin = pickle.loads(pickle.dumps(mode))
    assert twin != mode
    assert copy.deepcopy(mode) == mode == dataclasses.replace(mode)
    assert repr(twin) == repr(mode) == "Mode(score=Bilinear(w=<float64 (8, 8)>), activation='relu')"
    np.testing.assert_array_equal(twin(x, x, x), mode(x, x, x))


def test_frozen():
    mode = Mode()
    with pytest.raises(dataclasses.FrozenInstanceError):
        mode.scale = 2.0
    assert dataclasses.replace(mode, scale=2) == Mode(scale=2.0)
    mode(*[np.eye(2)] * 3)
    assert Mode(**dataclasses.asdict(mode)) == mode


def test_options_are_normalised():
    mode = Mode(scale=np.float32(0.5), softcap=2, causal=np.True_, window=[np.int64(3), None])
    assert (mode.scale, mode.softcap, mode.causal, mode.window) == (0.5, 2.0, True, (3, None))
    assert (type(mode.scale), type(mode.softcap), type(mode.causal)) == (float, float, bool)
    assert str(Mode(scale=-0.0).scale) == "0.0"  # equal modes compute the same bits


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "sigmoid", "scale": 0.3},
        {"causal": True, "window": (2, 5)},
        {"causal": "top_left", "softcap": 2.0},
        {"score": "dot", "layout": "blhd"},
        {"score": Additive(np.linspace(-1, 1, 8)), "activation": TopK(3)},
        {"score": "cosine", "activation": Entmax(1.5), "combine": Select(2)},
        {"activation": Sigmoid(0.5), "combine": "product"},
    ],
    ids=str,
)
@pytest.mark.parametrize("extras", [False, True])
def test_attention_is_exactly_a_mode_called(options, extras):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 4, 4, 8)).astype(np.float32)
    rest = {
        "mask": rng.random((4, 4)) > 0.3,
        "bias": rng.standard_normal((4, 4)),
        "alibi_slopes": [0.5, 0.25, 0.125, 1.0],
        "kv_lengths": [4, 3],
        "return_weights": extras,
        "num_threads": 1,
    }
    expected = foveate.attention(x, x, x, **options, **rest)
    actual = Mode(**options)(x, x, x, **rest)
    if extras:
        np.testing.assert_array_equal(actual.weights, expected.weights)
        actual, expected = actual.output, expected.output
    np.testing.assert_array_equal(actual, expected)


def test_checked_when_made():
    with pytest.raises(ValueError, match="softcap"):
        Mode(softcap=-1.0)
    with pytest.raises(
        ValueError, match=r"precision must be one of 'highest', 'high', 'medium', got 'hihg'; did"
    ):
        Mode(precision="hihg")
    with pytest.raises(TypeError, match="precision must be a name"):
        foveate.attention(*[np.eye(2)] * 3, precision=2)
    with pytest.raises(TypeError, match="causal"):
        foveate.attention(*[np.eye(2)] * 3, causal=0)  # 0 == False, but is no bool


def test_typed_options_are_those_of_the_signatures():
    returns = {"return_lse", "return_weights", "key_stats"}
    for function, options in [(foveate.attention, AttentionOptions), (Mode.__call__, CallOptions)]:
        parameters = inspect.signature(function).parameters.values()
        named = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        assert named == options.__optional_keys__ | returns
    reference = inspect.signature(foveate.reference.attention).parameters
    assert list(reference) == list(inspect.signature(foveate.attention).parameters)


def test_names_of_c_and_reference_agree():
    x = np.eye(3)
    needed = {"bilinear": Bilinear(x), "entmax": Entmax(1.3), "topk": TopK(2), "select": Select(2)}
    for names in product(foveate.reference.SCORES, foveate.reference.ACTIVATIONS, foveate.reference.COMBINES):
        mode = Mode(*(needed.get(name, name) for name in names))
        assert mode(x, x, x).shape == ((3, 3, 3) if mode.combine == "product" else (3, 3))
    for option, known in [
        ("score", foveate.reference.SCORES),
        ("activation", foveate.reference.ACTIVATIONS),
        ("combine", foveate.reference.COMBINES),
    ]:
        with pytest.raises(ValueError, match="must be one of") as caught:
            Mode(**{option: "no such name"})
        listed = str(caught.value).split("one of ")[1].split(", got")[0]
        assert listed == ", ".join(map(repr, known))
