"""How fast tiles are loaded just now: on some machines three times slower for stretches."""

import statistics
from collections.abc import Iterable

from foveate import _limit_plan

TRIES = 5  # of 0.1 ms
QUIET = 0.7  # of the fastest loads seen


class TileLoads:
    """Products of tiles that are loaded from L1, on all threads; RuntimeError where they do not run."""

    def __init__(self, n_threads: int):
        probes = _limit_plan.probes_for(n_threads).probes
        self._probe = next(p for p in probes if (p.name, p.threads) == ("amx_bf16_loads", n_threads))
        self._probe.prepare()
        if self._probe.note:
            raise RuntimeError(f"{self._probe.name}: {self._probe.note}")

    def rate(self) -> float:
        """GFLOP/s now."""
        rates = [rate for _ in range(TRIES) if (rate := self._probe.run()) is not None]
        if not rates:
            raise RuntimeError(f"{self._probe.name}: no try ran on all threads")
        return statistics.median(rates)


def quiet(rates: Iterable[float], fastest: float) -> list[bool]:
    """Which repetitions had loads at full speed."""
    return [rate >= QUIET * fastest for rate in rates]
