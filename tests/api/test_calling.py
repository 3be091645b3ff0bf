"""Arguments as Python passes them: attention and Mode.__call__ read them in C, and refuse as Python does."""

import copy
import functools
import inspect
import pickle
import sys

import numpy as np
import pytest

import foveate
from foveate import Mode

X = np.random.default_rng(0).standard_normal((3, 2), np.float32)
CALLS = {"attention": foveate.attention, "Mode": Mode()}


def name_made_at_run_time(*parts):
    return "".join(parts)


@pytest.mark.parametrize("name", CALLS)
def test_every_way_to_name_the_arrays(name):
    call, y, z = CALLS[name], 2 * X, 3 * X
    expected = call(X, y, z)
    for result in [
        call(X, y, value=z),
        call(X, value=z, key=y),
        call(key=y, query=X, value=z),
        call(*(X, y), value=z),
        call(**{name_made_at_run_time("que", "ry"): X, name_made_at_run_time("ke", "y"): y, "value": z}),
        functools.partial(call, X, value=z)(y),
    ]:
        np.testing.assert_array_equal(result, expected)
    out = np.empty_like(X)
    assert call(X, y, z, **{name_made_at_run_time("o", "ut"): out}) is out
    np.testing.assert_array_equal(out, expected)


REFUSED = [
    (lambda f: f(X, X), r"missing 1 required positional argument: 'value'"),
    (lambda f: f(), r"missing 3 required positional arguments: 'query', 'key', and 'value'"),
    (lambda f: f(X, value=X), r"missing 1 required positional argument: 'key'"),
    (lambda f: f(X, X, X, query=X), r"got multiple values for argument 'query'"),
    (lambda f: f(X, X, X, maks=X), r"got an unexpected keyword argument 'maks'"),
    (lambda f: f(X, X, X, X), r"positional argument.* but .* were given"),
    (lambda f: f(X, X, X, **{"out ": X}), r"got an unexpected keyword argument 'out '"),
    (lambda f: f(X, X, X, **{1: X}), r"keywords must be strings"),
]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused_in_the_words_of_the_interpreter(name, case):
    wrong, words = REFUSED[case]
    with pytest.raises(TypeError, match=words) as caught:
        wrong(CALLS[name])
    if case < len(REFUSED) - 1:
        assert str(caught.value).startswith({"attention": "attention()", "Mode": "Mode.__call__()"}[name])


def test_attention_is_a_function_like_others():
    function = foveate.attention
    assert (function.__name__, function.__module__) == ("attention", "foveate.api")
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function
    parameters = inspect.signature(function).parameters
    assert [p.default for p in list(parameters.values())[:5]] == [inspect.Parameter.empty] * 3 + [
        "scaled_dot",
        "softmax",
    ]
    assert "Parameters\n----------\nquery" in inspect.getdoc(function)
    assert "Examples\n--------" in inspect.getdoc(Mode.__call__)


def test_options_of_the_mode_are_told_apart():
    """Also where they are equal and not the same object, and where they are the same in turns."""
    wide = np.random.default_rng(1).standard_normal((4, 6, 8), np.float32)
    turns = [
        {"activation": "sigmoid"},
        {"activation": name_made_at_run_time("sig", "moid")},
        {"scale": 0.5},
        {"scale": 0.25 + 0.25},
        {"scale": 1},
        {"causal": True},
        {"window": (2, 0)},
        {"window": [2, 0]},
        {"activation": foveate.Sigmoid(1.0)},
        {"activation": foveate.Sigmoid(2.0)},
        {},
    ]
    for _ in range(3):
        for options in turns:
            for _ in range(2):
                np.testing.assert_array_equal(
                    foveate.attention(wide, wide, wide, **options), Mode(**options)(wide, wide, wide)
                )


def test_a_list_that_changes_is_read_again():
    wide = np.random.default_rng(1).standard_normal((4, 6, 8), np.float32)
    window = [5, 0]
    first = foveate.attention(wide, wide, wide, window=window)
    window[0] = 1
    second = foveate.attention(wide, wide, wide, window=window)
    np.testing.assert_array_equal(first, Mode(window=(5, 0))(wide, wide, wide))
    np.testing.assert_array_equal(second, Mode(window=(1, 0))(wide, wide, wide))


@pytest.mark.parametrize("name", CALLS)
def test_references_are_given_back(name):
    """Arguments, results and refused arguments live as long as their owner."""
    q, out = X.copy(), np.empty_like(X)
    option = np.ones((3, 3), bool)
    CALLS[name](q, q, q, out=out, mask=option)
    counts = [sys.getrefcount(x) for x in (q, out, option)]
    for _ in range(50):
        CALLS[name](q, q, q, out=out)
        CALLS[name](q, q, q, out=out, mask=option)
        result = CALLS[name](q, q, q)
        with pytest.raises(TypeError):
            CALLS[name](q, q, q, q, mask=option)
        with pytest.raises(ValueError, match="value"):
            CALLS[name](q, q[:2], q, out=out)
    assert [sys.getrefcount(x) for x in (q, out, option)] == counts
    assert sys.getrefcount(result) == 2
