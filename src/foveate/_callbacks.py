"""Callbacks on tiles of logits: addresses of a compiled function and of its user data, from their holders.

SciPy, cffi and numba are recognised by the modules that their objects come from; none of them is imported.
"""

from __future__ import annotations

import ctypes
import re
import sys
from typing import Any, NamedTuple, NoReturn

import numpy as np

from foveate import _core
from foveate._numba import Compiled

__all__ = ["Callback", "LogitsTile", "resolve"]

_CTYPES_FUNCTION: Any = ctypes.CFUNCTYPE(None).__mro__[1]
_RESULTS = {"modifier": "void", "tile_mask": "int"}
_HINTS = {
    "modifier": "compile it with @foveate.score_modifier, or write it in C",
    "tile_mask": "compile it with @foveate.score_modifier.tile_mask, or write it in C",
}
_SCALARS = re.compile(
    r"(?:(?:un)?signed|char|short|int|long|float|double|bool|_Bool|\w*int\w+_t|py_object)\b"
)


class LogitsTile(ctypes.Structure):
    """fov_logits_tile of foveate/foveate.h."""

    _fields_ = (
        ("logits", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("n_queries", "n_keys", "query_stride", "key_stride")),
        *((name, ctypes.c_int64) for name in ("batch", "head", "first_query", "first_key")),
        ("dtype", ctypes.c_int32),
    )


class Callback(NamedTuple):
    """Addresses; who uses them keeps the argument that they came from."""

    function: int
    user_data: int


def resolve(name: str, value: object) -> Callback:
    """The callback in the argument ``name``: a function, or a pair (function, user_data)."""
    if _is_from("scipy._lib._ccallback", "LowLevelCallable", value):
        return _low_level(name, value)
    function, data, has_data = value, None, False
    if isinstance(value, tuple):
        if len(value) != 2:
            raise TypeError(f"{name} must be a function or (function, user_data), got {len(value)} values")
        (function, data), has_data = value, True
    if _is_from("scipy._lib._ccallback", "LowLevelCallable", function):
        raise TypeError(f"{name} must have its user_data in the LowLevelCallable, got a pair around one")
    if isinstance(function, Compiled):
        _check_user(name, function, data, has_data)
        if function.kind != name:
            _refuse_signature(name, f"a {function.kind} compiled by foveate")
    address = _address(name, function)
    if not address:
        raise ValueError(f"{name} must point to a function, got a NULL {_came(function)}")
    return Callback(address, _data_address(name, data))


def _is_from(module: str, type_name: str, value: object) -> bool:
    cls = getattr(sys.modules.get(module), type_name, None)
    return isinstance(cls, type) and isinstance(value, cls)


