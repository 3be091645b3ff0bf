"""Stages that hold learnt arrays: read-only, compared by identity, pickled as their arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from foveate import _validate

__all__ = ["Array", "Learnt", "learnt"]

Array = npt.NDArray[Any]
_SHARED_AXES = {"v": 1, "w": 2, "w_q": 2, "w_k": 2}  # of an array without a head axis


def learnt(name: str, value: object, shape: str) -> Array:
    """A read-only contiguous copy: float32 for float32, float16 and bfloat16, else float64."""
    array = _validate.as_ndarray(name, value)
    if _validate.float_code(array.dtype) < 0 and array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be {_validate.FLOATS} or integers, got dtype {array.dtype}")
    if array.ndim - _SHARED_AXES[name] not in (0, 1):
        per_head = f"(Hq, {shape.strip('(,)')})"
        raise ValueError(f"{name} must have shape {shape} or {per_head}, got shape {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"{name} must have no axis of length 0, got shape {array.shape}")
    narrow = array.dtype.name in ("float32", "float16", "bfloat16")
    copy = np.array(array, np.float32 if narrow else np.float64, order="C")
    copy.flags.writeable = False
    return copy


class Learnt:
    """Base of stages that are dataclasses of arrays."""

    _held: tuple[tuple[str, Array], ...]  # (name, array) of those that are given
    _converted: dict[np.dtype[Any], tuple[Array | None, ...]]

    def hold(self, **arrays: Array | None) -> None:
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        held = tuple((name, array) for name, array in arrays.items() if array is not None)
        object.__setattr__(self, "_held", held)
        object.__setattr__(self, "_converted", {})
        heads = {len(array) for name, array in held if array.ndim > _SHARED_AXES[name]}
        if len(heads) > 1:
            self.refuse("must have the same number of heads, the first axis of arrays with one more axis")

    def refuse(self, rule: str) -> NoReturn:
        came = ", ".join(f"{name} {array.shape}" for name, array in self._held)
        raise ValueError(f"{type(self).__name__}: {rule}, got {came or 'no arrays'}")

    def check_heads(self, n_q_heads: int) -> None:
        for name, array in self._held:
            if array.ndim > _SHARED_AXES[name] and len(array) != n_q_heads:
                self.refuse(f"{name} must have one entry per query head, {n_q_heads}, or no head axis")

    def of_heads(self, heads: slice) -> Learnt:
        """The same stage for some of the query heads."""
        arrays = {name: a[heads] if a.ndim > _SHARED_AXES[name] else a for name, a in self._held}
        return type(self)(**arrays)

    def parameters(self, dtype: np.dtype[Any]) -> tuple[Array | None, ...]:
        """The arrays as contiguous arrays of the type a call computes in; converted once."""
        found = self._converted.get(dtype)
        if found is None:
            with np.errstate(over="ignore"):  # beyond float32 becomes infinite, like any rounding to it
                arrays = self.__getstate__().values()
                found = tuple(None if a is None else np.ascontiguousarray(a, dtype) for a in arrays)
            self._converted[dtype] = found
        return found

    def __getstate__(self) -> dict[str, Array | None]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __copy__(self) -> Learnt:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Learnt:
        return self

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}=<{array.dtype} {array.shape}>" for name, array in self._held)
        return f"{type(self).__name__}({arguments})"
