"""precision=: float32 in one or two planes of bfloat16, float16 in two, in tile registers (ISA amx).

Elsewhere it changes nothing. Runs where the machine has them, and on any with AVX-512 in a build with
FOVEATE_EMULATE_AMX (nox -s amx); with FOVEATE_F32=amx float32 of the highest precision too, in three planes.
"""

import os

import numpy as np
import pytest

import foveate
from foveate import reference
from foveate.error_bound import bounds, worst_ratio
from support.cases import DTYPES, MEMORY
from support.numerics import assert_same_bits, everything, is_nan, run_python, within_bounds

HERE = "amx" in foveate.available_isas()
on_amx = pytest.mark.skipif(not HERE, reason="no tile registers, no emulation")
PRECISIONS = ["high", "medium"] + ["highest"] * (os.environ.get("FOVEATE_F32") == "amx")
SPLIT = {"f16": ("f16", {}), **{f"f32-{name}": ("f32", {"precision": name}) for name in PRECISIONS}}
split = pytest.mark.parametrize(("dtype", "how"), SPLIT.values(), ids=SPLIT)
LARGEST = float(np.finfo(np.float32).max)


@pytest.fixture
def amx():
    with foveate.use_isa("amx"):
        yield


def problem(dtype, q_len=33, kv_len=70, head_dim=64, value_dim=48, heads=(4, 2)):
    rng = np.random.default_rng([q_len, kv_len, head_dim, value_dim])
    sizes = (heads[0], q_len, head_dim), (heads[1], kv_len, head_dim), (heads[1], kv_len, value_dim)
    return tuple(rng.standard_normal(size).astype(DTYPES[dtype]) for size in sizes)


@pytest.mark.parametrize("name", [isa for isa in foveate.available_isas() if isa != "amx"])
@pytest.mark.parametrize("precision", ["high", "medium"])
def test_changes_nothing_without_tile_registers(name, precision):
    q, k, v = problem("f32")
    with foveate.use_isa(name):
        assert_same_bits(everything(q, k, v, precision=precision), everything(q, k, v))


@on_amx
class Test_changes_nothing_where_tiles_stay_empty:
    @pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
    def test_other_dtypes(self, amx, dtype):
        arrays = problem(dtype)
        assert_same_bits(everything(*arrays, precision="medium"), everything(*arrays))

    @pytest.mark.parametrize("sizes", [{"q_len": 4}, {"kv_len": 15}, {"head_dim": 15, "value_dim": 15}])
    def test_few_rows_keys_or_columns(self, amx, sizes):
        arrays = problem("f32", **sizes)
        assert_same_bits(everything(*arrays, precision="medium"), everything(*arrays))


