"""kernels.def, the library, its types, the oracle, the docstring of Mode and docs/modes.md name the same."""

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest

import foveate
from foveate import _core, _validate, reference, reference_stages, stages
from foveate.error_bound import STORING
from support.cases import DTYPES

ROOT = Path(__file__).parents[1]
KERNELS_DEF = ROOT / "csrc" / "kernels" / "kernels.def"
TYPES = ROOT / "src" / "foveate" / "_core.pyi"
MODES_PAGE = ROOT / "docs" / "modes.md"
STAGES = ["score", "activation", "combine"]
ORACLE = {"score": reference.SCORES, "activation": reference.ACTIVATIONS, "combine": reference.COMBINES}
BINDING = {
    "score": _core.score_names,
    "activation": _core.activation_names,
    "combine": _core.combine_names,
    "isa": _core.isa_names,
}


def defined(section):
    """First arguments of the FOV_<section>(...) lines, in order; FOV_TILE_ISA is one of the ISAs."""
    lines = KERNELS_DEF.read_text(encoding="utf-8").splitlines()
    found = [re.match(rf"FOV_(?:TILE_)?{section.upper()}\((\w+)", line) for line in lines]
    return [match[1] for match in found if match]


def documented(stage):
    """Names in backticks, first column of the table of docs/modes.md whose first header is the stage."""
    names, inside = [], False
    for line in MODES_PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        first = line.split("|")[1].strip()
        if first.lower() == stage:
            inside = True
        elif inside:
            names += re.findall(r"`(\w+)`", first)
    return names


def in_docstring(stage):
    """Quoted names in the description of the parameter `stage` of Mode."""
    text = re.search(rf"^    {stage} : .*?\n((?:        .*\n|\n)+)", foveate.Mode.__doc__, re.MULTILINE)
    return re.findall(r'"(\w+)"', text[1])


@pytest.mark.parametrize("stage", STAGES)
def test_definitions_are_found(stage):
    assert defined(stage)
    assert len(set(defined(stage))) == len(defined(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_binding_has_the_names_in_order(stage):
    assert list(BINDING[stage]) == defined(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_c_library_has_the_names_in_order(stage):
    library = ctypes.CDLL(_core.__file__)
    name_of = getattr(library, f"fov_{stage}_name")
    name_of.restype = ctypes.c_char_p
    names = defined(stage)
    assert [name_of(i).decode() for i in range(len(names))] == names
    assert name_of(len(names)) is None
    assert name_of(-1) is None


def test_isas_are_those_of_the_list_in_its_order():
    every = defined("isa")
    built = list(BINDING["isa"])
    assert built == [name for name in every if name in built]
    assert built[-1] == "scalar"
    assert list(foveate.compiled_isas()) == built


def test_dtypes_are_those_of_the_list():
    """The messages, the bound, and the walks over all dtypes know each storage type."""
    assert list(DTYPES) == defined("dtype")
    assert [np.dtype(dtype).name for dtype in DTYPES.values()] == list(_validate.DTYPE_NAMES)
    assert set(STORING) == set(_validate.DTYPE_NAMES)


@pytest.mark.parametrize("stage", STAGES)
def test_oracle_has_the_names(stage):
    assert sorted(ORACLE[stage]) == sorted(defined(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_types_have_the_names_in_order(stage):
    text = re.search(rf"^_{stage.title()} = Literal\[(.*?)\]", TYPES.read_text(), re.MULTILINE | re.DOTALL)
    assert re.findall(r'"(\w+)"', text[1]) == defined(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_objects_are_exported_documented_and_have_kernels(stage):
    page = MODES_PAGE.read_text(encoding="utf-8")
    arguments = {"Bilinear": [[[1.0]]], "Entmax": [1.3], "TopK": [1], "Select": [1]}
    for cls in stages.OBJECTS[stage]:
        assert getattr(foveate, cls.__name__) is cls
        assert f"`{cls.__name__}(" in page
        assert cls(*arguments.get(cls.__name__, [])).kernel in defined(stage)


def test_names_that_need_parameters_are_names():
    assert set(stages.NEED_PARAMETERS) <= {name for stage in STAGES for name in defined(stage)}
    assert set(reference_stages.DEFAULTS).isdisjoint(stages.NEED_PARAMETERS)


@pytest.mark.parametrize("stage", STAGES)
def test_docstring_of_mode_has_the_names(stage):
    assert sorted(in_docstring(stage)) == sorted(defined(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_docs_have_the_names(stage):
    assert sorted(documented(stage)) == sorted(defined(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_unknown_name_lists_the_known_ones(stage):
    with pytest.raises(ValueError, match=stage) as error:
        foveate.Mode(**{stage: "nonsense"})
    assert all(name in str(error.value) for name in defined(stage))
