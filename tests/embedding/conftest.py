"""Compiling against the installed foveate, and an environment in which consumers are built."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from foveate import _embedding
from support.commands import run

TOOLS = [
    "scikit-build-core>=1.0",
    "cython>=3.1.6",
    "cython-cmake>=0.3",
    "setuptools>=77",
    "cmake>=3.21",
    "ninja",
]


@pytest.fixture(scope="session")
def cc():
    """The C compiler."""
    found = shutil.which(os.environ.get("CC", "cc"))
    if found is None:
        pytest.skip("needs a C compiler")
    return found


@pytest.fixture
def program(cc, tmp_path):
    """Build a program of tests/embedding with the flags of `foveate config`; returns its path."""

    def build(name, *options, static=False):
        source, out = Path(__file__).parent / f"{name}.c", tmp_path / name
        warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]
        libs = _embedding.libs(static)
        run(cc, *warnings, *options, *_embedding.cflags(), source, *libs, "-pthread", "-lm", "-o", out)
        return out

    return build


class Environment:
    """A virtual environment with the wheel of foveate and the tools of builds, and nothing of this one."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, *command, **options):
        clean = {"PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "CMAKE_PREFIX_PATH", "PKG_CONFIG_PATH"}
        environment = {name: value for name, value in os.environ.items() if name not in clean}
        environment["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{environment['PATH']}"
        return run(*command, env=environment, **options)

    def config(self, *options):
        """What `python -m foveate config` prints."""
        return self.run(self.folder / "bin" / "python", "-m", "foveate", "config", *options).strip()


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    wheel = os.environ.get("FOVEATE_WHEEL")
    if not wheel:
        pytest.skip("FOVEATE_WHEEL must name a wheel of foveate: nox -s embedding")
    folder = tmp_path_factory.mktemp("consumers") / "environment"
    run(sys.executable, "-m", "venv", folder)
    made = Environment(folder)
    made.run(folder / "bin" / "python", "-m", "pip", "install", "-q", Path(wheel).absolute(), *TOOLS)
    return made
