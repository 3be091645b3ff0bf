"""The workers as their controller sees them: all are stopped but the one that answers."""

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from benchmarks.targets import worker

PATIENCE = 600.0  # s; the longest silence: compiling a form on a busy machine, the slowest call
ENDING = 5.0  # s; a process whose pipe is closed ends by then
STOPPING, STOPS = 0.1, 20  # s, and how often it is tried: a start of a process takes milliseconds
LAST_LINES = 5


class Refused(Exception):
    """What was asked for raised in the worker, which goes on."""


class WorkerDied(Exception):
    """The process ended, or said nothing for too long; the message holds its last lines."""

    def __init__(self, name: str, how: str, last_lines: list[str]):
        super().__init__("\n  ".join([f"{name} {how}", *last_lines]))
        self.name = name


class Worker:
    """One process, stopped between two questions; `end` leaves nothing of it."""

    def __init__(self, name: str, module: str):
        self.name = name
        self._log = tempfile.NamedTemporaryFile("r", errors="replace")  # noqa: SIM115 - closed by end
        context = multiprocessing.get_context("spawn")  # fork would copy threads' locks and loaded libraries
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=worker.run, args=(theirs, module, self._log.name))
        self._process.start()
        theirs.close()
        try:
            self._answer()  # it is ready
            self._stop()
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def ask(self, method: str, *arguments: Any) -> Any:
        """Let it run until `worker.Session` has answered; `Refused` where that raised."""
        self._signal(signal.SIGCONT)
        try:
            self._connection.send((method, arguments))
            done, value = self._answer()
        except OSError:
            raise self._died(self._how_it_ended()) from None
        self._stop()
        if not done:
            raise Refused(value)
        return value

    def end(self) -> None:
        """SIGKILL, which reaches a stopped process; with all that the library has started."""
        self._signal(signal.SIGKILL)
        self._process.kill()  # also one that has no group of its own yet
        self._process.join()
        self._connection.close()
        self._log.close()

    def _stop(self) -> None:
        """Returns when every thread of it stands still.

        A thread that waits until a child of its own has started cannot stop when the child was stopped first:
        both go on for a moment then.
        """
        for _ in range(STOPS):
            self._signal(signal.SIGSTOP)
            end = time.monotonic() + STOPPING
            while time.monotonic() < end:
                if self._stands_still():
                    return
                time.sleep(0.0005)
            self._signal(signal.SIGCONT)
            time.sleep(STOPPING)
        raise self._died("does not stop")

    def _stands_still(self) -> bool:
        assert self.pid is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is not None
        except ChildProcessError:  # it died: the next question finds that out
            return True

    def _signal(self, number: signal.Signals) -> None:
        assert self.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _answer(self) -> tuple[bool, Any]:
        if not self._connection.poll(PATIENCE):
            raise self._died(f"said nothing for {PATIENCE:g} s")
        try:
            answer: tuple[bool, Any] = self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._died(self._how_it_ended()) from None
        return answer

    def _how_it_ended(self) -> str:
        self._process.join(ENDING)
        code = self._process.exitcode
        if code is None:
            return "closed its pipe"
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _died(self, how: str) -> WorkerDied:
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        return WorkerDied(self.name, how, lines[-LAST_LINES:])


class Workers:
    """A worker per library, started when first asked for and again after it died; a context manager."""

    def __init__(self, modules: Mapping[str, str]):
        self._modules = modules
        self._running: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.end(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def ask(self, name: str, method: str, *arguments: Any) -> Any:
        """As `Worker.ask`; a worker that dies on it is gone and raises `WorkerDied`."""
        try:
            if name not in self._running:
                self._running[name] = Worker(name, self._modules[name])
            return self._running[name].ask(method, *arguments)
        except WorkerDied:
            self.end(name)
            raise

    def end(self, name: str) -> None:
        if name in self._running:
            self._running.pop(name).end()

    def pids(self) -> dict[str, int | None]:
        return {name: running.pid for name, running in self._running.items()}
