"""How fast tiles are loaded just now: on some machines three times slower for stretches."""

from collections.abc import Iterable

from benchmarks.targets.limit import median_rate, prepare
from foveate import _limit_plan

NAME = "amx_bf16_loads"
TRIES = 5  # of 0.1 ms
QUIET = 0.7  # of the fastest loads seen


class TileLoads:
    """Products of tiles that are loaded from L1, on all threads; RuntimeError where they do not run."""

    def __init__(self, n_threads: int):
        probes = _limit_plan.probes_for(n_threads).probes
        self._probe = next(p for p in probes if (p.name, p.threads) == (NAME, n_threads))
        prepare(self._probe, NAME)

    def rate(self) -> float:
        """GFLOP/s now."""
        return median_rate([self._probe.run() for _ in range(TRIES)], NAME)


def quiet(rates: Iterable[float], fastest: float) -> list[bool]:
    """Which repetitions had loads at full speed."""
    return [rate >= QUIET * fastest for rate in rates]
