"""Speed over revisions: `python -m benchmarks.history` lists the records under benchmarks/history/.

`--plot FILE.png` draws every workload's time relative to the limit of the machine that measured it, so that
records of different machines compare. `--add` measures the revision checked out, which must be installed, as
`foveate bench --save` does, and appends a line to benchmarks/history/<machine>.jsonl.
"""

import argparse
import filecmp
import importlib
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import foveate
from benchmarks.compare.errors import CompareError
from benchmarks.compare.revisions import Repository
from foveate.cli import bench_record

Record = dict[str, Any]

FOLDER = Path(__file__).resolve().parent / "history"
WRONG_USE, WRONG_RESULT, INTERRUPTED = 2, 1, 130
N_COLUMNS = 6  # newest records with a column of their own


class HistoryError(Exception):
    """Wrong use, told in one line."""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.history", description="Speed of foveate over its revisions."
    )
    add = result.add_argument
    add("--folder", type=Path, default=FOLDER, help="where the records are  [default: benchmarks/history]")
    add("--plot", type=Path, metavar="FILE.png", help="draw time relative to the machine's limit")
    add("--add", action="store_true", help="measure the revision checked out, and append its record")
    add("--dirty", action="store_true", help="with --add: allow uncommitted changes, and say so")
    add(
        "--threads", type=int, default=1, metavar="N",
        help="with --add; several wait for each other on a busy machine  [default: 1]",
    )  # fmt: skip
    add("--quick", action="store_true", help="with --add: a fifth of the time")
    return result


def records_in(folder: Path) -> list[Record]:
    """The records of all files, oldest revision first."""
    from foveate.plot._history import when

    found = [record for path in sorted(folder.glob("*.jsonl")) for record in bench_record.read(path)]
    return sorted(found, key=when)


def check_tree(root: Path, *, dirty: bool) -> None:
    """Refuse what would give a record a wrong name.

    Changed files, unless ``dirty``; untracked ones are not the revision's. And an installed package whose
    Python files are not those of the tree.
    """
    changed = Repository(root).changed_files()
    if changed and not dirty:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise HistoryError(f"uncommitted changes in {changed[0]}{more}: commit them, or give --dirty")
    ours, installed = root / "src" / "foveate", Path(foveate.__file__).resolve().parent
    for path in sorted(ours.rglob("*.py")):
        copy = installed / path.relative_to(ours)
        if not copy.is_file() or not filecmp.cmp(path, copy, shallow=False):
            raise HistoryError(
                f"the foveate installed is not the one checked out ({path.relative_to(root)} differs): "
                "run pip install . first"
            )


def measure(n_threads: int, *, quick: bool, console: Console) -> Record:
    """A record of the installed package, with the worst error ratio of every kernel where that can be had."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("history", total=None)
        record = bench_record.measure_record(
            n_threads=n_threads,
            quick=quick,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    try:
        accuracy = importlib.import_module("benchmarks.accuracy")
    except ModuleNotFoundError as error:
        if error.name != "benchmarks.accuracy":
            raise
    else:
        record["error_ratios"] = dict(accuracy.measure())
    return record


def add_record(folder: Path, options: argparse.Namespace, console: Console) -> Path:
    """Measure and append; the file."""
    root = Repository.around(Path.cwd()).root
    if options.threads < 1:
        raise HistoryError(f"--threads: got {options.threads}, expected at least 1")
    check_tree(root, dirty=options.dirty)
    if not folder.is_dir():
        raise HistoryError(f"--folder: {folder} is no folder")
    target = folder / f"{bench_record.machine({})['name']}.jsonl"
    bench_record.check_writable(target)
    record = measure(options.threads, quick=options.quick, console=console)
    wrong = [row["shape"] for row in record["workloads"] if not row["correct"]["foveate"]]
    wrong += [name for name, ratio in record.get("error_ratios", {}).items() if not ratio <= 1.0]
    if wrong:
        raise ArithmeticError(f"wrong result, so nothing is recorded: {', '.join(wrong)}")
    bench_record.append(target, record)
    return target


def tables(records: Sequence[Record]) -> list[Table]:
    """One row per record, and one per workload with a column for each of the newest records."""
    from foveate.plot._records import commit_of, factor

    runs = Table(title="records", title_justify="left")
    for name in ("", "revision", "committed", "machine", "ISA", "threads", "load", "GFLOP/s", "DRAM GB/s"):
        runs.add_column(
            name, justify="right" if name in ("threads", "load", "GFLOP/s", "DRAM GB/s") else "left"
        )
    runs.add_column("share of limit", justify="right")
    runs.add_column("worst error", justify="right")
    for number, record in enumerate(records, 1):
        shares = [row["limit"]["share"] for row in record["workloads"] if row["limit"] is not None]
        errors = [row["error_ratio"]["foveate"] for row in record["workloads"]]
        errors += record.get("error_ratios", {}).values()
        runs.add_row(
            str(number), commit_of(record), (record["revision"] or {"committed": ""})["committed"][:10],
            record["machine"]["name"], record["isa"], str(record["threads"]),
            "" if record.get("load") is None else f"{record['load']:.1f}",
            *(_rounded(record["roofs"][name]) for name in ("fma_f32", "read_dram")),
            f"{statistics.geometric_mean(shares):.1%}" if shares else "", f"{max(errors):.3f}",
        )  # fmt: skip
    newest = list(enumerate(records, 1))[-N_COLUMNS:]
    times = Table(title="time / time at the limit, of the newest records", title_justify="left")
    times.add_column("workload")
    for number, record in newest:
        times.add_column(f"{number}: {commit_of(record)}", justify="right")
    cells = {
        (row["shape"], number): "" if row["limit"] is None else factor(1 / row["limit"]["share"])
        for number, record in newest
        for row in record["workloads"]
    }
    for shape in dict.fromkeys(shape for shape, _ in cells):
        times.add_row(shape, *(cells.get((shape, number), "") for number, _ in newest))
    return [runs, times]


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def run(options: argparse.Namespace) -> int:
    """Add, list, draw; the exit code."""
    out = Console(markup=False, highlight=False, emoji=False)
    if not out.is_terminal:
        out = Console(markup=False, highlight=False, emoji=False, width=140)
    if options.plot is not None:
        from foveate.plot._checks import need_matplotlib

        need_matplotlib()  # before minutes of measuring
        if options.plot.suffix != ".png" or not options.plot.resolve().parent.is_dir():
            raise HistoryError(f"--plot: got {options.plot}, expected a .png file in a folder that exists")
    if options.add:
        target = add_record(options.folder, options, Console(stderr=True))
        out.print(f"appended to {target}", soft_wrap=True)
    records = records_in(options.folder)
    if not records:
        raise HistoryError(f"no records in {options.folder}: --add measures the first one")
    for shown in tables(records):
        out.print(shown)
    if options.plot is not None:
        from foveate import plot

        plot.history(records).savefig(options.plot, dpi=110)
        out.print(str(options.plot), soft_wrap=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments, those of the process where left out; the exit code."""
    errors = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except ArithmeticError as error:
        errors.print(f"history: {error}")
        return WRONG_RESULT
    except (HistoryError, CompareError, ValueError, OSError, ImportError) as error:
        errors.print(f"history: {error}")
        return WRONG_USE
    except KeyboardInterrupt:
        errors.print("history: interrupted, nothing recorded")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
