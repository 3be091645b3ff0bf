"""Error ratios beside the times: a script's measure() once on each revision, no rounds and no interval.

The figures repeat, so that two numbers decide. Their bounds are those of the revision: one that changes a
bound changes the ratio as well.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare.environments import Environment
from benchmarks.compare.rounds import SIDES
from benchmarks.compare.verdict import BAD, EXTRAS, Extra, compare_numbers

SCRIPT = Path(__file__).with_name("measure_once.py")
PATIENCE = 300.0  # s
NAME = "error_ratio"


@dataclass(frozen=True)
class Accuracy:
    """What both revisions said: numbers that are on both, the worst first, or why there are none."""

    ratios: tuple[Extra, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def bad(self) -> list[Extra]:
        return [ratio for ratio in self.ratios if ratio.state in BAD]


def measure_accuracy(
    environments: Sequence[Environment], folder: Path, script: Path, threshold: float
) -> Accuracy:
    """Run the script on both revisions at the same time.

    Parameters
    ----------
    environments : sequence of Environment
        Base and head.
    folder : Path
        Where the processes start.
    script : Path
        Its ``measure()`` returns a dict of name to number, smaller is better.
    threshold : float
        Growth that counts, as a fraction.
    """
    processes = []
    try:
        for environment in environments:
            command = [str(environment.python), "-P", str(SCRIPT), str(script.resolve())]
            processes.append(
                subprocess.Popen(
                    command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )
        ends = [_numbers(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    failures = {side: end for side, end in zip(SIDES, ends, strict=True) if isinstance(end, str)}
    if failures:
        return Accuracy(failures=failures)
    base, head = ends
    common = [name for name in head if name in base]
    ratios = [compare_numbers(name, base[name], head[name], EXTRAS[NAME], threshold) for name in common]
    return Accuracy(tuple(sorted(ratios, key=lambda ratio: -ratio.ratio)))


def _numbers(process: subprocess.Popen[str]) -> dict[str, float] | str:
    """What the script printed last, or the last line of its error."""
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"took more than {PATIENCE:g} s"
    if process.returncode:
        lines = errors.strip().splitlines() or [f"ended with exit code {process.returncode}"]
        return lines[-1]
    return dict(json.loads(output.splitlines()[-1]))
