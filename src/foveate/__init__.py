"""foveate: attention on CPUs, any score, activation and combine, fused, on NumPy arrays.

>>> import numpy as np, foveate
>>> x = np.eye(3, dtype=np.float32)
>>> foveate.attention(x, x, x, causal=True).dtype
dtype('float32')
"""

from importlib import import_module
from types import ModuleType

from foveate import _threadpoolctl, reference
from foveate._core import __pyx_capi__ as __pyx_capi__  # for `from foveate cimport ...`
from foveate._core import version as __version__
from foveate._embedding import get_cmake_dir, get_include, get_library
from foveate._numba import score_modifier
from foveate._result import AttentionResult
from foveate._runtime import (
    available_isas,
    compiled_isas,
    get_isa,
    get_num_threads,
    info,
    set_num_threads,
    use_isa,
)
from foveate.api import activate, attention, combine, scores
from foveate.mode import Mode
from foveate.stages import Additive, Bilinear, Cosine, Entmax, Select, Sigmoid, TopK

__all__ = [
    "Additive",
    "AttentionResult",
    "Bilinear",
    "Cosine",
    "Entmax",
    "Mode",
    "Select",
    "Sigmoid",
    "TopK",
    "__version__",
    "activate",
    "attention",
    "available_isas",
    "combine",
    "compiled_isas",
    "get_cmake_dir",
    "get_include",
    "get_isa",
    "get_library",
    "get_num_threads",
    "info",
    "reference",
    "score_modifier",
    "scores",
    "set_num_threads",
    "use_isa",
]

_threadpoolctl.register()


def __getattr__(name: str) -> ModuleType:
    """``foveate.layers`` and ``foveate.plot`` are imported when they are first used."""
    if name in ("layers", "plot"):
        return import_module(f"foveate.{name}")
    raise AttributeError(f"module 'foveate' has no attribute {name!r}")
