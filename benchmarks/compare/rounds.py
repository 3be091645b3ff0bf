"""Rounds: a new worker per revision each time, and bursts of the same workload one right after the other.

Noise from outside lasts longer than a pair of bursts, so it hits both and their quotient hardly moves,
provided that both run on one core: unpinned, each gets a core of its own and the quotient compares the cores
(standard deviation of a round 5 to 10 %, pinned 1.2 to 1.5 %). New processes in every round, because where
a process happens to get its memory shifts all of its times.
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare.environments import Environment
from benchmarks.compare.processes import Failed, Worker, WorkerDied

BURST = 0.0005  # s; 0.4 ms gave a standard deviation of 1.2 % a round, 1 ms 1.4 %, 2.5 ms 2.2 %
MAX_BATCHES = 8  # a burst is cut into so many where calls are short
SLICE = 0.25  # s of one workload in one round; twice as long is 1.2 times as exact
MIN_PAIRS = 5
PAIRS_PER_CORE = 8  # then both workers move to another core

SIDES = ("base", "head")
Workers = tuple[Worker, Worker]


@dataclass(frozen=True)
class Suite:
    """What both revisions run."""

    package: str
    folder: Path
    pytest_arguments: tuple[str, ...]
    pinned: bool = True


@dataclass
class Visit:
    """One workload in one round: seconds per call of each pair (base, head), or why there are none."""

    pairs: list[tuple[float, float]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    extra_info: tuple[dict[str, float], dict[str, float]] = field(default_factory=lambda: ({}, {}))


def collect(environments: Sequence[Environment], suite: Suite) -> tuple[list[str], list[str]]:
    """The workloads that the suite offers on each revision."""
    with ExitStack() as stack:
        workers = _start(environments, suite, stack)
        return workers[0].collected(), workers[1].collected()


def run_round(
    environments: Sequence[Environment],
    suite: Suite,
    workloads: Sequence[str],
    rng: random.Random,
    visited: Callable[[str, Visit], None],
    seconds: float,
    number: int = 0,
) -> None:
    """Visit every workload once, in random order.

    Parameters
    ----------
    environments : sequence of Environment
        Base and head.
    suite : Suite
    workloads : sequence of str
    rng : random.Random
    visited : callable
        Told of each visit as soon as it is complete.
    seconds : float
        How long each workload is timed.
    number : int
        Of this round. Our suites check results in round 0 only.
    """
    cores = sorted(os.sched_getaffinity(0)) if suite.pinned and hasattr(os, "sched_getaffinity") else []
    order = rng.sample(list(workloads), len(workloads))
    with ExitStack() as stack:
        workers = _start(environments, suite, stack, rng.random() < 0.5, number)
        for worker in workers:
            worker.collected()
        for worker in workers:
            worker.set_order(order)
        for name in order:
            try:
                visit = _visit(workers, rng, cores, seconds)
            except WorkerDied as death:  # the others go on in the next round
                visited(
                    name, Visit(failures={SIDES[workers.index(death.worker)]: f"the process {death.how}"})
                )
                return
            visited(name, visit)


def _start(
    environments: Sequence[Environment],
    suite: Suite,
    stack: ExitStack,
    head_first: bool = False,
    number: int = 0,
) -> Workers:
    workers = {}
    for side in (1, 0) if head_first else (0, 1):
        worker = Worker(environments[side], suite.package, suite.pytest_arguments, suite.folder, number)
        workers[side] = stack.enter_context(worker)
    return workers[0], workers[1]


def _visit(workers: Workers, rng: random.Random, cores: list[int], seconds: float) -> Visit:
    visit = Visit()
    ends = [worker.next_workload() for worker in workers]
    if ends == [None, None]:
        try:
            visit.pairs = _pairs(workers, rng, cores, seconds)
        except Failed as failure:
            ends[workers.index(failure.worker)] = failure.message
    for side, worker in enumerate(workers):
        end = ends[side] or worker.finish()
        visit.extra_info[side].update(end["extra_info"])
        if end["failure"]:
            visit.failures[SIDES[side]] = end["failure"]
    if visit.failures:
        visit.pairs = []
    return visit


def _pairs(
    workers: Workers, rng: random.Random, cores: list[int], seconds: float
) -> list[tuple[float, float]]:
    n_calls, n_batches = _size(workers)
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(pairs) < MIN_PAIRS or time.perf_counter() - start < seconds:
        if cores and len(pairs) % PAIRS_PER_CORE == 0:
            core = rng.choice(cores)
            for worker in workers:
                worker.move_to(core)
        times = [0.0, 0.0]
        for side in (0, 1) if rng.random() < 0.5 else (1, 0):
            times[side] = workers[side].burst(n_calls, n_batches)
        pairs.append((times[0], times[1]))
    return pairs


def _size(workers: Workers) -> tuple[int, int]:
    """Calls per batch and batches that last about BURST; in two steps, as one call may take 100 ns."""
    n_calls = 1
    for _ in range(2):
        fastest = max(1e-8, min(worker.burst(n_calls, 1) for worker in workers))
        n_calls = max(1, min(10**6, round(BURST / MAX_BATCHES / fastest)))
    return n_calls, max(1, min(MAX_BATCHES, round(BURST / (n_calls * fastest))))
