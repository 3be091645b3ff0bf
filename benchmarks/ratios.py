"""foveate against torch and naive NumPy in one process: `python -m benchmarks.ratios`.

Times are taken in turns: each burst starts after a pause, in which the other side's idle threads stop
spinning, with one call that is not timed. Inputs exist in each rival's native form and the results are
compared before the clock starts. A ratio is the rival's time over foveate's: above 1 foveate is faster. A
target is met when both the ratio of the minima and the ratio of the medians reach it.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks import rivals, shapes
from benchmarks.results import Row, environment, table
from benchmarks.shapes import Shape
from benchmarks.timing import PAUSE, check_agreement, interleave

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


def measure(shape: Shape, targets: dict[str, float | None], repeats: int, budget: float) -> list[Row]:
    """Time one shape against its rivals."""
    arrays = shape.arrays()
    calls = {name: MAKERS[name](shape, arrays) for name in ("foveate", *targets)}
    check_agreement(calls, shape.dtype)
    times = interleave(calls, repeats, budget, PAUSE)
    return [
        Row(str(shape), name, times["foveate"], times[name], target, shape.flops)
        for name, target in targets.items()
    ]


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
    facts = environment(options.threads, ["torch"])
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
