"""Score modifiers on the whole matrix of logits, for `foveate.reference`."""

from __future__ import annotations

import ctypes
import types
from typing import Any

import numpy as np
import numpy.typing as npt

from foveate._callbacks import LogitsTile, resolve

__all__ = ["modified"]

Array = npt.NDArray[np.float64]
_F64 = 1  # FOV_F64
_MODIFIER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


def modified(logits: Array, modifier: Any) -> Array:
    """The logits (..., Hq, Lq, Lk) after the modifier; the argument stays as it is.

    A Python function gets all of them and returns as many. What `foveate.attention` takes is called as it is
    there, with one tile of float64 per batch element and head.
    """
    if isinstance(modifier, types.FunctionType | types.MethodType):
        return np.broadcast_to(np.asarray(modifier(logits), np.float64), logits.shape)
    callback = resolve("modifier", modifier)
    function = _MODIFIER(callback.function)
    result = np.array(logits, np.float64, order="C")
    heads, q_len, kv_len = result.shape[-3:]
    if result.size == 0:
        return result
    for number, part in enumerate(result.reshape(-1, q_len, kv_len)):
        batch, head = divmod(number, heads)
        tile = LogitsTile(part.ctypes.data, q_len, kv_len, kv_len, 1, batch, head, 0, 0, _F64)
        function(ctypes.addressof(tile), callback.user_data)
    return result
