"""info, selftest, bench, and what holds for all commands."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import foveate
from foveate.cli import bench, bench_cases, selftest
from foveate.cli.app import COMMANDS, app


def invoke(*args):
    return CliRunner().invoke(app, args)


def run(*args, **environment):
    command = [sys.executable, "-W", "error", "-m", "foveate", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | environment)


def test_help_names_every_command():
    result = invoke("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout
        assert invoke(name, "--help").exit_code == 0


def test_no_command_is_wrong_use():
    result = invoke()
    assert result.exit_code == 2
    assert "selftest" in result.stdout


def test_version():
    assert invoke("--version").stdout == f"foveate {foveate.__version__}\n"


@pytest.mark.parametrize(
    "args", [["nonsense"], ["--nonsense"], ["info", "extra"], ["bench", "--peers", "jax"]]
)
def test_wrong_use_is_one_line(args):
    done = run(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert args[-1] in done.stderr


def test_info_as_json_is_info():
    assert json.loads(invoke("info", "--json").stdout) == json.loads(json.dumps(foveate.info()))


def test_info_table():
    shown = run("info", COLUMNS="200").stdout
    for word in (*foveate.compiled_isas(), np.__version__, "automatic", foveate.info()["threads"]["reason"]):
        assert word in shown
    assert "\x1b" not in shown


def test_info_tells_who_chose():
    shown = run("info", FOVEATE_ISA="scalar", COLUMNS="200").stdout
    assert "scalar (forced by FOVEATE_ISA)" in shown


def test_unknown_isa_of_the_environment_is_one_line():
    done = run("info", FOVEATE_ISA="mmx")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "FOVEATE_ISA" in done.stderr


def test_plain_ascii_streams():
    done = run("info", PYTHONIOENCODING="ascii", PYTHONUTF8="0", NO_COLOR="1")
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_colour_only_when_asked_for():
    forced = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "100"}
    assert "\x1b[" in run("info", **forced).stdout
    assert "\x1b[3" not in run("info", **forced, NO_COLOR="1").stdout


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from foveate.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "foveate: the command line needs click and rich: pip install 'foveate[cli]'\n"


def test_foveate_itself_needs_neither():
    code = "import foveate, sys; sys.exit(any(m in sys.modules for m in ('click', 'rich', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


# ----- selftest


@pytest.fixture
def few_cases(monkeypatch):
    monkeypatch.setattr(selftest, "N_QUICK", 48)


def test_selftest_passes_on_every_isa(few_cases):
    result = invoke("selftest", "--quick", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["passed"] is True
    assert set(found["isas"]) == set(foveate.available_isas())
    for isa in found["isas"].values():
        assert isa["cases"] == 48
        assert 0.0 < max(isa["worst_ratio"].values()) <= 1.0
    assert found["not_on_this_machine"] == [
        isa for isa in foveate.compiled_isas() if isa not in foveate.available_isas()
    ]


def test_selftest_of_one_isa(few_cases):
    result = invoke("selftest", "--quick", "--isa", "scalar")
    assert result.exit_code == 0
    assert "scalar" in result.stdout
    assert "avx2" not in result.stdout


def test_selftest_lists_what_cannot_run(few_cases, monkeypatch):
    monkeypatch.setattr(foveate, "compiled_isas", lambda: ("avx9000", *foveate.available_isas()))
    result = invoke("selftest", "--quick")
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if "avx9000" in line)
    assert "not on this machine" in line


def test_selftest_refuses_an_unknown_isa():
    result = invoke("selftest", "--isa", "mmx")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "'mmx'" in result.stderr


@pytest.mark.parametrize("kind", ["output", "lse", "weights"])
def test_selftest_notices_a_wrong_result(few_cases, monkeypatch, kind):
    right = foveate.attention

    def wrong(*args, **kwargs):
        result = right(*args, **kwargs)
        array = getattr(result, kind)
        return result if array is None else result._replace(**{kind: array * array.dtype.type(1.01)})

    monkeypatch.setattr(foveate, "attention", wrong)
    result = invoke("selftest", "--quick")
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert f"worst at {kind}" in " ".join(result.stdout.split()) or kind != "lse"


def test_selftest_cases_are_the_same_every_time():
    from foveate.cli.selftest_cases import EXTRAS, cases

    first, second = list(cases(30)), list(cases(30))
    assert {case.label.split(",")[0] for case in first} == set(EXTRAS)
    for a, b in zip(first, second, strict=True):
        assert a.label == b.label
        np.testing.assert_array_equal(a.query, b.query)


# ----- bench

TINY = (
    bench_cases.BenchCase("small", 4, 2, 33, 65, 16),
    bench_cases.BenchCase("square", 2, 2, 40, 40, 8, causal=True),
)


@pytest.fixture
def tiny_grid(monkeypatch):
    monkeypatch.setattr(bench, "GRID", TINY)


def test_bench_json(tiny_grid):
    result = invoke("bench", "--quick", "--peers", "numpy", "--threads", "1", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["threads"], found["peers"], found["correct"]) == (1, ["numpy"], True)
    assert [row["shape"] for row in found["shapes"]] == ["small", "square"]
    for row in found["shapes"]:
        for times in row["seconds"].values():
            assert 0 < times["min"] <= times["median"]
            assert times["repeats"] >= 5
        ratio = row["seconds"]["numpy"]["median"] / row["seconds"]["foveate"]["median"]
        assert row["ratio"]["numpy"] == pytest.approx(ratio)
        assert row["gflops"] > 0


def test_bench_table(tiny_grid):
    result = invoke("bench", "--quick", "--peers", "none")
    assert result.exit_code == 0
    assert "GFLOP/s" in result.stdout
    assert "numpy" not in result.stdout


@pytest.mark.parametrize("wrong", ["foveate", "numpy"])
def test_bench_notices_a_wrong_result(tiny_grid, monkeypatch, wrong):
    if wrong == "numpy":
        right = bench.numpy_attention
        monkeypatch.setattr(bench, "numpy_attention", lambda *a, **k: right(*a, **k) * np.float32(1.001))
    else:
        right_mode = foveate.Mode
        monkeypatch.setattr(
            foveate, "Mode", lambda **k: lambda *a, **n: right_mode(**k)(*a, **n) * np.float32(1.001)
        )
    result = invoke("bench", "--quick", "--peers", "numpy")
    assert result.exit_code == 1
    assert f"wrong result: small: {wrong}" in result.stderr


def test_bench_needs_the_peer_that_was_asked_for(tiny_grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = invoke("bench", "--peers", "torch")
    assert result.exit_code == 2
    assert "torch is not installed" in result.stderr
    assert invoke("bench", "--quick").exit_code == 0  # by itself it takes what there is


def test_flops_of_a_causal_case():
    assert bench_cases.BenchCase("", 1, 1, 3, 3, 2, causal=True).flops() == 4 * 6 * 2
