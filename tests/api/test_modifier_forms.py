"""What a modifier and a tile mask may be given as, and what is refused."""

import ctypes
import gc
import re
import weakref

import numpy as np
import pytest

import foveate
from foveate import _core
from foveate._callbacks import LogitsTile
from support import modifiers

POINTERS = ctypes.c_void_p, ctypes.c_void_p
MODIFIER = ctypes.CFUNCTYPE(None, *POINTERS)
TILE_MASK = ctypes.CFUNCTYPE(ctypes.c_int, *POINTERS)
DECLARED = """
    typedef struct fov_logits_tile fov_logits_tile;
    void distance(const fov_logits_tile *tile, void *user);
    int some_near(const fov_logits_tile *tile, void *user);
"""
SLOPE = np.array([0.75])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return modifiers.build(tmp_path_factory.mktemp("modifiers"))


@pytest.fixture(scope="module")
def library(path):
    return modifiers.load(path)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((2, 40, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(library, x):
    """With the distance modifier, which does something."""
    result = foveate.attention(x, x, x, modifier=(library.distance, SLOPE))
    assert np.abs(result - foveate.attention(x, x, x)).max() > 0.1
    return result


def address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


# ----- ctypes and user data


USER_DATA = {
    "array": lambda: SLOPE,
    "int": lambda: SLOPE.ctypes.data,
    "numpy int": lambda: np.uint64(SLOPE.ctypes.data),
    "c_void_p": lambda: ctypes.c_void_p(SLOPE.ctypes.data),
    "POINTER": lambda: SLOPE.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
    "ctypes array": lambda: (ctypes.c_double * 1)(SLOPE[0]),
    "ctypes structure": lambda: type("S", (ctypes.Structure,), {"_fields_": [("x", ctypes.c_double)]})(
        SLOPE[0]
    ),
}


@pytest.mark.parametrize("kind", USER_DATA)
def test_user_data(library, x, expected, kind):
    got = foveate.attention(x, x, x, modifier=(library.distance, USER_DATA[kind]()))
    np.testing.assert_array_equal(got, expected)


def test_a_function_by_its_address(library, x, expected):
    typed = ctypes.CFUNCTYPE(None, ctypes.POINTER(LogitsTile), ctypes.POINTER(ctypes.c_double))
    for kind in (MODIFIER, typed):
        got = foveate.attention(x, x, x, modifier=(kind(address(library.distance)), SLOPE))
        np.testing.assert_array_equal(got, expected)


def test_user_data_lives_during_the_call_and_no_longer(library, x, expected):
    class Array(np.ndarray):
        pass

    alive = []

    @MODIFIER
    def look(tile, user):
        alive.append(found() is not None)

    data = SLOPE.view(Array)
    found = weakref.ref(data)
    pair = [(look, data)]
    del data
    foveate.attention(x, x, x, modifier=pair.pop())
    gc.collect()
    assert set(alive) == {True}
    assert found() is None


def test_python_code_behind_ctypes_works_from_every_thread(x):
    """Slow, but no crash: ctypes takes the GIL, which the call has released."""
    seen = []

    @MODIFIER
    def double(tile, user):
        at = LogitsTile.from_address(tile)
        n = (at.n_queries - 1) * at.query_stride + (at.n_keys - 1) * at.key_stride + 1
        flat = np.ctypeslib.as_array(ctypes.cast(at.logits, ctypes.POINTER(ctypes.c_float)), (n,))
        strides = at.query_stride * 4, at.key_stride * 4
        np.lib.stride_tricks.as_strided(flat, (at.n_queries, at.n_keys), strides)[...] *= 2
        seen.append(at.head)

    many = np.concatenate([x] * 8)
    got = foveate.attention(many, many, many, modifier=double, num_threads=3)
    np.testing.assert_allclose(got, foveate.attention(many, many, many, scale=2 * 8**-0.5), atol=1e-6)
    assert set(seen) == set(range(16))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_behind_ctypes_is_reported_and_changes_nothing(x):
    @MODIFIER
    def fails(tile, user):
        raise RuntimeError("no")

    got = foveate.attention(x, x, x, modifier=fails)
    np.testing.assert_allclose(got, foveate.attention(x, x, x), atol=1e-6)


# ----- cffi, SciPy, numba


def test_cffi(path, library, x, expected):
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    ffi.cdef(DECLARED)
    opened = ffi.dlopen(str(path))
    slope, reach = ffi.new("double[1]", [SLOPE[0]]), ffi.new("int64_t *", 100)
    for data in (slope, ffi.cast("void *", slope), SLOPE):
        got = foveate.attention(
            x, x, x, modifier=(opened.distance, data), tile_mask=(opened.some_near, reach)
        )
        np.testing.assert_array_equal(got, expected)
    untyped = ffi.cast("void(*)(void *, void *)", address(library.distance))
    np.testing.assert_array_equal(foveate.attention(x, x, x, modifier=(untyped, slope)), expected)
    wrong = {
        "one argument": ffi.cast("void(*)(fov_logits_tile *)", 1),
        "result": ffi.cast("int(*)(fov_logits_tile *, void *)", 1),
        "no tile": ffi.cast("void(*)(double *, void *)", 1),
        "no pointer": ffi.cast("void(*)(fov_logits_tile *, int)", 1),
        "no function": slope,
    }
    for name, function in wrong.items():
        with pytest.raises(TypeError, match=r"modifier must have the signature void \(") as error:
            foveate.attention(x, x, x, modifier=function)
        assert ffi.typeof(function).cname in str(error.value), name
    other = cffi.FFI()
    other.cdef("typedef struct { void *logits; int n; } fov_logits_tile;")
    with pytest.raises(TypeError, match="modifier must have the signature"):
        foveate.attention(x, x, x, modifier=other.cast("void(*)(fov_logits_tile *, void *)", 1))
    with pytest.raises(ValueError, match="modifier must point to a function, got a NULL"):
        foveate.attention(x, x, x, modifier=ffi.cast("void(*)(fov_logits_tile *, void *)", 0))


def test_low_level_callable(path, library, x, expected):
    scipy = pytest.importorskip("scipy")
    data = ctypes.c_void_p(SLOPE.ctypes.data)
    reach = np.array([100])
    tile_mask = scipy.LowLevelCallable(library.some_near, ctypes.c_void_p(reach.ctypes.data))
    for modifier in (
        scipy.LowLevelCallable(library.distance, data),
        scipy.LowLevelCallable(library.distance, data, signature="void (const fov_logits_tile *, void *)"),
    ):
        got = foveate.attention(x, x, x, modifier=modifier, tile_mask=tile_mask)
        np.testing.assert_array_equal(got, expected)
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    ffi.cdef(DECLARED)
    slope = ffi.new("double[1]", [SLOPE[0]])
    low_level = scipy.LowLevelCallable(ffi.dlopen(str(path)).distance, ffi.cast("void *", slope))
    np.testing.assert_array_equal(foveate.attention(x, x, x, modifier=low_level), expected)
    for wrong in (
        "void (void *)",
        "int (void *, void *)",
        "void (double *, void *)",
        "void (void *, long)",
        "void (void *, void *, void *)",
    ):
        with pytest.raises(TypeError, match=re.escape(f"got a LowLevelCallable of {wrong}")):
            foveate.attention(
                x, x, x, modifier=scipy.LowLevelCallable(library.distance, data, signature=wrong)
            )
    with pytest.raises(TypeError, match="got a LowLevelCallable of char const"):
        foveate.attention(x, x, x, modifier=scipy.LowLevelCallable.from_cython(_core, "fov_version"))
    with pytest.raises(TypeError, match="user_data in the LowLevelCallable, got a pair"):
        foveate.attention(x, x, x, modifier=(low_level, SLOPE))


def test_numba_cfunc(x, expected):
    numba = pytest.importorskip("numba")
    from numba import types

    names = [name for name, _ in LogitsTile._fields_[1:-1]]
    fields = [("logits", types.int64), *((name, types.int64) for name in names), ("dtype", types.int32)]
    tile = types.CPointer(types.Record.make_c_struct(fields))

    def count(tile, user):
        numba.carray(user, 1)[0] += numba.carray(tile, 1)[0].n_queries * numba.carray(tile, 1)[0].n_keys

    counted = np.zeros(1, np.int64)
    modifier = numba.cfunc(types.void(tile, types.CPointer(types.int64)))(count)
    foveate.attention(x, x, x, modifier=(modifier, counted), num_threads=1)
    assert counted[0] == 2 * 40 * 40
    for wrong in (types.void(tile), types.void(types.int64, types.voidptr), types.int32(tile, types.voidptr)):
        zero = "return 0" if wrong.return_type != types.void else "pass"
        names = ", ".join("ab"[: len(wrong.args)])
        scope = {}
        exec(f"def function({names}):\n    {zero}", scope)
        with pytest.raises(TypeError, match=re.escape(_signature("void"))):
            foveate.attention(x, x, x, modifier=numba.cfunc(wrong)(scope["function"]))


# ----- refusals


def _signature(result):
    return f"{result} (const fov_logits_tile *, void *)"


class Callable:
    def __call__(self, tile, user):
        raise AssertionError("called")


def python_function(tile, user):
    raise AssertionError("called")


NO_FUNCTIONS = {
    "function": (python_function, "a Python function: compile it with @foveate.score_modifier"),
    "lambda": (lambda tile, user: 1, "a Python function: compile it with @foveate.score_modifier"),
    "object": (Callable(), "Callable: compile it with @foveate.score_modifier"),
    "builtin": (abs, "builtin_function_or_method: compile"),
    "ufunc": (np.exp, "numpy.ufunc: compile"),
    "array": (np.ones(3), "numpy.ndarray"),
    "text": ("void (void *, void *)", "got str"),
    "address": (12345, "got int"),
    "void pointer": (ctypes.c_void_p(12345), "ctypes.c_void_p"),
    "pair of none": ((None, None), "got NoneType"),
    "pair of functions": ((python_function, SLOPE), "a Python function"),
    "triple": ((1, 2, 3), "got 3 values"),
    "empty": ((), "got 0 values"),
}


@pytest.mark.parametrize("argument", ["modifier", "tile_mask"])
@pytest.mark.parametrize("kind", NO_FUNCTIONS)
def test_what_is_no_compiled_function(x, argument, kind):
    value, words = NO_FUNCTIONS[kind]
    out = np.full_like(x, 7)
    with pytest.raises(TypeError, match=f"^{argument} must be a") as error:
        foveate.attention(x, x, x, out=out, **{argument: value})
    assert words in str(error.value)
    assert (out == 7).all()


@pytest.mark.parametrize("argument", ["modifier", "tile_mask"])
def test_wrong_ctypes_signatures(library, x, argument):
    right = {"modifier": None, "tile_mask": ctypes.c_int}[argument]
    other = {"modifier": ctypes.c_int, "tile_mask": None}[argument]
    small = type("Small", (ctypes.Structure,), {"_fields_": [("x", ctypes.c_double)]})
    wrong = {
        "one argument": (right, ctypes.c_void_p),
        "three arguments": (right, *POINTERS, ctypes.c_void_p),
        "result": (other, *POINTERS),
        "no pointer": (right, ctypes.c_int64, ctypes.c_void_p),
        "user data is a number": (right, ctypes.c_void_p, ctypes.c_double),
        "another structure": (right, ctypes.POINTER(small), ctypes.c_void_p),
        "no tile": (right, ctypes.POINTER(ctypes.c_float), ctypes.c_void_p),
    }
    words = re.escape(_signature({"modifier": "void", "tile_mask": "int"}[argument]))
    for kinds in wrong.values():
        with pytest.raises(TypeError, match=f"{argument} must have the signature {words}, got argtypes"):
            foveate.attention(x, x, x, **{argument: ctypes.CFUNCTYPE(*kinds)(address(library.distance))})


def test_ctypes_function_without_argtypes(path, x):
    bare = ctypes.CDLL(str(path)).distance
    with pytest.raises(TypeError, match="without argtypes: set argtypes to"):
        foveate.attention(x, x, x, modifier=bare)


@pytest.mark.parametrize("argument", ["modifier", "tile_mask"])
def test_null(x, argument):
    function = {"modifier": MODIFIER, "tile_mask": TILE_MASK}[argument]()
    for value in (function, (function, SLOPE)):
        with pytest.raises(ValueError, match=f"{argument} must point to a function, got a NULL"):
            foveate.attention(x, x, x, **{argument: value})


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (-1, ValueError, "address as user_data, got -1"),
        (2**64, ValueError, "address as user_data"),
        (np.ones(8)[::2], ValueError, "contiguous user_data, got an array of strides"),
        (1.5, TypeError, "as user_data, got float"),
        (True, TypeError, "as user_data, got bool"),
        (b"bytes", TypeError, "as user_data, got bytes"),
        ([0.5], TypeError, "as user_data, got list"),
        (ctypes.c_double(1), TypeError, "as user_data, got ctypes.c_double"),
    ],
    ids=str,
)
def test_wrong_user_data(library, x, data, kind, words):
    with pytest.raises(kind, match=f"^modifier must have .*{re.escape(words)}"):
        foveate.attention(x, x, x, modifier=(library.distance, data))


def test_none_is_absent(x):
    expected = foveate.attention(x, x, x)
    np.testing.assert_array_equal(foveate.attention(x, x, x, modifier=None, tile_mask=None), expected)


def test_layout_of_the_tile():
    """The structure of Python is that of the header, whose layout tests/embedding freezes."""
    assert ctypes.sizeof(LogitsTile) == 80
    assert [getattr(LogitsTile, name).offset for name, _ in LogitsTile._fields_] == [*range(0, 80, 8)]
