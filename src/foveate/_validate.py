"""Refusals and conversions off the fast path: messages name the argument, what came, what was expected."""

from __future__ import annotations

import difflib
import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

FLOATS = "float32, float64, float16 or bfloat16"
DTYPE_NAMES = ("float32", "float64", "float16", "bfloat16")  # by fov_dtype
_CODES = {name: code for code, name in enumerate(DTYPE_NAMES)}
_QUANTIZED = {"int8": 5, "float8_e4m3fn": 6}  # key and value alone; by name their fov_dtype
_FAR = 2**62  # positions beyond every array; below it sums of two cannot overflow int64


# ----- dtypes


def float_code(dtype: np.dtype[Any]) -> int:
    """fov_dtype of a float dtype in native byte order, else -1."""
    return _CODES.get(dtype.name, -1) if dtype.isnative else -1


def quantized_code(dtype: np.dtype[Any]) -> int:
    """fov_dtype of what key and value alone may have, else 0."""
    return _QUANTIZED.get(dtype.name, 0)


def as_ndarray(name: str, value: object) -> Array:
    """np.asarray with the argument's name in its errors; masked arrays have no meaning here."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        hint = "pass its .data, and what to attend as mask="
        raise TypeError(f"{name} must be a plain array, got a numpy.ma.MaskedArray: {hint}")
    if value is None:
        raise TypeError(f"{name} must be an array, got None")
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        came = type(value).__name__
        raise kind(f"{name} must be an array or convertible to one, got {came}: {error}") from error


def refuse_dtype(name: str, array: Array) -> NoReturn:
    hint = ""
    if not array.dtype.isnative:
        hint = f" in the machine's byte order: convert with {name}.astype({name}.dtype.newbyteorder('='))"
    known = FLOATS.replace(" or", ",") + ", int8 or float8_e4m3fn" if name in ("key", "value") else FLOATS
    raise TypeError(f"{name} must be {known}, got dtype {array.dtype!s}{hint}")


def refuse_mixed_dtypes(name: str, dtype: np.dtype[Any], code: int) -> NoReturn:
    before = DTYPE_NAMES[code]
    raise TypeError(f"{name} must have the dtype of the arrays before it, {before}, got {dtype.name}")


def refuse_quantized(dtype: np.dtype[Any], code: int) -> NoReturn:
    """Value is not stored as key is; ``code``: that of key, 0 for the dtype of query."""
    before = {code: name for name, code in _QUANTIZED.items()}.get(code, "that of query")
    raise TypeError(f"value must have the dtype of key, {before}, got {dtype.name}")


def refuse_scale(name: str) -> NoReturn:
    raise TypeError(f"{name} must come with key and value of int8 or float8_e4m3fn, got it with floats")


def scale(name: str, value: object) -> npt.NDArray[np.float32]:
    """A float32 array of the scales of key or value; other floats are rounded to it."""
    array = as_ndarray(name, value)
    if array.dtype == np.float32:
        return array
    if float_code(array.dtype) < 0:
        raise TypeError(f"{name} must be floats, which float32 holds, got dtype {array.dtype}")
    return array.astype(np.float32)


def mask(value: object) -> Array:
    array = as_ndarray("mask", value)
    if array.dtype == np.bool_:
        return array
    if float_code(array.dtype) >= 0 or array.dtype.kind == "f":
        hint = "what is added to the logits goes into bias="
    else:
        hint = "write mask != 0 if that is meant"
    raise TypeError(f"mask must be bool (True = attend), got {array.dtype}: {hint}")


def bias(value: object) -> Array:
    array = as_ndarray("bias", value)
    if array.dtype == np.bool_:
        raise TypeError(f"bias must be {FLOATS}, got bool: what may be attended goes into mask=")
    if float_code(array.dtype) < 0:
        refuse_dtype("bias", array)
    return array


def per_head(name: str, value: object, n_heads: int) -> npt.NDArray[np.float64]:
    """A contiguous float64 copy of (n_q_heads,) values."""
    array = as_ndarray(name, value)
    if float_code(array.dtype) < 0 and array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be {FLOATS} or integers, got dtype {array.dtype}")
    if array.shape != (n_heads,):
        raise ValueError(
            f"{name} must have one value per query head, shape ({n_heads},), got shape {array.shape}"
        )
    return np.array(array, np.float64, order="C")


def _integers(name: str, value: object, low: int, high: int, bounds: str) -> int | npt.NDArray[np.int64]:
    """An int, or an int64 copy of an integer array, with values in low..high."""
    if type(value) is int:  # one for all: no array is made
        if low <= value <= high:
            return value
        raise ValueError(f"{name} must lie {bounds}, got {value}")
    array = as_ndarray(name, value)
    if array.dtype.kind not in "iu":
        came = f"{type(value).__name__} of dtype {array.dtype}"
        raise TypeError(f"{name} must be an int or an integer array, got {came}")
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        raise ValueError(f"{name} must lie {bounds}, got {array.min()} to {array.max()}")
    return int(array) if array.ndim == 0 else np.array(array, np.int64)


def kv_lengths(value: object, kv_len: int) -> int | npt.NDArray[np.int64]:
    return _integers("kv_lengths", value, 0, kv_len, f"in 0..{kv_len}, the keys there are")


def q_offset(value: object) -> int | npt.NDArray[np.int64]:
    return _integers("q_offset", value, 1 - _FAR, _FAR - 1, "within +-2**62")


def index(name: str, value: object, what: str) -> int:
    """An int; bool and float are not."""
    if not isinstance(value, bool | np.bool_):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise TypeError(f"{name} must be {what}, got {value!r} ({type(value).__name__})")


def num_threads(value: object) -> int:
    if type(value) is int and 0 < value < 2**31:
        return value
    n = index("num_threads", value, "an int >= 1 or None")
    if n < 1:
        raise ValueError(f"num_threads must be >= 1, or None for the default, got {n}")
    return min(n, 2**31 - 1)


# ----- the options of a mode


def choice(name: str, value: object, known: Sequence[str], objects: str = "") -> str:
    """One of the known names; the nearest is offered for a wrong one. ``objects``: what else is allowed."""
    names = ", ".join(map(repr, known))
    if not isinstance(value, str):
        came = f"{value!r} ({type(value).__name__})"
        raise TypeError(f"{name} must be a name, one of {names}{objects}, got {came}")
    if value in known:
        return str(value)
    near = difflib.get_close_matches(value, known, n=1) or [n for n in known if value in n.split("_")]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {names}, got {value!r}{hint}")


def real(name: str, value: object, what: str) -> float:
    """A finite float."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {what}, got {value!r} ({type(value).__name__})")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be {what}, got {value!r}")
    return number + 0.0  # -0.0 becomes 0.0: equal modes must compute the same bits


