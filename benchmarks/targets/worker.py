"""The process of one library: prepares the forms of a workload, and times bursts of one when asked.

Asked by pairs (method of `Session`, arguments) over a pipe; each is answered by (True, what it returned) or
(False, why it raised).
"""

import ctypes
import gc
import importlib
import os
import signal
from multiprocessing.connection import Connection
from typing import Any

import foveate
from benchmarks import timing
from benchmarks.targets import problem
from benchmarks.targets.forms import Forms
from benchmarks.targets.limit import Limit
from benchmarks.targets.problem import Array
from benchmarks.targets.target import Target
from benchmarks.targets.tile_loads import TileLoads
from foveate.cli.peers import Prepared

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Session:
    """What a worker holds of one workload."""

    def __init__(self, module: str):
        self._module = importlib.import_module(module)
        self._makers: Forms = {}
        self._prepared: dict[str, Prepared] = {}
        self._n_calls: dict[str, tuple[float, int]] = {}
        self._limit: Limit | None = None
        self._tile_loads: dict[int, TileLoads] = {}

    def forms(self, target: Target, n_threads: int) -> list[str]:
        """Forget the workload before and name the forms of this one."""
        self._makers, self._prepared, self._n_calls, self._limit = {}, {}, {}, None
        gc.collect()
        self._makers = self._module.forms(problem.make(target), n_threads)
        return list(self._makers)

    def result(self, form: str) -> Array:
        """Prepare a form and call it."""
        prepared = self._makers[form]()
        self._prepared[form] = prepared
        return prepared.to_array(prepared.call())

    def calibrate(self, form: str) -> float:
        """Seconds of one call; finds out how many make a burst."""
        self._n_calls[form] = timing.calibrate(self._prepared[form].call, pause=0.0)
        return self._n_calls[form][0]

    def burst(self, form: str) -> float:
        """Seconds per call; without a pause, since nobody else runs."""
        once, n_calls = self._n_calls[form]
        return timing.burst(self._prepared[form].call, n_calls, once, pause=0.0)

    def least_seconds(self, target: Target, n_threads: int) -> float:
        """The time that the limit of the target would need, measured now."""
        if self._limit is None:
            self._limit = Limit(target, n_threads)
        return self._limit.least_seconds()

    def tile_loads(self, n_threads: int) -> float | None:
        """GFLOP/s of tile registers that load what they multiply, now; None: foveate does not use them."""
        if foveate.get_isa() != "amx":
            return None
        if n_threads not in self._tile_loads:
            self._tile_loads[n_threads] = TileLoads(n_threads)
        return self._tile_loads[n_threads].rate()


def run(connection: Connection, module: str, log: str) -> None:
    """Answer until the other side is gone."""
    os.setpgid(0, 0)  # Ctrl-C is for the controller; processes that the library starts are stopped with it
    # a stopped process notices nothing: without this it would outlive a killed controller
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    session = Session(module)
    connection.send((True, os.getpid()))
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        connection.send(_answer(session, name, arguments))


def _answer(session: Session, name: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, getattr(session, name)(*arguments)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return False, f"{type(error).__name__}: {lines[0][:200]}"
