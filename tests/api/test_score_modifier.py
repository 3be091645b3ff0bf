"""`foveate.score_modifier`: functions of one logit compiled by numba."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import foveate
from foveate import error_bound, reference

numba = pytest.importorskip("numba")

SHAPES = {
    "lanes": (2, 2, 70, 130),
    "group": (6, 2, 33, 65),
    "decode": (4, 4, 1, 700),
    "chunks": (4, 1, 2, 5000),
}
IDS = np.repeat(np.arange(250), 20)


@foveate.score_modifier
def decay(logit, batch, head, query, key):
    return logit - np.float32(0.25) * np.float32(abs(query - key)) * np.float32(head + 1)


@foveate.score_modifier("int64")
def same_document(logit, batch, head, query, key, ids):
    return logit if ids[query] == ids[key] else -np.inf


@foveate.score_modifier.tile_mask(np.int64)
def some_document(batch, head, first_query, n_queries, first_key, n_keys, ids):
    """Ids never fall."""
    last_query, last_key = first_query + n_queries - 1, first_key + n_keys - 1
    return ids[first_query] <= ids[last_key] and ids[first_key] <= ids[last_query]


def problem(shape, dtype):
    rng = np.random.default_rng(0)
    q_heads, kv_heads, q_len, kv_len = SHAPES[shape]
    sizes = (q_heads, q_len, 8), (kv_heads, kv_len, 8), (kv_heads, kv_len, 5)
    return [rng.standard_normal((2, *size)).astype(dtype) for size in sizes]


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("shape", SHAPES)
def test_distance(shape, dtype):
    arrays = problem(shape, dtype)
    heads, q_len, kv_len = arrays[0].shape[1], arrays[0].shape[2], arrays[1].shape[2]
    distance = np.abs(np.arange(q_len)[:, None] - np.arange(kv_len))
    bias = -0.25 * (np.arange(heads) + 1)[:, None, None] * distance  # exact in float32
    got = foveate.attention(*arrays, modifier=decay)
    bound = error_bound.bounds(*arrays, modifier=decay).output
    assert error_bound.worst_ratio(got, reference.attention(*arrays, bias=bias), bound) <= 1.0
    np.testing.assert_allclose(
        reference.attention(*arrays, modifier=decay), reference.attention(*arrays, bias=bias), rtol=1e-12
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_documents(shape):
    query, key, value = problem(shape, "f4")
    seen = IDS[: query.shape[2], None] == IDS[: key.shape[2]]
    value[..., ~seen.any(axis=0), :] = np.nan
    modifier = same_document, IDS
    got = foveate.attention(query, key, value, modifier=modifier)
    bound = error_bound.bounds(query, key, value, modifier=modifier).output
    assert error_bound.worst_ratio(got, reference.attention(query, key, value, mask=seen), bound) <= 1.0
    tiled = foveate.attention(query, key, value, modifier=modifier, tile_mask=(some_document, IDS))
    np.testing.assert_array_equal(tiled, got)


def test_what_it_returns():
    assert repr(decay) == "<modifier decay>"
    assert repr(same_document) == "<modifier same_document, user='int64'>"
    assert repr(some_document) == "<tile_mask some_document, user='int64'>"
    assert decay(1.0, 0, 1, 2, 4) == 0.0
    assert same_document(1.0, 0, 0, 0, 21, IDS) == -np.inf


def test_a_jitted_function_is_taken_apart():
    jitted = numba.njit(lambda logit, batch, head, query, key: logit * 0)
    x = np.ones((3, 2), np.float32)
    got = foveate.attention(x, x, x, modifier=foveate.score_modifier(jitted), activation="sigmoid")
    np.testing.assert_array_equal(got, np.full((3, 2), 1.5, np.float32))
    with pytest.raises(TypeError, match=r"compile it with @foveate\.score_modifier"):
        foveate.attention(x, x, x, modifier=jitted)


def test_user_data_must_fit():
    x = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"modifier must come without user_data.*<modifier decay>"):
        foveate.attention(x, x, x, modifier=(decay, IDS))
    with pytest.raises(ValueError, match=r"modifier must be a pair .*same_document"):
        foveate.attention(x, x, x, modifier=same_document)
    with pytest.raises(TypeError, match="user_data of dtype int64, got an array of int32"):
        foveate.attention(x, x, x, modifier=(same_document, IDS.astype(np.int32)))
    with pytest.raises(TypeError, match=r"tile_mask must have the signature int .*got a modifier compiled"):
        foveate.attention(x, x, x, tile_mask=decay)
    with pytest.raises(TypeError, match=r"modifier must have the signature void .*got a tile_mask compiled"):
        foveate.attention(x, x, x, modifier=(some_document, IDS))


@pytest.mark.parametrize("wrong", [lambda logit: logit, lambda a, b, c, d, e, f: a, lambda: 0.0])
def test_number_of_arguments(wrong):
    with pytest.raises(TypeError, match=r"score_modifier must decorate a function of \(logit, batch, head"):
        foveate.score_modifier(wrong)
    with pytest.raises(TypeError, match=r"tile_mask must decorate .*n_keys, user\), got one of"):
        foveate.score_modifier.tile_mask("int64")(wrong)


def test_what_is_no_function_or_no_dtype():
    with pytest.raises(TypeError, match=r"score_modifier must decorate a Python function, got numpy\.ufunc"):
        foveate.score_modifier(np.exp)
    for wrong in ("nonsense", "complex128", object, "float16", "U4", 3):
        with pytest.raises(TypeError, match="user must be a dtype of integers or floats"):
            foveate.score_modifier(wrong)


def test_what_numba_cannot_compile_says_so():
    with pytest.raises(numba.core.errors.NumbaError):
        foveate.score_modifier(lambda logit, batch, head, query, key: logit.nonsense)


def test_without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    for helper in (foveate.score_modifier, foveate.score_modifier.tile_mask):
        with pytest.raises(ImportError, match=r"foveate\.score_modifier.* needs numba: pip install numba"):
            helper(lambda logit, batch, head, query, key: logit)


def test_examples_of_the_page():
    """The Python blocks of docs/embedding.md, in their order, do what they say."""
    page = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text(encoding="utf-8")
    section = re.search(r"^## Score modifiers\n(.*?)^<!-- source", page, re.MULTILINE | re.DOTALL)[1]
    scope = {}
    for block in re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        exec(block, scope)
    x, ids, table = scope["x"], scope["ids"], scope["table"]
    away = np.arange(100) - np.arange(100)[:, None]
    bias = np.stack([table[head * 65 + 32 + np.clip(away, -32, 32)] for head in range(2)])
    for name, options in (
        ("decayed", {"bias": -0.125 * np.abs(away)}),
        ("apart", {"mask": ids[:, None] == ids}),
        ("biased", {"bias": bias}),
    ):
        bound = error_bound.bounds(x, x, x, **options).output
        expected = reference.attention(x, x, x, **options)
        assert error_bound.worst_ratio(scope[name], expected, bound) <= 1.0
