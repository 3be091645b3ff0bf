"""What was found about one target, as rows of a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.results import Row
from benchmarks.targets.forms import NEIGHBOUR, OWN
from benchmarks.targets.target import Target
from benchmarks.targets.tile_loads import quiet
from benchmarks.timing import Times

LIMIT = "limit"


class PairedRow(Row):
    """Times of the same repetitions: the ratio of medians is the median of the ratios."""

    @property
    def ratio_of_medians(self) -> float:
        pairs = zip(self.theirs.bursts, self.ours.bursts, strict=False)  # a long call has fewer bursts
        return statistics.median(theirs / ours for theirs, ours in pairs)


@dataclass
class Outcome:
    """The times by form, and what has none, with the reasons: left out, wrong results, workers that died.

    ``tile_loads`` in GFLOP/s, a number per repetition, where foveate uses tile registers.
    """

    target: Target
    n_threads: int
    isa: str
    times: dict[str, Times] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    died: dict[str, str] = field(default_factory=dict)
    tile_loads: tuple[float, ...] = ()

    def in_quiet(self, fastest: float) -> Outcome:
        """Of the repetitions whose tile loads ran at full speed; ``fastest``: the most seen in the run."""
        kept = quiet(self.tile_loads, fastest)
        bursts = {
            form: tuple(seconds for seconds, counts in zip(times.bursts, kept, strict=False) if counts)
            for form, times in self.times.items()
        }
        rates = tuple(rate for rate, counts in zip(self.tile_loads, kept, strict=True) if counts)
        return replace(
            self, times={form: Times(some) for form, some in bursts.items() if some}, tile_loads=rates
        )

    def peers(self) -> list[Row]:
        """Every form of every peer."""
        return [self._row(name, name, self.target.peers) for name in self.times if name not in _NO_PEERS]

    def rows(self) -> Iterator[Row]:
        """Against the best peer, the limit and the other workload of our own: those that were asked for."""
        if OWN not in self.times:
            return
        if peers := [row for row in self.peers() if row.rival.startswith(self.target.rival)]:
            yield min(peers, key=lambda row: row.worse_ratio)
        if self.target.share is not None and LIMIT in self.times:
            name, target = self.target.share.limit, self.target.share.target(self.isa)
            yield self._row(LIMIT, f"{LIMIT}: {name}", target, paired=True)
        if self.target.own is not None and NEIGHBOUR in self.times:
            yield self._against_own()

    def drops(self, row: Row) -> bool:
        """Whether a row is below a target that is out of reach: that of peers, else our own, else a limit."""
        if self.target.peers:
            against = row.rival in self.times
        else:
            against = row.rival.startswith("own" if self.target.own else LIMIT)
        return bool(self.target.dropped) and row.met is False and against

    def _against_own(self) -> Row:
        own = self.target.own
        assert own is not None
        of_flops = self.target.flops / own.target.flops if own.per_flop else 1.0
        name = own.target.name if own.target.shape == self.target.shape else own.target.shape
        return self._row(NEIGHBOUR, f"own: {name}", own.at_least, paired=True, factor=of_flops)

    def _row(
        self, form: str, name: str, target: float | None, *, paired: bool = False, factor: float = 1.0
    ) -> Row:
        theirs = Times(tuple(seconds * factor for seconds in self.times[form].bursts))
        kind = PairedRow if paired else Row
        return kind(str(self.target), name, self.times[OWN], theirs, target, self.target.flops)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON: errors are shares of what is admitted."""
        return {
            "workload": str(self.target),
            "threads": self.n_threads,
            "isa": self.isa,
            "rows": [row.as_dict() for row in self.rows()],
            "tile_loads_gflops": list(self.tile_loads),
            "bursts_s": {name: list(times.bursts) for name, times in self.times.items()},
            "errors": self.errors,
            "left_out": self.left_out,
            "wrong": self.wrong,
            "died": self.died,
        }


_NO_PEERS = (OWN, NEIGHBOUR, LIMIT)
