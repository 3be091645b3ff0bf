"""Other libraries that ``foveate bench`` times, one module each: ``prepare(query, key, value, ...)``.

Inputs exist in the library's own form before the clock starts. No peer is imported before it is asked for.
NumPy is not here, as it is never absent: its attention stands in `foveate.cli.timing`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["PACKAGES", "Array", "Maker", "Prepared", "folded", "load", "version"]

Array = NDArray[Any]

#: Peer -> the packages it needs; its module is ``with_<peer>``.
PACKAGES: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino",),
}


class Prepared(NamedTuple):
    """A call to be timed, and how its result becomes (B, Hq, Lq, Dv)."""

    call: Callable[[], Any]
    to_array: Callable[[Any], Array] = np.asarray


class Maker(Protocol):
    """Prepares the attention of (B, H, L, D) arrays on a number of threads."""

    def __call__(
        self, query: Array, key: Array, value: Array, *, causal: bool, n_threads: int
    ) -> Prepared: ...


def load(name: str) -> Maker:
    """The maker of a peer; ImportError that names the first missing package."""
    for package in PACKAGES[name]:
        try:
            importlib.import_module(package)
        except ImportError:
            need = "" if package == name else f" without the package {package}, which builds its model"
            raise ImportError(f"{name} is not installed" if not need else f"no {name}{need}") from None
    maker: Maker = importlib.import_module(f"{__name__}.with_{name}").prepare
    return maker


def version(name: str) -> str:
    """The version of an installed peer, or of NumPy."""
    return importlib.metadata.version(name)


def folded(query: Array, key: Array, value: Array, causal: bool) -> tuple[Array, Array, Array]:
    """The same attention without grouped heads, for libraries that have none.

    Query heads of one group become rows of one head; under a causal mask, where rows differ, the keys and
    values of a group are copied for each.
    """
    *batch, n_q_heads, _, head_dim = query.shape
    n_kv_heads = key.shape[-3]
    if n_q_heads == n_kv_heads:
        return query, key, value
    if causal:
        group_size = n_q_heads // n_kv_heads
        return query, np.repeat(key, group_size, axis=-3), np.repeat(value, group_size, axis=-3)
    return query.reshape(*batch, n_kv_heads, -1, head_dim), key, value
