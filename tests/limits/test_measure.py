"""foveate.limits: what is measured, how it is looked up, what is refused. No speed is asserted."""

import itertools
import json
import subprocess
import sys
from decimal import Decimal

import pytest

import foveate
from foveate import _limit_plan, _limit_probes, limits

AVAILABLE = foveate.info()["threads"]["available"]
ONLY_TOGETHER = {"meet", "meet_paused"}


@pytest.fixture(scope="module")
def found():
    return limits.measure(seconds=0.3)


@pytest.fixture(scope="module")
def alone():
    return limits.measure(seconds=0.05, threads=1)


def test_every_limit_is_there_once(found):
    isas = foveate.available_isas()
    expected = []
    for name, n in itertools.product(limits.NAMES, sorted({1, found.threads})):
        if not (name in ONLY_TOGETHER and n == 1):
            expected += [(name, n)] * (len(isas) if name.startswith("fma") else 1)
    assert sorted((entry.name, entry.threads) for entry in found.entries) == sorted(expected)
    for name in ("fma_f32", "fma_f64"):
        assert [e.isa for e in found.entries if e.name == name and e.threads == 1] == list(isas)


def test_order_is_that_of_the_names(found):
    names = [entry.name for entry in found.entries]
    assert names == sorted(names, key=list(limits.NAMES).index)


def test_units_and_values(found):
    for entry in found.entries:
        assert entry.unit == limits.NAMES[entry.name]
        if entry.note:
            assert (entry.best, entry.median, entry.repetitions) == (None, None, 0)
        elif entry.unit == "us":
            assert 0 <= entry.best <= entry.median
            assert entry.repetitions >= 1
        else:
            assert entry.best >= entry.median > 0
            assert entry.repetitions >= 1


def test_one_thread_can_always_compute_and_read(found):
    for name in ("fma_f32", "fma_f64", "read_l1", "fork_join", "fork_join_paused"):
        assert found.find(name, threads=1).note == ""


def test_what_is_read_fits_where_it_should_be(found):
    for entry in found.entries:
        if not entry.name.startswith("read"):
            assert entry.thread_bytes is None
        elif not entry.note:
            assert entry.thread_bytes % _limit_probes.READ_STEP == 0
            level = entry.name.removeprefix("read_")
            if level != "dram":
                assert 0 < entry.thread_bytes * 2 <= found.cache_bytes[level]


def test_vectors(found):
    widths = {entry.isa: entry.vector_bits for entry in found.entries if entry.name == "fma_f32"}
    known = {"amx": 512, "avx512": 512, "avx2": 256, "neon": 128, "scalar": 128}
    assert widths == {isa: known[isa] for isa in foveate.available_isas()}
    assert found.find("read_l1").isa == foveate.available_isas()[0]


def test_amx_is_named_where_it_is_absent(found):
    entry = found.find("amx_bf16")
    if "amx_bf16" in foveate.info()["cpu_features"]:
        assert entry.note in ("", *_limit_probes.AMX_STATES[2:])
    else:
        assert entry.note == "absent"
        assert found.best("amx_bf16_loads", threads=1) is None


def test_takes_the_time_it_was_given(found):
    assert found.seconds >= 0.3


def test_three_tries_however_little_time(monkeypatch):
    answers = {"read_l1": iter([1e9, None, None]), "read_l2": iter([None]), "read_l3": iter([2e9, 3e9, 5e9])}
    log = []

    class Answering(_limit_plan.Probe):
        def run(self):
            log.append(self.name)
            return next(answers[self.name])  # StopIteration: asked too often

    probes = [Answering(name, 1) for name in answers]
    monkeypatch.setattr(limits, "probes_for", lambda threads: _limit_plan.Plan(probes, {}, None))
    found = limits.measure(seconds=1e-9, threads=1)
    assert [log.count(name) for name in answers] == [3, 1, 3]
    assert [(e.best, e.median, e.repetitions) for e in found.entries] == [
        (1e9, 1e9, 1),
        (None, None, 0),
        (5e9, 3e9, 3),
    ]
    assert [bool(entry.note) for entry in found.entries] == [False, True, False]


def test_json(found):
    as_dict = found.to_dict()
    assert json.loads(json.dumps(as_dict, allow_nan=False)) == as_dict
    assert as_dict["entries"][0]["name"] == "fma_f32"
    assert {"threads", "seconds", "cache_bytes", "entries"} == set(as_dict)


