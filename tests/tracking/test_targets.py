"""benchmarks.targets with fake peers: one worker runs at a time, wrong results have no times.

Speed is not asserted.
"""

import json
import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import foveate
from benchmarks.results import Row
from benchmarks.shapes import square
from benchmarks.targets import check, cli, problem
from benchmarks.targets.forms import NEIGHBOUR, OWN, OWN_IN_TILES, OWN_MODULE, OWN_MODULES
from benchmarks.targets.limit import Read
from benchmarks.targets.looks import Looks, look_before
from benchmarks.targets.measure import measure
from benchmarks.targets.odd import ODD
from benchmarks.targets.outcome import LIMIT
from benchmarks.targets.table import TARGETS
from benchmarks.targets.target import READ, Against, Share, Target
from benchmarks.targets.workers import Refused, Workers
from benchmarks.timing import Times
from tracking import fake_dying_peer, fake_peer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stops processes and reads /proc")
SMALL = Target("small", square(1, 2, 16, 8), peers=1.0)
OWN_ONLY = {OWN: OWN_MODULE}
FAKE = OWN_ONLY | {"fake": "tracking.fake_peer"}
DYING = OWN_ONLY | {"dying": "tracking.fake_dying_peer"}


def run(target, modules):
    """The outcome, and the processes that the workers had."""
    with Workers(modules) as workers:
        outcome = measure(target, workers, n_threads=1, repeats=3, budget=0.1)
        pids = workers.pids()
    assert not multiprocessing.active_children()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    return outcome, pids


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    log = tmp_path_factory.mktemp("targets") / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(fake_peer.LOG, str(log))
        outcome, pids = run(SMALL, FAKE)
    return outcome, pids, [line.split() for line in log.read_text(encoding="ascii").splitlines()]


def test_the_others_are_stopped_while_one_runs(fake):
    _, pids, seen = fake
    ours = [state for looking, pid, state in seen if (int(looking), int(pid)) == (pids["fake"], pids[OWN])]
    assert len(ours) > 3  # the result, and every burst
    assert set(ours) == {"T"}


def test_right_results_are_timed_and_wrong_ones_are_not(fake):
    outcome, _, _ = fake
    assert set(outcome.times) == {OWN, "fake"}
    assert all(len(times.bursts) == 3 for times in outcome.times.values())
    assert set(outcome.wrong) == {"fake, wrong"}
    assert outcome.errors["fake"] <= 1 < outcome.errors["fake, wrong"]
    assert [row.rival for row in outcome.rows()] == ["fake"]


def test_what_raises_is_left_out_with_the_reason(fake):
    outcome, _, _ = fake
    assert outcome.left_out["fake, refused"] == "NotImplementedError: no such operator"
    assert outcome.left_out.keys() <= {"fake, refused", "tile loads"}
    assert not outcome.died


def test_a_worker_that_starts_processes_all_the_time_is_stopped():
    with Workers({"starting": "tracking.fake_starting_peer"}) as workers:
        for _ in range(20):
            assert workers.ask("starting", "forms", SMALL, 1) == []
            assert fake_peer.state(workers.pids()["starting"]) == "T"


@pytest.mark.parametrize("n_calls", [0, 4], ids=["at its first call", "while it is timed"])
def test_a_dying_worker_is_reported_and_the_rest_goes_on(monkeypatch, n_calls):
    monkeypatch.setenv(fake_dying_peer.CALLS, str(n_calls))
    outcome, pids = run(SMALL, DYING)
    assert set(pids) == {OWN}
    assert "ended with exit code 3" in outcome.died["dying"]
    assert fake_peer.LAST_WORDS in outcome.died["dying"]
    assert len(outcome.times[OWN].bursts) == 3
    assert list(outcome.rows()) == []


def test_the_limit_and_a_workload_of_our_own_are_timed_beside_it():
    neighbour = Target("neighbour", square(1, 2, 24, 8))
    target = replace(
        SMALL, peers=None, share=Share("fma_f32", 0.8), own=Against(neighbour, 0.5, per_flop=True)
    )
    outcome, _ = run(target, FAKE)
    limit, own = outcome.rows()
    assert (limit.rival, limit.target) == (f"{LIMIT}: fma_f32", 0.8)
    assert limit.ratio_of_minima > 0
    assert own.target == 0.5
    assert own.theirs.min == pytest.approx(outcome.times["own neighbour"].min * (16 / 24) ** 2)
    assert json.dumps(outcome.as_dict())


