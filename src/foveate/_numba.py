"""`score_modifier`: functions of one logit, or of one tile, compiled by numba into callbacks.

numba is imported by the first use, never by foveate.
"""

from __future__ import annotations

import contextlib
import types as python_types
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Compiled", "score_modifier", "tile_mask"]

_SIZES = ("n_queries", "n_keys", "query_stride", "key_stride")
_PLACE = ("batch", "head", "first_query", "first_key")
_F32 = 0  # FOV_F32


class Compiled:
    """A callback that numba compiled; call it to run the Python function it was made from.

    Attributes
    ----------
    address : int
        Of the machine code.
    kind : str
        "modifier" or "tile_mask".
    user : numpy.dtype or None
        Type of the elements of its user data, None where it takes none.
    """

    def __init__(
        self, kind: str, function: Callable[..., Any], user: np.dtype[Any] | None, cfunc: Any
    ) -> None:
        self.kind, self.user, self.address = kind, user, int(cfunc.address)
        self._function, self._cfunc = function, cfunc

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __repr__(self) -> str:
        user = "" if self.user is None else f", user={self.user.name!r}"
        return f"<{self.kind} {self._function.__name__}{user}>"


def score_modifier(user: npt.DTypeLike | Callable[..., Any] | None = None) -> Any:
    """Compile a function of one logit into a ``modifier`` for `attention`, with numba; a decorator.

    The function gets ``(logit, batch, head, query, key)`` and returns the new logit; -inf masks the key. It
    is inlined into the loops over a tile, once for float32 and once for float64, and runs as vector code. It
    must not depend on what changes: a logit may be computed more than once, and by any thread.

    Parameters
    ----------
    user : dtype, optional
        Element type of user data: the function gets one more argument, which it indexes like an array that
        has one axis and does not know its length. The modifier is then passed as ``(modifier, array)``.

    Returns
    -------
    Compiled
        What ``modifier=`` takes. ``score_modifier.tile_mask`` compiles in the same way a function of
        ``(batch, head, first_query, n_queries, first_key, n_keys)`` into what ``tile_mask=`` takes: it
        returns False where no query of the tile attends any of its keys.

    Raises
    ------
    ImportError
        numba is not installed.
    TypeError
        What is decorated is no Python function or has another number of arguments, or ``user`` is no dtype of
        integers or floats.
    numba.core.errors.NumbaError
        numba cannot compile the function.

    Examples
    --------
    >>> import numpy as np, foveate
    >>> @foveate.score_modifier  # doctest: +SKIP
    ... def decay(logit, batch, head, query, key):
    ...     return logit - np.float32(0.5) * np.float32(abs(query - key))
    >>> @foveate.score_modifier("int64")  # doctest: +SKIP
    ... def same_document(logit, batch, head, query, key, ids):
    ...     return logit if ids[query] == ids[key] else -np.inf
    >>> ids = np.array([0, 0, 1])
    >>> x = np.eye(3)
    >>> foveate.attention(x, x, x, modifier=(same_document, ids))[2]  # doctest: +SKIP
    array([0., 0., 1.])
    """
    return _decorate("score_modifier", _compile_modifier, user)


def tile_mask(user: npt.DTypeLike | Callable[..., Any] | None = None) -> Any:
    """The same for ``tile_mask=``; public as ``foveate.score_modifier.tile_mask``."""
    return _decorate("score_modifier.tile_mask", _compile_tile_mask, user)


score_modifier.tile_mask = tile_mask  # type: ignore[attr-defined]


def _decorate(name: str, compile_: Callable[..., Compiled], user: Any) -> Any:
    try:
        numba = import_module("numba")
    except ImportError as error:
        raise ImportError(f"foveate.{name} needs numba: pip install numba") from error
    if callable(user) and not isinstance(user, type):  # used without parentheses
        return compile_(numba, f"foveate.{name}", user, None)
    dtype = None
    if user is not None:
        with contextlib.suppress(TypeError):
            dtype = np.dtype(user)
        if dtype is None or dtype.kind not in "iuf" or dtype.itemsize > 8 or dtype.name == "float16":
            raise TypeError(f"user must be a dtype of integers or floats up to 64 bits, got {user!r}")
    return lambda function: compile_(numba, f"foveate.{name}", function, dtype)


