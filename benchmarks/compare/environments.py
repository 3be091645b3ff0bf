"""An environment per revision, built once and kept in a cache.

Each is a venv that holds the package alone. Everything else (NumPy, pytest, what the suite imports) comes
from the environment that runs the comparison, through a .pth file: so a new release of a dependency is never
taken for a change of the package, and building downloads nothing but the package's build requirements.
"""

import hashlib
import os
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compare.errors import CompareError
from benchmarks.compare.revisions import Repository, Revision

# what changes the machine code of an extension
FLAGS = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CMAKE_ARGS", "SKBUILD_CMAKE_ARGS")
LAST_LINES, LAST_ERRORS = 12, 6  # of a failed build


@dataclass(frozen=True)
class Environment:
    """A built revision."""

    revision: Revision
    folder: Path
    cached: bool

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


def default_cache() -> Path:
    """Where environments are kept unless --cache says otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "benchmarks-compare"


def environment_folder(cache: Path, package: str, project: Path, revision: Revision) -> Path:
    """The folder of a revision: one per commit, interpreter, place of the dependencies and compiler flags."""
    facts = [
        revision.key,
        sys.version,
        sys.prefix,
        str(project),
        *(os.environ.get(name, "") for name in FLAGS),
    ]
    return cache / f"{package}-{revision.commit[:10]}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"


def prepare(
    repository: Repository, revision: Revision, package: str, cache: Path, project: Path = Path()
) -> Environment:
    """The environment of a revision; builds it where the cache has none.

    Parameters
    ----------
    repository : Repository
    revision : Revision
    package : str
        The distribution that the build must install.
    cache : Path
    project : Path
        The package's folder inside the repository.

    Raises
    ------
    CompareError
        The revision does not build; the message ends with the last lines of the build.
    """
    folder = environment_folder(cache, package, project, revision)
    if folder.is_dir():
        return Environment(revision, folder, cached=True)
    cache.mkdir(parents=True, exist_ok=True)
    # built aside and renamed when complete: whatever stops the build, the cache has all of it or nothing
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache, ignore_cleanup_errors=True) as parts:
        source, built = Path(parts) / "source", Path(parts) / "environment"
        repository.export(revision, source)
        venv.create(built, symlinks=True, with_pip=False)
        _install(source / project, built, package, revision)
        try:
            built.rename(folder)
        except OSError:  # another comparison was faster
            if not folder.is_dir():
                raise
    return Environment(revision, folder, cached=False)


def _install(source: Path, built: Path, package: str, revision: Revision) -> None:
    python = built / "bin" / "python"
    command = [
        sys.executable,
        "-m",
        "pip",
        f"--python={python}",
        "install",
        "--no-deps",
        "--no-input",
        str(source),
    ]
    with _own_group(command) as process:
        output = process.communicate()[0]
    if process.returncode:
        lines = _telling_lines(output)
        raise CompareError("\n  ".join([f"revision {revision} does not build; the last lines:", *lines]))
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(built), "platbase": str(built)}))
    if not any(packages.glob(f"{package.replace('-', '_')}-*.dist-info")):
        names = ", ".join(path.name for path in packages.glob("*.dist-info")) or "nothing"
        raise CompareError(
            f"revision {revision}: expected a package named {package!r}, its build installed {names}"
        )
    # entries of `packages` come first, so the revision hides a copy installed beside the dependencies
    below = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in below))


def _telling_lines(output: str) -> list[str]:
    """The last lines of a failed build, and before them the errors of a compiler that they do not reach."""
    lines = [line.strip() for line in output.partition("[end of output]")[0].splitlines() if line.strip()]
    errors = [
        line for line in lines[:-LAST_LINES] if "error:" in line.lower() and not line.startswith("error: sub")
    ]
    return [*errors[-LAST_ERRORS:], *lines[-LAST_LINES:]]


@contextmanager
def _own_group(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose children end with it, also on Ctrl-C."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
