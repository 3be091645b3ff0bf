"""Every mode against its peers in one process: `python -m benchmarks.modes`.

Times and ratios are those of `benchmarks.ratios`: bursts in turns, results compared before the clock starts,
the peer's time over foveate's, a target met by the minima and by the medians. A peer runs in all of its forms
and has to be beaten in each. "foveate softmax" is the same shape in the same rounds; "+ preparation" adds the
time in which NumPy prepares what the mode prepares itself. Peers that are not installed are left out.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks import peers, rivals, workloads
from benchmarks.peers import own
from benchmarks.results import Row, environment, table
from benchmarks.timing import PAUSE, Times, check_agreement, interleave
from benchmarks.workloads import Workload


def _sum(parts: Iterable[Times]) -> Times:
    """Times of one call after the other, round by round."""
    return Times(tuple(map(sum, zip(*(part.bursts for part in parts), strict=True))))


def measure(workload: Workload, repeats: int, budget: float) -> list[Row]:
    """Time one workload against its peers."""
    arrays = workload.shape.arrays()
    forms = {
        peer: peers.calls(peer, workload, arrays)
        for peer in workload.targets
        if peer in peers.PEERS and not peers.missing(peer)
    }
    calls = {name: call for found in forms.values() for name, call in found.items()}
    calls["foveate"] = own.mode_call(workload, arrays)
    check_agreement(calls, workload.shape.dtype, workload.unclear(arrays))
    times = interleave(calls | own.yardstick_calls(workload, arrays), repeats, budget, PAUSE)

    rows = []
    for peer, target in workload.targets.items():
        yardstick = own.YARDSTICKS.get(peer)
        against = (
            {name: times[name] for name in forms.get(peer, ())}
            if yardstick is None
            else {" + ".join(yardstick): _sum(times[name] for name in yardstick)}
        )
        rows += [Row(str(workload), name, times["foveate"], t, target) for name, t in against.items()]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of every mode of foveate against its peers.")
    parser.add_argument("--rows", choices=("claims", "grid", "all"), default="claims")
    parser.add_argument("--only", default="", help="workloads whose name contains this, e.g. 'additive, B4'")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15, help="bursts of each rival")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds per workload, after three rounds")
    parser.add_argument("--worst", type=int, default=20, help="how many rows of the grid to print")
    parser.add_argument("--json", type=Path, help="also write all rows to this file")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()

    console = Console(width=max(170, Console().width))  # also where the output is a pipe
    work = {
        "claims": workloads.CLAIMS if options.rows != "grid" else [],
        "grid": workloads.GRID if options.rows != "claims" else [],
    }
    work = {name: [w for w in listed if options.only in str(w)] for name, listed in work.items()}
    asked = {peer for listed in work.values() for workload in listed for peer in workload.targets}
    asked &= peers.PEERS.keys()
    peers.set_threads(options.threads, asked)
    rivals.set_threads(options.threads)  # last: importing a peer may load a BLAS
    facts = environment(options.threads, peers.packages(asked))
    console.print(", ".join(f"{name} {fact}" for name, fact in facts.items()))
    for peer in sorted(asked):
        if lacking := peers.missing(peer):
            console.print(f"left out: {peer}, {' and '.join(lacking)} not installed")

    report: dict[str, object] = {"environment": facts}
    for name, selected in work.items():
        rows: list[Row] = []
        for workload in track(selected, name, console=Console(stderr=True), transient=True):
            rows += measure(workload, options.repeats, options.budget)
        if not rows:
            continue
        report[name] = [row.as_dict() for row in rows]
        missed = sum(row.met is False for row in rows)
        shown = rows if name == "claims" else sorted(rows, key=lambda row: row.worse_ratio)[: options.worst]
        title = f"{name}: ms are min / median, ratios are rival / foveate"
        console.print(table(title, shown, options.markdown, "mode"))
        console.print(f"{name}: {len(rows)} rows, {missed} below the target")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
