"""Records of `foveate bench`: files of JSON lines that lose nothing, and what stands in a line."""

import json
import multiprocessing
import os
import subprocess

import pytest

from foveate.cli import bench_cases, bench_measure, bench_record
from plot.made_up_records import record


def append_many(path, name, n):
    for i in range(n):
        bench_record.append(path, record(subject=f"{name}{i}", filler="x" * 5000))


def test_append_and_read(tmp_path):
    path = tmp_path / "runs.jsonl"
    for n in range(3):
        bench_record.append(path, record(threads=n))
        assert len(path.read_bytes().splitlines()) == n + 1
    assert bench_record.read(path) == [record(threads=n) for n in range(3)]
    assert not list(tmp_path.glob("?*~"))
    assert len(list(tmp_path.iterdir())) == 1


def test_two_processes_lose_nothing(tmp_path):
    path = tmp_path / "runs.jsonl"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=append_many, args=(path, name, 20)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = [line["subject"] for line in bench_record.read(path)]
    assert sorted(found) == sorted(f"{name}{i}" for name in "ab" for i in range(20))


def test_a_lost_line_end_is_made_good(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(record()))
    bench_record.append(path, record())
    assert len(bench_record.read(path)) == 2


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "runs.jsonl"
    bench_record.append(path, record())
    before, right = path.read_bytes(), os.write
    calls = []

    def full(file, data):
        calls.append(file)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return right(file, data[:10])

    monkeypatch.setattr(bench_record.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        bench_record.append(path, record())
    assert path.read_bytes() == before


def test_what_json_cannot_say_is_not_written(tmp_path):
    path = tmp_path / "runs.jsonl"
    with pytest.raises(ValueError, match="JSON compliant"):
        bench_record.append(path, record(value=float("inf")))
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json", "line 2: not a record"),
        ("[1]", "line 2: not a record"),
        ('{"a": 1}', "line 2: not a record"),
        ('{"schema": 99}', "line 2: schema 99, expected 1"),
        ('{"schema": 1, "time": ""}', "line 2: a record without 'foveate'"),
    ],
)
def test_other_files_are_refused(tmp_path, line, message):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(record()) + "\n" + line + "\n")
    for function in (bench_record.read, bench_record.check_writable):
        with pytest.raises(ValueError, match=f"runs.jsonl, {message}"):
            function(path)


def test_check_writable_leaves_no_trace(tmp_path):
    bench_record.check_writable(tmp_path / "runs.jsonl")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="folder does not exist"):
        bench_record.check_writable(tmp_path / "no" / "runs.jsonl")


# ----- what stands in a line


def git(folder, *arguments):
    fixed = ["-c", "user.name=T", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *fixed, *arguments], check=True, capture_output=True)


def test_revision_of_a_clone(tmp_path):
    git(tmp_path, "init", "-q")
    assert bench_record.revision(tmp_path) is None  # not foveate, and no commit
    source = tmp_path / "src" / "foveate" / "_core.pyx"
    source.parent.mkdir(parents=True)
    source.write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "The subject\n\nThe body")
    (tmp_path / "untracked").write_text("")
    found = bench_record.revision(source.parent)
    assert len(found["commit"]) == 40
    assert found["committed"][:2] == "20"
    assert (found["subject"], found["dirty"]) == ("The subject", False)
    source.write_text("changed")
    assert bench_record.revision(tmp_path)["dirty"] is True


def test_revision_outside_of_a_clone(tmp_path):
    assert bench_record.revision(tmp_path) is None


def test_machine_has_a_name_for_a_file(monkeypatch):
    monkeypatch.setattr(bench_record, "cpu_name", lambda: "Intel(R) Core(TM) i5/6 CPU @ 2.30GHz")
    monkeypatch.setattr(bench_record.os, "cpu_count", lambda: 4)
    found = bench_record.machine({"l1": 1})
    assert found["name"] == "intel-core-i5-6-cpu-4-cpus"
    assert found["cpu"] == "Intel(R) Core(TM) i5/6 CPU @ 2.30GHz"
    assert found["cache_bytes"] == {"l1": 1}


ROOFS = {"fma_f32": 100.0, "read_l1": 400.0, "read_l2": 200.0, "read_l3": 40.0, "read_dram": 10.0}
CACHES = {"l1": 1000, "l2": 10_000, "l3": 100_000}


@pytest.mark.parametrize(
    ("n_bytes", "intensity", "name", "gflops"),
    [
        (1000, 0.1, "read_l1", 40.0),
        (2000, 0.1, "read_l1", 40.0),  # both threads' L1
        (2001, 0.1, "read_l2", 20.0),
        (20_001, 0.1, "read_l3", 4.0),
        (100_001, 0.1, "read_dram", 1.0),  # the L3 is everybody's, once
        (100_001, 1000.0, "fma_f32", 100.0),
    ],
)
def test_limit_of_a_workload(n_bytes, intensity, name, gflops):
    row = {"bytes": n_bytes, "intensity": intensity, "gflops": 0.5}
    found = bench_measure.limit_of(row, ROOFS, CACHES, 2)
    assert found == {"name": name, "gflops": pytest.approx(gflops), "share": pytest.approx(0.5 / gflops)}


def test_limit_where_little_could_be_measured():
    row = {"bytes": 1, "intensity": 0.1, "gflops": 0.5}
    no_caches = ROOFS | {"read_l1": None, "read_l2": None, "read_l3": None}
    assert bench_measure.limit_of(row, no_caches, CACHES, 1)["name"] == "read_dram"
    assert bench_measure.limit_of(row, dict.fromkeys(ROOFS), CACHES, 1) is None


def test_bytes_of_a_case():
    case = bench_cases.BenchCase("", 4, 2, 3, 5, 8)
    q, k, v = case.arrays()
    assert case.n_bytes() == q.nbytes + k.nbytes + v.nbytes + q.nbytes
