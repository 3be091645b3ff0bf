"""foveate: attention on CPUs, any score, activation and combine, fused, on NumPy arrays.

>>> import numpy as np, foveate
>>> x = np.eye(3, dtype=np.float32)
>>> foveate.attention(x, x, x, causal=True).dtype
dtype('float32')
"""

from foveate import _threadpoolctl, reference
from foveate._core import version as __version__
from foveate._result import AttentionResult
from foveate._runtime import (
    available_isas,
    compiled_isas,
    get_include,
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
    "get_include",
    "get_isa",
    "get_num_threads",
    "info",
    "reference",
    "scores",
    "set_num_threads",
    "use_isa",
]

_threadpoolctl.register()
