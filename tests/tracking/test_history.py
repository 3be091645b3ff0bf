"""`python -m benchmarks.history`: lists, draws, adds, refuses. Nothing is timed but one tiny workload."""

import json
import struct
import subprocess
import sys
import types
from pathlib import Path

import pytest

from benchmarks import history
from benchmarks.compare.revisions import Repository
from foveate.cli import bench_cases, bench_record
from plot.made_up_records import record

ROOT = Path(__file__).parents[2]
TINY = {"grid": (bench_cases.BenchCase("tiny", 1, 1, 3, 3, 2),)}


def git(folder, *arguments):
    fixed = ["-c", "user.name=T", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *fixed, *arguments], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path):
    """Records of two revisions, the newer one first, and of another machine."""
    result = tmp_path / "records"
    result.mkdir()
    bench_record.append(result / "made-up.jsonl", record("b" * 40, "2026-02-01T00:00:00+00:00", 1.5))
    bench_record.append(result / "made-up.jsonl", record())
    other = record()["machine"] | {"name": "other-machine"}
    bench_record.append(
        result / "other.jsonl", record(machine=other, error_ratios={"softmax f32 avx2": 0.75})
    )
    return result


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository whose Python files are those installed; the working folder is inside."""
    installed = Path(history.foveate.__file__).parent
    package = tmp_path / "clone" / "src" / "foveate"
    package.mkdir(parents=True)
    (package / "_core.pyx").write_text("")
    (package / "mode.py").write_bytes((installed / "mode.py").read_bytes())
    git(package.parents[1], "init", "-q")
    git(package.parents[1], "add", ".")
    git(package.parents[1], "commit", "-q", "-m", "First")
    monkeypatch.chdir(package.parents[1])
    return package.parents[1]


@pytest.fixture
def quick(monkeypatch):
    right = bench_record.measure_record
    monkeypatch.setitem(sys.modules, "benchmarks.accuracy", None)  # takes its time where it exists
    monkeypatch.setattr(bench_record, "LIMITS_SECONDS", 0.02)
    monkeypatch.setattr(bench_record, "SECONDS", 0.01)
    monkeypatch.setattr(bench_record, "measure_record", lambda **options: right(**options, kinds=TINY))


@pytest.fixture
def never_timed(monkeypatch):
    def measure_record(**options):
        raise AssertionError("measured before the refusal")

    monkeypatch.setattr(bench_record, "measure_record", measure_record)


def test_lists_records_oldest_revision_first(folder, capsys):
    assert history.main(["--folder", str(folder)]) == 0
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if "aaaaaaa" in line or "bbbbbbb" in line]
    assert [row[3] for row in rows if "2026-01-01" in row or "2026-02-01" in row] == [
        "aaaaaaa", "aaaaaaa", "bbbbbbb",
    ]  # fmt: skip
    assert "other-machine" in shown
    assert "0.750" in shown  # the worst of error_ratios
    assert "0.250" in shown  # of the workloads
    assert "10000 x" in shown
    assert "6670 x" in shown


def test_plot(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert history.main(["--folder", str(folder), "--plot", str(tmp_path / "h.png")]) == 0
    data = (tmp_path / "h.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert 700 <= width <= 1500
    assert 400 <= height <= 900


def test_a_fresh_clone_can_draw_the_committed_history():
    records = history.records_in(history.FOLDER)
    assert len({line["revision"]["commit"] for line in records}) >= 2
    assert not any(line["revision"]["dirty"] for line in records)
    assert all(line["limit"] is not None for each in records for line in each["workloads"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folder", "{tmp}"], "no records in"),
        (["--plot", "{tmp}/h.pdf"], "expected a .png file"),
        (["--plot", "{tmp}/no/h.png"], "in a folder that exists"),
        (["--folder", "{tmp}/bad"], "bad.jsonl, line 1: not a record"),
    ],
)
def test_refusals_are_one_line(tmp_path, capsys, arguments, message):
    pytest.importorskip("matplotlib")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.jsonl").write_text("{}\n")
    assert history.main([argument.format(tmp=tmp_path) for argument in arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("history: ")
    assert told.count("\n") == 1


def test_plot_needs_matplotlib_before_anything_is_timed(folder, clone, never_timed, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert history.main(["--folder", str(folder), "--add", "--plot", "h.png"]) == 2
    assert "foveate[plot]" in capsys.readouterr().err


# ----- adding


def added(folder):
    (path,) = folder.glob("*.jsonl")
    (line,) = path.read_text().splitlines()
    return path, json.loads(line)


def test_add_records_the_revision(clone, quick, tmp_path, capsys):
    target = tmp_path / "new"
    target.mkdir()
    (clone / "untracked").write_text("")  # does not make the tree dirty
    assert history.main(["--folder", str(target), "--add"]) == 0, capsys.readouterr().err
    path, line = added(target)
    assert path.stem == line["machine"]["name"]
    assert line["revision"]["commit"] == Repository(clone).resolve("HEAD").commit
    assert (line["revision"]["dirty"], line["threads"], line["schema"]) == (False, 1, 1)
    assert [row["shape"] for row in line["workloads"]] == ["tiny"]
    assert line["peers"] == {}


def test_add_takes_the_error_ratios_of_the_accuracy_suite(clone, quick, tmp_path, monkeypatch):
    suite = types.ModuleType("benchmarks.accuracy")
    suite.measure = lambda: {"softmax float32 avx2": 0.125}
    monkeypatch.setitem(sys.modules, "benchmarks.accuracy", suite)
    target = tmp_path / "new"
    target.mkdir()
    assert history.main(["--folder", str(target), "--add"]) == 0
    assert added(target)[1]["error_ratios"] == {"softmax float32 avx2": 0.125}


def test_a_kernel_beyond_its_bound_is_not_recorded(clone, quick, tmp_path, monkeypatch, capsys):
    suite = types.ModuleType("benchmarks.accuracy")
    suite.measure = lambda: {"softmax float32 avx2": 1.25}
    monkeypatch.setitem(sys.modules, "benchmarks.accuracy", suite)
    target = tmp_path / "new"
    target.mkdir()
    assert history.main(["--folder", str(target), "--add"]) == 1
    assert "nothing is recorded: softmax float32 avx2" in capsys.readouterr().err
    assert not list(target.iterdir())


def test_add_refuses_a_dirty_tree(clone, never_timed, folder, capsys):
    (clone / "src" / "foveate" / "_core.pyx").write_text("changed")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert history.main(["--folder", str(folder), "--add"]) == 2
    assert (
        "uncommitted changes in src/foveate/_core.pyx: commit them, or give --dirty"
        in capsys.readouterr().err
    )
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_dirty_record_says_so(clone, quick, tmp_path):
    (clone / "src" / "foveate" / "_core.pyx").write_text("changed")
    target = tmp_path / "new"
    target.mkdir()
    assert history.main(["--folder", str(target), "--add", "--dirty"]) == 0
    assert added(target)[1]["revision"]["dirty"] is True


def test_add_refuses_another_package_than_the_tree(clone, never_timed, folder, capsys):
    (clone / "src" / "foveate" / "mode.py").write_text("another")
    git(clone, "commit", "-qam", "Second")
    assert history.main(["--folder", str(folder), "--add"]) == 2
    assert "src/foveate/mode.py differs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "--threads: got 0"),
        (["--folder", "absent"], "absent is no folder"),
    ],
)
def test_add_refuses_wrong_use(clone, never_timed, folder, capsys, arguments, message):
    assert history.main(["--folder", str(folder), "--add", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_add_outside_of_a_clone(never_timed, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert history.main(["--folder", str(folder), "--add"]) == 2
    assert "not inside a git repository" in capsys.readouterr().err


def test_a_wrong_result_is_not_recorded(clone, quick, tmp_path, monkeypatch, capsys):
    quick_measure = bench_record.measure_record

    def wrong(**options):
        made = quick_measure(**options)
        made["workloads"][0]["correct"]["foveate"] = False
        return made

    monkeypatch.setattr(bench_record, "measure_record", wrong)
    target = tmp_path / "new"
    target.mkdir()
    assert history.main(["--folder", str(target), "--add"]) == 1
    assert "wrong result" in capsys.readouterr().err
    assert not list(target.iterdir())
