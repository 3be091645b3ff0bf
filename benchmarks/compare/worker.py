"""One revision's process: runs the suite with a `benchmark` fixture that times bursts on command.

Runs inside the environment of a revision as ``python -P worker.py FD DISTRIBUTION ROUND PYTEST_ARGUMENT...``
and imports nothing of this package. A benchmark stops inside ``benchmark(...)`` and obeys the socket FD, one
JSON object a line, until it is told to go on; so all its fixtures stay alive while it is timed.
"""

import gc
import importlib
import importlib.metadata
import json
import os
import socket
import statistics
import sys
import sysconfig
import time
from itertools import repeat
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.stats import Stats


class Channel:
    """Lines of JSON over a socket; the end of the other side is the end of this process."""

    def __init__(self, fd):
        self._file = socket.socket(fileno=fd).makefile("rw", encoding="ascii")

    def send(self, **message):
        self._file.write(json.dumps(message) + "\n")
        self._file.flush()

    def receive(self):
        line = self._file.readline()
        if not line:
            os._exit(0)
        return json.loads(line)


class Figures:
    """What a benchmark may read as `benchmark.stats` after it was timed."""

    def __init__(self, stats):
        self.stats = stats

    def __getitem__(self, name):
        return getattr(self.stats, name)


class Timed(BenchmarkFixture):
    """What a benchmark knows as `benchmark`: the interface of pytest-benchmark's fixture, timed on command.

    It takes nothing but the type from that fixture, which pytest-benchmark insists on.
    """

    disabled = skipped = has_error = False

    def __init__(self, channel, node, first_round):
        self._channel = channel
        self.first_round = first_round  # a suite may leave out of the others what is no time
        self.name = node.name
        self.fullname = node.nodeid
        callspec = getattr(node, "callspec", None)
        self.param, self.params = (callspec.id, callspec.params) if callspec else (None, None)
        self.group = self.stats = None
        self.extra_info = {}
        self.used = False

    def __call__(self, function, *args, **kwargs):
        def burst(n_calls):
            start = time.perf_counter()
            for _ in repeat(None, n_calls):
                function(*args, **kwargs)
            return time.perf_counter() - start

        result = function(*args, **kwargs)
        self._obey(burst)
        return result

    def pedantic(self, target, args=(), kwargs=None, setup=None, teardown=None, **_):
        """As pytest-benchmark's; how many rounds and iterations there are is not the suite's choice here."""
        kwargs = kwargs or {}

        def once():
            given = (setup() if setup else None) or (args, kwargs)
            start = time.perf_counter()
            result = target(*given[0], **given[1])
            elapsed = time.perf_counter() - start
            if teardown:
                teardown(*given[0], **given[1])
            return elapsed, result

        _, result = once()
        self._obey(lambda n_calls: sum(once()[0] for _ in range(n_calls)))
        return result

    def _obey(self, burst):
        if self.used:
            raise RuntimeError("benchmark: called twice in one test")
        self.used = True
        stats = Stats()
        self._channel.send(event="ready")
        while "n_calls" in (command := self._channel.receive()):
            n_calls = command["n_calls"]
            burst(1)  # caches and branch predictors belonged to the other process until now
            gc.disable()
            try:
                batches = [burst(n_calls) / n_calls for _ in range(command["n_batches"])]
            finally:
                gc.enable()
            seconds = statistics.median(batches)  # an interrupt spoils a batch, not the burst
            stats.update(seconds)
            self._channel.send(event="time", seconds=seconds)
        if stats.data:
            self.stats = Figures(stats)


class Plugin:
    """Takes pytest's loop over the tests, and the outcome of each."""

    def __init__(self, channel, first_round):
        self.channel = channel
        self.first_round = first_round
        self.timed = None
        self.failure = None

    def pytest_configure(self, config):
        # after the installed plugins, so that this fixture hides pytest-benchmark's
        config.pluginmanager.register(Fixtures(self), "compare-fixtures")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if "benchmark" in getattr(item, "fixturenames", ())]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        by_id = {item.nodeid: item for item in session.items}
        self.channel.send(event="collected", workloads=list(by_id))
        order = [by_id[name] for name in self.channel.receive()["order"]]
        for item, following in zip(order, [*order[1:], None], strict=True):
            self.timed, self.failure = None, None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failure is None and (self.timed is None or not self.timed.used):
                self.failure = "the benchmark fixture was not called"
            extra = self.timed.extra_info if self.timed else {}
            numbers = {key: value for key, value in extra.items() if isinstance(value, int | float)}
            self.channel.send(event="done", failure=self.failure, extra_info=numbers)
        return True

    def pytest_runtest_logreport(self, report):
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash else str(report.longrepr)
            self.failure = self.failure or text.strip().splitlines()[0][:300]
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
            self.failure = self.failure or reason


class Fixtures:
    """The fixture, in a plugin of its own because the order of registration decides who is hidden."""

    def __init__(self, plugin):
        self._plugin = plugin

    @pytest.fixture
    def benchmark(self, request):
        self._plugin.timed = Timed(self._plugin.channel, request.node, self._plugin.first_round)
        return self._plugin.timed


def import_installed(distribution):
    """Import the revision's own package first: a suite beside the sources must not find those instead."""
    site = Path(sysconfig.get_path("purelib"))
    files = importlib.metadata.distribution(distribution).files or ()
    names = {
        Path(file).parts[0].split(".")[0] for file in files if Path(file).suffix in (".py", ".so", ".pyd")
    }
    for name in sorted(name for name in names if name.isidentifier()):
        module = importlib.import_module(name)
        if module.__file__ and not Path(module.__file__).is_relative_to(site):
            raise ImportError(f"{name} came from {module.__file__}, expected a file under {site}")


def main():
    channel = Channel(int(sys.argv[1]))
    sys.dont_write_bytecode = True  # the suite's folder stays as it was
    import_installed(sys.argv[2])
    first_round = sys.argv[3] == "0"
    sys.exit(pytest.main(sys.argv[4:], plugins=[Plugin(channel, first_round)]))


if __name__ == "__main__":
    main()
