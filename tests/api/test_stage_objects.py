"""Stage objects: checked when made, frozen, compared and hashed as documented, picklable, readable."""

# ruff: noqa: E501 - one case per line

import copy
import dataclasses
import pickle

import ml_dtypes
import numpy as np
import pytest

import foveate
from foveate import Additive, Bilinear, Cosine, Entmax, Mode, Select, Sigmoid, TopK

VALUES = {
    "Additive()": Additive(),
    "Cosine(temperature=0.5)": Cosine(0.5),
    "Sigmoid(bias=-2.0)": Sigmoid(-2),
    "Entmax(alpha=1.25)": Entmax(1.25),
    "TopK(k=3)": TopK(np.int64(3)),
    "Select(k=2, temperature=1.0)": Select(2),
    "Select(k=2, temperature=0.5)": Select(2, temperature=0.5),
}
ARRAYS = {
    "Additive(v=<float64 (3,)>)": Additive([1, 2, 3]),
    "Additive(w_q=<float32 (4, 3)>, w_k=<float64 (2, 5, 3)>)": Additive(
        w_q=np.ones((4, 3), np.float16), w_k=np.ones((2, 5, 3))
    ),
    "Bilinear(<float32 (2, 3)>)": Bilinear(np.ones((2, 3), np.float32)),
}
EVERY = {**VALUES, **ARRAYS}


@pytest.mark.parametrize("text", VALUES)
def test_objects_without_arrays_are_values(text):
    assert repr(VALUES[text]) == text
    twin = eval(text)
    assert twin is not VALUES[text]
    assert twin == VALUES[text]
    assert hash(twin) == hash(VALUES[text])
    assert [other for other in EVERY.values() if other == twin] == [VALUES[text]]


def test_objects_with_arrays_are_equal_to_themselves_alone():
    one, other = Bilinear(np.eye(2)), Bilinear(np.eye(2))
    assert one != other
    assert len({one, other, Additive([1.0]), Additive([1.0]), Additive(), Additive()}) == 5
    assert Mode(one) == Mode(one) != Mode(other)
    assert hash(Mode(one)) == hash(Mode(one))


@pytest.mark.parametrize("text", EVERY)
def test_frozen(text):
    stage = EVERY[text]
    name = dataclasses.fields(stage)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(stage, name, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(stage, name)


@pytest.mark.parametrize("text", EVERY)
def test_pickled_and_copied(text):
    stage = EVERY[text]
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(stage, protocol))
        assert type(twin) is type(stage)
        assert repr(twin) == repr(stage)
        for field in dataclasses.fields(stage):
            np.testing.assert_equal(getattr(twin, field.name), getattr(stage, field.name))
        for array in (getattr(twin, field.name) for field in dataclasses.fields(stage)):
            assert not isinstance(array, np.ndarray) or not array.flags.writeable
    assert copy.copy(stage) == copy.deepcopy(stage) == stage
    assert repr(dataclasses.replace(stage)) == repr(stage)


@pytest.mark.parametrize("text", ARRAYS)
def test_repr_of_arrays(text):
    shown = repr(ARRAYS[text])
    assert shown == text.replace("Bilinear(<", "Bilinear(w=<")
    assert repr(Mode(ARRAYS[text])) == f"Mode(score={shown})"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, int])
def test_arrays_are_kept_as_read_only_copies(dtype):
    w = (np.arange(12) % 5).astype(dtype).reshape(3, 4)[:, ::-2]
    stage = Bilinear(w)
    assert stage.w.dtype == (np.float64 if dtype in (np.float64, int) else np.float32)
    assert stage.w.flags.c_contiguous
    np.testing.assert_array_equal(stage.w, w.astype(np.float64))
    with pytest.raises(ValueError, match="read-only"):
        stage.w[0, 0] = 1.0
    w[:] = 0
    assert stage.w.any()


def test_arrays_are_rounded_to_the_type_of_the_call():
    w = np.random.default_rng(0).standard_normal((4, 4))
    x = np.random.default_rng(1).standard_normal((5, 4))
    wide, narrow = Bilinear(w), Bilinear(w.astype(np.float32))
    single = x.astype(np.float32)
    np.testing.assert_array_equal(
        foveate.scores(single, single, score=wide), foveate.scores(single, single, score=narrow)
    )
    assert not np.array_equal(foveate.scores(x, x, score=wide), foveate.scores(x, x, score=narrow))


