"""bfloat16 through tile registers (ISA amx): when, how far off, and what stays as it was.

Runs where the machine has them, and on any with AVX-512 in a build with FOVEATE_EMULATE_AMX (nox -s amx).
"""

from typing import ClassVar

import ml_dtypes
import numpy as np
import pytest

import foveate
from foveate import error_bound_tiles, reference
from foveate.error_bound import bounds, worst_ratio
from support.cases import DTYPES
from support.numerics import assert_same_bits, everything, run_python, within_bounds

HERE = "amx" in foveate.available_isas()
pytestmark = pytest.mark.skipif(not HERE, reason="no tile registers, no emulation")

BF16 = ml_dtypes.bfloat16


@pytest.fixture(autouse=True)
def _on_amx():
    with foveate.use_isa("amx"):
        yield


def problem(q_len=33, kv_len=70, head_dim=64, value_dim=48, heads=(4, 2), dtype="bf16", seed=0):
    rng = np.random.default_rng([seed, q_len, kv_len, head_dim, value_dim])
    sizes = (heads[0], q_len, head_dim), (heads[1], kv_len, head_dim), (heads[1], kv_len, value_dim)
    return tuple(rng.standard_normal(size).astype(DTYPES[dtype]) for size in sizes)


def both(*arrays, **options):
    found = []
    for isa in ("amx", "avx512"):
        with foveate.use_isa(isa):
            found.append(everything(*arrays, **options))
    return found


