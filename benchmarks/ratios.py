"""foveate against torch and naive NumPy in one process: `python -m benchmarks.ratios`.

Times are taken in turns: each burst starts after a pause, in which the other side's idle threads stop
spinning, with one call that is not timed. Inputs exist in each rival's native form and the results are
compared before the clock starts. A ratio is the rival's time over foveate's: above 1 foveate is faster. A
target is met when both the ratio of the minima and the ratio of the medians reach it.
"""

import argparse
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

import foveate
from benchmarks import rivals, shapes
from benchmarks.shapes import Shape
from benchmarks.timing import PAUSE, Times, check_agreement, interleave

Maker = Callable[[Shape, rivals.Arrays], rivals.Call]
MAKERS: dict[str, Maker] = {
    "foveate": rivals.foveate_call,
    "foveate Mode": rivals.foveate_mode_call,
    "torch": rivals.torch_call,
    "torch, group folded": rivals.torch_folded_call,
    "numpy": rivals.numpy_call,
}
# shape -> the ratio that foveate is meant to reach against each rival; None: measured, nothing promised
CLAIMS: dict[Shape, dict[str, float | None]] = {
    **{shape: {"torch": 1.2, "numpy": 1.0} for shape in shapes.PREFILL},
    shapes.DECODE: {"torch": 1.0, "torch, group folded": 1.0, "numpy": 1.0},
    shapes.TINY: {"torch": 2.0, "numpy": 1.0},
    **{shape: {"torch": None, "numpy": 1.0} for shape in shapes.SMALL},
}


@dataclass(frozen=True)
class Row:
    """One shape against one rival."""

    shape: Shape
    rival: str
    ours: Times
    theirs: Times
    target: float | None

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

    def as_dict(self) -> dict[str, object]:
        return {
            "shape": str(self.shape),
            "rival": self.rival,
            "foveate_min_s": self.ours.min,
            "foveate_median_s": self.ours.median,
            "rival_min_s": self.theirs.min,
            "rival_median_s": self.theirs.median,
            "bursts": len(self.ours.bursts),
            "ratio_of_minima": self.ratio_of_minima,
            "ratio_of_medians": self.ratio_of_medians,
            "foveate_gflops": self.shape.flops / self.ours.min * 1e-9,
            "target": self.target,
            "met": self.met,
        }


def measure(shape: Shape, targets: dict[str, float | None], repeats: int, budget: float) -> list[Row]:
    """Time one shape against its rivals."""
    arrays = shape.arrays()
    calls = {name: MAKERS[name](shape, arrays) for name in ("foveate", *targets)}
    check_agreement(calls, shape.dtype)
    times = interleave(calls, repeats, budget, PAUSE)
    return [Row(shape, name, times["foveate"], times[name], target) for name, target in targets.items()]


def milliseconds(times: Times) -> str:
    return f"{times.min * 1e3:.4g} / {times.median * 1e3:.4g}"


def table(title: str, rows: Iterable[Row], markdown: bool) -> Table:
    """The rows for a terminal, or as Markdown."""
    result = Table(title=None if markdown else title, box=box.MARKDOWN if markdown else box.SIMPLE)
    for column in ("shape", "rival"):
        result.add_column(column, no_wrap=True)
    for column in ("foveate ms", "rival ms", "of minima", "of medians", "GFLOP/s", "target", "met"):
        result.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        result.add_row(
            str(row.shape),
            row.rival,
            milliseconds(row.ours),
            milliseconds(row.theirs),
            f"{row.ratio_of_minima:.2f}",
            f"{row.ratio_of_medians:.2f}",
            f"{row.shape.flops / row.ours.min * 1e-9:.3g}",
            "" if row.target is None else f"{row.target:g}",
            {True: "yes", False: "NO", None: ""}[row.met],
        )
    return result


def environment(n_threads: int) -> dict[str, object]:
    names = ("foveate", "numpy", "torch")
    return {
        "threads": n_threads,
        "isa": foveate.get_isa(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of foveate against torch and naive NumPy.")
    parser.add_argument("--rows", choices=("claims", "grid", "all"), default="claims")
    parser.add_argument("--only", default="", help="shapes whose name contains this, e.g. 'D128 causal'")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15, help="bursts of each rival")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds per shape, after three rounds")
    parser.add_argument("--worst", type=int, default=20, help="how many rows of the grid to print")
    parser.add_argument("--json", type=Path, help="also write all rows to this file")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()

    rivals.set_threads(options.threads)
    console = Console(width=max(140, Console().width))  # also where the output is a pipe
    facts = environment(options.threads)
    console.print(", ".join(f"{name} {fact}" for name, fact in facts.items()))
    work = {
        "claims": CLAIMS if options.rows != "grid" else {},
        "grid": {shape: {"numpy": 1.0} for shape in shapes.GRID} if options.rows != "claims" else {},
    }
    report: dict[str, object] = {"environment": facts}
    for name, targets in work.items():
        selected = {shape: target for shape, target in targets.items() if options.only in str(shape)}
        rows: list[Row] = []
        for shape in track(selected, name, console=Console(stderr=True), transient=True):
            rows += measure(shape, selected[shape], options.repeats, options.budget)
        if not rows:
            continue
        report[name] = [row.as_dict() for row in rows]
        missed = sum(row.met is False for row in rows)
        shown = rows if name == "claims" else sorted(rows, key=lambda row: row.worse_ratio)[: options.worst]
        title = f"{name}: ms are min / median, ratios are rival / foveate"
        console.print(table(title, shown, options.markdown))
        console.print(f"{name}: {len(rows)} rows, {missed} below the target")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
