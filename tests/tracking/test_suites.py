"""The suites of benchmarks/: what a run stores beside the times, and that a wrong result has no time."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import figures, shapes
from benchmarks.figures import Work
from foveate.limits import NAMES, Limit, Limits

ROOT = Path(__file__).parents[2]
SELECTED = "bench_score[dot] or bench_activation[relu2] or bench_combine[product] or bench_tiny[mode-2]"
FAST = [
    "--benchmark-max-time=0.01",
    "--benchmark-min-rounds=2",
    "--threads=1",
    "-q",
    "-p",
    "no:cacheprovider",
]


def run_suite(*arguments):
    line = [sys.executable, "-m", "pytest", "--benchmark-only", *FAST, *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=200)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """extra_info by name of the benchmark, as pytest-benchmark stores it."""
    target = tmp_path_factory.mktemp("suites") / "run.json"
    suites = [f"benchmarks/bench_{name}.py" for name in ("stages", "call_overhead")]
    done = run_suite(
        *suites, "-k", SELECTED.replace("[", " and ").replace("]", ""), f"--benchmark-json={target}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {run["name"]: run for run in json.loads(target.read_text())["benchmarks"]}


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("bench_score[dot]", "gflops"),
        ("bench_activation[relu2]", "gb_per_s"),
        ("bench_combine[product]", "gb_per_s"),
        ("bench_tiny[mode-2]", "gflops"),
    ],
)
def test_rate_share_and_error(stored, name, rate):
    extra = stored[name]["extra_info"]
    assert extra["threads"] == 1
    assert extra[rate] > 0
    assert extra["share_of_limit"] > 0
    assert extra["limit"] in NAMES
    assert 0 <= extra["error_ratio"] <= 1


def test_rates_belong_to_the_fastest_call(stored):
    run = stored["bench_score[dot]"]
    shape = shapes.square(1, 8, 512, 64)
    flops = 2 * 8 * 512 * 512 * shape.head_dim
    assert run["extra_info"]["gflops"] == pytest.approx(flops / run["stats"]["min"] * 1e-9)


def test_a_wrong_result_has_no_time(tmp_path):
    suite = tmp_path / "bench_wrong.py"
    suite.write_text("def bench_wrong(run):\n    run(lambda: 1.0, error=lambda made: made + 0.5)\n")
    (tmp_path / "conftest.py").write_text("from benchmarks.conftest import *\n")
    settings = f"[pytest]\npython_files = bench_*.py\npython_functions = bench_*\npythonpath = {ROOT}\n"
    (tmp_path / "pytest.ini").write_text(settings)
    done = run_suite("-c", tmp_path / "pytest.ini", suite)
    assert done.returncode == 1
    assert "error_ratio must be at most 1, got 1.5" in done.stdout


def limits(**best):
    entries = tuple(
        Limit(name, NAMES[name], 1, "avx2" if name.startswith("fma") else None, None, None, b, b, 3, "")
        for name, b in best.items()
    )
    return Limits(1, 0.1, {"l1": 1000, "l2": 10_000, "l3": 100_000}, entries)


def test_the_limit_that_binds(monkeypatch):
    monkeypatch.setattr("foveate._runtime.get_isa", lambda: "avx2")
    found = limits(fma_f32=100.0, fma_f64=50.0, read_l1=80.0, read_l2=40.0, read_l3=20.0, read_dram=10.0)
    computing = figures.figures(Work(1e6, 900), 2e-5, found)
    assert computing["limit"] == "fma_f32"
    assert computing["share_of_limit"] == pytest.approx(0.5)
    assert computing["gflops"] == pytest.approx(50.0)
    assert figures.figures(Work(1e6, 900, "float64"), 2e-5, found)["share_of_limit"] == pytest.approx(1.0)
    for n_bytes, level, bandwidth in (
        (900, "l1", 80),
        (9000, "l2", 40),
        (90_000, "l3", 20),
        (1e6, "dram", 10),
    ):
        reading = figures.figures(Work(0, n_bytes), 1e-3, found)
        assert reading["limit"] == f"read_{level}"
        assert reading["share_of_limit"] == pytest.approx(n_bytes / bandwidth * 1e-9 / 1e-3)
        assert "gflops" not in reading
    missing = limits(fma_f32=100.0, read_l1=None, read_l2=None, read_l3=None, read_dram=None)
    assert "share_of_limit" not in figures.figures(Work(0, 900), 1e-3, missing)


def test_only_attended_pairs_are_work():
    shape = shapes.square(2, 3, 100, 8)
    every = figures.attended_work(shape, {})
    assert every == Work(shape.flops, shape.n_bytes)
    causal = shapes.square(2, 3, 100, 8, causal=True)
    assert figures.attended_work(shape, {"causal": True}).flops == pytest.approx(causal.flops)
    diagonal = figures.attended_work(shape, {"window": (0, 0)})
    assert diagonal.flops == pytest.approx(every.flops / 100)
    assert figures.attended_work(shape, {"window": (None, 0)}).flops == pytest.approx(causal.flops)
    half = figures.attended_work(shape, {"kv_lengths": np.array([100, 0])})
    assert half.flops == pytest.approx(every.flops / 2)
    mask = np.arange(100) < 25
    assert figures.attended_work(shape, {"mask": mask}).flops == pytest.approx(every.flops / 4)
