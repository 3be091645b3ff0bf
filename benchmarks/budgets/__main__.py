"""Count instructions with callgrind and hold them against benchmarks/budgets/budgets.json.

    python -m benchmarks.budgets             check: exit 1 when a function takes over 1 % more than its budget
    python -m benchmarks.budgets --update    write the counts of this tree as the budgets of this compiler

callgrind's counts repeat to the instruction, on any machine and under any load; it does not know AVX-512, so
that the scalar and AVX2 kernels stand for all. Counts belong to a compiler: each has its own section.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

FOLDER = Path(__file__).parent
BUDGETS = FOLDER / "budgets.json"
ISAS = ("scalar", "avx2")
TOLERANCE = 0.01
SMALLEST = 0.01  # share of a workload's instructions; what is below is left to the total
LINE = re.compile(r"^\s*([\d,]+)\s+\([ \d.]+%\)\s+\S*?:(\S+)")

Counts = dict[str, int]  # function (or "total") -> instructions


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        last = "\n".join((result.stdout + result.stderr).strip().splitlines()[-15:])
        sys.exit(f"budgets: {' '.join(command[:3])} ... failed:\n{last}")
    return result.stdout


def build(folder: Path) -> Path:
    """The workloads program, optimised and with its symbols."""
    run("cmake", "-S", str(FOLDER), "-B", str(folder))
    run("cmake", "--build", str(folder), "--target", "workloads", "--parallel", "2")
    return folder / "workloads"


def count(program: Path, isa: str, name: str) -> Counts:
    """Instructions of one call, by the function that executes them."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "callgrind.out")
        run(
            *("valgrind", "--tool=callgrind", "--toggle-collect=measured", f"--callgrind-out-file={out}"),
            *(str(program), isa, name),
        )
        text = run("callgrind_annotate", "--threshold=100", str(out))
    counts: Counts = {}
    for line in text.splitlines():
        if match := LINE.match(line):
            function = match[2].split("'")[0]
            counts[function] = counts.get(function, 0) + int(match[1].replace(",", ""))
    total = sum(counts.values())
    if not total:
        sys.exit(f"budgets: callgrind counted nothing in {isa} {name}")
    kept = {function: n for function, n in sorted(counts.items()) if n >= SMALLEST * total}
    return {"total": total, **kept}


def compiler() -> str:
    return f"{run('cc', '-dumpmachine').strip()} {run('cc', '-dumpfullversion').strip()}"


def excesses(budgets: dict[str, Counts], counts: dict[str, Counts]) -> list[tuple[str, str, int, int]]:
    """(workload, function, budget, count) of all that takes over 1 % more; a new function has budget 0."""
    found = []
    for workload, functions in counts.items():
        for function, n in functions.items():
            budget = budgets.get(workload, {}).get(function, 0)
            if n > budget * (1 + TOLERANCE):
                found.append((workload, function, budget, n))
    return found


def report(console: Console, rows: list[tuple[str, str, int, int]]) -> None:
    table = Table(title="over budget")
    for name in ("workload", "function"):
        table.add_column(name, no_wrap=True)
    for name in ("budget", "counted", "change"):
        table.add_column(name, justify="right")
    for workload, function, budget, n in rows:
        change = f"{(n / budget - 1) * 100:+.2f} %" if budget else "new"
        table.add_row(workload, function, f"{budget:,}", f"{n:,}", change)
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budgets", description=__doc__.split("\n")[0])
    parser.add_argument("--update", action="store_true", help="write the counts as the new budgets")
    parser.add_argument("--build", type=Path, help="build folder to keep and reuse")
    parser.add_argument("-k", default="", metavar="TEXT", help="workloads whose name contains this")
    options = parser.parse_args()
    for tool in ("cmake", "cc", "valgrind", "callgrind_annotate"):
        if not shutil.which(tool):
            print(f"budgets: {tool} must be on the PATH", file=sys.stderr)
            return 2
    console = Console(width=max(120, Console().width))
    with tempfile.TemporaryDirectory() as scratch:
        program = build(options.build or Path(scratch))
        names = [f"{isa} {name}" for isa in ISAS for name in run(str(program), "--list").split()]
        names = [name for name in names if options.k in name]
        if not names:
            print(f"budgets: -k must name some workload, got {options.k!r}", file=sys.stderr)
            return 2
        counted = track(names, console=console, transient=True)
        counts = {name: count(program, *name.split()) for name in counted}
    known = json.loads(BUDGETS.read_text()) if BUDGETS.exists() else {}
    if options.update:
        known[compiler()] = known.get(compiler(), {}) | counts
        BUDGETS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        console.print(f"wrote {len(counts)} workloads for {compiler()}")
        return 0
    if compiler() not in known:
        others = ", ".join(known)
        print(f"budgets: none for {compiler()}, only for {others}; --update writes them", file=sys.stderr)
        return 2
    over = excesses(known[compiler()], counts)
    if over:
        report(console, over)
        return 1
    console.print(f"{len(counts)} workloads within their budgets ({compiler()})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