def test_a_decode_is_held_against_a_read_of_as_many_bytes():
    target = replace(SMALL, peers=None, share=Share(READ, 0.5))
    outcome, _ = run(target, FAKE)
    (row,) = outcome.rows()
    assert row.rival == f"{LIMIT}: {READ}"
    probe = Read(10 * 8192 + 5, 2)
    assert (probe.run() or 0) > 0
    assert probe._memory.nbytes == 10 * 8192
    assert Read(1, 2)._memory.nbytes == 2 * 4096


def test_ratios_of_one_repetition_are_paired():
    ours, theirs = Times((1.0, 2.0, 4.0)), Times((3.0, 2.0, 4.0))
    target = replace(SMALL, share=Share("fma_f32", 0.8))
    outcome = cli.Outcome(target, 1, "scalar", {OWN: ours, LIMIT: theirs})
    (row,) = outcome.rows()
    assert row.ratio_of_medians == 1.0
    assert Row("", "", ours, theirs, None).ratio_of_medians == 1.5


def test_a_dropped_target_is_measured_and_counted_apart():
    times = {OWN: Times((1.0, 1.0)), "peer": Times((1.0, 1.0)), LIMIT: Times((0.5, 0.5))}
    target = replace(SMALL, peers=2.0, share=Share("fma_f32", 0.8), dropped="too fast")
    outcome = cli.Outcome(target, 1, "scalar", times)
    assert [row.met for row in outcome.rows()] == [False, False]
    assert [outcome.drops(row) for row in outcome.rows()] == [True, False]  # a limit is not dropped with it
    own = replace(target, peers=None, own=Against(SMALL, 9.0))
    alone = {OWN: Times((1.0, 1.0)), LIMIT: Times((0.5, 0.5)), NEIGHBOUR: Times((1.0, 1.0))}
    beside = cli.Outcome(own, 1, "scalar", alone)
    assert [(row.rival, beside.drops(row)) for row in beside.rows()] == [
        (f"{LIMIT}: fma_f32", False),
        ("own: small", True),
    ]
    limit = cli.Outcome(replace(own, own=None), 1, "scalar", alone)
    assert [limit.drops(row) for row in limit.rows()] == [True]
    kept = cli.Outcome(replace(target, dropped=""), 1, "scalar", times)
    assert not any(kept.drops(row) for row in kept.rows())


class Scripted:
    """A worker whose looks at the tile loads are known before; None: it refuses."""

    def __init__(self, rates):
        self.rates = iter(rates)

    def ask(self, name, method, n_threads):
        assert (name, method, n_threads) == (OWN, "tile_loads", 2)
        rate = next(self.rates)
        if rate is None:
            raise Refused("no try ran on all threads")
        return rate


def test_repetitions_with_slow_tile_loads_are_told_from_quiet_ones():
    outcome = cli.Outcome(replace(SMALL, own=Against(SMALL, 1.5), peers=None), 2, "amx")
    script = Scripted([1e3, *(1000.0, 900.0), *(1000.0, 300.0), *(None, 990.0), *(800.0, 710.0)])
    ours, theirs = iter([1.0, 2.0, 3.0, 1.2]), iter([2.0, 2.0, 2.0, 1.8])
    bursts, looks = look_before(
        {OWN: lambda: next(ours), NEIGHBOUR: lambda: next(theirs)}, OWN, script, outcome
    )
    rounds = [{form: burst() for form, burst in bursts.items()} for _ in range(4)]
    outcome.times = {form: Times(tuple(seconds[form] for seconds in rounds)) for form in bursts}
    outcome.tile_loads = looks.of_repetitions()
    assert outcome.tile_loads == (900.0, 300.0, 0.0, 710.0)
    (row,) = outcome.rows()
    assert (row.ours.median, row.met) == (1.6, False)
    (quiet,) = cli.in_quiet([outcome, cli.Outcome(SMALL, 2, "amx", outcome.times)])
    assert quiet.tile_loads == (900.0, 710.0)
    (row,) = quiet.rows()
    assert (row.ours.median, row.ratio_of_medians, row.met) == (1.1, 1.75, True)
    assert quiet.as_dict()["bursts_s"] == {OWN: [1.0, 1.2], NEIGHBOUR: [2.0, 1.8]}
    assert not list(outcome.in_quiet(1e4).rows())
    console = Console(record=True, width=190)
    cli.show_quiet(console, [outcome], [quiet], markdown=False)
    shown = console.export_text()
    assert "1100 " in shown  # ms
    assert "quiet: 2 of 4 repetitions; 1 rows, 0 below the target" in shown


