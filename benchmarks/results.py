"""Rows of the tables that the scripts print: one workload against one rival."""

import importlib.metadata
import platform
from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.table import Table

import foveate
from benchmarks.timing import Times


@dataclass(frozen=True)
class Row:
    """One workload against one rival; flops are those of one call."""

    workload: str
    rival: str
    ours: Times
    theirs: Times
    target: float | None
    flops: int | None = None

    @property
    def ratio_of_minima(self) -> float:
        return self.theirs.min / self.ours.min

    @property
    def ratio_of_medians(self) -> float:
        return self.theirs.median / self.ours.median

    @property
    def worse_ratio(self) -> float:
        return min(self.ratio_of_minima, self.ratio_of_medians)

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.worse_ratio >= self.target

    @property
    def gflops(self) -> float | None:
        return None if self.flops is None else self.flops / self.ours.min * 1e-9

    def as_dict(self) -> dict[str, object]:
        return {
            "shape": self.workload,
            "rival": self.rival,
            "foveate_min_s": self.ours.min,
            "foveate_median_s": self.ours.median,
            "rival_min_s": self.theirs.min,
            "rival_median_s": self.theirs.median,
            "bursts": len(self.ours.bursts),
            "rival_bursts": len(self.theirs.bursts),
            "ratio_of_minima": self.ratio_of_minima,
            "ratio_of_medians": self.ratio_of_medians,
            "foveate_gflops": self.gflops,
            "target": self.target,
            "met": self.met,
        }


def milliseconds(times: Times) -> str:
    return f"{times.min * 1e3:.4g} / {times.median * 1e3:.4g}"


def table(title: str, rows: Iterable[Row], markdown: bool, what: str = "shape") -> Table:
    """The rows for a terminal, or as Markdown."""
    result = Table(title=None if markdown else title, box=box.MARKDOWN if markdown else box.SIMPLE)
    for column in (what, "rival"):
        result.add_column(column, no_wrap=True)
    for column in ("foveate ms", "rival ms", "of minima", "of medians", "GFLOP/s", "target", "met"):
        result.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        result.add_row(
            row.workload,
            row.rival,
            milliseconds(row.ours),
            milliseconds(row.theirs),
            f"{row.ratio_of_minima:.2f}",
            f"{row.ratio_of_medians:.2f}",
            "" if row.gflops is None else f"{row.gflops:.3g}",
            "" if row.target is None else f"{row.target:.3g}",
            {True: "yes", False: "NO", None: ""}[row.met],
        )
    return result


def environment(n_threads: int, packages: Iterable[str]) -> dict[str, object]:
    """What a figure depends on; ``packages`` by the names under which they are imported."""
    distributions = importlib.metadata.packages_distributions()  # tensorflow may come from tensorflow-cpu
    return {
        "threads": n_threads,
        "isa": foveate.get_isa(),
        "python": platform.python_version(),
        **{
            name: importlib.metadata.version(distributions[name][0])
            for name in ("foveate", "numpy", *packages)
        },
    }