def test_lookup_takes_the_isa_in_use(found):
    with foveate.use_isa("scalar"):
        assert found.find("fma_f64").isa == "scalar"
    assert found.find("fma_f32", isa="scalar", threads=1).isa == "scalar"
    assert found.find("fma_f32").threads == found.threads
    assert found.best("fma_f32", threads=1) == found.find("fma_f32", threads=1).best


def test_lookup_refuses(found):
    with pytest.raises(ValueError, match=r"name must be one of 'fma_f32', .*did you mean 'read_dram'"):
        found.find("read_ram")
    with pytest.raises(ValueError, match=r"threads must be 1.* for the limit 'read_l1', got 77"):
        found.find("read_l1", threads=77)
    with pytest.raises(ValueError, match=r"isa must be one of those measured \('.*'scalar'\), got 'mmx'"):
        found.best("fma_f32", isa="mmx")


def test_one_thread_only(alone):
    assert alone.threads == 1
    assert {entry.threads for entry in alone.entries} == {1}
    with pytest.raises(ValueError, match=r"name must be a limit of one thread, as these are, got 'meet'"):
        alone.find("meet")


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf"), float("nan")])
def test_seconds_out_of_range(seconds):
    with pytest.raises(ValueError, match=r"seconds must be a finite number > 0, got "):
        limits.measure(seconds=seconds)


@pytest.mark.parametrize("seconds", [True, "2", None, 2j, Decimal(2)])
def test_seconds_of_another_type(seconds):
    with pytest.raises(TypeError, match=r"seconds must be a finite number > 0, got .* \("):
        limits.measure(seconds=seconds)


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_out_of_range(threads):
    with pytest.raises(ValueError, match=rf"threads must be >= 1, or None for the default, got {threads}"):
        limits.measure(threads=threads)


@pytest.mark.parametrize("threads", [1.0, "2", True])
def test_threads_of_another_type(threads):
    with pytest.raises(TypeError, match=r"threads must be an int >= 1 or None, got "):
        limits.measure(threads=threads)


def test_more_threads_than_there_are():
    capped = limits.measure(seconds=0.01, threads=10**6).threads
    assert capped == max(AVAILABLE, foveate.get_num_threads())


class Scripted(_limit_plan.Probe):
    """A repetition costs what ``cost`` says; ``log`` is shared."""

    def __init__(self, name, cost, log, stop_after):
        super().__init__(name, 1)
        self.cost, self.log, self.stop_after = cost, log, stop_after

    def run(self):
        raise NotImplementedError

    def repeat(self):
        self.spent += self.cost
        self.values.append(1.0)
        self.log.append(self.name)
        if len(self.log) == self.stop_after:
            raise KeyboardInterrupt


def test_probes_take_turns_by_the_time_they_took(monkeypatch):
    log = []
    probes = [
        Scripted("fma_f32", 1, log, 40),
        Scripted("fma_f64", 1, log, 40),
        Scripted("read_dram", 8, log, 40),
    ]
    monkeypatch.setattr(limits, "probes_for", lambda threads: _limit_plan.Plan(probes, {}, None))
    with pytest.raises(KeyboardInterrupt):
        limits.measure(seconds=60.0, threads=1)
    assert log[:4] == ["fma_f32", "fma_f64", "read_dram", "fma_f32"]
    assert abs(log.count("fma_f32") - log.count("fma_f64")) <= 1
    assert log.count("read_dram") == 3


def test_what_does_not_run_is_said(monkeypatch):
    monkeypatch.setattr(_limit_probes, "fma", lambda *_: None)
    monkeypatch.setattr(_limit_probes, "fork_join", lambda *_: None)
    monkeypatch.setattr(_limit_probes, "can_read_dram", lambda: False)
    found = limits.measure(seconds=0.01, threads=1)
    for name in ("fma_f32", "fork_join"):
        assert found.find(name).note == "the probe does not run"
        assert found.best(name) is None
    assert found.find("read_dram").note == "no instruction empties the caches"
    assert found.best("read_l1") > 0


@pytest.mark.skipif(foveate.get_num_threads() == 1, reason="needs two threads")
def test_threads_that_do_not_come_together_are_named(monkeypatch):
    alone = _limit_probes.fma
    monkeypatch.setattr(_limit_probes, "fma", lambda *a: alone(*a) if a[2] == 1 else None)
    found = limits.measure(seconds=0.01, threads=2)
    assert found.find("fma_f32", threads=2).note == "2 threads did not come together"
    assert found.best("fma_f32", threads=1) > 0


def test_import_foveate_does_not_load_it():
    code = "import foveate, sys; sys.exit(any(name.startswith('foveate.limit') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
