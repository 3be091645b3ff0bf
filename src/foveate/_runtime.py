"""What runs underneath: instruction sets, threads, and a summary of both."""

from __future__ import annotations

import difflib
import os
from types import TracebackType
from typing import Any

import numpy as np

from foveate import _core, _validate

__all__ = [
    "available_isas",
    "compiled_isas",
    "get_isa",
    "get_num_threads",
    "info",
    "set_num_threads",
    "use_isa",
]

_forced: str | None = None  # what use_isa has set, None: FOVEATE_ISA or the best one


def status_error(status: int, message: str) -> Exception:
    """The exception for a status of the C library."""
    kind = _core.status_name(status)
    if kind.startswith("isa"):
        return _isa_error(kind, "FOVEATE_ISA", os.environ.get("FOVEATE_ISA", ""))
    if message.startswith("FOVEATE_F32"):
        return RuntimeError(message)
    return ValueError(f"query, key or value cannot be computed: {message}")


def _isa_error(kind: str, source: str, name: str) -> Exception:
    if kind == "isa_unavailable":
        can = ", ".join(map(repr, available_isas()))
        return RuntimeError(f"{source} must be an ISA that this machine can run ({can}), got {name!r}")
    near = difflib.get_close_matches(name, _core.isa_names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known = ", ".join(map(repr, _core.isa_names))
    return ValueError(f"{source} must be one of the ISAs compiled in ({known}) or 'auto', got {name!r}{hint}")


def _set_isa(name: str | None, source: str) -> None:
    global _forced
    status = _core.set_isa(name)
    if status:
        if name is None:
            raise status_error(status, _core.status_message(status))
        raise _isa_error(_core.status_name(status), source, name)
    _forced = name


class use_isa:
    """Force the instruction set of all later calls in this process.

    Takes effect at once; as a context manager it puts back what was set before.

    Parameters
    ----------
    name : str
        One of `available_isas`, or "auto" for FOVEATE_ISA or the best one.

    Raises
    ------
    TypeError
        The name is not a string.
    ValueError
        No such ISA is compiled in; the message lists those that are.
    RuntimeError
        This machine cannot run it; the message lists those that it can.

    Examples
    --------
    >>> import foveate
    >>> with foveate.use_isa("scalar"):
    ...     foveate.get_isa()
    'scalar'
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be the name of an ISA, got {name!r} ({type(name).__name__})")
        self._previous = _forced
        _set_isa(None if name == "auto" else name, "name")

    def __enter__(self) -> use_isa:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _set_isa(self._previous, "name")


def get_isa() -> str:
    """Name of the instruction set in use.

    Raises
    ------
    ValueError, RuntimeError
        The environment variable FOVEATE_ISA names an ISA that is not there.

    Examples
    --------
    >>> import foveate
    >>> foveate.get_isa() in foveate.available_isas()
    True
    """
    status, name = _core.get_isa()
    if status or name is None:
        raise status_error(status, _core.status_message(status))
    return name


def compiled_isas() -> tuple[str, ...]:
    """Names of the instruction sets in this build, best first.

    Examples
    --------
    >>> import foveate
    >>> foveate.compiled_isas()[-1]
    'scalar'
    """
    return _core.isa_names


def available_isas() -> tuple[str, ...]:
    """Names of the compiled instruction sets that this machine can run, best first.

    Examples
    --------
    >>> import foveate
    >>> set(foveate.available_isas()) <= set(foveate.compiled_isas())
    True
    """
    return _core.available_isas()


def get_num_threads() -> int:
    """Most threads that a call without ``num_threads`` uses.

    Examples
    --------
    >>> import foveate
    >>> foveate.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_num_threads(n: int | None) -> None:
    """Set the default number of threads of this process.

    Parameters
    ----------
    n : int or None
        >= 1, capped to what the machine has; None goes back to the automatic choice.

    Raises
    ------
    TypeError, ValueError
        n is no int, or below 1.

    Examples
    --------
    >>> import foveate
    >>> foveate.set_num_threads(1)
    >>> foveate.get_num_threads()
    1
    >>> foveate.set_num_threads(None)
    """
    if n is None:
        _core.set_num_threads(0)
        return
    count = _validate.index("n", n, "an int >= 1 or None")
    if count < 1:
        raise ValueError(f"n must be >= 1, or None for the automatic choice, got {count}")
    _core.set_num_threads(min(count, 2**31 - 1))


def info() -> dict[str, Any]:
    """What this build and this machine offer, for bug reports.

    Returns
    -------
    dict
        version, compiler, numpy; isa (compiled, available, chosen, forced_by: "use_isa", "FOVEATE_ISA" or
        None); threads (default, available, layer, reason); cpu_features; amx.

    Raises
    ------
    ValueError, RuntimeError
        As `get_isa`.

    Examples
    --------
    >>> import foveate
    >>> sorted(foveate.info())
    ['amx', 'compiler', 'cpu_features', 'isa', 'numpy', 'threads', 'version']
    """
    by_environment = os.environ.get("FOVEATE_ISA", "") not in ("", "auto")
    forced_by = "use_isa" if _forced else "FOVEATE_ISA" if by_environment else None
    return {
        "version": _core.version,
        "compiler": _core.compiler,
        "numpy": np.__version__,
        "isa": {
            "compiled": compiled_isas(),
            "available": available_isas(),
            "chosen": get_isa(),
            "forced_by": forced_by,
        },
        "threads": {
            "default": get_num_threads(),
            "available": _core.available_threads(),
            "layer": _core.threading_layer(),
            "reason": _core.threads_reason(),
        },
        "cpu_features": tuple(_core.cpu_features().split()),
        "amx": _core.amx_state(),
    }
