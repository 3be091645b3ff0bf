"""A worker process as its controller sees it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compare.environments import Environment
from benchmarks.compare.errors import CompareError

SCRIPT = Path(__file__).with_name("worker.py")
PATIENCE = 120.0  # s; the longest silence of a worker: imports, collection, the slowest single call
LAST_LINES = 10


class WorkerDied(CompareError):
    """The worker ended, or said nothing for too long."""

    def __init__(self, worker: "Worker", how: str, last_lines: Sequence[str]):
        super().__init__(
            "\n  ".join([f"the worker of {worker.revision} {how}; its last lines:", *last_lines])
        )
        self.worker, self.how = worker, how


class Worker:
    """The suite on one revision; use as a context manager, which leaves no process behind."""

    def __init__(
        self,
        environment: Environment,
        package: str,
        pytest_arguments: Sequence[str],
        folder: Path,
        round_number: int = 0,
    ):
        self.revision = environment.revision
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by __exit__
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        command = [
            str(environment.python),
            "-P",
            str(SCRIPT),
            str(theirs.fileno()),
            package,
            str(round_number),
            *pytest_arguments,
        ]
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
            process_group=0,  # Ctrl-C is for the controller; and children of a workload end with it
        )
        theirs.close()
        self._socket = ours
        self._file = ours.makefile("rw", encoding="ascii")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._socket.close()
        self._log.close()

    def collected(self) -> list[str]:
        """The workloads that the suite has on this revision."""
        return list(self._receive("collected")["workloads"])

    def set_order(self, workloads: Sequence[str]) -> None:
        """Start the loop over these workloads."""
        self._send(order=list(workloads))

    def next_workload(self) -> dict[str, object] | None:
        """Wait until the next workload can be timed: None; or what it says when it cannot."""
        message = self._receive("ready", "done")
        return message if message["event"] == "done" else None

    def move_to(self, core: int) -> None:
        """Let the worker's main thread run on this core only, and threads that it starts from now on."""
        os.sched_setaffinity(self._process.pid, {core})

    def burst(self, n_calls: int, n_batches: int) -> float:
        """Seconds per call: the median of so many batches, after one call that is not timed."""
        self._send(n_calls=n_calls, n_batches=n_batches)
        message = self._receive("time", "done")
        if message["event"] == "done":
            raise Failed(self, message)
        return float(message["seconds"])

    def finish(self) -> dict[str, object]:
        """Let the workload end; its failure, if any, and its extra_info."""
        self._send(go=True)
        return dict(self._receive("done"))

    def _send(self, **message: object) -> None:
        try:
            self._file.write(json.dumps(message) + "\n")
            self._file.flush()
        except OSError:
            raise self._died(self._end()) from None

    def _receive(self, *events: str) -> dict:
        try:
            line = self._file.readline()
        except TimeoutError:
            raise self._died(f"said nothing for {PATIENCE:g} s") from None
        except OSError:
            line = ""
        if not line:
            raise self._died(self._end())
        message = json.loads(line)
        if message["event"] not in events:
            raise self._died(f"sent {message['event']}, expected {' or '.join(events)}")
        return message

    def _end(self) -> str:
        code = self._process.wait()
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _died(self, how: str) -> WorkerDied:
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()][-LAST_LINES:]
        return WorkerDied(self, how, lines)


class Failed(Exception):
    """The workload raised while it was timed."""

    def __init__(self, worker: Worker, message: dict):
        super().__init__(str(message["failure"]))
        self.worker, self.message = worker, message
