"""The proof that the verdict holds on a noisy machine: ``python -m benchmarks.compare.prove --output FILE``.

Works in a clone of the repository: `unchanged` is the commit checked out once more, `slow` has
slowdown.patch, by which the sigmoid kernel computes more exponentials: 8 % of the workload `sigmoid`, nothing
of the others. Both are compared with the commit again and again, while a process loads one core in bursts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.compare.environments import default_cache
from benchmarks.compare.report import percent

PATCH = Path(__file__).with_name("slowdown.patch")
SLOWED = "bench_workload[sigmoid]"
IDENTITY = ("-c", "user.name=prove", "-c", "user.email=prove@localhost")


@dataclass(frozen=True)
class Run:
    """One comparison of the proof."""

    head: str
    exit_code: int
    report: dict

    @property
    def named(self) -> list[str]:
        return [name.rsplit("::", 1)[-1] for name in self.report["bad"]]

    @property
    def right(self) -> bool:
        if self.head == "slow":
            return self.exit_code == 1 and self.named == [SLOWED]
        # a run that ended before it could decide has passed nothing
        return self.exit_code == 0 and not self.named and not self.undecided()

    def workload(self, name: str) -> dict:
        return next(row for row in self.report["workloads"] if row["name"].endswith(f"::{name}"))

    def undecided(self) -> int:
        return sum(row["state"] == "undecided" for row in self.report["workloads"])


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def prepare_clone(folder: Path) -> None:
    """The repository with the branches `base`, `unchanged` and `slow`."""
    git(Path(), "clone", "--quiet", "--shared", ".", str(folder))
    git(folder, "branch", "base")
    git(folder, "checkout", "--quiet", "-b", "slow")
    git(folder, "apply", str(PATCH))
    git(folder, *IDENTITY, "commit", "--quiet", "-am", "Deliberate slowdown")
    git(folder, "checkout", "--quiet", "-b", "unchanged", "base")
    git(folder, *IDENTITY, "commit", "--quiet", "--allow-empty", "-m", "No change")


def compare(clone: Path, head: str, options: argparse.Namespace, budget: float) -> Run:
    output = clone.parent / "report.json"
    command = [sys.executable, "-m", "benchmarks.compare", "base", head, "--json", str(output)]
    command += ["--no-accuracy"]  # the patch changes no result, and the proof is about times
    command += ["--budget", str(budget), "--cache", str(options.cache.resolve())]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(
            f"comparing base with {head}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return Run(head, done.returncode, json.loads(output.read_text()))


def summary(runs: list[Run], seconds_of_load: str) -> str:
    """The log as Markdown."""
    table = Table(box=box.MARKDOWN)
    for column in ("run", "head", "exit", "named", "sigmoid", "interval", "largest other", "undecided", "s"):
        table.add_column(column, no_wrap=True)
    for number, run in enumerate(runs, 1):
        slowed = run.workload(SLOWED)
        others = [row["ratio"] for row in run.report["workloads"] if row is not slowed and row["ratio"]]
        table.add_row(
            str(number),
            run.head,
            str(run.exit_code) + ("" if run.right else " WRONG"),
            ", ".join(run.named),
            percent(slowed["ratio"]),
            f"{percent(slowed['low'])} .. {percent(slowed['high'])}",
            percent(max(others)),
            str(run.undecided()),
            f"{run.report['seconds']:.0f}",
        )
    console = Console(width=300, color_system=None, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().strip().splitlines()]
    totals = []
    for head, wanted in (("slow", "caught, and only the right workload named"), ("unchanged", "passed")):
        mine = [run for run in runs if run.head == head]
        totals.append(f"{head}: {sum(run.right for run in mine)} of {len(mine)} {wanted}.")
    return "\n".join([*totals, seconds_of_load, "", *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="Prove the verdict of benchmarks.compare under noise.")
    parser.add_argument("--slow", type=int, default=10, help="comparisons with the slowdown (default 10)")
    parser.add_argument("--unchanged", type=int, default=20, help="comparisons without a change (default 20)")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds per comparison (default 60)")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--output", type=Path, help="write the summary to this file")
    options = parser.parse_args()

    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        clone = Path(folder) / "clone"
        prepare_clone(clone)
        heads = ["slow"] * options.slow
        for i in range(options.unchanged):  # in turns, so that no hour of the day is one side's
            heads.insert(min(len(heads), 3 * i // 2), "unchanged")
        for head in sorted(set(heads)):
            compare(clone, head, options, budget=1)  # builds, before the load starts
        load = subprocess.Popen([sys.executable, "-m", "benchmarks.compare.burst_load"], cwd=clone)
        try:
            for number, head in enumerate(heads, 1):
                run = compare(clone, head, options, options.budget)
                runs.append(run)
                state = "right" if run.right else "WRONG"
                print(f"{number}/{len(heads)} {head}: exit {run.exit_code}, {state} {run.named}", flush=True)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
        finally:
            load.kill()
            load.wait()
    if not runs:
        sys.exit(130)
    about_load = f"Another process loaded one of {os.cpu_count()} cores in bursts of 50 to 300 ms."
    text = summary(runs, about_load)
    print(text)
    if options.output:
        options.output.write_text(text)
    sys.exit(0 if all(run.right for run in runs) else 1)


if __name__ == "__main__":
    main()
