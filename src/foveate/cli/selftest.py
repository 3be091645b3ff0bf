"""``foveate selftest``: every instruction set of this build against the float64 reference, here and now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np
from rich.text import Text

import foveate
from foveate import reference
from foveate.error_bound import Bounds, bounds_per_isa, worst_ratio

from .console import add_row, console, json_option, print_json, progress, table
from .selftest_cases import Case, cases, dtypes

N_CASES, N_QUICK = 960, 192


@dataclass
class Tally:
    """What one ISA has shown: the worst ratio of error to bound of each kind of result."""

    n_cases: int = 0
    worst: dict[str, float] = field(default_factory=lambda: {"output": 0.0, "lse": 0.0, "weights": 0.0})
    worst_case: str = ""

    def add(self, case: Case, result: Any, expected: Any, bound: Bounds) -> None:
        """Count one result."""
        self.n_cases += 1
        for name in self.worst:
            target = getattr(expected, name)
            if target is None:
                continue
            ratio = worst_ratio(getattr(result, name), target, getattr(bound, name))
            if ratio > max(self.worst.values()):
                self.worst_case = f"{name}: {case.label}"
            self.worst[name] = max(self.worst[name], ratio)

    @property
    def passed(self) -> bool:
        """Every result within its bound, and there were results."""
        return self.n_cases > 0 and max(self.worst.values()) <= 1.0


@click.command("selftest")
@click.option("--isa", metavar="NAME", help="Only this one.")
@click.option("--quick", is_flag=True, help=f"{N_QUICK} cases instead of {N_CASES}.")
@json_option
@click.pass_context
def command(ctx: click.Context, isa: str | None, quick: bool, as_json: bool) -> None:
    """Compute seeded cases on every available ISA and hold the errors against their bounds.

    Exit code 1 when a result is further from the float64 reference than the stated bound.
    """
    compiled, available = foveate.compiled_isas(), foveate.available_isas()
    if isa is not None:
        with foveate.use_isa(isa):  # refuses what is not compiled or cannot run, in foveate's words
            chosen = [foveate.get_isa()]
    else:
        chosen = list(available)
    tallies = run(chosen, N_QUICK if quick else N_CASES)
    absent = [] if isa is not None else [name for name in compiled if name not in available]
    passed = all(tally.passed for tally in tallies.values())
    if as_json:
        print_json(
            {
                "passed": passed,
                "dtypes": [dtype.name for dtype in dtypes()],
                "isas": {
                    name: {
                        "cases": tally.n_cases,
                        "worst_ratio": tally.worst,
                        "worst_case": tally.worst_case,
                        "passed": tally.passed,
                    }
                    for name, tally in tallies.items()
                },
                "not_on_this_machine": absent,
            }
        )
    else:
        _print(tallies, absent)
    ctx.exit(0 if passed else 1)


def run(isas: list[str], n_cases: int) -> dict[str, Tally]:
    """Every case once through the reference and through each ISA."""
    tallies = {isa: Tally() for isa in isas}
    with progress() as bar, np.errstate(all="ignore"):
        for case in bar.track(cases(n_cases), total=n_cases, description="selftest"):
            want_lse = case.options["activation"] == "softmax"
            q, k, v = case.query, case.key, case.value
            options: dict[str, Any] = case.options | {"return_lse": want_lse, "return_weights": True}
            expected = reference.attention(q, k, v, **options)
            bound = bounds_per_isa(tallies, q, k, v, **case.options)
            for isa, tally in tallies.items():
                with foveate.use_isa(isa):
                    result = foveate.attention(q, k, v, **options)
                tally.add(case, result, expected, bound[isa])
    return tallies


def _print(tallies: dict[str, Tally], absent: list[str]) -> None:
    out = console()
    names = ", ".join(dtype.name for dtype in dtypes())
    title = f"foveate {foveate.__version__} against the float64 reference"
    shown = table(title, ["ISA", "cases", "output", "lse", "weights", "verdict"])
    for name, tally in tallies.items():
        verdict = Text("passed", style="green") if tally.passed else Text("FAILED", style="bold red")
        add_row(shown, name, tally.n_cases, *(f"{ratio:.3f}" for ratio in tally.worst.values()), verdict)
    for name in absent:
        add_row(shown, name, 0, "", "", "", "not on this machine")
    out.print(shown)
    out.print(
        "Worst error as a share of its stated bound, at most 1; the rounding of a float16 result alone can "
        f"take all of it. Dtypes: {names}."
    )
    for name, tally in tallies.items():
        if not tally.passed:
            out.print(f"{name}: worst at {tally.worst_case}")
