"""The command: which targets, against which peers, and the table that they make."""

import argparse
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.results import environment, table
from benchmarks.targets.forms import OWN_MODULES, PEERS
from benchmarks.targets.measure import measure
from benchmarks.targets.odd import ODD
from benchmarks.targets.outcome import Outcome
from benchmarks.targets.table import TARGETS
from benchmarks.targets.target import Target
from benchmarks.targets.tile_loads import QUIET
from benchmarks.targets.workers import Workers

TITLES = {
    "targets": "targets: ms are min / median, ratios the other's time / foveate's, of limits the share",
    "odd": "odd shapes: ratios are the neighbour's time per multiply-add / the odd shape's",
}


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return number


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.targets",
        description="foveate on its targets, every peer in a process of its own.",
    )
    result.add_argument("--rows", choices=("targets", "odd", "all"), default="targets")
    result.add_argument("--only", default="", help="workloads whose name contains this, e.g. 'D128 causal'")
    result.add_argument("--peers", default=",".join(PEERS), help="only these [default: %(default)s]")
    result.add_argument("--threads", type=_positive(int), default=2)
    result.add_argument("--repeats", type=_positive(int), default=15, help="bursts of each form")
    result.add_argument("--budget", type=_positive(float), default=20.0, help="seconds, after three rounds")
    result.add_argument("--json", type=Path, help="also write everything measured to this file")
    result.add_argument("--markdown", action="store_true")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 where it was used wrongly."""
    command = parser()
    options = command.parse_args(arguments)
    asked = [name for name in options.peers.split(",") if name]
    if unknown := set(asked) - set(PEERS):
        command.error(f"--peers: got {', '.join(sorted(unknown))}, expected some of {', '.join(PEERS)}")
    work: dict[str, Sequence[Target]] = {
        "targets": TARGETS if options.rows != "odd" else (),
        "odd": ODD if options.rows != "targets" else (),
    }
    work = {name: [t for t in targets if options.only in str(t)] for name, targets in work.items()}
    if not any(work.values()):
        command.error(f"--only: no workload contains {options.only!r}")

    console = Console(width=max(190, Console().width))  # also where the output is a pipe
    absent = {name: [p for p in PEERS[name][1] if importlib.util.find_spec(p) is None] for name in asked}
    modules = OWN_MODULES | {name: PEERS[name][0] for name in asked if not absent[name]}
    packages = [package for name in asked if not absent[name] for package in PEERS[name][1]]
    facts = environment(options.threads, packages)
    console.print(", ".join(f"{name} {fact}" for name, fact in facts.items()))
    for name, lacking in absent.items():
        if lacking:
            console.print(f"left out: {name}, {' and '.join(lacking)} not installed")

    report: dict[str, object] = {"environment": facts}
    with Workers(modules) as workers:
        for name, targets in work.items():
            outcomes = [
                measure(target, workers, options.threads, options.repeats, options.budget)
                for target in track(targets, name, console=Console(stderr=True), transient=True)
            ]
            report[name] = [outcome.as_dict() for outcome in outcomes]
            show(console, name, outcomes, options.markdown)
            if quiet := in_quiet(outcomes):
                report[f"{name} in quiet"] = [outcome.as_dict() for outcome in quiet]
                show_quiet(console, outcomes, quiet, options.markdown)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def in_quiet(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same of repetitions whose tile loads ran at full speed, where foveate uses tile registers."""
    fastest = max((rate for outcome in outcomes for rate in outcome.tile_loads), default=0.0)
    return [outcome.in_quiet(fastest) for outcome in outcomes if outcome.tile_loads]


def show_quiet(
    console: Console, outcomes: Sequence[Outcome], quiet: Sequence[Outcome], markdown: bool
) -> None:
    """The table of those, and how many they are."""
    rows = [row for outcome in quiet for row in outcome.rows()]
    title = f"repetitions whose tile loads ran at {QUIET:.0%} of the fastest or more"
    console.print(table(title, rows, markdown, "workload"))
    n_all, n_quiet = (sum(len(o.tile_loads) for o in some) for some in (outcomes, quiet))
    missed = sum(row.met is False for row in rows)
    console.print(f"quiet: {n_quiet} of {n_all} repetitions; {len(rows)} rows, {missed} below the target")


def show(console: Console, name: str, outcomes: Sequence[Outcome], markdown: bool) -> None:
    """The table of one list, what it lacks, and how many targets were missed."""
    if not outcomes:
        return
    rows = [row for outcome in outcomes for row in outcome.rows()]
    console.print(table(TITLES[name], rows, markdown, "workload"))
    for outcome in outcomes:
        for what in ("left_out", "wrong", "died"):
            for form, reason in getattr(outcome, what).items():
                line = f"{what.replace('_', ' ')}: {outcome.target}: {form}: {reason}"
                console.print(line, markup=False, highlight=False)
    if name == "odd" and rows:
        worst = min(rows, key=lambda row: row.worse_ratio)
        console.print(f"worst factor per multiply-add: {1 / worst.worse_ratio:.2f}, {worst.workload}")
    for outcome in outcomes:
        if outcome.target.dropped:
            line = f"dropped: {outcome.target}: {outcome.target.dropped}"
            console.print(line, markup=False, highlight=False)
    missed = sum(row.met is False for row in rows)
    dropped = sum(outcome.drops(row) for outcome in outcomes for row in outcome.rows())
    console.print(f"{name}: {len(rows)} rows, {missed} below the target, {dropped} of them dropped")