def key_stats(value: object) -> int:
    """The FOV_KEY_STATS of a name."""
    if value is None:
        return 0
    if not isinstance(value, str):
        raise TypeError(f"key_stats must be 'sum', 'max' or None, got {value!r} ({type(value).__name__})")
    return ("sum", "max").index(choice("key_stats", value, ("sum", "max"))) + 1


def causal(value: object) -> bool | str:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if not isinstance(value, str):
        came = f"{value!r} ({type(value).__name__})"
        raise TypeError(f"causal must be False, True, 'top_left' or 'bottom_right', got {came}")
    return choice("causal", value, ("top_left", "bottom_right"))


def window(value: object) -> tuple[int | None, int | None] | None:
    if value is None:
        return None
    if not isinstance(value, tuple | list):
        raise TypeError(
            "window must be a pair (left, right) of ints >= 0 or None, "
            f"got {value!r} ({type(value).__name__}); W keys up to and with the query's own are (W - 1, 0)"
        )
    if len(value) != 2:
        raise ValueError(f"window must be a pair (left, right), got {len(value)} values: {value!r}")
    return _side("left", value[0]), _side("right", value[1])


def _side(side: str, value: object) -> int | None:
    if value is None:
        return None
    n = index(f"window {side}", value, "an int >= 0 or None (open)")
    if n < 0:
        raise ValueError(f"window {side} must be >= 0, or None for open, got {n}")
    return n


def window_side(value: int | None) -> int:
    """For the C library: -1 is open, and so is what lies beyond every array."""
    return -1 if value is None or value >= _FAR else value


# ----- refusals of shapes and combinations


def refuse_ndim(name: str, shape: Shape) -> NoReturn:
    axes = {"weights": "(..., Hq, Lq, Lk)", "logits": "(..., L)"}.get(name, "(..., heads, length, dim)")
    least = 1 if name == "logits" else 2
    raise ValueError(f"{name} must have at least {least} axes, {axes}, got shape {shape}")


def refuse_batch(shapes: Sequence[tuple[str, Shape]]) -> NoReturn:
    came = ", ".join(f"{name} {shape}" for name, shape in shapes)
    names = ", ".join(name for name, _ in shapes)
    raise ValueError(f"{names} must have batch axes that broadcast together, got {came}")


def refuse_broadcast(name: str, shape: Shape, target: Shape) -> NoReturn:
    raise ValueError(f"{name} must broadcast to {target}, got shape {shape}")


