"""The probes of csrc/limits/limits.h. Private: see `foveate.limits`.

By ctypes, not Cython: the module `_core` exports them like every fov_* function, and only those who measure
load the binding. ctypes releases the GIL. Every probe returns None where it did not run.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_double, c_int, c_int64, c_void_p

from foveate import _core

READ_STEP = 512  # FOV_LIMIT_READ_STEP
AMX_STATES = (
    "ready",
    "absent",
    "the kernel refuses the permission",
    "the build's assembler knew no AMX",
)  # fov_limit_amx_state

_library = ctypes.CDLL(_core.__file__)  # the copy that is loaded, with its pool of threads
_DECLARED = {
    "vector_bits": (c_int, [c_int]),
    "fma": (c_double, [c_int, c_int, c_int, c_int64, POINTER(c_double)]),
    "read": (c_double, [c_int, c_void_p, c_int64, c_int, c_int64, c_int]),
    "can_read_dram": (c_int, []),
    "fork_join": (c_double, [c_int, c_int, c_int]),
    "amx_ready": (c_int, []),
    "amx": (c_double, [c_int, c_int, c_int64, POINTER(c_double)]),
}
for _name, (_result, _arguments) in _DECLARED.items():
    _function = getattr(_library, f"fov_limit_{_name}")
    _function.restype, _function.argtypes = _result, _arguments


def vector_bits(isa: str) -> int:
    """Width of the vectors of a compiled ISA."""
    return int(_library.fov_limit_vector_bits(_core.isa_names.index(isa)))


def fma(isa: str, real_bits: int, threads: int, n_rounds: int) -> tuple[float, float] | None:
    """Seconds, and floating point operations of all threads."""
    flops = c_double()
    index = _core.isa_names.index(isa)
    seconds = float(_library.fov_limit_fma(index, real_bits, threads, n_rounds, byref(flops)))
    return (seconds, flops.value) if seconds >= 0 else None


def amx(with_loads: bool, threads: int, n_rounds: int) -> tuple[float, float] | None:
    """Seconds, and floating point operations of all threads."""
    flops = c_double()
    seconds = float(_library.fov_limit_amx(with_loads, threads, n_rounds, byref(flops)))
    return (seconds, flops.value) if seconds >= 0 else None


def amx_state() -> str:
    """Whether AMX bf16 can run; asks the kernel for the permission where it is there."""
    return AMX_STATES[_library.fov_limit_amx_ready()]


def read(
    isa: str, address: int, thread_bytes: int, threads: int, n_passes: int, from_dram: bool
) -> tuple[float, float] | None:
    """Seconds, and bytes read by all threads."""
    index = _core.isa_names.index(isa)
    seconds = float(_library.fov_limit_read(index, address, thread_bytes, threads, n_passes, from_dram))
    return (seconds, float(thread_bytes * threads * n_passes)) if seconds >= 0 else None


def can_read_dram() -> bool:
    """Whether the processor has an instruction that drops data from all caches."""
    return bool(_library.fov_limit_can_read_dram())


def fork_join(threads: int, n_regions: int, meet: bool) -> float | None:
    """Seconds of the fastest of ``n_regions`` parallel regions."""
    seconds = float(_library.fov_limit_fork_join(threads, n_regions, meet))
    return seconds if seconds >= 0 else None
