"""A look at the speed of tile loads before every burst of every form, where foveate uses tile registers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks.targets.outcome import Outcome
from benchmarks.targets.workers import Refused, Workers

Bursts = dict[str, Callable[[], float]]
UNKNOWN = 0.0  # GFLOP/s of a look that failed: what follows does not count as quiet


@dataclass
class Looks:
    """What was seen before each burst, by form, in GFLOP/s."""

    seen: dict[str, list[float]] = field(default_factory=dict)

    def of_repetitions(self) -> tuple[float, ...]:
        """The slowest of each repetition; long calls have fewer of them."""
        n = max(map(len, self.seen.values()), default=0)
        return tuple(min(rates[i] for rates in self.seen.values() if i < len(rates)) for i in range(n))


def look_before(bursts: Bursts, own: str, workers: Workers, outcome: Outcome) -> tuple[Bursts, Looks]:
    """The bursts, each with a look before it that the worker ``own`` takes, if it has tile registers."""

    def look() -> float | None:
        rate: float | None = workers.ask(own, "tile_loads", outcome.n_threads)
        return rate

    def looking(form: str, burst: Callable[[], float]) -> float:
        try:
            looks.seen[form].append(look() or UNKNOWN)
        except Refused:
            looks.seen[form].append(UNKNOWN)
        return burst()

    looks = Looks()
    try:
        if look() is None:
            return bursts, looks
    except Refused as reason:
        outcome.left_out["tile loads"] = str(reason)
        return bursts, looks
    looks.seen = {form: [] for form in bursts}
    return {form: partial(looking, form, burst) for form, burst in bursts.items()}, looks
