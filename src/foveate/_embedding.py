"""Where the parts for C, C++ and Cython are; paths follow the package when it moves."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

import foveate
from foveate import _core

__all__ = ["get_cmake_dir", "get_include", "get_library", "main"]


def _installed(name: str) -> Path:
    """A file or folder that the build put into the package; an editable install has two folders."""
    for folder in foveate.__path__:
        path = Path(folder).absolute() / name
        if path.exists():
            return path
    raise FileNotFoundError(
        f"foveate/{name} must lie in the installed package, found none in {list(foveate.__path__)}"
    )


def get_include() -> str:
    """Directory of the headers: compile with ``-I`` of it.

    Returns
    -------
    str
        It holds ``foveate/foveate.h`` and ``foveate/foveate_capsule.h``.

    Examples
    --------
    >>> import foveate, pathlib
    >>> (pathlib.Path(foveate.get_include()) / "foveate" / "foveate.h").is_file()
    True
    """
    return str(_installed("include"))


def get_library(static: bool = False) -> str:
    """Path of the C library, for programs without Python.

    Parameters
    ----------
    static : bool
        The archive instead of the shared library.

    Returns
    -------
    str
        Extensions of Python need neither: they share the kernels of the installed module by
        ``from foveate cimport ...`` or ``foveate/foveate_capsule.h``.

    Examples
    --------
    >>> import ctypes, foveate
    >>> ctypes.CDLL(foveate.get_library()).fov_get_available_threads() >= 1
    True
    """
    return str(_installed("lib/libfoveate.a" if static else "lib/libfoveate.so"))


def get_cmake_dir() -> str:
    """Directory of the CMake package, for ``-Dfoveate_DIR=``.

    Returns
    -------
    str
        Builds through scikit-build-core that require foveate find it by themselves.

    Examples
    --------
    >>> import foveate, pathlib
    >>> (pathlib.Path(foveate.get_cmake_dir()) / "foveateConfig.cmake").is_file()
    True
    """
    return str(_installed("lib/cmake/foveate"))


def cflags() -> list[str]:
    """Options for the compiler."""
    return [f"-I{get_include()}"]


def libs(static: bool) -> list[str]:
    """Options for the linker. The program finds the shared library by its rpath."""
    library = Path(get_library(static))
    if static:
        return [str(library), *_core.static_libs.split()]
    return [f"-L{library.parent}", f"-Wl,-rpath,{library.parent}", "-lfoveate"]


def main(arguments: Sequence[str] | None = None, prog_name: str = "foveate") -> int:
    """``foveate config``: what a compiler, CMake or pkg-config need, one line, quoted for a shell.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``config`` on the command line.
    prog_name : str
        The name in messages.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> from foveate import _embedding
    >>> _embedding.main(["--cflags"])  # doctest: +SKIP
    """
    parser = argparse.ArgumentParser(
        prog=f"{prog_name} config", description="Print options for compilers and linkers, on one line."
    )
    parser.add_argument("--cflags", action="store_true", help="compiler: where the headers are")
    parser.add_argument("--libs", action="store_true", help="linker: the shared library, found by rpath")
    parser.add_argument("--static", action="store_true", help="with --libs: the static library instead")
    parser.add_argument("--cmakedir", action="store_true", help="for cmake -Dfoveate_DIR=")
    parser.add_argument("--pkgconfigdir", action="store_true", help="for PKG_CONFIG_PATH=")
    chosen = parser.parse_args(arguments)
    words = []
    if chosen.cflags:
        words += cflags()
    if chosen.libs:
        words += libs(chosen.static)
    if chosen.cmakedir:
        words.append(get_cmake_dir())
    if chosen.pkgconfigdir:
        words.append(str(_installed("lib/pkgconfig")))
    if not words:
        parser.exit(2, f"{parser.prog}: one of --cflags, --libs, --cmakedir, --pkgconfigdir is required\n")
    print(shlex.join(words))
    return 0
