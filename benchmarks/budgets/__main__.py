"""Count instructions with callgrind and hold them against benchmarks/budgets/budgets.json.

    python -m benchmarks.budgets             check: exit 1 when a function takes over 1 % more than its budget
    python -m benchmarks.budgets --update    write the counts of this tree as the budgets of this compiler

callgrind's counts repeat to the instruction, on any machine and under any load; it does not know AVX-512, so
that the scalar and AVX2 kernels stand for all. Counts belong to a compiler: each has its own section.

The workloads "python attention" and "python mode_out" are calls of the installed package on 3 x 2 arrays:
instructions of its extension module, binding and core, of one call, from two loops of different length. These
repeat to the instruction as well. What the interpreter adds does not: 0.5 % from run to run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
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
EXTENSION = re.compile(r"^\s*([\d,]+)\s+\([ \d.]+%\).*\[\S*/foveate/_core\.\S+\]$")
PYTHON_CALLS = ("attention", "mode_out")
LOOPS = (100, 1100)  # calls; the first ones fill caches, which the difference leaves out

Counts = dict[str, int]  # function (or "total") -> instructions


def run(*command: str, **environment: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
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


def count_python(name: str) -> Counts:
    """Instructions in the extension module during one call from Python."""
    totals = []
    for n_calls in LOOPS:
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch, "callgrind.out")
            run(
                *("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable, "-P"),
                *(str(FOLDER / "python_calls.py"), name, str(n_calls)),
                PYTHONHASHSEED="0",
                FOVEATE_ISA="avx2",
                OPENBLAS_NUM_THREADS="1",
            )
            text = run("callgrind_annotate", "--threshold=100", str(out))
        lines = [match for line in text.splitlines() if (match := EXTENSION.match(line))]
        totals.append(sum(int(match[1].replace(",", "")) for match in lines))
    if not 0 < totals[0] < totals[1]:
        sys.exit(f"budgets: callgrind counted {totals} instructions of foveate in {name}")
    return {"total": round((totals[1] - totals[0]) / (LOOPS[1] - LOOPS[0]))}


def counted(name: str, program: Path) -> Counts:
    """The counts of a workload by its full name."""
    side, call = name.split()
    return count_python(call) if side == "python" else count(program, side, call)


def python_workloads(console: Console) -> list[str]:
    """Those of the installed package; none where it is not installed, which is said."""
    if importlib.util.find_spec("foveate") is None:
        console.print("foveate is not installed: calls from Python are left out")
        return []
    return [f"python {name}" for name in PYTHON_CALLS]


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
        names += python_workloads(console)
        names = [name for name in names if options.k in name]
        if not names:
            print(f"budgets: -k must name some workload, got {options.k!r}", file=sys.stderr)
            return 2
        shown = track(names, console=console, transient=True)
        counts = {name: counted(name, program) for name in shown}
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
