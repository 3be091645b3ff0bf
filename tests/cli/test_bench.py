"""`foveate bench`: what --save and --plot write, what is refused before any timing, the peers, the clock."""

import importlib.util
import json
import sys
import time
import types

import numpy as np
import pytest
from click.testing import CliRunner

import foveate
from foveate.cli import bench, bench_cases, bench_measure, bench_record, peers, timing
from foveate.cli.app import app
from plot.made_up_records import record

GRID = (
    bench_cases.BenchCase("grouped", 4, 2, 33, 65, 16),
    bench_cases.BenchCase("causal", 2, 2, 40, 40, 8, causal=True),
)
LENGTHS = tuple(bench_cases.BenchCase(f"L{n}", 2, 2, n, n, 8) for n in (8, 32))


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(bench, "GRID", GRID)
    monkeypatch.setattr(bench, "LENGTHS", LENGTHS)
    monkeypatch.setattr(bench_record, "LIMITS_SECONDS", 0.05)
    monkeypatch.setattr(bench_record, "SECONDS", 0.01)


@pytest.fixture
def never_timed(monkeypatch):
    def measure_record(*args, **kwargs):
        raise AssertionError("measured before the refusal")

    monkeypatch.setattr(bench_record, "measure_record", measure_record)


def invoke(*args):
    return CliRunner().invoke(app, list(map(str, args)))


def test_save_appends_whole_records(tiny, tmp_path):
    path = tmp_path / "runs.jsonl"
    for n in (1, 2):
        result = invoke("bench", "--peers", "numpy", "--threads", "1", "--save", path)
        assert result.exit_code == 0, result.stderr
        assert len(bench_record.read(path)) == n
    found = bench_record.read(path)[-1]
    info = json.loads(json.dumps(foveate.info()))
    assert found["schema"] == 1
    assert (found["foveate"], found["compiler"]) == (info["version"], info["compiler"])
    assert (found["threads"], found["isa"]) == (1, foveate.get_isa())
    assert found["clock"] == timing.best_clock(1)[0]
    assert found["machine"]["cpu_features"] == info["cpu_features"]
    assert found["peers"] == {"numpy": np.__version__}
    assert found["limits"]["threads"] == 1
    assert found["roofs"]["fma_f32"] > 0
    kinds = [(row["kind"], row["shape"]) for row in found["workloads"]]
    assert kinds == [("grid", "grouped"), ("grid", "causal"), ("length", "L8"), ("length", "L32")]
    for row, case in zip(found["workloads"], (*GRID, *LENGTHS), strict=True):
        ours = row["seconds"]["foveate"]
        assert 0 < ours["min"] <= ours["median"]
        assert row["sizes"]["kv_len"] == case.kv_len
        assert row["gflops"] == pytest.approx(case.flops() / ours["min"] / 1e9)
        assert row["gbps"] == pytest.approx(case.n_bytes() / ours["min"] / 1e9)
        assert row["intensity"] == pytest.approx(case.flops() / case.n_bytes())
        assert row["limit"]["share"] == pytest.approx(row["gflops"] / row["limit"]["gflops"])
        assert row["correct"] == {"foveate": True, "numpy": True}
        assert 0 < row["error_ratio"]["foveate"] <= 1


def test_a_wrong_result_is_neither_saved_nor_drawn(tiny, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    right = foveate.Mode
    monkeypatch.setattr(foveate, "Mode", lambda **k: lambda *a, **n: right(**k)(*a, **n) * np.float32(1.01))
    result = invoke("bench", "--peers", "none", "--save", tmp_path / "r.jsonl", "--plot", tmp_path / "p")
    assert result.exit_code == 1
    assert "wrong result: grouped: foveate" in result.stderr
    assert not (tmp_path / "r.jsonl").exists()
    assert not list((tmp_path / "p").iterdir())


def test_plot_draws_three_pictures(tiny, tmp_path):
    pytest.importorskip("matplotlib")
    bench_record.append(tmp_path / "runs.jsonl", record())
    folder = tmp_path / "new" / "folder"
    result = invoke("bench", "--peers", "numpy", "--plot", folder, "--history", tmp_path / "runs.jsonl")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["history.png", "lengths.png", "roofline.png"]
    for path in folder.iterdir():
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(data) > 10_000
        assert str(path) in result.stdout
    assert len(bench_record.read(tmp_path / "runs.jsonl")) == 1  # --history is only read


def test_history_picture_has_the_saved_records_once(tiny, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from foveate import plot

    drawn, right = [], plot.history
    monkeypatch.setattr(plot, "history", lambda records: drawn.extend(records) or right(records))
    path = tmp_path / "runs.jsonl"
    bench_record.append(path, record())
    assert (
        invoke("bench", "--peers", "none", "--plot", tmp_path, "--save", path, "--history", path).exit_code
        == 0
    )
    assert [line["time"] for line in drawn] == [line["time"] for line in bench_record.read(path)]
    assert len(drawn) == 2


def test_json_has_limits_and_shares(tiny):
    found = json.loads(invoke("bench", "--peers", "numpy", "--json").stdout)
    assert found["peers"] == ["numpy"]
    assert found["roofs"]["fma_f32"] > 0
    assert [row["shape"] for row in found["shapes"]] == ["grouped", "causal"]
    assert all(row["limit"]["share"] > 0 for row in found["shapes"])


def test_table_has_the_share_and_the_ratios(tiny):
    shown = invoke("bench", "--peers", "numpy").stdout
    for word in ("of limit", "flop/byte", "x numpy", "geometric mean", "NumPy ran on"):
        assert word in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save", "{tmp}/no/runs.jsonl"], "folder does not exist"),
        (["--save", "{tmp}/other.txt"], "other.txt, line 1: not a record"),
        (["--save", "{tmp}"], "is a directory"),
        (["--history", "{tmp}/other.txt"], "--history is for --plot"),
        (["--plot", "{tmp}/p", "--history", "{tmp}/absent"], "does not exist"),
        (["--plot", "{tmp}/p", "--history", "{tmp}/other.txt"], "not a record"),
        (["--plot", "{tmp}/other.txt"], "is a file"),
        (["--peers", "numpy,jax"], "--peers: got 'jax'"),
    ],
)
def test_refusals_come_first_and_are_one_line(never_timed, tmp_path, arguments, message):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    (tmp_path / "other.txt").write_text("a letter\n")
    result = invoke("bench", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "other.txt").read_text() == "a letter\n"


