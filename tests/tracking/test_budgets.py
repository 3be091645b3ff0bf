"""benchmarks.budgets: what is over budget, and what of callgrind's listing belongs to the extension."""

from benchmarks.budgets import __main__ as budgets

LISTING = """
--------------------------------------------------------------------------------
Ir
--------------------------------------------------------------------------------
 1,200 (60.00%)  ???:0x00000000000aecc0 [/usr/lib/python3/site-packages/foveate/_core.abi3.so]
   300 (15.00%)  /build/x.c:fov_attention'2 [/usr/lib/python3/site-packages/foveate/_core.abi3.so]
   400 (20.00%)  ???:_PyEval_EvalFrameDefault [/usr/bin/python3.11]
   100 ( 5.00%)  ???:ufunc_call [/usr/lib/python3/site-packages/numpy/_core/_multiarray_umath.so]
"""


def test_one_percent_more_is_over_and_named():
    known = {"avx2 decode": {"total": 10_000, "kernel": 5_000}}
    assert budgets.excesses(known, {"avx2 decode": {"total": 10_100, "kernel": 5_050}}) == []
    over = budgets.excesses(known, {"avx2 decode": {"total": 10_101, "kernel": 5_051, "new": 200}})
    assert over == [
        ("avx2 decode", "total", 10_000, 10_101),
        ("avx2 decode", "kernel", 5_000, 5_051),
        ("avx2 decode", "new", 0, 200),
    ]


def test_calls_from_python_count_the_extension_alone(monkeypatch):
    """Loops of 100 and 1100 calls: what both have is no part of a call."""
    seen = []

    def fake_run(*command, **environment):
        if command[0] == "valgrind":
            seen.append((int(command[-1]), environment["FOVEATE_ISA"]))
            return ""
        per_call = LISTING.replace("1,200 ", f"{1000 + 7 * seen[-1][0]:,} ")
        return per_call

    monkeypatch.setattr(budgets, "run", fake_run)
    assert budgets.count_python("attention") == {"total": 7}
    assert seen == [(100, "avx2"), (1100, "avx2")]