def _python_function(name: str, function: Any, arguments: str, user: np.dtype[Any] | None) -> Any:
    function = getattr(function, "py_func", function)  # of numba.njit
    if not isinstance(function, python_types.FunctionType):
        came = f"{type(function).__module__}.{type(function).__qualname__}".removeprefix("builtins.")
        raise TypeError(f"{name} must decorate a Python function, got {came}")
    wanted = arguments if user is None else f"{arguments}, user"
    if function.__code__.co_argcount != wanted.count(",") + 1:
        names = ", ".join(function.__code__.co_varnames[: function.__code__.co_argcount])
        raise TypeError(f"{name} must decorate a function of ({wanted}), got one of ({names})")
    return function


def _signature(numba: Any, result: Any, user: np.dtype[Any] | None) -> Any:
    """(const fov_logits_tile *, user *) as numba has it."""
    types = numba.types
    fields = ("logits", *_SIZES, *_PLACE)
    record = types.Record.make_c_struct([*((name, types.int64) for name in fields), ("dtype", types.int32)])
    return result(
        types.CPointer(record), types.voidptr if user is None else types.CPointer(numba.from_dtype(user))
    )


def _compile_modifier(numba: Any, name: str, function: Any, user: np.dtype[Any] | None) -> Compiled:
    carray, types = numba.carray, numba.types
    function = _python_function(name, function, "logit, batch, head, query, key", user)
    inlined = numba.njit(error_model="numpy", forceinline=True)
    scalar = inlined(function)
    f32, f64 = types.float32, types.float64
    if user is None:

        @inlined
        def modified(logit, batch, head, query, key, data):  # type: ignore[no-untyped-def]
            return scalar(logit, batch, head, query, key)

    else:
        modified = scalar

    @import_module("numba.extending").intrinsic
    def pointer(context, address, element):  # type: ignore[no-untyped-def]
        result = types.CPointer(element.dtype)

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return builder.inttoptr(arguments[0], context.get_value_type(result))

        return result(address, element), code

    @inlined
    def change(tile, x, data):  # type: ignore[no-untyped-def]
        batch, head, query, key = tile.batch, tile.head, tile.first_query, tile.first_key
        key_stride, query_stride = tile.key_stride, tile.query_stride
        if query_stride == 1:  # a constant stride of 1 in the inner loop is what makes vectors of it
            for j in range(tile.n_keys):
                for i in range(tile.n_queries):
                    at = j * key_stride + i
                    x[at] = modified(x[at], batch, head, query + i, key + j, data)
        elif key_stride == 1:
            for i in range(tile.n_queries):
                for j in range(tile.n_keys):
                    at = i * query_stride + j
                    x[at] = modified(x[at], batch, head, query + i, key + j, data)
        else:
            for j in range(tile.n_keys):
                for i in range(tile.n_queries):
                    at = j * key_stride + i * query_stride
                    x[at] = modified(x[at], batch, head, query + i, key + j, data)

    def callback(tile, data):  # type: ignore[no-untyped-def]
        at = carray(tile, 1)[0]
        if at.dtype == _F32:
            change(at, pointer(at.logits, f32), data)
        else:
            change(at, pointer(at.logits, f64), data)

    return Compiled("modifier", function, user, numba.cfunc(_signature(numba, types.void, user))(callback))


def _compile_tile_mask(numba: Any, name: str, function: Any, user: np.dtype[Any] | None) -> Compiled:
    carray, types = numba.carray, numba.types
    arguments = "batch, head, first_query, n_queries, first_key, n_keys"
    function = _python_function(name, function, arguments, user)
    inlined = numba.njit(error_model="numpy")(function)
    with_user = user is not None

    def callback(tile, data):  # type: ignore[no-untyped-def]
        at = carray(tile, 1)[0]
        if with_user:
            return (
                1
                if inlined(at.batch, at.head, at.first_query, at.n_queries, at.first_key, at.n_keys, data)
                else 0
            )
        return 1 if inlined(at.batch, at.head, at.first_query, at.n_queries, at.first_key, at.n_keys) else 0

    return Compiled("tile_mask", function, user, numba.cfunc(_signature(numba, types.intc, user))(callback))
