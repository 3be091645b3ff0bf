"""From the rounds of a workload to a verdict: robust location, bootstrap interval, correction for many."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, trim_mean

from benchmarks.compare.rounds import Visit

FAMILY_ERROR = 0.05  # chance that any of all intervals misses its true ratio
MIN_ROUNDS = 6  # the resamples of fewer have no tails worth the name
TRIM = 0.2  # of the rounds on each side: one bad round in five moves nothing
RESAMPLES = 9999
# extra_info that is compared as well, smaller is better -> differences below this are none
EXTRAS = {"error_ratio": 0.001, "peak_bytes": 65536.0}


Numbers = dict[str, list[float]]


class State(StrEnum):
    """What can be said of a workload, the worst first."""

    SLOWER = "slower"
    WORSE = "worse"
    UNDECIDED = "undecided"
    SAME = "within"
    FASTER = "faster"
    NOT_RUN = "not run"


BAD = (State.SLOWER, State.WORSE)


@dataclass(frozen=True)
class Extra:
    """An extra_info number on both revisions."""

    name: str
    base: float
    head: float
    state: State

    @property
    def ratio(self) -> float:
        return self.head / self.base if self.base else float("inf")


@dataclass
class Workload:
    """All rounds of one workload."""

    name: str
    log_ratios: list[float] = field(default_factory=list)
    seconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    failures: dict[str, str] = field(default_factory=dict)
    extra_info: tuple[dict[str, list[float]], dict[str, list[float]]] = field(
        default_factory=lambda: ({}, {})
    )
    n_pairs: int = 0

    def add(self, visit: Visit) -> None:
        """Take in one round."""
        self.failures |= visit.failures
        if visit.failures:
            return
        pairs = np.array(visit.pairs)
        self.log_ratios.append(float(np.median(np.log(pairs[:, 1] / pairs[:, 0]))))
        self.n_pairs += len(pairs)
        for side in (0, 1):
            self.seconds[side].append(float(np.median(pairs[:, side])))
            for name in EXTRAS.keys() & visit.extra_info[side].keys():
                self.extra_info[side].setdefault(name, []).append(visit.extra_info[side][name])


@dataclass(frozen=True)
class Verdict:
    """What the rounds of a workload say; ratios are head / base, above 1 is slower."""

    workload: Workload
    state: State
    ratio: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    settled: bool = False
    extras: tuple[Extra, ...] = ()

    @property
    def bad(self) -> bool:
        return self.state in BAD or any(extra.state in BAD for extra in self.extras)

    @property
    def distance(self) -> float:
        """How far the interval lies from "no change", in log units; negative where it contains it."""
        return float(max(np.log(self.low), -np.log(self.high))) if self.low > 0 else -np.inf


def interval(log_ratios: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Ratio and its confidence interval, from one log ratio per round.

    Parameters
    ----------
    log_ratios : sequence of float
        Two or more.
    confidence : float
        Of this one interval, after the correction.

    Returns
    -------
    ratio, low, high : float
        The 20 % trimmed mean and its bootstrap interval, as ratios.
    """

    def location(values: NDArray[np.floating], axis: int = -1) -> NDArray[np.floating]:
        return trim_mean(values, TRIM, axis=axis)

    values = np.asarray(log_ratios)
    centre = float(np.exp(location(values)))
    if np.ptp(values) == 0:
        return centre, centre, centre
    # percentile: BCa has no answer where one outlier is all the spread; the fixed seed makes the same
    # rounds give the same interval
    limits = bootstrap(
        (values,), location, n_resamples=RESAMPLES, confidence_level=confidence, method="percentile", rng=0
    ).confidence_interval
    return centre, float(np.exp(limits.low)), float(np.exp(limits.high))


def judge(workload: Workload, n_workloads: int, threshold: float, extra_threshold: float) -> Verdict:
    """The verdict on one of `n_workloads` workloads.

    Parameters
    ----------
    workload : Workload
    n_workloads : int
        Bonferroni: each interval gets the confidence 1 - 0.05 / n_workloads.
    threshold, extra_threshold : float
        Slowdown, and growth of an extra_info number, that count, as fractions.
    """
    if workload.failures:
        return Verdict(workload, State.NOT_RUN, settled=True)
    extras = tuple(_extras(workload, extra_threshold))
    if len(workload.log_ratios) < 2:
        return Verdict(workload, State.UNDECIDED, extras=extras)
    ratio, low, high = interval(workload.log_ratios, 1 - FAMILY_ERROR / n_workloads)
    limit = 1 + threshold
    if len(workload.log_ratios) < MIN_ROUNDS or low <= limit <= high:
        state = State.UNDECIDED
    elif low > limit:
        state = State.SLOWER
    else:
        state = State.FASTER if high < 1 / limit else State.SAME
    narrow = np.log(high / low) / 2 <= np.log(limit) / 2
    return Verdict(workload, state, ratio, low, high, bool(narrow) and state != State.UNDECIDED, extras)


def _extras(workload: Workload, threshold: float) -> list[Extra]:
    base_side, head_side = workload.extra_info
    found = []
    for name in sorted(base_side.keys() & head_side.keys()):
        base, head = (float(np.median(side[name])) for side in (base_side, head_side))
        found.append(compare_numbers(name, base, head, EXTRAS[name], threshold))
    return found


def compare_numbers(name: str, base: float, head: float, difference: float, threshold: float) -> Extra:
    """Two numbers without noise, smaller is better; what counts exceeds difference and threshold."""
    state = State.SAME
    if not head - base <= difference and not head <= base * (1 + threshold):  # nan is worse
        state = State.WORSE
    elif base - head > difference and head * (1 + threshold) < base:
        state = State.FASTER
    return Extra(name, base, head, state)
