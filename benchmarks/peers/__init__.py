"""What the modes are timed against, a module per peer.

Each module has ``calls(workload, arrays)``: name to call, the forms in which the peer computes that workload,
on inputs that exist in its native form. Nothing of a peer is imported before it is asked for.
"""

import importlib
import importlib.util
from collections.abc import Iterable
from types import ModuleType

from benchmarks.rivals import Arrays, Call
from benchmarks.workloads import Workload

# peer -> (its module here, the packages that it needs)
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "numpy": ("naive_numpy", ()),
    "torch": ("with_torch", ("torch",)),
    "tensorflow": ("with_tensorflow", ("tensorflow",)),
    "keras": ("with_keras", ("keras", "tensorflow")),
}


def missing(peer: str) -> tuple[str, ...]:
    """The packages that a peer lacks."""
    return tuple(name for name in PEERS[peer][1] if importlib.util.find_spec(name) is None)


def packages(asked: Iterable[str]) -> tuple[str, ...]:
    """The packages of those peers that are installed, each once."""
    present = [peer for peer in PEERS if peer in asked and not missing(peer)]
    return tuple(dict.fromkeys(name for peer in present for name in PEERS[peer][1]))


def _module(peer: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.peers.{PEERS[peer][0]}")


def set_threads(n_threads: int, asked: Iterable[str]) -> None:
    """The same number for each of those peers that is installed; before any of them computes."""
    for peer in PEERS:
        if peer in asked and not missing(peer):
            _module(peer).set_threads(n_threads)


def calls(peer: str, workload: Workload, arrays: Arrays) -> dict[str, Call]:
    """The forms of a peer that is installed."""
    found: dict[str, Call] = _module(peer).calls(workload, arrays)
    return found