def _came(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _signature(name: str) -> str:
    return f"{_RESULTS[name]} (const fov_logits_tile *, void *)"


def _refuse_signature(name: str, came: str) -> NoReturn:
    raise TypeError(f"{name} must have the signature {_signature(name)}, got {came}")


def _address(name: str, function: Any) -> int:
    if isinstance(function, Compiled):
        return function.address
    if isinstance(function, _CTYPES_FUNCTION):
        _check_ctypes(name, function)
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    if _is_from("_cffi_backend", "_CDataBase", function):
        _check_cffi(name, function)
        return _cffi_address(function)
    if _is_from("numba.core.ccallback", "CFunc", function):
        _check_numba(name, function)
        return int(function.address)
    kinds = "a scipy.LowLevelCallable, a ctypes or cffi function pointer or a numba.cfunc"
    hint = f": {_HINTS[name]}" if callable(function) else ""
    what = "a Python function" if callable(function) and hasattr(function, "__code__") else _came(function)
    raise TypeError(f"{name} must be a compiled function, {kinds}, got {what}{hint}")


# ----- signatures


def _check_ctypes(name: str, function: Any) -> None:
    want = {"modifier": None, "tile_mask": ctypes.c_int}[name]
    kinds = function.argtypes
    if kinds is None:
        raise TypeError(
            f"{name} must have the signature {_signature(name)}, got a ctypes function without argtypes: set "
            f"argtypes to (c_void_p, c_void_p) and restype to {'None' if want is None else 'c_int'}"
        )
    fits = len(kinds) == 2 and function.restype is want and _is_ctypes_pointer(kinds[1])
    if not (fits and (_is_ctypes_pointer(kinds[0], ctypes.sizeof(LogitsTile)))):
        arguments = ", ".join(kind.__name__ for kind in kinds)
        restype = getattr(function.restype, "__name__", function.restype)
        _refuse_signature(name, f"argtypes ({arguments}) and restype {restype}")


def _is_ctypes_pointer(kind: Any, size: int | None = None) -> bool:
    """c_void_p or a POINTER; ``size``: to a structure of so many bytes."""
    if kind is ctypes.c_void_p:
        return True
    if not (isinstance(kind, type) and issubclass(kind, ctypes._Pointer)):
        return False
    target = kind._type_
    return size is None or (issubclass(target, ctypes.Structure) and ctypes.sizeof(target) == size)


def _check_cffi(name: str, function: Any) -> None:
    backend = sys.modules["_cffi_backend"]
    kind = backend.typeof(function)
    fits = kind.kind == "function" and not kind.ellipsis and len(kind.args) == 2
    fits = fits and kind.result.cname == _RESULTS[name]
    fits = fits and all(argument.kind == "pointer" for argument in kind.args)
    if fits:
        target = kind.args[0].item
        fits = target.kind == "void" or (
            target.kind == "struct"  # without fields it is a declaration, of any size
            and (target.fields is None or backend.sizeof(target) == ctypes.sizeof(LogitsTile))
        )
    if not fits:
        _refuse_signature(name, kind.cname)


def _check_numba(name: str, function: Any) -> None:
    signature = function._sig
    types = sys.modules["numba"].types
    pointers = (types.CPointer, types.RawPointer)
    fits = len(signature.args) == 2 and all(isinstance(argument, pointers) for argument in signature.args)
    if fits and isinstance(signature.args[0], types.CPointer):
        record = signature.args[0].dtype
        fits = isinstance(record, types.Record) and record.size == ctypes.sizeof(LogitsTile)
    if not fits or signature.return_type != {"modifier": types.void, "tile_mask": types.intc}[name]:
        _refuse_signature(name, f"a numba.cfunc of {signature}")


def _low_level(name: str, value: Any) -> Callback:
    """SciPy's protocol: the first item is a capsule named by the signature, its context the user data."""
    text, address, user_data = _core.capsule_parts(tuple.__getitem__(value, 0))
    match = re.fullmatch(r"(\w+) ?\(([^,]*)\* ?, ?[^,]*\* ?\)", text)
    if match is None or match[1] != _RESULTS[name] or _SCALARS.match(match[2].removeprefix("const ")):
        _refuse_signature(name, f"a LowLevelCallable of {text}")
    return Callback(address, user_data)


# ----- user data


def _check_user(name: str, function: Compiled, data: object, has_data: bool) -> None:
    """What foveate compiled knows whether it reads user data, and of which type."""
    if function.user is None and has_data:
        raise ValueError(f"{name} must come without user_data, its function takes none: {function!r}")
    if function.user is not None and data is None:
        raise ValueError(f"{name} must be a pair (function, user_data): {function!r} reads user data")
    if isinstance(data, np.ndarray) and data.dtype != function.user:
        raise TypeError(f"{name} must have user_data of dtype {function.user}, got an array of {data.dtype}")


def _data_address(name: str, data: Any) -> int:
    if data is None:
        return 0
    if isinstance(data, np.ndarray):
        if not data.flags.c_contiguous:
            raise ValueError(
                f"{name} must have contiguous user_data, got an array of strides {data.strides} "
                f"for shape {data.shape}"
            )
        return int(data.ctypes.data)
    if isinstance(data, int | np.integer) and not isinstance(data, bool):
        if not 0 <= data < 2 ** (8 * ctypes.sizeof(ctypes.c_void_p)):
            raise ValueError(f"{name} must have an address as user_data, got {data}")
        return int(data)
    if isinstance(data, ctypes.c_void_p | ctypes._Pointer):
        return ctypes.cast(data, ctypes.c_void_p).value or 0
    if isinstance(data, ctypes.Structure | ctypes.Array):
        return ctypes.addressof(data)
    if _is_from("_cffi_backend", "_CDataBase", data):
        kind = sys.modules["_cffi_backend"].typeof(data).kind
        if kind in ("pointer", "array"):
            return _cffi_address(data)
    kinds = "an address (int), a ctypes or cffi pointer, or a NumPy array"
    raise TypeError(f"{name} must have {kinds} as user_data, got {_came(data)}")


def _cffi_address(pointer: Any) -> int:
    backend: Any = sys.modules["_cffi_backend"]
    return int(backend.cast(backend.new_primitive_type("intptr_t"), pointer))
