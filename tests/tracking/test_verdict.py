"""The statistics of benchmarks.compare on made-up rounds."""

import math

import numpy as np
import pytest

from benchmarks.compare.rounds import Visit
from benchmarks.compare.verdict import MIN_ROUNDS, State, Workload, interval, judge


def workload(ratios, extra_info=({}, {})):
    result = Workload("w")
    for ratio in ratios:
        result.add(Visit([(1e-3, ratio * 1e-3)] * 3, {}, extra_info))
    return result


def noisy(centre, spread, n_rounds, seed=0):
    return centre * np.exp(np.random.default_rng(seed).normal(0, spread, n_rounds))


@pytest.mark.parametrize(
    ("centre", "state"),
    [
        (1.08, State.SLOWER),
        (1.0, State.SAME),
        (1.03, State.SAME),
        (0.9, State.FASTER),
        (1.05, State.UNDECIDED),
    ],
)
def test_states(centre, state):
    verdict = judge(workload(noisy(centre, 0.01, 12)), 12, 0.05, 0.2)
    assert verdict.state == state
    assert verdict.low < verdict.ratio < verdict.high
    assert verdict.bad == (state == State.SLOWER)


def test_few_rounds_have_no_verdict():
    ratios = noisy(2.0, 0.001, MIN_ROUNDS)
    assert judge(workload(ratios), 1, 0.05, 0.2).state == State.SLOWER
    assert judge(workload(ratios[:-1]), 1, 0.05, 0.2).state == State.UNDECIDED
    assert judge(workload(ratios[:1]), 1, 0.05, 0.2).state == State.UNDECIDED


def test_one_bad_round_in_five_moves_little():
    ratios = noisy(1.0, 0.005, 10)
    ratios[[2, 7]] = 3.0
    assert judge(workload(ratios), 1, 0.05, 0.2).ratio == pytest.approx(1.0, abs=0.01)


def test_more_workloads_widen_each_interval():
    wide, narrow = (judge(workload(noisy(1.0, 0.01, 12)), n, 0.05, 0.2) for n in (100, 1))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_interval_covers_the_truth_as_often_as_it_says():
    """90 % of 200 intervals of 12 rounds; a bootstrap of so few is narrower, by about 5 points."""
    rng = np.random.default_rng(1)
    covered = [
        low <= 1 <= high for _, low, high in (interval(rng.normal(0, 0.02, 12), 0.9) for _ in range(200))
    ]
    assert 0.78 <= np.mean(covered) <= 0.96


def test_equal_rounds():
    assert interval([0.1] * 6, 0.95) == pytest.approx((math.exp(0.1),) * 3)
    ratio, low, high = interval([0.0, 0.0, 0.0, 0.0, 0.0, 0.1], 0.95)
    assert low <= ratio <= high


def test_extra_info_is_held_to_its_own_threshold():
    def states(base, head, name="error_ratio"):
        given = workload(noisy(1.0, 0.005, 8), ({name: base}, {name: head}))
        verdict = judge(given, 1, 0.05, 0.2)
        return verdict.bad, [extra.state for extra in verdict.extras]

    assert states(0.5, 0.61) == (True, [State.WORSE])
    assert states(0.5, 0.59) == (False, [State.SAME])
    assert states(0.5, 0.4) == (False, [State.FASTER])
    assert states(0.0, 0.3) == (True, [State.WORSE])
    assert states(1e6, 1.3e6, "peak_bytes") == (True, [State.WORSE])
    assert states(1e3, 5e3, "peak_bytes") == (False, [State.SAME])  # a page or two
    assert states(1.0, 9.0, "flops") == (False, [])


def test_a_failure_anywhere_leaves_the_workload_out():
    given = workload(noisy(2.0, 0.001, 8))
    given.add(Visit(failures={"head": "it broke"}))
    verdict = judge(given, 1, 0.05, 0.2)
    assert (verdict.state, verdict.bad, verdict.settled) == (State.NOT_RUN, False, True)
