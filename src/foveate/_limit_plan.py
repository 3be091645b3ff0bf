"""Which probes run, on how much data, and one repetition of each. Private: see `foveate.limits`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from foveate import _core, _limit_probes
from foveate._caches import Cache, caches

REPETITION = 100e-6  # s; short, so that some repetitions fall between two interruptions
MOST_COUNTED = 2e-3  # s; a try that took longer was interrupted, and is the one that must be repeated
N_TRIES = 3
CLOCK = 1e-7  # s; less is beyond the clock
PAUSE = 1e-3  # s; workers of the pool sleep after 0.1 ms without work
N_REGIONS = 20
DRAM_BYTES = 1 << 20  # per thread; dropping it from the caches takes 1 to 2 ms, less than a time slice
LINE = 64
NOT_RUN = "the probe does not run"
SIZES = {"read_l1": 1, "read_l2": 2, "read_l3": 3}


@dataclass
class Probe(ABC):
    """Something to be repeated. ``note`` tells why it cannot run.

    ``spent``: seconds, where no try counts more than `MOST_COUNTED`.
    """

    name: str
    threads: int
    isa: str | None = None
    vector_bits: int | None = None
    thread_bytes: int | None = None
    note: str = ""
    spent: float = 0.0
    tries: int = 0
    values: list[float] = field(default_factory=list)

    @abstractmethod
    def run(self) -> float | None:
        """One repetition: the value in the unit of the limit."""

    def prepare(self) -> None:  # noqa: B027
        """Find out how long a repetition must be."""

    def repeat(self) -> None:
        """Run once and keep the value; a probe that never ran and does not run now is given up."""
        began = time.perf_counter()
        value = self.run()
        self.spent += min(time.perf_counter() - began, MOST_COUNTED)
        self.tries += 1
        if value is not None:
            self.values.append(value)
        elif not self.values:
            self.note = NOT_RUN if self.threads == 1 else f"{self.threads} threads did not come together"


class Rate(Probe):
    """Work per second, in units of 1e9."""

    n_rounds = 1

    @abstractmethod
    def work(self, threads: int) -> tuple[float, float] | None:
        """Seconds and work of ``n_rounds`` on so many threads."""

    def run(self) -> float | None:
        done = self.work(self.threads)
        return None if done is None else done[1] / done[0] / 1e9

    def prepare(self) -> None:
        """Find the number of rounds that takes about `REPETITION`.

        On one thread, where the fastest of a few tries tells: several wait for each other on a busy machine.
        """
        while not self.note:
            times = [done[0] for _ in range(N_TRIES) if (done := self.work(1)) is not None]
            if not times:
                self.note = NOT_RUN
            elif min(times) >= REPETITION / 2:
                break
            else:
                self.n_rounds *= max(2, min(64, round(REPETITION / max(min(times), CLOCK))))


class Fma(Rate):
    """Multiply-adds in registers."""

    def work(self, threads: int) -> tuple[float, float] | None:
        assert self.isa is not None
        return _limit_probes.fma(self.isa, 64 if self.name == "fma_f64" else 32, threads, self.n_rounds)


class Amx(Rate):
    """Tile products in bf16."""

    def work(self, threads: int) -> tuple[float, float] | None:
        return _limit_probes.amx(self.name == "amx_bf16_loads", threads, self.n_rounds)


@dataclass
class Read(Rate):
    """Reads of data that some level of memory holds."""

    address: int = 0

    def work(self, threads: int) -> tuple[float, float] | None:
        assert self.isa is not None
        assert self.thread_bytes is not None
        dram = self.name == "read_dram"
        return _limit_probes.read(self.isa, self.address, self.thread_bytes, threads, self.n_rounds, dram)


class ReadDram(Read):
    """The same after the data left all caches: no buffer has to be larger than they are."""

    def prepare(self) -> None:
        """One pass, as a second one would find the data in a cache."""


class ForkJoin(Probe):
    """A parallel region without work, in us."""

    def run(self) -> float | None:
        paused = self.name.endswith("paused")
        if paused:
            time.sleep(PAUSE)
        seconds = _limit_probes.fork_join(
            self.threads, 1 if paused else N_REGIONS, self.name.startswith("meet")
        )
        return None if seconds is None else seconds * 1e6


@dataclass
class Plan:
    """The probes, the caches they were made for, and the data they read."""

    probes: list[Probe]
    cache_bytes: dict[str, int]
    data: object


def thread_bytes(level: int, threads: int, found: Mapping[int, Cache]) -> int | None:
    """Bytes per thread that stay in that cache and in no smaller one; None where there is no such size.

    L1 and L2: half of a thread's part. L3: four times its part of L2, which leaves a huge L3 that other
    machines share mostly alone, and no more than three quarters of its part of L3.
    """
    if level not in found:
        return None
    mine = {n: cache.n_bytes // min(threads, cache.sharers) for n, cache in found.items()}
    size = mine[level] // 2
    if level == 3:
        size = min(mine[3] * 3 // 4, 4 * mine[2])
    if level > 1 and size < 2 * mine[level - 1]:
        return None
    return size // _limit_probes.READ_STEP * _limit_probes.READ_STEP


def probes_for(threads: int) -> Plan:
    """Every probe on 1 thread and on ``threads``."""
    counts = (1,) if threads == 1 else (1, threads)
    found = caches()
    sizes = {(name, n): thread_bytes(level, n, found) for name, level in SIZES.items() for n in counts}
    sizes |= {("read_dram", n): DRAM_BYTES for n in counts}
    n_bytes = max((size or 0) * n for (_, n), size in sizes.items())
    data = np.ones(n_bytes + LINE, np.uint8)  # ones: untouched memory would be one page of zeros, in L1
    address = data.ctypes.data + -data.ctypes.data % LINE

    probes: list[Probe] = []
    isas = _core.available_isas()
    widest = isas[0], _limit_probes.vector_bits(isas[0])
    for n in counts:
        for isa in isas:
            bits = _limit_probes.vector_bits(isa)
            probes += [Fma(name, n, isa, bits) for name in ("fma_f32", "fma_f64")]
        state = _limit_probes.amx_state()
        note = "" if state == "ready" else state
        probes += [Amx(name, n, "amx", None, None, note) for name in ("amx_bf16", "amx_bf16_loads")]
        for name in SIZES:
            size = sizes[name, n]
            note = (
                ""
                if size
                else "no such cache"
                if SIZES[name] not in found
                else "too small beside the level below"
            )
            probes.append(Read(name, n, *widest, size, note, address=address))
        note = "" if _limit_probes.can_read_dram() else "no instruction empties the caches"
        probes.append(ReadDram("read_dram", n, *widest, DRAM_BYTES, note, address=address))
        probes += [ForkJoin(name, n) for name in ("fork_join", "fork_join_paused")]
        if n > 1:
            probes += [ForkJoin(name, n) for name in ("meet", "meet_paused")]
    return Plan(probes, {f"l{level}": cache.n_bytes for level, cache in sorted(found.items())}, data)
