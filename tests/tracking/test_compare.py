"""benchmarks.compare on a small package: verdicts, exit codes, bad input, Ctrl-C.

Speed is not asserted: the slow revision does ten times the work, the unchanged one is held to +900 %.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.interrupts import heed_interrupts
from tracking.tiny_package import TinyRepository, git

ROOT = Path(__file__).parents[2]
NAME = "bench/test_sums.py::test_total"


def command(repository, *arguments):
    cache = repository.folder.parent / "cache"
    fixed = "--package", "tiny-sums", "--suite", "bench", "--slice", "0.02", "--cache", str(cache)
    return [sys.executable, "-m", "benchmarks.compare", *arguments, *fixed]


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT)}


def compare(repository, *arguments):
    return subprocess.run(
        command(repository, *arguments),
        cwd=repository.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def cached(repository):
    cache = repository.folder.parent / "cache"
    return sorted(path.name for path in cache.iterdir()) if cache.is_dir() else []


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Revisions base, same, slow (ten times the work), inexact (twice the error ratio) and broken."""
    result = TinyRepository(tmp_path_factory.mktemp("tiny") / "repository")
    result.commit("same")
    result.package(work=9)
    result.commit("slow")
    result.package(error_ratio=0.2)
    result.commit("inexact")
    result.write("native.c", "int answer(void) { return undeclared_name; }\n")
    result.commit("broken")
    git(result.folder, "checkout", "--quiet", "same")
    return result


