"""What a caller's modifier costs over the same bias built in: `python -m benchmarks.modifiers`.

A distance bias, -slope |i - j| with a slope per head, as a modifier that numba compiled, against the same
built in: ``alibi_slopes`` under a causal mask, where |i - j| = i - j, and a ``bias`` array. Times are taken
in turns, as in `benchmarks.ratios`. A ratio is the time with the modifier over that of the rival; a target is
met when both the ratio of the minima and that of the medians stay below it. Rows without a target show what
the parts cost.
"""

import argparse
import sys

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import foveate
from benchmarks import rivals
from benchmarks.results import environment, milliseconds
from benchmarks.rivals import Call
from benchmarks.timing import PAUSE, Times, check_agreement, interleave

HEADS, LENGTH, DIM = 8, 2048, 64
TARGET = 1.15
#: rival of "modifier" -> target
CAUSAL = {"alibi_slopes": TARGET, "bias": TARGET, "plain": None}
FULL = {"bias": TARGET, "plain": None}


def workloads() -> dict[str, dict[str, Call]]:
    """Calls by workload and by name."""

    @foveate.score_modifier("float32")
    def distance(logit, batch, head, query, key, slopes):
        return logit - slopes[head] * np.float32(abs(query - key))

    rng = np.random.default_rng(0)
    query, key, value = (rng.standard_normal((HEADS, LENGTH, DIM), np.float32) for _ in range(3))
    slopes = (2.0 ** -np.arange(1, HEADS + 1)).astype(np.float32)
    positions = np.arange(LENGTH, dtype=np.float32)
    bias = -slopes[:, None, None] * np.abs(positions[:, None] - positions)

    def call(**options: object) -> Call:
        mode = foveate.Mode(causal=bool(options.pop("causal", False)))
        return lambda: mode(query, key, value, **options)

    return {
        "causal": {
            "modifier": call(causal=True, modifier=(distance, slopes)),
            "alibi_slopes": call(causal=True, alibi_slopes=slopes),
            "bias": call(causal=True, bias=bias),
            "plain": call(causal=True),
        },
        "full": {
            "modifier": call(modifier=(distance, slopes)),
            "bias": call(bias=bias),
            "plain": call(),
        },
    }


def ratios(ours: Times, theirs: Times) -> tuple[float, float]:
    return ours.min / theirs.min, ours.median / theirs.median


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of a numba modifier over the same bias built in.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=30, help="bursts of each rival")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds per workload, after three rounds")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()

    try:
        found = workloads()
    except ImportError as error:
        sys.exit(str(error))
    rivals.set_threads(options.threads)
    console = Console(width=max(110, Console().width))  # also where the output is a pipe
    facts = environment(options.threads, ["numba"])
    console.print(", ".join(f"{name} {fact}" for name, fact in facts.items()))
    title = f"H{HEADS} L{LENGTH} D{DIM} f32: ms are min / median"
    table = Table(title=title, box=box.MARKDOWN if options.markdown else box.SIMPLE)
    for column in ("workload", "rival"):
        table.add_column(column)
    for column in ("modifier ms", "rival ms", "of minima", "of medians", "target", "met"):
        table.add_column(column, justify="right", no_wrap=True)
    for (name, calls), targets in zip(found.items(), (CAUSAL, FULL), strict=True):
        check_agreement({key: call for key, call in calls.items() if key != "plain"}, "float32")
        times = interleave(calls, options.repeats, options.budget, PAUSE)
        for rival, target in targets.items():
            minima, medians = ratios(times["modifier"], times[rival])
            met = "" if target is None else ("yes" if max(minima, medians) <= target else "NO")
            shown = (
                milliseconds(times["modifier"]),
                milliseconds(times[rival]),
                f"{minima:.3f}",
                f"{medians:.3f}",
            )
            table.add_row(name, rival, *shown, "" if target is None else f"{target:.2f}", met)
    console.print(table)


if __name__ == "__main__":
    main()