@on_amx
@split
@pytest.mark.parametrize("kv_len", [16, 17, 31, 33, 65, 127, 128, 129, 257])
@pytest.mark.parametrize(("head_dim", "value_dim"), [(16, 16), (31, 17), (64, 64), (80, 33), (257, 1)])
def test_lengths_and_dims(amx, dtype, how, kv_len, head_dim, value_dim):
    q_len = 5 if kv_len % 2 else 33
    arrays = problem(dtype, q_len, kv_len, head_dim, value_dim)
    within_bounds(*arrays, **how)
    within_bounds(*arrays, **how, causal="bottom_right", activation="sigmoid")
    within_bounds(*arrays, **how, window=(kv_len // 3, 5), q_offset=kv_len - q_len, activation="tanh")


@on_amx
def test_each_precision_is_another():
    """Errors of the output are orders of magnitude apart, and leave the bounds of a higher precision."""
    q, k, v = problem("f32", 64, 128, 64, 64)
    exact = reference.attention(q, k, v)
    with foveate.use_isa("amx"):
        errors = {}
        for precision in ("highest", "high", "medium"):
            output = foveate.attention(q, k, v, precision=precision)
            errors[precision] = float(np.max(np.abs(output - exact)))
        assert worst_ratio(output, exact, bounds(q, k, v, precision="high").output) > 2.0
    assert errors["highest"] < 2e-6 < errors["high"] < 5e-5 < errors["medium"] < 2e-2


@on_amx
@split
@pytest.mark.parametrize("score", ["dot", "cosine", "additive"])
@pytest.mark.parametrize("activation", ["softmax", "softmax1", "sigmoid", "relu2", "identity", "sparsemax"])
def test_modes_take_what_they_can(amx, dtype, how, score, activation):
    arrays = problem(dtype)
    within_bounds(*arrays, **how, score=score, activation=activation, scale=0.1)
    small = [array[..., :2, :20, :] for array in arrays]
    within_bounds(*small, **how, score=score, activation=activation, scale=0.1, combine="product")


@on_amx
@split
@pytest.mark.parametrize("memory", [name for name in MEMORY if name not in ("contiguous", "broadcast")])
def test_a_view_has_the_bits_of_a_copy(amx, dtype, how, memory):
    arrays = problem(dtype, 50, 150)
    assert_same_bits(everything(*map(MEMORY[memory], arrays), **how), everything(*arrays, **how))


@on_amx
@split
def test_batch_and_threads(amx, dtype, how):
    q, k, v = problem(dtype, 230, 300, heads=(4, 4))
    expected = everything(q, k, v, **how, num_threads=1)
    for threads in (2, 3):
        assert_same_bits(everything(q, k, v, **how, num_threads=threads), expected)
    for head in range(4):
        alone = everything(q[head : head + 1], k[head : head + 1], v[head : head + 1], **how)
        assert_same_bits(alone, {name: array[head : head + 1] for name, array in expected.items()})


@on_amx
@split
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
class Test_not_finite:
    def test_unattended_keys_never_matter(self, amx, dtype, how, poison):
        q, k, v = problem(dtype)
        hidden = np.random.default_rng(2).random(70) < 0.5
        for options in ({"mask": ~hidden}, {"bias": np.where(hidden, -np.inf, 0.5).astype(np.float32)}):
            for activation in ("softmax", "relu"):
                clean = everything(q, k, v, **how, **options, activation=activation)
                bad_k, bad_v = k.copy(), v.copy()
                bad_k[:, hidden, 3], bad_v[:, hidden, 5] = poison, poison
                for pair in ((bad_k, bad_v), (bad_k, v), (k, bad_v)):
                    assert_same_bits(everything(q, *pair, **how, **options, activation=activation), clean)

    def test_a_key_changes_the_rows_that_attend_it(self, amx, dtype, how, poison):
        q, k, v = problem(dtype)
        mask = np.ones((4, 33, 70), bool)
        mask[:, :, 37] = np.arange(33) % 3 == 1
        hidden = mask.copy()
        hidden[2:, :, 37] = False
        expected = everything(q, k, v, **how, mask=hidden)
        k[1, 37, 11] = poison
        result = everything(q, k, v, **how, mask=mask)
        logits = np.float32(poison) * q[2:, :, 11].astype(np.float32)
        fatal = np.zeros((4, 33), bool)  # a logit of -inf is masked, one of inf or NaN makes its row NaN
        fatal[2:] = mask[2:, :, 37] & ~np.isneginf(logits)
        assert fatal.any()
        for name, array in result.items():
            assert_same_bits({name: array[~fatal]}, {name: expected[name][~fatal]})
            if name != "lse":
                assert is_nan(array[fatal]).any(axis=-1).all()

    def test_a_query_changes_its_own_row(self, amx, dtype, how, poison):
        q, k, v = problem(dtype)
        clean = everything(q, k, v, **how)
        q[2, 20, 9] = poison
        result = everything(q, k, v, **how)
        rows = np.ones((4, 33), bool)
        rows[2, 20] = False
        for name, array in result.items():
            assert_same_bits({name: array[rows]}, {name: clean[name][rows]})
        if np.isnan(poison):
            assert is_nan(result["output"][2, 20]).all()

    def test_values_reach_the_rows_that_attend_them(self, amx, dtype, how, poison):
        q, k, v = problem(dtype)
        v[0, 5, 7] = poison
        v[1, 66, 0] = poison
        for activation in ("softmax", "sigmoid"):
            within_bounds(q, k, v, **how, activation=activation)
            assert not np.isfinite(foveate.attention(q, k, v, **how).astype(np.float64)[:2, :, 7]).any()


@on_amx
@split
def test_weights_that_are_not_finite(amx, dtype, how):
    """Infinite logits make infinite weights of the elementwise activations; 0 times such a weight is NaN."""
    q, k, v = problem(dtype)
    v[:, 10:13] = 0.0
    v[:, 12, ::2] = 1.5
    bias = np.zeros((33, 70), np.float32)
    bias[3, 12], bias[20, 40], bias[21, 10] = np.inf, np.inf, np.inf
    for activation in ("relu", "relu2", "identity"):
        within_bounds(q, k, v, **how, activation=activation, bias=bias)
    v[0, 12, 3] = np.inf
    v[1, 40, 5] = -np.inf
    for activation in ("relu", "identity"):
        output = foveate.attention(q, k, v, **how, activation=activation, bias=bias).astype(np.float64)
        with foveate.use_isa("avx512"):
            expected = foveate.attention(q, k, v, activation=activation, bias=bias).astype(np.float64)
        assert np.isnan(expected).any()
        assert np.isposinf(expected).any()
        for what in (np.isnan, np.isposinf, np.isneginf):
            np.testing.assert_array_equal(what(output), what(expected))


@on_amx
@pytest.mark.parametrize("precision", PRECISIONS)
class Test_ends_of_the_range:
    def test_numbers_that_would_round_to_infinity(self, amx, precision):
        q, k, v = problem("f32", head_dim=16, value_dim=16)
        v[:, ::5] = LARGEST
        v[:, 1::5] = -LARGEST * (1 - 2.0**-10)
        k[:, ::3, 2] = LARGEST
        within_bounds(q * 2.0**-20, k, v, precision=precision, scale=2.0**-100)
        q[:, ::2, 1] = -LARGEST
        within_bounds(q, k * 2.0**-60, v, precision=precision, scale=2.0**-100)

    def test_weights_near_the_largest_number(self, amx, precision):
        q, k, v = problem("f32", head_dim=16, value_dim=16)
        bias = np.zeros((33, 70), np.float32)
        bias[::2, 7] = LARGEST
        within_bounds(q, k, v * 2.0**-30, precision=precision, activation="identity", bias=bias)

    def test_subnormal_numbers_and_low_parts(self, amx, precision):
        q, k, v = problem("f32", head_dim=16, value_dim=16)
        q[:, :, 0], k[:, :, 0] = 1.7 * 2.0**-127, 2.0**120
        k[:, :, 1] = 1.9 * 2.0**-121
        v[:, ::3] *= 2.0**-128
        v[:, 1::3] *= 2.0**-120
        within_bounds(q, k, v, precision=precision, scale=1.0)
        tiny = np.full_like(v, 2.0**-140)
        within_bounds(q, k, tiny, precision=precision, scale=2.0**-8)

    def test_sums_beyond_the_range_are_taken_again(self, amx, precision):
        q, k, v = problem("f32")
        v[...] = np.where(np.arange(v.shape[-1]) % 2, 3e38, -3e38)
        result = foveate.attention(q, k, v, precision=precision)
        assert np.all(np.isfinite(result))
        exact = reference.attention(q, k, v)
        assert worst_ratio(result, exact, bounds(q, k, v, precision=precision).output) <= 1.0


@on_amx
def test_medium_keeps_a_constant():
    """One plane: the sum is that of the rounded weights, as for bfloat16; the rest are roundings of f32."""
    q, k, v = problem("f32")
    with foveate.use_isa("amx"):
        ones = foveate.attention(q, k, np.ones_like(v), precision="medium")
    assert np.max(np.abs(ones - 1)) <= (2 * 70 + 2) * 2.0**-24


@on_amx
@split
def test_key_stats_and_stage_results(amx, dtype, how):
    q, k, v = problem(dtype)
    for kind in ("sum", "max"):
        within_bounds(q, k, v, **how, causal="bottom_right", key_stats=kind)


@on_amx
@split
def test_masks_biases_and_modifiers_compose(amx, dtype, how):
    q, k, v = problem(dtype, 65, 129)
    rng = np.random.default_rng(1)
    options = {
        "mask": rng.random((65, 129)) < 0.8,
        "bias": rng.standard_normal((65, 129)).astype(np.float32),
        "alibi_slopes": [0.5, 0.25, 0.125, 1.0],
        "kv_lengths": 120,
        "softcap": 3.0,
        "causal": "bottom_right",
        "sinks": [0.0, 1.0, -1.0, 2.0],
    }
    within_bounds(q, k, v, **how, **options)
    empty = np.zeros((65, 129), bool)
    empty[3, 5] = True
    assert not np.any(np.delete(foveate.attention(q, k, v, **how, mask=empty), 3, axis=-2))


SAYS = """
import numpy as np, foveate
x = np.random.default_rng(0).standard_normal((3, 40, 32)).astype(np.float32)
try:
    print(foveate.get_isa(), foveate.attention(x, x, x).tobytes().hex())
except RuntimeError as error:
    print(error)
"""


def test_environment_lets_float32_be_three_numbers():
    outputs = {}
    for asked in ("", "fma", "amx", "AMX"):
        done = run_python("-c", SAYS, FOVEATE_ISA="", FOVEATE_F32=asked)
        assert done.returncode == 0, done.stderr
        outputs[asked] = done.stdout.strip()
    assert outputs["fma"] == outputs[""]
    assert (outputs["amx"] != outputs[""]) == HERE
    assert outputs["AMX"] == "FOVEATE_F32 must be fma or amx, got AMX"
