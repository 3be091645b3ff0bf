"""Old and new headers against this library, and no allocation inside a call."""

import sys
from pathlib import Path

import pytest

from support.commands import run

HERE = Path(__file__).parent


@pytest.mark.parametrize("static", [False, True])
def test_header_of_the_first_abi(program, static):
    """A program built with the header as it was frozen, its struct flush against an unreadable page."""
    said = run(program("old_header", f"-I{HERE / 'abi1'}", static=static))
    assert said == "first size: ok\nlarger, zero tail: ok\nlarger, used tail: refused\nsmaller: refused\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="replaces malloc of the GNU C library")
@pytest.mark.parametrize("static", [False, True])
def test_a_call_allocates_nothing(program, static):
    said = run(program("allocation", static=static))
    cases, allocations = (int(word) for word in said.split())
    assert cases > 300
    assert allocations == 0