@pytest.mark.parametrize("kv_len", [16, 17, 31, 33, 64, 65, 127, 128, 129, 257])
@pytest.mark.parametrize(("head_dim", "value_dim"), [(16, 16), (31, 17), (64, 64), (80, 33), (257, 1)])
def test_lengths_and_dims(kv_len, head_dim, value_dim):
    q_len = 5 if kv_len % 2 else 33
    arrays = problem(q_len, kv_len, head_dim, value_dim)
    within_bounds(*arrays)
    within_bounds(*arrays, causal="bottom_right", activation="sigmoid")
    within_bounds(*arrays, window=(kv_len // 3, 5), q_offset=kv_len - q_len, activation="tanh")


@pytest.mark.parametrize("rows", [16, 48, 200])
def test_a_view_has_the_bits_of_a_copy(rows):
    """Rows apart, columns apart, reversed, at odd addresses: copied where no tile can be loaded from them."""
    q, k, v = problem(rows, 150)
    expected = everything(q, k, v)
    wide = [np.zeros((*a.shape[:-1], a.shape[-1] + 5), BF16) for a in (q, k, v)]
    apart = [np.zeros((*a.shape[:-1], 2 * a.shape[-1]), BF16) for a in (q, k, v)]
    odd = [np.zeros(a.nbytes + 1, np.uint8)[1:].view(BF16).reshape(a.shape) for a in (q, k, v)]
    views = [
        [w[..., 2:-3] for w in wide],
        [a[..., ::2] for a in apart],
        [np.zeros_like(a)[..., ::-1, :] for a in (q, k, v)],
        odd,
        [np.zeros(a.shape[::-1], BF16).transpose() for a in (q, k, v)],
    ]
    for arrays in views:
        for view, array in zip(arrays, (q, k, v), strict=True):
            view[...] = array
        assert_same_bits(everything(*arrays), expected)


class Test_few_rows:
    """4 to 16 rows per key head read keys and values where they lie (csrc/kernels/tile/tile_rows.h)."""

    HEADS: ClassVar = [
        ((4, 1), 1),
        ((8, 1), 1),
        ((10, 2), 1),
        ((2, 2), 7),
        ((3, 1), 3),
        ((4, 2), 8),
        ((1, 1), 16),
    ]

    @pytest.mark.parametrize(("heads", "q_len"), HEADS)
    @pytest.mark.parametrize("kv_len", [16, 17, 127, 128, 129, 515, 1100])
    def test_rows_and_lengths(self, heads, q_len, kv_len):
        for head_dim, value_dim in [(64, 64), (80, 33), (128, 129), (16, 47), (31, 96)]:
            arrays = problem(q_len, kv_len, head_dim, value_dim, heads)
            within_bounds(*arrays)
            within_bounds(*arrays, causal="bottom_right", activation="sigmoid", scale=0.2)
        within_bounds(*arrays, window=(kv_len // 3, 5), q_offset=kv_len - q_len, sinks=np.zeros(heads[0]))

    def test_it_is_not_the_path_of_avx512(self):
        for q_len, heads in [(1, (4, 1)), (4, (1, 1)), (2, (16, 2))]:
            rounded, exact = both(*problem(q_len, 300, heads=heads))
            assert not np.array_equal(rounded["output"], exact["output"])
            assert np.max(np.abs(rounded["lse"] - exact["lse"])) > 1e-5

    def test_options(self):
        rng = np.random.default_rng(2)
        q, k, v = problem(2, 200, heads=(8, 2))
        mask = rng.random((2, 200)) < 0.5
        bias = rng.standard_normal((8, 2, 200)).astype(BF16)
        for options in (
            {"mask": mask},
            {"bias": bias},
            {"mask": mask, "softcap": 3.0, "alibi_slopes": np.linspace(0.1, 0.5, 8)},
            {"kv_lengths": np.array(77), "causal": "bottom_right"},
            {"activation": "relu2"},
            {"activation": "softmax1", "scale": -0.3},
            {"layout": "blhd"},
        ):
            arrays = [a.transpose(1, 0, 2) for a in (q, k, v)] if "layout" in options else (q, k, v)
            within_bounds(*arrays, **options)

    def test_a_view_has_the_bits_of_a_copy(self):
        q, k, v = problem(3, 300, 64, 64, (4, 2))
        expected = everything(q, k, v)
        wide = [np.zeros((*a.shape[:-1], a.shape[-1] + 5), BF16)[..., 2:-3] for a in (q, k, v)]
        apart = [np.zeros((*a.shape[:-1], 2 * a.shape[-1]), BF16)[..., ::2] for a in (q, k, v)]
        turned = [np.zeros_like(a)[..., ::-1, :] for a in (q, k, v)]
        for views in (wide, apart, turned):
            for view, array in zip(views, (q, k, v), strict=True):
                view[...] = array
            assert_same_bits(everything(*views), expected)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_stays_in_its_column_and_its_rows(self, bad):
        """A product takes two columns of a value at once, and the weights of all rows."""
        q, k, v = problem(2, 300, 64, 64, (4, 1))
        expected = everything(q, k, v)["output"]
        spoilt = v.copy()
        spoilt[0, 130, 7] = bad
        found = everything(q, k, spoilt)["output"]
        assert not np.any(np.isfinite(found[..., 7].astype(np.float64)))
        others = np.arange(64) != 7
        assert np.array_equal(found[..., others], expected[..., others])

        mask = np.ones((2, 300), bool)
        mask[1, 130] = False
        expected = everything(q, k, v, mask=mask)["output"]
        found = everything(q, k, spoilt, mask=mask)["output"]
        assert np.array_equal(found[:, 1], expected[:, 1])
        assert not np.any(np.isfinite(found[:, 0, 7].astype(np.float64)))
        assert np.array_equal(found[:, 0, others], expected[:, 0, others])

    def test_sums_beyond_the_range_are_taken_again(self):
        q, k, v = problem(2, 300, heads=(4, 1))
        v[...] = np.where(np.arange(v.shape[-1]) % 2, 3e38, -3e38)
        result = foveate.attention(q, k, v).astype(np.float64)
        assert worst_ratio(result, reference.attention(q, k, v), bounds(q, k, v).output) <= 1.0
        assert np.all(np.isfinite(result))

    def test_batch_and_threads(self):
        q, k, v = problem(1, 3000, heads=(12, 3))
        expected = everything(q, k, v, num_threads=1)
        for threads in (2, 3):
            assert_same_bits(everything(q, k, v, num_threads=threads), expected)
        for head in range(3):
            rows = slice(4 * head, 4 * head + 4)
            alone = everything(q[rows], k[head : head + 1], v[head : head + 1])
            assert_same_bits(alone, {name: array[rows] for name, array in expected.items()})

    def test_equal_values_stay_what_they_are(self):
        q, k, v = problem(1, 1000, heads=(8, 1))
        sevens = foveate.attention(q, k, np.full_like(v, 7.0))
        assert np.array_equal(sevens, np.full_like(sevens, 7.0))


def test_weights_are_rounded_and_add_up_to_one():
    q, k, v = problem()
    rounded, exact = both(q, k, v)
    assert not np.array_equal(rounded["output"], exact["output"])
    ones = foveate.attention(q, k, np.ones_like(v))
    assert np.array_equal(ones, np.ones_like(ones))
    sevens = foveate.attention(q, k, np.full_like(v, 7.0), causal="bottom_right")
    assert np.array_equal(sevens, np.full_like(sevens, 7.0))


def test_only_this_bound_knows_the_rounding():
    """Results of amx leave the bounds of avx512, which know nothing of rounded weights."""
    arrays = problem(kv_len=16)
    result = within_bounds(*arrays)
    exact = reference.attention(*arrays, return_lse=True)
    with foveate.use_isa("avx512"):
        others = bounds(*arrays)
    assert worst_ratio(result["lse"], exact.lse, others.lse) > 10
    error = np.max(np.abs(result["lse"] - exact.lse))
    assert 1e-5 < error < error_bound_tiles.U_S


class Test_same_bits_as_avx512:
    CASES: ClassVar = {
        "f32": ({"dtype": "f32"}, {}),
        "f64": ({"dtype": "f64"}, {}),
        "few rows": ({"q_len": 3, "heads": (2, 2)}, {}),
        "few rows of another score": ({"q_len": 4, "heads": (4, 2)}, {"score": "cosine"}),
        "few rows of another sum": ({"q_len": 4, "heads": (2, 2), "value_dim": 15}, {}),
        "few keys": ({"kv_len": 15}, {}),
        "few columns": ({"head_dim": 15, "value_dim": 15}, {}),
        "sparse of another score": ({}, {"score": "cosine", "activation": "sparsemax"}),
    }

    @pytest.mark.parametrize("name", CASES)
    def test(self, name):
        sizes, options = self.CASES[name]
        amx, avx512 = both(*problem(**sizes), **options)
        assert_same_bits(amx, avx512)


def test_modes_take_what_they_can():
    """A dot score alone, a weighted sum alone: each within its bounds."""
    arrays = problem()
    for score in ("dot", "cosine", "additive"):
        for activation in ("softmax", "softmax1", "sigmoid", "relu2", "sparsemax"):
            for combine in ("weighted_sum", "product"):
                small = [array[..., :2, :20, :] for array in arrays] if combine == "product" else arrays
                within_bounds(*small, score=score, activation=activation, combine=combine, scale=0.1)


def test_subnormal_numbers_count_as_zero():
    q, k, v = problem(head_dim=16, value_dim=16)
    q[:, :, 0], k[:, :, 0] = 2.0**-127, 2.0**120
    k[:, :, 1] = 2.0**-128
    v[:, ::3] = 2.0**-130
    without = [array.copy() for array in (q, k, v)]
    for array in without:
        array[np.abs(array.astype(np.float64)) < 2.0**-126] = 0.0
    assert_same_bits(everything(q, k, v, scale=1.0), everything(*without, scale=1.0))
    within_bounds(q, k, v, scale=1.0)
    q[:, :, 0] = 2.0**-122  # the smallest of them 16 times: nothing is lost
    within_bounds(q, k, v, scale=1.0)


def test_sums_beyond_the_range_are_taken_again():
    q, k, v = problem()
    for size in (3e38, 1e38):  # 70 weights of up to 2^8 times that overflow before they are divided
        v[...] = np.where(np.arange(v.shape[-1]) % 2, size, -size)
        result = foveate.attention(q, k, v).astype(np.float64)
        exact = reference.attention(q, k, v)
        assert worst_ratio(result, exact, bounds(q, k, v).output) <= 1.0
        assert np.all(np.isfinite(result))


def test_batch_and_threads():
    q, k, v = problem(130, 300, heads=(4, 4))
    expected = everything(q, k, v, num_threads=1)
    for threads in (2, 3):
        assert_same_bits(everything(q, k, v, num_threads=threads), expected)
    for head in range(4):
        alone = everything(q[head : head + 1], k[head : head + 1], v[head : head + 1])
        assert_same_bits(alone, {name: array[head : head + 1] for name, array in expected.items()})


FALLS_BACK = """
import sys, ml_dtypes, numpy as np, foveate
x = np.random.default_rng(0).standard_normal((3, 40, 32)).astype(np.float32)
y = x.astype(ml_dtypes.bfloat16)
print(foveate.get_isa(), foveate.info()["amx"], foveate.available_isas()[0])
foveate.attention(x, x, x)
print(foveate.get_isa(), foveate.info()["amx"])
first = foveate.attention(y, y, y)
print(foveate.get_isa(), foveate.info()["amx"], foveate.available_isas()[0])
with foveate.use_isa("avx512"):
    print(np.array_equal(first.view(np.uint16), foveate.attention(y, y, y).view(np.uint16)))
try:
    foveate.use_isa("amx")
except RuntimeError as error:
    print(error)
"""


@pytest.mark.parametrize("which", ["REFUSED", "WRONG"])
def test_without_tiles_a_process_goes_on_with_avx512(which):
    words = {"REFUSED": "refused by the operating system", "WRONG": "its products are wrong"}[which]
    if not foveate.info()["amx"].startswith("emulated"):
        pytest.skip("real registers cannot be taken away")
    done = run_python("-c", FALLS_BACK, FOVEATE_ISA="", **{f"FOVEATE_EMULATED_AMX_{which}": "1"})
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "amx emulated, present, not asked for yet amx",
        "amx emulated, present, not asked for yet",
    ]
    assert lines[2:4] == [f"avx512 emulated, {words} avx512", "True"]
    assert "name must be an ISA that this machine can run ('avx512'" in lines[4]
    forced = run_python("-c", FALLS_BACK, FOVEATE_ISA="amx", **{f"FOVEATE_EMULATED_AMX_{which}": "1"})
    assert "FOVEATE_ISA must be an ISA that this machine can run ('avx512'" in forced.stderr


def test_tile_registers_are_asked_for_by_the_first_call_that_needs_them():
    done = run_python("-c", FALLS_BACK, FOVEATE_ISA="")
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()[:3]
    assert first.endswith("present, not asked for yet amx")
    assert second.endswith("present, not asked for yet")
    assert third.endswith("in use amx")