@pytest.mark.parametrize(
    ("first", "left_out"), [(None, {"tile loads": "no try ran on all threads"}), (0, {})]
)
def test_without_tile_loads_nothing_is_looked_at(first, left_out):
    outcome, bursts = cli.Outcome(SMALL, 2, "avx512"), {OWN: lambda: 1.0}
    script = Scripted([first])
    if first is not None:
        script.ask = lambda *_: None
    assert look_before(bursts, OWN, script, outcome) == (bursts, Looks())
    assert outcome.left_out == left_out
    assert Looks().of_repetitions() == ()


def test_f32_in_tile_registers_is_held_against_multiply_adds():
    target = replace(
        SMALL, shape=square(1, 2, 64, 32), peers=None, own=Against(SMALL, 1.5), f32_in_tiles=True
    )
    outcome, pids = run(target, OWN_MODULES)
    if foveate.get_isa() == "amx":
        assert set(outcome.times) == {OWN, NEIGHBOUR}
        assert set(pids) == {OWN, OWN_IN_TILES}
    else:
        assert outcome.left_out == {
            OWN_IN_TILES: f"RuntimeError: the ISA in use is {foveate.get_isa()}, which has no tile registers"
        }
        assert not outcome.times


def test_names_are_unique_and_targets_positive():
    names = [str(target) for target in (*TARGETS, *ODD)]
    assert len(set(names)) == len(names)
    for target in (*TARGETS, *ODD):
        shares = [target.share.target(isa) for isa in ("avx512", "avx2")] if target.share else []
        own = [target.own.at_least] if target.own else []
        asked = [*shares, *own, *([] if target.peers is None else [target.peers])]
        assert asked, target
        assert min(asked) > 0, target


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mask": "bool"},
        {"mask": "float"},
        {"window": 4},
        {"alibi": True},
        {"softcap": 5.0},
        {"shape": square(1, 2, 16, 8, dtype="bfloat16")},
    ],
    ids=str,
)
def test_peers_and_foveate_are_asked_for_the_same(changes):
    """What peers add to the logits is what foveate's options mean, and a mask off by one key is found."""
    target = replace(SMALL, **{"shape": square(1, 2, 16, 8, causal=not changes), **changes})
    if target.window or target.alibi:
        target = replace(target, shape=replace(target.shape, causal=True))
    work = problem.make(target)
    query, key, value = (array.astype(np.float64) for array in work.arrays)
    logits = query @ key.swapaxes(-1, -2) / np.sqrt(8)
    if target.softcap:
        logits = target.softcap * np.tanh(logits / target.softcap)
    added = work.added()
    weights = np.exp(logits if added is None else logits + added.astype(np.float64))
    output = weights / weights.sum(axis=-1, keepdims=True) @ value
    right = check.Check(work)
    assert right.peer(output) <= 1
    assert right.peer(weights / weights.sum(axis=-1, keepdims=True) @ np.roll(value, 1, axis=-2)) > 1
    assert right.peer(np.full_like(output, np.nan)) == np.inf


@pytest.mark.parametrize("arguments", [["--peers", "jax"], ["--only", "no such"], ["--threads", "0"]])
def test_wrong_use(arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_the_command(tmp_path, capfd):
    target = tmp_path / "run.json"
    few = ["--peers", "", "--threads", "1", "--repeats", "2", "--budget", "0.1", "--json", str(target)]
    assert cli.main(["--only", "a call", "--markdown", *few]) == 0
    (outcome,) = json.loads(target.read_text())["targets"]
    assert outcome["workload"] == "a call, B1 H1 L3 D2, float32"
    assert len(outcome["bursts_s"][OWN]) == 2
    assert "targets: 0 rows" in capfd.readouterr().out
    assert not multiprocessing.active_children()
