"""exp2, tanh and reciprocal keep the errors that the bounds grant them: a sample of tools/ulp_sweep.py.

docs/numerics.md has the sweep of all 2^32 floats.
"""

import importlib.util
import os
import shlex
import shutil
from pathlib import Path

import pytest

from foveate.error_bound import COMPUTE_F32, COMPUTE_F64
from support.numerics import ISAS

TOOL = Path(__file__).parents[2] / "tools" / "ulp_sweep.py"
EVERY, COUNT = 1009, 50_000  # 4 million floats; doubles per range
COMPILER = shutil.which(shlex.split(os.environ.get("CC", "cc"))[0])
RECIPROCAL = 9 / 8  # u, relative


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize("isa", [isa for isa in ISAS if isa != "amx"])  # whose vectors are those of avx512
def test_sample_of_the_sweep(isa):
    spec = importlib.util.spec_from_file_location("ulp_sweep", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    found = tool.sweep(isa, EVERY, COUNT)
    assert {*found} == {(real, name) for real in ("f32", "f64") for name in ("exp2", "tanh", "reciprocal")}
    for real, granted in (("f32", COMPUTE_F32), ("f64", COMPUTE_F64)):
        assert 1.0 < found[real, "exp2"].relative <= granted.e_exp / granted.u
        assert 1.0 < found[real, "tanh"].absolute <= granted.e_tanh / granted.u
        assert 0.9 < found[real, "reciprocal"].relative <= RECIPROCAL
