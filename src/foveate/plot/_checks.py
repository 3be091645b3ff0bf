"""Arguments of the pictures; nothing here needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "Labels", "check_labels", "matrices", "need_matplotlib"]

Array: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = Sequence[str] | None


def need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("foveate.plot needs matplotlib: pip install 'foveate[plot]'") from None


def check_labels(name: str, labels: Labels, n: int) -> None:
    if labels is not None and len(labels) != n:
        raise ValueError(f"{name}: got {len(labels)} labels, expected {n}")


def matrices(weights: ArrayLike, one: bool) -> Array:
    """The weights in float64, (H, Lq, Lk); ``one``: there is room for a single head."""
    array: NDArray[Any] = np.asarray(weights)
    if array.ndim != 2 and (one or array.ndim != 3):
        expected = "(Lq, Lk), one head, to draw into ax" if one else "(Lq, Lk) or (H, Lq, Lk)"
        raise ValueError(f"weights: got shape {array.shape}, expected {expected}")
    if not array.size:
        raise ValueError(f"weights: got shape {array.shape}, expected no axis of length 0")
    if np.iscomplexobj(array):
        raise TypeError(f"weights: got dtype {array.dtype}, expected real numbers")
    return array.astype(np.float64).reshape(-1, *array.shape[-2:])
