"""The whole measurement: rounds until every workload has settled or the budget ends."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.compare.accuracy import Accuracy
from benchmarks.compare.environments import Environment
from benchmarks.compare.errors import CompareError
from benchmarks.compare.rounds import Suite, Visit, collect, run_round
from benchmarks.compare.verdict import MIN_ROUNDS, State, Verdict, Workload, judge


@dataclass(frozen=True)
class Limits:
    """When to stop, and what counts."""

    threshold: float
    extra_threshold: float
    budget: float
    slice: float


@dataclass
class Comparison:
    """Two revisions, the rounds so far, and why they ended."""

    environments: Sequence[Environment]
    limits: Limits
    workloads: dict[str, Workload]
    n_rounds: int = 0
    seconds: float = 0.0
    stopped: str = "interrupted"
    only_in: dict[str, list[str]] = field(default_factory=dict)
    accuracy: Accuracy = field(default_factory=Accuracy)

    def verdicts(self) -> list[Verdict]:
        """One per workload: slowdowns first, then by how clearly the interval excludes "no change"."""
        verdicts = [self._judge(workload) for workload in self.workloads.values()]
        order = list(State)
        return sorted(verdicts, key=lambda v: (not v.bad, order.index(v.state), -v.distance, v.workload.name))

    def _judge(self, workload: Workload) -> Verdict:
        return judge(workload, len(self.workloads), self.limits.threshold, self.limits.extra_threshold)

    def unsettled(self) -> list[str]:
        """Workloads that need more rounds."""
        return [name for name, workload in self.workloads.items() if not self._judge(workload).settled]


def prepare_comparison(environments: Sequence[Environment], suite: Suite, limits: Limits) -> Comparison:
    """Ask both revisions for their workloads."""
    base, head = collect(environments, suite)
    common = [name for name in head if name in base]
    if not common:
        raise CompareError(
            f"no common workload: base offers {len(base)}, head {len(head)}, expected one or more"
        )
    only_in = {
        "base": [name for name in base if name not in head],
        "head": [name for name in head if name not in base],
    }
    return Comparison(environments, limits, {name: Workload(name) for name in common}, only_in=only_in)


def measure(
    comparison: Comparison, suite: Suite, progress: Callable[[int, int], None] = lambda settled, visits: None
) -> None:
    """Run rounds; what has been measured stays in `comparison` whenever this is interrupted.

    Parameters
    ----------
    comparison : Comparison
    suite : Suite
    progress : callable
        Told how many workloads have settled and how many visits there were.
    """
    rng = random.Random()
    start = time.perf_counter()
    visits = 0
    settled = 0
    longest = 0.0
    # many workloads share the budget, so that it has room for the rounds a verdict needs
    seconds = min(
        comparison.limits.slice, comparison.limits.budget / (MIN_ROUNDS + 4) / len(comparison.workloads)
    )

    def visited(name: str, visit: Visit) -> None:
        nonlocal visits
        visits += 1
        comparison.workloads[name].add(visit)
        comparison.seconds = time.perf_counter() - start
        progress(settled, visits)

    while names := comparison.unsettled():
        settled = len(comparison.workloads) - len(names)
        began = time.perf_counter()
        if comparison.n_rounds and began - start + longest > comparison.limits.budget:
            comparison.stopped = "budget"
            break
        run_round(comparison.environments, suite, names, rng, visited, seconds, comparison.n_rounds)
        comparison.n_rounds += 1
        longest = max(longest, time.perf_counter() - began)
    else:
        comparison.stopped = "settled"
    comparison.seconds = time.perf_counter() - start
    if all(workload.failures for workload in comparison.workloads.values()):
        name, workload = next(iter(comparison.workloads.items()))
        reasons = "; ".join(f"{side}: {reason}" for side, reason in workload.failures.items())
        raise CompareError(
            f"no common workload: none of {len(comparison.workloads)} runs on both, {name} on {reasons}"
        )
