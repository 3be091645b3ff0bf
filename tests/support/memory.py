"""The same values in differently laid out memory: strides of every kind, misaligned and read-only views."""

from collections.abc import Callable

import numpy as np


def _every_second(array):
    """Every second row and column of a buffer that holds 0xff (NaN, True) in between."""
    shape = tuple(2 * n if axis >= array.ndim - 2 else n for axis, n in enumerate(array.shape))
    base = np.full((*shape, array.itemsize), 0xFF, np.uint8).view(array.dtype)[..., 0]
    view = base[..., ::2, ::2] if array.ndim > 1 else base[::2]
    view[...] = array
    return view


def _reversed(array):
    backwards = tuple(slice(None, None, -1) for _ in array.shape[-2:])
    return np.ascontiguousarray(array[(..., *backwards)])[(..., *backwards)]


def _transposed(array):
    """Columns next to each other in memory are a row apart."""
    return array if array.ndim < 2 else np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)


def _broadcast(array):
    """Stride 0 along the first axis of several: every index shows what stands at index 0."""
    for axis, n in enumerate(array.shape[:-1]):
        if n > 1:
            return np.broadcast_to(np.take(array, [0], axis=axis), array.shape)
    return array


def _byte_offset(array):
    view = np.ndarray(array.shape, array.dtype, buffer=bytearray(array.nbytes + 1), offset=1)
    view[...] = array
    return view


def _structured(array):
    """One field of packed records: elements stand itemsize + 1 bytes apart."""
    view = np.empty(array.shape, np.dtype([("pad", np.uint8), ("x", array.dtype)]))["x"]
    view[...] = array
    return view


def _read_only(array):
    copy = np.ascontiguousarray(array)
    copy.flags.writeable = False
    return copy


#: name -> array -> an array of the same shape and dtype in other memory; only "broadcast" changes values.
MEMORY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": np.ascontiguousarray,
    "every_second": _every_second,
    "reversed": _reversed,
    "transposed": _transposed,
    "fortran": np.asfortranarray,
    "broadcast": _broadcast,
    "byte_offset": _byte_offset,
    "structured": _structured,
    "read_only": _read_only,
}
