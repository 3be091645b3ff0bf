"""A package that builds in a moment: pure Python, its own build backend, a pytest-benchmark suite."""

import subprocess
from pathlib import Path

BACKEND = """
import subprocess, zipfile
from pathlib import Path

RECORD = "tiny_sums-1.0.dist-info"

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if Path("native.c").exists():
        subprocess.run(["cc", "-c", "native.c", "-o", "native.o"], check=True)
    name = "tiny_sums-1.0-py3-none-any.whl"
    files = {
        "tiny_sums.py": Path("tiny_sums.py").read_text(),
        f"{RECORD}/METADATA": "Metadata-Version: 2.1\\nName: tiny-sums\\nVersion: 1.0\\n",
        f"{RECORD}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{RECORD}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{RECORD}/RECORD"])
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny-sums"
version = "1.0"
"""
# `work` makes a call that much longer, without a result that differs
MODULE = """
def total(numbers, work={work}):
    result = sum(numbers)
    for _ in range(work):
        sum(numbers)
    return result

def largest(numbers):
    return max(numbers)

ERROR_RATIO = {error_ratio}
"""
SUITE = """
import pytest
import tiny_sums

@pytest.fixture
def numbers():
    given = list(range(3000))
    yield given
    given.clear()  # a workload that is timed after its fixtures ended finds nothing to add

def test_total(benchmark, numbers):
    benchmark.extra_info["error_ratio"] = tiny_sums.ERROR_RATIO
    assert benchmark(tiny_sums.total, numbers) == 4498500
    assert benchmark.stats.stats.min <= benchmark.stats["median"]

def test_largest(benchmark, numbers):
    def fresh():
        return (list(numbers),), {}
    assert benchmark.pedantic(tiny_sums.largest, setup=fresh, rounds=3) == 2999

def test_no_benchmark():
    raise RuntimeError("not a benchmark: must not run")
"""

# error ratios for --accuracy
ACCURACY = """
import tiny_sums

def measure():
    return {"total": tiny_sums.ERROR_RATIO, "largest": 0.5}
"""


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class TinyRepository:
    """A repository of the package; the sources lie above the suite, where an import may find them first."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        git(folder, "init", "--quiet", "--initial-branch=main")
        (folder / "bench").mkdir()
        self.write("pyproject.toml", PYPROJECT)
        self.write("backend.py", BACKEND)
        self.write("bench/test_sums.py", SUITE)
        self.write("bench/accuracy.py", ACCURACY)
        self.package()
        self.commit("base")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def package(self, work: int = 0, error_ratio: float = 0.1) -> None:
        self.write("tiny_sums.py", MODULE.format(work=work, error_ratio=error_ratio))

    def commit(self, tag: str) -> None:
        git(self.folder, "add", ".")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message", tag)
        git(self.folder, "tag", tag)