def refuse_sizes_that_disagree(
    shapes: Sequence[tuple[str, Shape]], blhd: bool, any_key_dim: bool = False
) -> NoReturn:
    """Says which rule query, key and value (or weights and value) break; called when one is broken."""
    sizes = {name: _sizes(shape, blhd and name != "weights") for name, shape in shapes}
    first, last = ("query", "key") if "query" in sizes else ("weights", "value")
    heads, _, width = sizes[first]
    kv_heads, kv_len, head_dim = sizes[last]
    value_heads, value_len, _ = sizes.get("value", sizes[last])
    if first == "query" and head_dim != width and not any_key_dim:
        text = f"key must have the head_dim of query, {width}, got {head_dim}"
    elif first == "weights" and kv_len != width:
        text = f"value must have a row for each key of weights, {width}, got {kv_len}"
    elif value_len != kv_len:
        text = f"value must have the kv_len of key, {kv_len}, got {value_len}"
    elif value_heads != kv_heads:
        text = f"value must have the heads of key, {kv_heads}, got {value_heads}"
    else:
        text = f"the heads of {first} must be a multiple of those of {last}, got {heads} and {kv_heads}"
    came = ", ".join(f"{name} {shape}" for name, shape in dict(shapes).items())
    raise ValueError(f"{text}: {came} in layout {'blhd' if blhd else 'bhld'!r}")


def _sizes(shape: Shape, blhd: bool) -> tuple[int, int, int]:
    """(heads, length, columns)."""
    if len(shape) == 2:
        return 1, shape[0], shape[1]
    return (shape[-2], shape[-3], shape[-1]) if blhd else (shape[-3], shape[-2], shape[-1])


def refuse_sizes(batch: Shape, *sizes: int) -> NoReturn:
    names = ("n_q_heads", "n_kv_heads", "q_len", "kv_len", "head_dim", "value_dim")
    came = ", ".join(f"{name} {size}" for name, size in zip(names, sizes, strict=True))
    raise ValueError(
        f"query, key and value must be smaller: a product of sizes passes 2**63 bytes: batch {batch}, {came}"
    )


def refuse_alignment(q_len: int, kv_len: int) -> NoReturn:
    raise ValueError(
        f"causal or window with q_len {q_len} and kv_len {kv_len} needs to know where the queries stand: "
        "causal='top_left', causal='bottom_right' or q_offset="
    )


def refuse_q_offset(unbounded: bool) -> NoReturn:
    got = "neither" if unbounded else "a causal that already sets the alignment"
    raise ValueError(f"q_offset must come with causal=True or a window alone, got it with {got}")


def refuse_lse(activation: str) -> NoReturn:
    raise ValueError(f"return_lse must come with activation 'softmax' or 'softmax1', got {activation!r}")


def refuse_sinks(activation: str) -> NoReturn:
    raise ValueError(f"sinks must come with activation 'softmax', got {activation!r}")


# ----- out=

INPUTS = (
    "query",
    "key",
    "value",
    "mask",
    "bias",
    "k_scale",
    "v_scale",
)  # in the order in which the binding passes them


def out(array: object, shape: Shape, dtype: np.dtype[Any], inputs: Sequence[Array | None]) -> None:
    """Check that the result may be written into ``array``."""
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"out must be a numpy.ndarray, got {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"out must have the dtype of query, {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"out must have the shape of the result, {shape}, got {array.shape}")
    if not array.flags.writeable:
        raise ValueError("out must be writable, got a read-only array")
    if _overlaps_itself(array):
        raise ValueError(f"out must not overlap itself, got strides {array.strides} for shape {array.shape}")
    for name, other in zip(INPUTS, inputs, strict=True):
        if other is not None and _overlap(array, other):
            raise ValueError(f"out must not overlap any input, got memory shared with {name}")


def _overlap(a: Array, b: Array) -> bool:
    # Bounds first, then exactly; what is not decided after so many steps counts as an overlap.
    if not np.may_share_memory(a, b):
        return False
    return np.may_share_memory(a, b, max_work=1_000_000)  # type: ignore[arg-type]  # stubs: 0 and -1 only


def _overlaps_itself(array: Array) -> bool:
    """True if two elements share bytes. Slices and transposes are decided by their strides alone."""
    if array.size < 2:
        return False
    axes = sorted(
        (abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True) if size > 1
    )
    extent = array.itemsize
    for stride, size in axes:
        if stride < extent:
            break
        extent += stride * (size - 1)
    else:
        return False
    if axes[0][0] < array.itemsize:
        return True
    offsets = np.zeros(1, np.int64)
    for stride, size in axes:  # strides that interlock, from as_strided: look at every element
        offsets = np.add.outer(offsets, np.arange(size) * stride).ravel()
    return bool(np.diff(np.sort(offsets)).min() < array.itemsize)
