"""What this machine can do at most, measured now: the yardstick of the benchmarks.

>>> from foveate import limits
>>> found = limits.measure(seconds=0.05, threads=1)
>>> found.best("fma_f32", threads=1) > 0.0
True
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from typing import Any

from foveate import _core, _runtime, _validate
from foveate._limit_plan import Probe, probes_for

__all__ = ["NAMES", "Limit", "Limits", "measure"]

#: Name of every limit, and its unit. For those in us smaller is better.
NAMES = {
    "fma_f32": "GFLOP/s",
    "fma_f64": "GFLOP/s",
    "amx_bf16": "GFLOP/s",
    "amx_bf16_loads": "GFLOP/s",
    "read_l1": "GB/s",
    "read_l2": "GB/s",
    "read_l3": "GB/s",
    "read_dram": "GB/s",
    "fork_join": "us",
    "fork_join_paused": "us",
    "meet": "us",
    "meet_paused": "us",
}


MIN_REPETITIONS = 3


@dataclasses.dataclass(frozen=True)
class Limit:
    """One limit with one number of threads.

    Attributes
    ----------
    name : str
        A key of `NAMES`; docs/limits.md says what each measures.
    unit : str
        "GFLOP/s" (1e9 operations per second, a multiply-add is two), "GB/s" (1e9 bytes per second) or "us";
        of all threads together.
    threads : int
        Threads that ran at the same time.
    isa : str or None
        Instruction set of the probe; None where it makes no difference.
    vector_bits : int or None
        Width of its vectors.
    thread_bytes : int or None
        Bytes that each thread reads, for the limits in GB/s.
    best, median : float or None
        Of the repetitions; None where it could not be measured.
    repetitions : int
        How many there were.
    note : str
        Why there is no value, else empty.
    """

    name: str
    unit: str
    threads: int
    isa: str | None
    vector_bits: int | None
    thread_bytes: int | None
    best: float | None
    median: float | None
    repetitions: int
    note: str


@dataclasses.dataclass(frozen=True)
class Limits:
    """What `measure` found.

    Attributes
    ----------
    threads : int
        The larger number of threads; the smaller one is 1.
    seconds : float
        How long the measurement took.
    cache_bytes : dict of str to int
        Sizes of the caches that were taken for granted: "l1", "l2" and, where there is one, "l3".
    entries : tuple of Limit
        In the order of `NAMES`.
    """

    threads: int
    seconds: float
    cache_bytes: dict[str, int]
    entries: tuple[Limit, ...]

    def find(self, name: str, *, threads: int | None = None, isa: str | None = None) -> Limit:
        """The limit of that name.

        Parameters
        ----------
        name : str
            A key of `NAMES`.
        threads : int, optional
            1 or ``self.threads``, which is the default.
        isa : str, optional
            For ``fma_f32`` and ``fma_f64``; the instruction set in use where left out.

        Returns
        -------
        Limit

        Raises
        ------
        ValueError
            The name is unknown, or was not measured with these threads or this instruction set.
        """
        _validate.choice("name", name, tuple(NAMES))
        wanted = self.threads if threads is None else threads
        same_name = [entry for entry in self.entries if entry.name == name]
        found = [entry for entry in same_name if entry.threads == wanted]
        if not same_name:
            raise ValueError(f"name must be a limit of one thread, as these are, got {name!r}")
        if not found:
            counts = " or ".join(str(n) for n in sorted({entry.threads for entry in same_name}))
            raise ValueError(f"threads must be {counts} for the limit {name!r}, got {threads!r}")
        if name.startswith("fma"):
            isa = _runtime.get_isa() if isa is None else isa
            known = ", ".join(repr(entry.isa) for entry in found)
            found = [entry for entry in found if entry.isa == isa]
            if not found:
                raise ValueError(f"isa must be one of those measured ({known}), got {isa!r}")
        return found[0]

    def best(self, name: str, *, threads: int | None = None, isa: str | None = None) -> float | None:
        """The best value of that limit in its unit; None where it could not be measured. See `find`."""
        return self.find(name, threads=threads, isa=isa).best

    def to_dict(self) -> dict[str, Any]:
        """The same as dicts, lists, strings and numbers, for JSON."""
        return {
            "threads": self.threads,
            "seconds": self.seconds,
            "cache_bytes": dict(self.cache_bytes),
            "entries": [dataclasses.asdict(entry) for entry in self.entries],
        }


def measure(seconds: float = 2.0, threads: int | None = None) -> Limits:
    """Measure the limits of this machine in short repetitions that take turns.

    A busy machine slows some of the repetitions; the best of each limit is what it can do, the median what it
    did meanwhile. Runs on one thread and on ``threads``.

    Parameters
    ----------
    seconds : float
        Time for all of it. However short, every limit is tried three times.
    threads : int, optional
        >= 1, capped to what the machine has; the default number of threads of a call where left out.

    Returns
    -------
    Limits

    Raises
    ------
    TypeError, ValueError
        seconds is no positive number, threads no int of at least 1.

    Examples
    --------
    >>> from foveate import limits
    >>> found = limits.measure(seconds=0.05, threads=1)
    >>> found.find("read_l1").unit
    'GB/s'
    """
    began = time.perf_counter()
    deadline = began + _seconds(seconds)
    n_threads = _threads(threads)
    plan = probes_for(n_threads)
    for probe in plan.probes:
        probe.prepare()
    running = [probe for probe in plan.probes if not probe.note]
    while running:
        min(running, key=lambda probe: probe.spent).repeat()
        running = [probe for probe in running if not probe.note]
        if time.perf_counter() >= deadline:
            running = [probe for probe in running if probe.tries < MIN_REPETITIONS]
    entries = sorted(
        (_limit(probe) for probe in plan.probes), key=lambda limit: list(NAMES).index(limit.name)
    )
    return Limits(n_threads, time.perf_counter() - began, plan.cache_bytes, tuple(entries))


def _limit(probe: Probe) -> Limit:
    unit, values = NAMES[probe.name], probe.values
    best = (min if unit == "us" else max)(values, default=None)
    median = statistics.median(values) if values else None
    return Limit(
        probe.name, unit, probe.threads, probe.isa, probe.vector_bits, probe.thread_bytes,
        best, median, len(values), "" if values else probe.note,
    )  # fmt: skip


def _seconds(value: object) -> float:
    number = _validate.real("seconds", value, "a finite number > 0")
    if number <= 0:
        raise ValueError(f"seconds must be a finite number > 0, got {value!r}")
    return number


def _threads(value: object) -> int:
    if value is None:
        return _core.get_num_threads()
    n = _validate.index("threads", value, "an int >= 1 or None")
    if n < 1:
        raise ValueError(f"threads must be >= 1, or None for the default, got {n}")
    return min(n, max(_core.available_threads(), _core.get_num_threads()))
