"""tests/support/modifiers.c compiled and loaded, for the tests of score modifiers."""

import ctypes
import os
import shutil
import sysconfig
from pathlib import Path

import pytest

import foveate
from support.commands import run

MODIFIERS = ("place", "distance", "near", "near_counted")
TILE_MASKS = ("some_near",)


def build(folder: Path) -> Path:
    """The shared library; skips the test where there is no C compiler."""
    cc = shutil.which(os.environ.get("CC", "cc"))
    if cc is None:
        pytest.skip("needs a C compiler")
    source = Path(__file__).with_name("modifiers.c")
    out = folder / f"modifiers{sysconfig.get_config_var('SHLIB_SUFFIX')}"
    flags = [
        "-std=c11",
        "-O1",
        "-shared",
        "-fPIC",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{foveate.get_include()}",
    ]
    run(cc, *flags, source, "-o", out)
    return out


def load(path: Path) -> ctypes.CDLL:
    """The library with the signatures that foveate asks for."""
    library = ctypes.CDLL(str(path))
    for names, result in ((MODIFIERS, None), (TILE_MASKS, ctypes.c_int)):
        for name in names:
            function = getattr(library, name)
            function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_void_p), result
    return library
