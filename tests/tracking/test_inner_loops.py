"""tools/check_inner_loops.py finds what it is there to find, in disassembly as objdump prints it."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "tools" / "check_inner_loops.py"
spec = importlib.util.spec_from_file_location("check_inner_loops", PATH)
check_inner_loops = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_inner_loops)

LOADS = [f"tileloadd {offset}(%rax,%rsi,1),%tmm{tile}" for offset, tile in (("", 4), ("0x400", 6))]
PRODUCTS = [f"tdpbf16ps %tmm{a},%tmm{b},%tmm{c}" for a, b, c in ((6, 4, 0), (7, 4, 1))]
EXPECTED = check_inner_loops.Expected(tdp=2, tile_loads=2, most=7)


def code(*body):
    """The instructions as a loop with its counter, after one that is not in it."""
    listed = ["xor %edx,%edx", *body, "add $0x1,%rdx", "cmp %rdx,%rcx", "jne 1 <run+0x1>"]
    return [(address, *text.split(maxsplit=1)) for address, text in enumerate(listed)]


def findings(*body):
    return check_inner_loops.findings("run", code(*body), EXPECTED)


def test_the_expected_loop_passes():
    assert findings(*LOADS, *PRODUCTS) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([*LOADS, PRODUCTS[0]], "no inner loop with 2 tile products and 2 tile loads, only [(1, 2)]"),
        ([LOADS[0], *PRODUCTS], "only [(2, 1)]"),
        ([*LOADS, *PRODUCTS, "mov 0x8(%rsp),%rax"], "1 accesses to the stack, first 0x8(%rsp),%rax"),
        ([*LOADS, *PRODUCTS, "mov (%rsp,%rbx,8),%rax"], "accesses to the stack"),
        ([*LOADS, *PRODUCTS, "tilestored %tmm0,(%rax,%rsi,1)"], "1 tiles stored"),
        ([*LOADS, *PRODUCTS, "call 40 <elsewhere>"], "calls 40 <elsewhere>"),
        ([*LOADS, *PRODUCTS, "nop ", "nop "], "9 instructions per iteration, at most 7 expected"),
    ],
)
def test_what_is_wrong_is_named(body, words):
    body = [text if " " in text.strip() else f"{text.strip()} %rax" for text in body]
    (first, *_) = findings(*body)
    assert words in first
    assert first.startswith("run")


def test_multiply_adds_and_their_spills():
    expected = check_inner_loops.Expected(fma=2, most=8)
    fma = ["vfmadd231ps (%rax){1to16},%zmm1,%zmm2", "vfmadd231ps %zmm3,%zmm1,%zmm4"]
    assert check_inner_loops.findings("f", code(*fma), expected) == []
    spilled = code(*fma, "vmovaps %zmm2,0x40(%rsp)")
    assert "1 accesses to the stack" in check_inner_loops.findings("f", spilled, expected)[0]
    # a counter on the stack is no spilled vector
    assert check_inner_loops.findings("f", code(*fma, "mov %rax,0x8(%rsp)"), expected) == []


def test_an_object_is_held_to_its_own_table(monkeypatch):
    monkeypatch.setattr(check_inner_loops, "functions", lambda path: {"run_amx": code(*LOADS)})
    n_loops, problems = check_inner_loops.check(Path("limits_amx.c.o"))
    assert n_loops == len(check_inner_loops.LOOPS["limits_amx"]["run_amx"])
    assert len(problems) == n_loops
    _, problems = check_inner_loops.check(Path("isa_avx512.c.o"))
    assert problems
    assert all("not in isa_avx512.c.o" in problem for problem in problems)