def test_unchanged_passes(repository, tmp_path):
    done = compare(repository, "base", "same", "--threshold", "900", "--json", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["stopped"] == "settled"
    assert {row["name"]: row["state"] for row in report["workloads"]} == {
        NAME: "within",
        "bench/test_sums.py::test_largest": "within",
    }
    for row in report["workloads"]:
        assert len(row["log_ratios"]) >= 6
        assert row["low"] <= row["ratio"] <= row["high"]
    assert "no slowdown above 900 %" in done.stdout


def test_slowdown_is_caught_and_named(repository, tmp_path):
    files = "--json", str(tmp_path / "r.json"), "--markdown", str(tmp_path / "r.md")
    done = compare(repository, "base", "slow", "-k", "total", "--threshold", "100", *files)
    assert done.returncode == 1, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["bad"] == [NAME]
    assert report["base"]["commit"] == git(repository.folder, "rev-parse", "base")
    assert report["workloads"][0]["low"] > 2
    markdown = (tmp_path / "r.md").read_text()
    assert markdown.startswith("### base (")
    assert "| test_sums.py::test_total |" in markdown
    assert "**slower**" in markdown
    assert "1 worse than the thresholds (test_sums.py::test_total)" in done.stdout


def test_less_exact_is_reported_like_a_slowdown(repository):
    done = compare(repository, "same", "inexact", "-k", "total", "--threshold", "900")
    assert done.returncode == 1, done.stderr
    assert "error_ratio" in done.stdout
    assert "+100.0 %" in done.stdout


def test_budget_ends_a_run_without_a_verdict(repository, tmp_path):
    done = compare(repository, "base", "same", "--budget", "0.01", "--json", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["stopped"], report["rounds"]) == ("budget", 1)
    assert {row["state"] for row in report["workloads"]} == {"undecided"}
    assert "2 undecided" in done.stdout


def test_unknown_revision(repository):
    done = compare(repository, "no-such-branch")
    assert done.returncode == 2
    assert done.stderr.startswith("compare: unknown revision: got 'no-such-branch'")
    assert done.stderr.count("\n") == 1


def test_revision_that_does_not_build(repository):
    before = cached(repository)
    worktrees = git(repository.folder, "worktree", "list")
    done = compare(repository, "base", "broken")
    assert done.returncode == 2
    assert "does not build" in done.stderr
    assert "undeclared_name" in done.stderr  # the compiler's own words
    left = [name for name in cached(repository) if name not in before]
    assert all("building" not in name for name in left)
    assert not any(git(repository.folder, "rev-parse", "broken")[:10] in name for name in left)
    assert git(repository.folder, "worktree", "list") == worktrees


def test_no_common_workload(repository):
    done = compare(repository, "base", "same", "-k", "nothing_is_called_this")
    assert done.returncode == 2
    assert "no common workload: base offers 0, head 0" in done.stderr


def test_workload_that_one_revision_cannot_run(repository, tmp_path):
    """The suite of the tree as it is drives both; what base lacks is left out, and said."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository.folder), str(clone))
    newer = TinyRepository.__new__(TinyRepository)
    newer.folder = clone
    newer.write("tiny_sums.py", (clone / "tiny_sums.py").read_text() + "def newest():\n    return 0\n")
    with (clone / "bench/test_sums.py").open("a") as suite:
        suite.write("\ndef test_newest(benchmark):\n    benchmark(lambda: tiny_sums.newest())\n")
        suite.write("\ndef test_dying(benchmark):\n    import os\n")
        suite.write("    benchmark(lambda: hasattr(tiny_sums, 'newest') and os.abort())\n")
    newer.commit("newest")
    done = compare(newer, "base", "-k", "newest or total", "--budget", "0.01")
    assert done.returncode == 0, done.stderr
    assert "1 undecided; 1 not run" in done.stdout
    assert "test_newest on base: AttributeError: module 'tiny_sums' has no attribute 'newest'" in done.stdout
    done = compare(newer, "base", "-k", "newest")
    assert done.returncode == 2
    assert "no common workload: none of 1 runs on both" in done.stderr
    done = compare(newer, "base", "-k", "dying")
    assert done.returncode == 2
    assert "head: the process was ended by signal 6" in done.stderr


def test_dirty_tree(repository, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", "same", str(repository.folder), str(clone))
    dirty = TinyRepository.__new__(TinyRepository)
    dirty.folder = clone
    dirty.write("untracked.txt", "makes nothing dirty")
    untouched = compare(dirty, "base", "-k", "nothing_is_called_this")
    assert "no common workload" in untouched.stderr  # which is found after the tree was found clean
    dirty.package(work=9)
    refused = compare(dirty, "base", "-k", "total")
    assert refused.returncode == 2
    assert refused.stderr == ("compare: uncommitted changes in tiny_sums.py: commit them, or give --dirty\n")
    # one round has no verdict, but it was the changed file that ran
    files = "--budget", "0.01", "--json", str(tmp_path / "r.json")
    allowed = compare(dirty, "base", "-k", "total", "--dirty", *files)
    assert allowed.returncode == 0, allowed.stderr
    assert "with uncommitted changes" in allowed.stdout
    row = json.loads((tmp_path / "r.json").read_text())["workloads"][0]
    assert row["seconds"]["head"][0] > 2 * row["seconds"]["base"][0]


def with_parent(clone, *arguments):
    """benchmarks.compare.parent in a clone of the repository."""
    line = command(clone, *arguments, "-k", "total")
    line[2] = "benchmarks.compare.parent"
    return subprocess.run(line, cwd=clone.folder, env=environment(), capture_output=True, text=True)


def test_parent(repository, tmp_path):
    clone = TinyRepository.__new__(TinyRepository)
    clone.folder = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", "slow", str(repository.folder), str(clone.folder))
    report = tmp_path / "r.json"
    done = with_parent(clone, "--threshold", "100", "--json", str(report))
    assert done.returncode == 1, done.stderr
    found = json.loads(report.read_text())
    assert found["base"]["commit"] == git(repository.folder, "rev-parse", "same")
    assert found["bad"] == [NAME]


def test_no_parent(repository, tmp_path):
    clone = TinyRepository.__new__(TinyRepository)
    clone.folder = tmp_path / "clone"
    source = f"file://{repository.folder}"
    git(tmp_path, "clone", "--quiet", "--depth", "1", "--branch", "slow", source, str(clone.folder))
    done = with_parent(clone)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("compare: no parent here")


@pytest.mark.parametrize("arguments", [["--threshold", "-1"], ["--suite", "elsewhere"], ["--nonsense"]])
def test_wrong_use(repository, arguments):
    done = compare(repository, "base", *arguments) if arguments[0] != "--suite" else elsewhere(repository)
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr


def elsewhere(repository):
    line = [sys.executable, "-m", "benchmarks.compare", "base", "--suite", "elsewhere"]
    return subprocess.run(line, cwd=repository.folder, env=environment(), capture_output=True, text=True)


def children(pid):
    """Workers among the processes whose parent is `pid`."""
    found = subprocess.run(["pgrep", "-P", str(pid), "-f", "worker.py"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_finished_rounds_and_leaves_no_worker(repository, tmp_path, sent):
    compare(repository, "base", "same", "--budget", "0.01")  # environments exist
    # no interval is ever narrow enough for this threshold
    line = command(repository, "base", "same", "--threshold", "0.0001", "--json", str(tmp_path / "r.json"))
    process = subprocess.Popen(
        line,
        cwd=repository.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    try:
        # two ask for the workloads, two run the first round, so a fifth belongs to the second round
        workers, deadline = set(), time.monotonic() + 120
        while len(workers) < 5 and time.monotonic() < deadline:
            workers.update(children(process.pid))
            time.sleep(0.05)
        process.send_signal(sent)
        output, errors = process.communicate(timeout=120)  # a second, but on a machine with other work
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "interrupted" in output
    assert "test_sums.py::test_total" in output
    assert any(row["log_ratios"] for row in json.loads((tmp_path / "r.json").read_text())["workloads"])
    for pid in workers:
        assert not Path(f"/proc/{pid}").exists()
