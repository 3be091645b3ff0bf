"""Not one byte outside the arrays is read or written: inaccessible pages stand on both sides of each."""

import signal

import pytest

from support.cases import DTYPES
from support.guard_pages import N_CASES
from support.numerics import ISAS, run_python


@pytest.mark.parametrize("side", ["end", "begin"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
def test_not_one_byte_over(isa, dtype, side):
    child = run_python("-m", "support.guard_pages", isa, dtype, side, FOVEATE_NUM_THREADS="1")
    last = child.stdout.splitlines()[-1:] or ["nothing printed"]
    assert child.returncode == 0, f"exit status {child.returncode} at {last[0]}\n{child.stderr[-2000:]}"
    assert last == [f"{N_CASES} cases done"]


@pytest.mark.parametrize("side", ["end", "begin"])
def test_the_pages_do_guard(side):
    child = run_python("-m", "support.guard_pages", "overrun", "f32", side)
    assert child.stdout.startswith("reading")
    assert child.returncode == -signal.SIGSEGV
