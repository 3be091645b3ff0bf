"""The table for a terminal, Markdown for a pull request, JSON for programs."""

import json
import math
import platform
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.compare.comparison import Comparison
from benchmarks.compare.rounds import SIDES
from benchmarks.compare.verdict import BAD, FAMILY_ERROR, Extra, State, Verdict

STYLES = {State.SLOWER: "bold red", State.WORSE: "bold red", State.FASTER: "green", State.UNDECIDED: "yellow"}
STOPPED = {
    "settled": "every interval was narrow enough",
    "budget": "the budget ended",
    "interrupted": "interrupted",
}


def percent(ratio: float) -> str:
    """A ratio as a change.

    >>> percent(1.081), percent(0.95)
    ('+8.1 %', '-5.0 %')
    """
    return "" if math.isnan(ratio) else f"{(ratio - 1) * 100:+.1f} %"


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best.

    >>> duration(0.00123), duration(4.2e-6)
    ('1.23 ms', '4.2 us')
    """
    unit, size = next(
        ((u, s) for u, s in (("s", 1), ("ms", 1e-3), ("us", 1e-6)) if seconds >= s), ("ns", 1e-9)
    )
    return f"{seconds / size:.3g} {unit}"


def short(name: str) -> str:
    """The workload without its folder."""
    return (
        name.rsplit("/", 1)[-1]
        if "[" not in name
        else short(name[: name.index("[")]) + name[name.index("[") :]
    )


def reason(verdict: Verdict, stopped: str) -> str:
    """Why there are not more rounds, or none."""
    if verdict.state == State.NOT_RUN:
        return "fails on " + " and ".join(verdict.workload.failures)
    return "narrow enough" if verdict.settled else STOPPED[stopped]


def table(comparison: Comparison, verdicts: list[Verdict], markdown: bool) -> Table:
    """One row per workload, and one per extra_info number that changed."""
    result = Table(box=box.MARKDOWN if markdown else box.SIMPLE, show_edge=markdown)
    result.add_column("workload", overflow="fold", no_wrap=markdown)
    for column in ("base", "head", "change", "interval", "rounds"):
        result.add_column(column, justify="right", no_wrap=True)
    result.add_column("verdict", no_wrap=True)
    result.add_column("rounds ended", no_wrap=markdown, overflow="fold")
    for verdict in verdicts:
        _add_verdict(result, verdict, comparison.stopped, markdown)
    for ratio in comparison.accuracy.ratios:
        _add_extra(result, f"error_ratio: {ratio.name}", ratio, markdown)
    return result


def _add(to: Table, markdown: bool, state: State, *cells: str) -> None:
    style = "" if markdown else STYLES.get(state, "")
    bold = markdown and state in BAD
    escaped = (cell.replace("|", "\\|") if markdown else cell for cell in cells)
    texts = [f"**{cell}**" if bold and cell == str(state) else cell for cell in escaped]
    to.add_row(*(Text(cell, style=style) for cell in texts))


def _add_extra(to: Table, name: str, extra: Extra, markdown: bool) -> None:
    """A number that changed; the others have no row."""
    if extra.state != State.SAME:
        better = "better" if extra.state == State.FASTER else str(extra.state)
        values = (f"{extra.base:.3g}", f"{extra.head:.3g}", percent(extra.ratio))
        _add(to, markdown, extra.state, name, *values, "", "", better, "")


def _add_verdict(to: Table, verdict: Verdict, stopped: str, markdown: bool) -> None:
    name, workload = short(verdict.workload.name), verdict.workload
    times = [duration(sorted(side)[len(side) // 2]) if side else "" for side in workload.seconds]
    limits = "" if math.isnan(verdict.low) else f"{percent(verdict.low)} .. {percent(verdict.high)}"
    n_rounds = str(len(workload.log_ratios))
    cells = (name, *times, percent(verdict.ratio), limits, n_rounds, str(verdict.state))
    _add(to, markdown, verdict.state, *cells, reason(verdict, stopped))
    for extra in verdict.extras:
        _add_extra(to, f"{name}: {extra.name}", extra, markdown)


def headline(comparison: Comparison) -> str:
    """What was compared."""
    base, head = (environment.revision for environment in comparison.environments)
    return f"{base} -> {head}"


def conclusion(comparison: Comparison, verdicts: list[Verdict]) -> str:
    """The last lines: the verdict, and how much it rests on."""
    threshold = f"{comparison.limits.threshold * 100:g} %"
    accuracy = comparison.accuracy
    bad = [short(verdict.workload.name) for verdict in verdicts if verdict.bad]
    bad += [f"error_ratio of {ratio.name}" for ratio in accuracy.bad]
    undecided = sum(verdict.state == State.UNDECIDED for verdict in verdicts)
    not_run = sum(verdict.state == State.NOT_RUN for verdict in verdicts)
    missing = sum(map(len, comparison.only_in.values()))
    parts = [
        f"{len(bad)} worse than the thresholds ({', '.join(bad)})"
        if bad
        else f"no slowdown above {threshold}"
    ]
    parts += [f"{undecided} undecided"] if undecided else []
    parts += [f"{not_run} not run"] if not_run else []
    parts += [f"{missing} on one revision only"] if missing else []
    parts += [f"{len(accuracy.ratios)} error ratios compared"] if accuracy.ratios else []
    confidence = f"all {len(verdicts)} intervals together hold with {(1 - FAMILY_ERROR) * 100:g} % confidence"
    basis = f"{comparison.n_rounds} rounds in {comparison.seconds:.0f} s, until {STOPPED[comparison.stopped]}"
    failures = [
        f"{short(verdict.workload.name)} on {side}: {why}"
        for verdict in verdicts
        for side, why in verdict.workload.failures.items()
    ]
    failures += [f"no error ratios of {side}: {why}" for side, why in accuracy.failures.items()]
    return "\n".join([f"{'; '.join(parts)}.", f"{basis}; {confidence}.", *failures])


def print_report(comparison: Comparison, verdicts: list[Verdict], console: Console) -> None:
    """The report for a terminal."""
    console.print(headline(comparison), style="bold")
    console.print(table(comparison, verdicts, markdown=False))
    console.print(conclusion(comparison, verdicts))


def markdown(comparison: Comparison, verdicts: list[Verdict]) -> str:
    """The report for a pull request."""
    console = Console(width=500, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(table(comparison, verdicts, markdown=True))
    rows = "\n".join(line.rstrip() for line in capture.get().strip().splitlines())
    return f"### {headline(comparison)}\n\n{conclusion(comparison, verdicts)}\n\n{rows}\n"


def as_json(comparison: Comparison, verdicts: list[Verdict]) -> str:
    """Everything, with the log ratio of each round."""
    revisions = {
        side: {"name": e.revision.name, "commit": e.revision.commit, "dirty": bool(e.revision.changes)}
        for side, e in zip(SIDES, comparison.environments, strict=True)
    }
    report: dict[str, Any] = {
        **revisions,
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "threshold": comparison.limits.threshold,
        "extra_threshold": comparison.limits.extra_threshold,
        "family_confidence": 1 - FAMILY_ERROR,
        "rounds": comparison.n_rounds,
        "seconds": comparison.seconds,
        "stopped": comparison.stopped,
        "bad": [verdict.workload.name for verdict in verdicts if verdict.bad],
        "only_in": comparison.only_in,
        "accuracy": {
            "bad": [ratio.name for ratio in comparison.accuracy.bad],
            "failures": comparison.accuracy.failures,
            "ratios": {ratio.name: _extra(ratio) for ratio in comparison.accuracy.ratios},
        },
        "workloads": [_row(verdict) for verdict in verdicts],
    }
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def _row(verdict: Verdict) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    workload = verdict.workload
    return {
        "name": workload.name,
        "state": str(verdict.state),
        "ratio": number(verdict.ratio),
        "low": number(verdict.low),
        "high": number(verdict.high),
        "settled": verdict.settled,
        "failures": workload.failures,
        "pairs": workload.n_pairs,
        "log_ratios": workload.log_ratios,
        "seconds": dict(zip(SIDES, workload.seconds, strict=True)),
        "extras": {extra.name: _extra(extra) for extra in verdict.extras},
    }


def _extra(extra: Extra) -> dict[str, Any]:
    def number(value: float) -> float | str:
        return value if math.isfinite(value) else str(value)

    return {"base": number(extra.base), "head": number(extra.head), "state": str(extra.state)}
