"""get_include(), get_library(), get_cmake_dir() and `python -m foveate config` agree."""

import re
import shlex
import sys
from pathlib import Path

import pytest

import foveate
from support.commands import run


def config(*options, **how):
    return run(sys.executable, "-m", "foveate", "config", *options, **how)


def test_functions_name_installed_parts():
    include, cmake = Path(foveate.get_include()), Path(foveate.get_cmake_dir())
    assert (include / "foveate" / "foveate.h").is_file()
    assert (include / "foveate" / "foveate_capsule.h").is_file()
    assert (cmake / "foveateConfig.cmake").is_file()
    assert Path(foveate.get_library()).read_bytes()[:4] == b"\x7fELF"
    assert Path(foveate.get_library(static=True)).read_bytes()[:8] == b"!<arch>\n"
    for path in (include, cmake, foveate.get_library(), foveate.get_library(static=True)):
        assert Path(path).is_absolute()


def test_config_prints_what_the_functions_say():
    assert shlex.split(config("--cflags")) == [f"-I{foveate.get_include()}"]
    assert shlex.split(config("--cmakedir")) == [foveate.get_cmake_dir()]
    folder = str(Path(foveate.get_library()).parent)
    assert shlex.split(config("--libs")) == [f"-L{folder}", f"-Wl,-rpath,{folder}", "-lfoveate"]
    assert shlex.split(config("--libs", "--static"))[0] == foveate.get_library(static=True)
    pkgconfig = Path(shlex.split(config("--pkgconfigdir"))[0])
    assert {path.name for path in pkgconfig.iterdir()} == {"foveate.pc", "foveate-static.pc"}
    everything = shlex.split(config("--cflags", "--libs", "--cmakedir"))
    assert everything == [
        *shlex.split(config("--cflags")),
        *shlex.split(config("--libs")),
        foveate.get_cmake_dir(),
    ]


@pytest.mark.parametrize("options", [[], ["--static"], ["--nonsense"]])
def test_config_without_a_question_is_an_error(options):
    said = config(*options, fails=True)
    assert "--cflags" in said
    assert "Traceback" not in said


def test_no_path_of_the_build_is_left():
    """Text files for other builds say where things are relative to themselves."""
    folders = [Path(foveate.get_cmake_dir()), Path(foveate.get_library()).parent / "pkgconfig"]
    texts = {path: path.read_text() for folder in folders for path in folder.iterdir()}
    assert len(texts) >= 5
    for path, text in texts.items():
        assert re.findall(r"""(?:^|[\s"'=])/\w.*""", text) == [], path
