"""One target: every form checked, then timed in turns, with the limit and another workload of our own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import foveate
from benchmarks import timing
from benchmarks.targets import problem
from benchmarks.targets.check import Check
from benchmarks.targets.forms import NEIGHBOUR, OWN, OWN_IN_TILES, OWN_MODULES
from benchmarks.targets.looks import look_before
from benchmarks.targets.outcome import LIMIT, Outcome
from benchmarks.targets.target import Target
from benchmarks.targets.workers import Refused, WorkerDied, Workers

Forms = dict[str, str]  # form -> the library whose worker has it


def measure(target: Target, workers: Workers, n_threads: int, repeats: int, budget: float) -> Outcome:
    """Check and time one target.

    Parameters
    ----------
    target : Target
    workers : Workers
        ``OWN`` and the peers.
    n_threads : int
        For all, where the target has no number of its own.
    repeats : int
        Bursts of each form.
    budget : float
        Seconds after which no new round starts, once three are done.

    Returns
    -------
    Outcome
        Without times where foveate's own result is wrong or its worker died.
    """
    outcome = Outcome(target, target.threads or n_threads, foveate.get_isa())
    own = [OWN_IN_TILES, OWN] if target.f32_in_tiles else [OWN]
    peers = [name for name in workers if name not in OWN_MODULES] if target.peers is not None else []
    forms: Forms = {}
    check = Check(problem.make(target))
    for name in (*own, *peers):
        forms |= _checked(name, workers, check, outcome)
        if OWN not in forms:
            return outcome
    while OWN in forms:
        try:
            outcome.times = _timed(forms, workers, outcome, repeats, budget)
            break
        except WorkerDied as death:  # the times so far had a rival that is gone: once more, without it
            outcome.died[death.name] = str(death)
            forms = {form: name for form, name in forms.items() if name != death.name}
    return outcome


def _checked(name: str, workers: Workers, check: Check, outcome: Outcome) -> Forms:
    """The forms of one library whose results are right."""
    right: Forms = {}
    try:
        for form in workers.ask(name, "forms", outcome.target, outcome.n_threads):
            try:
                result = workers.ask(name, "result", form)
            except Refused as reason:
                outcome.left_out[form] = str(reason)
                continue
            if form == NEIGHBOUR:
                assert outcome.target.own is not None
                error = Check(problem.make(outcome.target.own.target)).own(result)
            else:
                error = check.own(result) if form == OWN else check.peer(result)
            outcome.errors[form] = error
            if error <= 1.0:
                right[form] = name
            else:
                outcome.wrong[form] = f"its error is {error:.3g} times what is admitted"
    except Refused as reason:
        outcome.left_out[name] = str(reason)
    except WorkerDied as death:
        outcome.died[name] = str(death)
        return {}
    return right


def _timed(
    forms: Forms, workers: Workers, outcome: Outcome, repeats: int, budget: float
) -> dict[str, timing.Times]:
    once = {form: workers.ask(name, "calibrate", form) for form, name in forms.items()}
    bursts: dict[str, Callable[[], float]] = {
        form: partial(workers.ask, name, "burst", form) for form, name in forms.items()
    }
    if outcome.target.share is not None and LIMIT not in outcome.left_out:
        limit = partial(workers.ask, forms[OWN], "least_seconds", outcome.target, outcome.n_threads)
        try:
            once[LIMIT] = limit() * 0  # a probe takes no longer than a burst
            bursts = {LIMIT: limit, **bursts}  # beside foveate, which comes first
        except Refused as reason:
            outcome.left_out[LIMIT] = str(reason)
    bursts, looks = look_before(bursts, forms[OWN], workers, outcome)
    times = timing.in_turns(bursts, once, repeats, budget)
    outcome.tile_loads = looks.of_repetitions()
    return times
