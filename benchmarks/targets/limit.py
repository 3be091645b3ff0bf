"""The least time in which this machine could do the work of a target, measured anew in every repetition."""

import itertools
import statistics
import time
from collections.abc import Sequence

import numpy as np

import foveate
from benchmarks.targets.target import READ, TANH, TANH_PER_CORE, Target
from benchmarks.timing import BURST
from foveate import _limit_plan, _limit_probes

MIN_TRIES = 5
READ_STEP = 4096  # bytes; a multiple of what the probe reads at a time


class Read:
    """Reads as many bytes as a target, as often as a burst calls: once untimed, then for `BURST` seconds.

    More passes than a burst makes would leave more of the bytes in a large cache than its calls find there
    (134 MB, a burst of one call: the tenth pass ran at 58 GB/s, the second at 31).
    """

    note = ""

    def __init__(self, n_bytes: float, n_threads: int):
        self._thread_bytes = max(1, int(n_bytes / n_threads) // READ_STEP) * READ_STEP
        self._memory = np.ones(self._thread_bytes * n_threads // 4, np.float32)
        self._n_threads, self._passes = n_threads, 1

    def prepare(self) -> None:
        """Find out how many passes take as long as a burst."""
        if (rate := self.run()) is not None:
            self._passes = max(1, round(BURST * rate * 1e9 / self._memory.nbytes))

    def run(self) -> float | None:
        """GB/s of the timed passes."""
        done = _limit_probes.read(
            foveate.get_isa(),
            self._memory.ctypes.data,
            self._thread_bytes,
            self._n_threads,
            self._passes,
            False,
        )
        return None if done is None else done[1] / done[0] / 1e9


def prepare(probe: Read | _limit_plan.Probe, name: str) -> None:
    """RuntimeError where this machine cannot run it."""
    probe.prepare()
    if probe.note:
        raise RuntimeError(f"{name}: {probe.note}")


def median_rate(rates: Sequence[float | None], name: str) -> float:
    """Of the tries that ran; RuntimeError where none did."""
    ran = [rate for rate in rates if rate is not None]
    if not ran:
        raise RuntimeError(f"{name}: no try ran on all threads")
    return statistics.median(ran)


class Limit:
    """One probe of `foveate.limits`, or `Read`, which runs for about as long as a burst."""

    def __init__(self, target: Target, n_threads: int):
        assert target.share is not None
        self._work, self._fixed, self._tries = target.work, None, MIN_TRIES
        self._probe: Read | _limit_plan.Probe
        if target.share.limit == TANH:
            self._fixed = self._work / (TANH_PER_CORE * n_threads)
            return
        name, isa = target.share.limit, foveate.get_isa()
        if name == READ:
            self._probe, self._tries = Read(self._work, n_threads), 1
        else:
            self._plan = _limit_plan.probes_for(n_threads)  # holds the memory that is read
            self._probe = next(
                probe
                for probe in self._plan.probes
                if (probe.name, probe.threads) == (name, n_threads)
                and (probe.isa == isa or not name.startswith("fma"))
            )
        self._name = name
        prepare(self._probe, name)

    def least_seconds(self) -> float:
        """The work over the median rate of a burst; raises RuntimeError where the probe does not run."""
        if self._fixed is not None:
            return self._fixed
        rates: list[float | None] = []
        end = time.perf_counter() + BURST
        for tries in itertools.count():
            if tries >= self._tries and time.perf_counter() >= end:
                break
            rates.append(self._probe.run())
        return self._work / (median_rate(rates, self._name) * 1e9)
