"""examples/score_modifier.py, run as a reader runs it, with numba and without."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "score_modifier.py"
LINE = re.compile(r"^(numba|C): (\S+) from the same with a bias and a mask$", re.MULTILINE)
HAS_COMPILER = shutil.which(os.environ.get("CC", "cc")) is not None


def lines(*options, fails=False):
    done = subprocess.run(
        [sys.executable, "-W", "error", *options], capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not (HAS_COMPILER or find_spec("numba")), reason="needs numba or a C compiler")
def test_both_ways_agree_with_bias_and_mask():
    found = dict(LINE.findall(lines(EXAMPLE)))
    assert ("numba" in found, "C" in found) == (find_spec("numba") is not None, HAS_COMPILER)
    # values below 6, rounded some hundred times in two orders: far below 600 u * 6
    assert all(float(difference) < 1e-5 for difference in found.values())


@pytest.mark.skipif(not HAS_COMPILER, reason="needs a C compiler")
def test_without_numba():
    run = f"runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    script = f"import runpy, sys; sys.modules['numba'] = None; {run}"
    out = lines("-c", script)
    assert [name for name, _ in LINE.findall(out)] == ["C"]
    assert "skipped: foveate.score_modifier needs numba: pip install numba" in out