# name: (call, exception, what the message must say)
REFUSALS = {
    "alpha one": (lambda: Entmax(1), ValueError, ["alpha", "1", "> 1"]),
    "alpha nan": (lambda: Entmax(float("nan")), ValueError, ["alpha", "nan", "finite"]),
    "alpha inf": (lambda: Entmax(float("inf")), ValueError, ["alpha", "inf", "finite"]),
    "alpha type": (lambda: Entmax("2"), TypeError, ["alpha", "'2' (str)", "number"]),
    "k zero": (lambda: TopK(0), ValueError, ["k", ">= 1", "0"]),
    "k float": (lambda: TopK(2.0), TypeError, ["k", "2.0 (float)", "int"]),
    "k bool": (lambda: TopK(True), TypeError, ["k", "True (bool)", "int"]),
    "select negative": (lambda: Select(-1), ValueError, ["k", ">= 1", "-1"]),
    "select temperature": (lambda: Select(1, temperature=0), ValueError, ["temperature", "> 0", "0"]),
    "select temperature inf": (lambda: Select(1, temperature=float("inf")), ValueError, ["temperature", "finite", "inf"]),
    "temperature zero": (lambda: Cosine(0.0), ValueError, ["temperature", "> 0", "0.0"]),
    "temperature negative": (lambda: Cosine(-1), ValueError, ["temperature", "> 0", "-1"]),
    "temperature nan": (lambda: Cosine(float("nan")), ValueError, ["temperature", "finite", "nan"]),
    "temperature type": (lambda: Cosine(None), TypeError, ["temperature", "None (NoneType)", "number"]),
    "temperature too small": (lambda: Mode(Cosine(1e-320)), ValueError, ["temperature", "scale", "finite", "1e-320"]),
    "bias inf": (lambda: Sigmoid(float("-inf")), ValueError, ["bias", "finite", "-inf"]),
    "bias bool": (lambda: Sigmoid(False), TypeError, ["bias", "False", "number"]),
    "w rank": (lambda: Bilinear(np.ones(3)), ValueError, ["w", "(D, Dk) or (Hq, D, Dk)", "(3,)"]),
    "w rank 4": (lambda: Bilinear(np.ones((1, 1, 2, 2))), ValueError, ["w", "(D, Dk)", "(1, 1, 2, 2)"]),
    "w empty": (lambda: Bilinear(np.ones((3, 0))), ValueError, ["w", "length 0", "(3, 0)"]),
    "w complex": (lambda: Bilinear(np.ones((3, 3), complex)), TypeError, ["w", "complex128", "float32"]),
    "w bool": (lambda: Bilinear(np.ones((3, 3), bool)), TypeError, ["w", "bool", "float32"]),
    "w None": (lambda: Bilinear(None), TypeError, ["w", "None", "array"]),
    "v rank": (lambda: Additive(1.0), ValueError, ["v", "(Da,) or (Hq, Da)", "()"]),
    "v of w_q": (lambda: Additive([1.0, 2.0], w_q=np.ones((4, 3))), ValueError, ["same last axis", "v (2,)", "w_q (4, 3)"]),
    "w_k of w_q": (lambda: Additive(w_q=np.ones((4, 3)), w_k=np.ones((4, 2))), ValueError, ["same last axis", "w_k (4, 2)"]),
    "heads": (lambda: Additive(w_q=np.ones((2, 4, 3)), w_k=np.ones((3, 4, 3))), ValueError, ["heads", "w_q (2, 4, 3)", "w_k (3, 4, 3)"]),
    # bare names and stages of another kind
    "bilinear": (lambda: Mode("bilinear"), ValueError, ["score", "'bilinear'", "foveate.Bilinear(w)"]),
    "entmax": (lambda: Mode(activation="entmax"), ValueError, ["activation", "foveate.Entmax(alpha)"]),
    "topk": (lambda: Mode(activation="topk"), ValueError, ["activation", "foveate.TopK(k)"]),
    "select": (lambda: Mode(combine="select"), ValueError, ["combine", "foveate.Select(k)"]),
    "a class": (lambda: Mode(Cosine), TypeError, ["score", "Cosine", "object of", "(type)"]),
    "activation as score": (lambda: Mode(Sigmoid()), TypeError, ["score", "Sigmoid(bias=0.0)", "foveate.Bilinear"]),
    "combine as activation": (lambda: Mode(activation=Select(1)), TypeError, ["activation", "Select", "foveate.TopK"]),
    "activation as combine": (lambda: Mode(combine=TopK(1)), TypeError, ["combine", "TopK", "foveate.Select"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal(case):
    call, kind, words = REFUSALS[case]
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    message = str(caught.value)
    assert all(word in message for word in words), message


Q, K, V = np.ones((2, 4, 3, 8)), np.ones((2, 2, 5, 8)), np.ones((2, 2, 5, 6))

# name: (score, key, what the message must say): query has Hq 4, head_dim 8
MISFITS = {
    "w rows": (Bilinear(np.ones((7, 8))), K, ["w", "(8, 8)", "(7, 8)"]),
    "w columns": (Bilinear(np.ones((8, 7))), K, ["w", "(8, 8)", "(8, 7)"]),
    "w heads": (Bilinear(np.ones((2, 8, 8))), K, ["w", "per query head, 4", "(2, 8, 8)"]),
    "w_q rows": (Additive(w_q=np.ones((6, 8))), K, ["w_q", "column of query, 8", "(6, 8)"]),
    "w_k rows": (Additive(w_k=np.ones((6, 8))), K, ["w_k", "column of key, 8", "(6, 8)"]),
    "w_q columns": (Additive(w_q=np.ones((8, 5))), K, ["same number of columns", "5 and 8"]),
    "key_dim": (Additive(), K[..., :5], ["same number of columns", "8 and 5", "no arrays"]),
    "v length": (Additive(np.ones(5)), K, ["v", "column of the sum, 8", "(5,)"]),
    "v heads": (Additive(np.ones((3, 8))), K, ["v", "per query head, 4", "(3, 8)"]),
    "w heads of one head": (Bilinear(np.ones((4, 5, 5))), None, ["w", "per query head, 1", "(4, 5, 5)"]),
}


@pytest.mark.parametrize("case", MISFITS)
def test_arrays_that_do_not_fit_the_call(case):
    score, key, words = MISFITS[case]
    x = np.ones((6, 5))
    for call in (
        lambda: (
            foveate.attention(Q, key, V, score=score)
            if key is not None
            else foveate.attention(x, x, x, score=score)
        ),
        lambda: foveate.scores(Q, key, score=score) if key is not None else foveate.scores(x, x, score=score),
    ):
        with pytest.raises(ValueError, match=type(score).__name__) as caught:
            call()
        assert all(word in str(caught.value) for word in words), caught.value


def test_other_shapes_are_still_refused_with_learnt_scores():
    score = Bilinear(np.ones((8, 5)))
    with pytest.raises(ValueError, match="value must have the kv_len of key, 5, got 4"):
        foveate.attention(Q, K[..., :5], V[:, :, :4], score=score)


@pytest.mark.parametrize(
    "activation",
    ["sigmoid", "relu", "relu2", "tanh", "identity", "sparsemax", "entmax15", Entmax(3.0), TopK(1)],
    ids=str,
)
def test_modes_without_lse_and_sinks(activation):
    with pytest.raises(ValueError, match="return_lse must come with activation 'softmax' or 'softmax1'"):
        foveate.attention(Q, K, V, activation=activation, return_lse=True)
    with pytest.raises(ValueError, match="sinks must come with activation 'softmax'"):
        foveate.attention(Q, K, V, activation=activation, sinks=np.zeros(4))


def test_softmax1_takes_no_sinks():
    with pytest.raises(ValueError, match="sinks must come with activation 'softmax', got 'softmax1'"):
        foveate.attention(Q, K, V, activation="softmax1", sinks=np.zeros(4))


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("additive", Additive()),
        ("cosine", Cosine()),
        ("sigmoid", Sigmoid()),
        ("sparsemax", Entmax(2)),
        ("entmax15", Entmax(1.5)),
    ],
)
def test_a_bare_name_is_the_object_with_its_defaults(name, stage):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 6, 4)) for _ in range(3))
    kind = "score" if isinstance(stage, Additive | Cosine) else "activation"
    for module in (foveate, foveate.reference):
        by_name, by_object = (module.attention(q, k, v, **{kind: choice}) for choice in (name, stage))
        np.testing.assert_array_equal(by_name, by_object)


def test_arrays_in_a_cached_mode_are_let_go():
    import gc
    import weakref

    x = np.ones((2, 2))
    first = Bilinear(np.eye(2))
    gone = weakref.ref(first)
    foveate.attention(x, x, x, score=first)
    del first
    for _ in range(20):
        foveate.attention(x, x, x, score=Bilinear(np.eye(2)))
    gc.collect()
    assert gone() is None