def test_plot_needs_matplotlib_before_anything_is_timed(never_timed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = invoke("bench", "--plot", tmp_path / "pictures")
    assert result.exit_code == 2
    assert "pip install 'foveate[plot]'" in result.stderr
    assert not (tmp_path / "pictures").exists()


# ----- peers


@pytest.mark.parametrize("name", peers.PACKAGES)
@pytest.mark.parametrize("case", [*GRID, bench_cases.BenchCase("both", 4, 2, 9, 9, 8, causal=True)])
def test_installed_peers_agree_with_the_oracle(name, case):
    for package in peers.PACKAGES[name]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    prepared = peers.load(name)(*case.arrays(), causal=case.causal, n_threads=1)
    assert bench_measure.error_ratio(case, prepared.to_array(prepared.call())) <= 1.0


@pytest.mark.parametrize("name", peers.PACKAGES)
def test_an_absent_peer_is_an_error_only_where_it_was_named(tiny, name, monkeypatch):
    monkeypatch.setattr(bench, "PEERS", ("numpy", name))
    monkeypatch.setitem(sys.modules, name, None)
    result = invoke("bench", "--peers", f"numpy,{name}")
    assert result.exit_code == 2
    assert f"--peers: {name} is not installed" in result.stderr
    result = invoke("bench", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["peers"] == ["numpy"]


def test_onnxruntime_without_onnx_is_left_out_with_a_note(tiny, monkeypatch):
    monkeypatch.setattr(bench, "PEERS", ("numpy", "onnxruntime"))
    monkeypatch.setitem(sys.modules, "onnxruntime", sys)  # there
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = invoke("bench", "--json")
    assert result.exit_code == 0
    assert "left out: no onnxruntime without the package onnx" in result.stderr


@pytest.mark.parametrize("causal", [False, True])
def test_folded_is_the_same_attention(causal):
    case = bench_cases.BenchCase("", 4, 2, 5, 5, 8, causal=causal)
    query, key, value = case.arrays()
    q, k, v = peers.folded(query, key, value, causal)
    assert q.shape[-3] == k.shape[-3]
    output = foveate.attention(q, k, v, causal=causal).reshape(query.shape)
    assert bench_measure.error_ratio(case, output) <= 1.0


def test_error_ratio_sees_what_is_wrong():
    case = GRID[0]
    output = foveate.attention(*case.arrays())
    assert 0 < bench_measure.error_ratio(case, output) <= 1
    assert bench_measure.error_ratio(case, output[:, :, :-1]) == float("inf")
    broken = output.copy()
    broken[0, 0, 5, 0] = np.nan  # in a row that is not sampled, too
    assert bench_measure.error_ratio(case, broken) == float("inf")
    assert bench_measure.error_ratio(case, output * np.float32(1.001)) > 1


# ----- the clock


def test_turns_reverse():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    times = timing.interleaved(calls, budget=0.0, min_repeats=4)
    assert {name: len(found) for name, found in times.items()} == {"a": 4, "b": 4}
    firsts = "".join(name for i, name in enumerate(order) if i == 0 or order[i - 1] != name)
    # a and b are sized, then ab, ba, ab, ba, where neighbours of one name run together
    assert firsts == "abababa"


def test_one_thread_is_timed_on_the_cpu():
    name, clock = timing.best_clock(1)
    assert name == "cpu"
    times = timing.interleaved({"a": lambda: time.sleep(0.02)}, budget=0.0, clock=clock)
    assert max(times["a"]) < 0.01  # asleep, it uses none
    assert min(timing.interleaved({"a": lambda: time.sleep(0.02)}, budget=0.0)["a"]) >= 0.02
    assert timing.best_clock(2) == ("wall", time.perf_counter)


def test_a_coarse_clock_is_not_used(monkeypatch):
    coarse = types.SimpleNamespace(resolution=0.0156)
    monkeypatch.setattr(timing.time, "get_clock_info", lambda name: coarse)
    assert timing.best_clock(1) == ("wall", time.perf_counter)


def test_long_calls_may_have_three_turns(monkeypatch):
    monkeypatch.setattr(timing, "LONG", 0.0)
    times = timing.interleaved({"a": lambda: None}, budget=0.0, min_repeats=5)
    assert len(times["a"]) == timing.MIN_LONG
