"""The least time in which this machine could do the work of a target, measured anew in every repetition."""

import itertools
import statistics
import time

import foveate
from benchmarks.targets.target import TANH, TANH_PER_CORE, Target
from benchmarks.timing import BURST
from foveate import _limit_plan

MIN_TRIES = 5


class Limit:
    """One probe of `foveate.limits`, which runs for about as long as a burst."""

    def __init__(self, target: Target, n_threads: int):
        assert target.share is not None
        self._work, self._fixed = target.work, None
        if target.share.limit == TANH:
            self._fixed = self._work / (TANH_PER_CORE * n_threads)
            return
        name, isa = target.share.limit, foveate.get_isa()
        self._plan = _limit_plan.probes_for(n_threads)  # holds the memory that is read
        self._probe = next(
            probe
            for probe in self._plan.probes
            if (probe.name, probe.threads) == (name, n_threads)
            and (probe.isa == isa or not name.startswith("fma"))
        )
        self._probe.prepare()
        if self._probe.note:
            raise RuntimeError(f"{name}: {self._probe.note}")

    def least_seconds(self) -> float:
        """The work over the median rate of a burst; raises RuntimeError where the probe does not run."""
        if self._fixed is not None:
            return self._fixed
        rates: list[float] = []
        end = time.perf_counter() + BURST
        for tries in itertools.count():
            if tries >= MIN_TRIES and time.perf_counter() >= end:
                break
            rate = self._probe.run()
            if rate is not None:
                rates.append(rate)
        if not rates:
            raise RuntimeError(f"{self._probe.name}: no try ran on all threads")
        return self._work / (statistics.median(rates) * 1e9)
