"""What embedders rely on and may never change: names, signatures, structs, exported symbols, clean C."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import foveate
from foveate import _core, _embedding
from support.commands import run

HERE = Path(__file__).parent
INCLUDE = Path(foveate.get_include()) / "foveate"

SIGNATURES = {
    "fov_workspace_size": "fov_status (fov_attention_args const *, size_t *)",
    "fov_attention": "fov_status (fov_attention_args const *, void *, size_t)",
    "fov_merge": "fov_status (int32_t, int64_t, int64_t, "
    "fov_state const *, fov_state const *, fov_state const *)",
    "fov_status_string": "char const *(fov_status)",
    "fov_last_problem": "char const *(void)",
    "fov_score_name": "char const *(int)",
    "fov_activation_name": "char const *(int)",
    "fov_combine_name": "char const *(int)",
    "fov_activation_has_lse": "int (int)",
    "fov_isa_name": "char const *(int)",
    "fov_isa_available": "int (int)",
    "fov_set_isa": "fov_status (char const *)",
    "fov_get_isa": "fov_status (char const **)",
    "fov_cpu_features": "char const *(void)",
    "fov_amx_state": "char const *(void)",
    "fov_get_num_threads": "int (void)",
    "fov_set_num_threads": "void (int)",
    "fov_get_available_threads": "int (void)",
    "fov_threads_reason": "char const *(void)",
    "fov_threading_layer": "char const *(void)",
    "fov_version": "char const *(void)",
    "fov_compiler": "char const *(void)",
}
TABLE = [name.removeprefix("fov_") for name in SIGNATURES]  # the order of fov_api


def capsule_name(capsule):
    function = ctypes.pythonapi.PyCapsule_GetName
    function.restype, function.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return function(capsule).decode()


def capsule_pointer(capsule, name):
    function = ctypes.pythonapi.PyCapsule_GetPointer
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return function(capsule, name.encode())


def test_cimport_capsules():
    assert foveate.__pyx_capi__ is _core.__pyx_capi__
    assert {name: capsule_name(capsule) for name, capsule in foveate.__pyx_capi__.items()} == SIGNATURES


def test_header_declares_what_can_be_cimported():
    declared = re.findall(r"^FOV_API [^(]*?(fov_\w+)\(", (INCLUDE / "foveate.h").read_text(), re.MULTILINE)
    assert sorted(declared) == sorted(SIGNATURES)


def test_capsule_table():
    """Version, size, and every member the function of its name, in the frozen order."""
    assert capsule_name(_core._C_API) == "foveate._core._C_API"
    address = capsule_pointer(_core._C_API, "foveate._core._C_API")
    assert list((ctypes.c_uint32 * 2).from_address(address)) == [1, 8 + 8 * len(TABLE)]
    pointers = (ctypes.c_void_p * len(TABLE)).from_address(address + 8)
    for member, pointer in zip(TABLE, pointers, strict=True):
        name = f"fov_{member}"
        assert pointer == capsule_pointer(foveate.__pyx_capi__[name], SIGNATURES[name]), member
    version = ctypes.CFUNCTYPE(ctypes.c_char_p)(pointers[TABLE.index("version")])
    assert version().decode() == foveate.__version__


def exported(library, *options):
    listing = subprocess.run(["nm", *options, library], capture_output=True, text=True, check=True).stdout
    return {line.split()[2] for line in listing.splitlines() if len(line.split()) == 3}


def without_probes(names):
    """The probes of foveate.limits are called by ctypes; no header promises them."""
    return {name for name in names if not name.startswith("fov_limit_")}


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_exported_symbols():
    public = set(SIGNATURES) | {"fov_get_process_num_threads"}  # the last: for threadpoolctl
    assert without_probes(exported(foveate.get_library(), "-D", "--defined-only")) == public
    assert without_probes(exported(_core.__file__, "-D", "--defined-only")) == public | {"PyInit__core"}
    archive = exported(foveate.get_library(static=True), "-g", "--defined-only")
    assert archive >= public
    assert [name for name in archive if not name.startswith("fov_")] == []


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf")
def test_shared_library_has_a_soname():
    assert "Library soname: [libfoveate.so]" in run("readelf", "-d", foveate.get_library())


def frozen_layout():
    rows = [
        line.split() for line in (HERE / "layout.txt").read_text().splitlines() if line[:1] not in ("", "#")
    ]
    return [(row[0], row[1], *map(int, row[2:])) for row in rows]


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the table is that of 64-bit machines")
def test_layout_of_structs(cc, tmp_path):
    """Offset and size of every field, size of every struct, number of every enumerator, as in layout.txt."""
    lines = ["#include <stddef.h>", '#include "foveate/foveate.h"']
    for name, field, *numbers in frozen_layout():
        if name == "enumerator":
            facts = [f"{field} == {numbers[0]}"]
        elif field == "sizeof":
            facts = [f"sizeof({name}) == {numbers[0]}"]
        else:
            facts = [
                f"offsetof({name}, {field}) == {numbers[0]}",
                f"sizeof((({name} *)0)->{field}) == {numbers[1]}",
            ]
        lines += [f'_Static_assert({fact}, "{name} {field}");' for fact in facts]
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines) + "\n")
    run(cc, "-std=c11", "-fsyntax-only", *_embedding.cflags(), source)


def test_layout_table_is_complete():
    """Every struct and enumerator of the header is in layout.txt, and fields leave no bytes but padding."""
    text = (INCLUDE / "foveate.h").read_text()
    rows = frozen_layout()
    structs = {name for name, field, *_ in rows if field == "sizeof"}
    assert structs == set(re.findall(r"^typedef struct (fov_\w+)", text, re.MULTILINE))
    listed = {field for name, field, *_ in rows if name == "enumerator"}
    assert listed == set(re.findall(r"\b(FOV_[A-Z0-9_]+) = \d+", text))
    for struct in structs:
        fields = sorted(numbers for name, field, *numbers in rows if name == struct and field != "sizeof")
        end = 0
        for offset, size in fields:
            assert end <= offset < end + 8, f"{struct}: bytes {end} to {offset}"
            end = offset + size
        (total,) = next(numbers for name, field, *numbers in rows if (name, field) == (struct, "sizeof"))
        assert end <= total < end + 8


def test_enumerators_are_the_indices_of_their_names():
    text = (INCLUDE / "foveate.h").read_text()
    for stage in ("score", "activation", "combine"):
        pairs = re.findall(rf"\bFOV_{stage.upper()}_([A-Z0-9_]+) = (\d+)", text)
        names = getattr(_core, f"{stage}_names")
        assert [name.lower() for name, _ in pairs] == list(names)
        assert [int(number) for _, number in pairs] == list(range(len(names)))


def test_pxd_names_everything_of_the_header():
    text = (INCLUDE / "foveate.h").read_text()
    wanted = set(re.findall(r"\b(FOV_[A-Z0-9_]+) = \d+", text)) | {"FOV_OPEN"}
    wanted |= set(re.findall(r"^typedef (?:struct|enum) (fov_\w+)", text, re.MULTILINE)) | set(SIGNATURES)
    for name in ("__init__.pxd", "cfoveate.pxd"):
        words = set(re.findall(r"\w+", (Path(foveate.__file__).parent / name).read_text()))
        assert wanted - words == set(), name
