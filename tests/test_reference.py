"""The oracle itself: against loops over Python floats, against 50 digits and against printed examples."""

import math
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest

from foveate import reference
from foveate.error_bound import bounds, worst_ratio
from support.cases import DTYPES, cases

HQ, HKV, D, DV = 4, 2, 3, 2


def loops(m: Any, number: Any, q: Any, k: Any, v: Any, **options: Any) -> tuple[list, list, list]:
    """(output, lse, weights) of one batch element by the definition; only attended keys are touched.

    ``m`` has exp, log, tanh and sqrt for numbers made by ``number``: math and float, or mpmath and mpf.
    """
    n_heads, group_size = len(q), len(q) // len(k)
    left, right = options.get("window", (None, None))
    output, lse, weights = [], [], []
    for h in range(n_heads):
        for i in range(len(q[h])):
            position = i + options.get("q_offset", 0)
            logits = {}
            for j in range(len(k[0])):
                if options.get("causal") and j > position:
                    continue
                if left is not None and j < position - left:
                    continue
                if right is not None and j > position + right:
                    continue
                if j >= options.get("kv_lengths", math.inf):
                    continue
                if "mask" in options and not options["mask"][h][i][j]:
                    continue
                if "bias" in options and options["bias"][h][i][j] == -math.inf:
                    continue
                x = number(0)
                for d in range(len(q[h][i])):
                    x += number(q[h][i][d]) * number(k[h // group_size][j][d])
                if "scale" in options:
                    x *= number(options["scale"])
                elif options.get("score") != "dot":
                    x /= m.sqrt(number(len(q[h][i])))
                if "softcap" in options:
                    x = number(options["softcap"]) * m.tanh(x / number(options["softcap"]))
                if "bias" in options:
                    x += number(options["bias"][h][i][j])
                if "alibi_slopes" in options:
                    x += number(options["alibi_slopes"][h]) * (j - position)
                logits[j] = x
            if options.get("activation") == "sigmoid":
                row = {j: 1 / (1 + m.exp(-x)) for j, x in logits.items()}
                lse.append(math.nan)
            else:
                total = sum((m.exp(x) for x in logits.values()), number(0))
                if "sinks" in options:
                    total += m.exp(number(options["sinks"][h]))
                row = {j: m.exp(x) / total for j, x in logits.items()}
                lse.append(m.log(total) if total else -math.inf)
            weights.append([row.get(j, number(0)) for j in range(len(k[0]))])
            value = v[h // group_size]
            output.append(
                [sum((w * number(value[j][d]) for j, w in row.items()), number(0)) for d in range(DV)]
            )
    return output, lse, weights


def problem(q_len: int, kv_len: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(q_len * 100 + kv_len)
    shapes = (HQ, q_len, D), (HKV, kv_len, D), (HKV, kv_len, DV)
    return tuple(rng.standard_normal(shape) for shape in shapes)


RNG = np.random.default_rng(5)
MASK = RNG.random((HQ, 4, 6)) < 0.6
MASK[1, 2] = False  # one row attends nothing
BIAS = np.where(RNG.random((HQ, 4, 6)) < 0.3, -np.inf, RNG.standard_normal((HQ, 4, 6)))
BIAS[3, 0] = -np.inf
SLOPES = np.array([0.5, 0.25, -0.125, 0.0625])
SINKS = np.array([0.3, -2.0, 1.5, 0.0])

#: name -> (Lq, Lk, options as the oracle takes them)
OPTIONS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "scaled_dot": (4, 6, {}),
    "dot": (4, 6, {"score": "dot"}),
    "one_key": (4, 1, {}),
    "no_keys": (4, 0, {}),
    "scale": (4, 6, {"scale": 0.7}),
    "scale_negative": (4, 6, {"scale": -1.3, "score": "dot"}),
    "scale_zero": (4, 6, {"scale": 0.0}),
    "softcap": (4, 6, {"softcap": 0.8, "score": "dot"}),
    "causal": (5, 5, {"causal": True}),
    "causal_top_left": (4, 6, {"causal": "top_left"}),
    "causal_bottom_right": (4, 6, {"causal": "bottom_right"}),
    "causal_bottom_right_long_q": (6, 4, {"causal": "bottom_right"}),
    "causal_q_offset": (4, 6, {"causal": True, "q_offset": 1}),
    "causal_q_offset_negative": (4, 6, {"causal": True, "q_offset": -2}),
    "window": (5, 5, {"window": (1, 2)}),
    "window_left": (4, 6, {"window": (1, None), "causal": "bottom_right"}),
    "window_right": (4, 6, {"window": (None, 0), "q_offset": 1}),
    "window_past_the_keys": (4, 6, {"window": (0, 0), "q_offset": 4}),
    "mask": (4, 6, {"mask": MASK}),
    "bias": (4, 6, {"bias": BIAS}),
    "mask_and_bias_and_causal": (4, 6, {"mask": MASK, "bias": BIAS, "causal": "bottom_right"}),
    "alibi": (4, 6, {"alibi_slopes": SLOPES}),
    "alibi_offset": (4, 6, {"alibi_slopes": SLOPES, "causal": "bottom_right"}),
    "kv_length": (4, 6, {"kv_lengths": 4}),
    "kv_length_zero": (4, 6, {"kv_lengths": 0}),
    "sinks": (4, 6, {"sinks": SINKS}),
    "sinks_and_mask": (4, 6, {"sinks": SINKS, "mask": MASK}),
    "sigmoid": (4, 6, {"activation": "sigmoid"}),
    "sigmoid_mask_bias": (4, 6, {"activation": "sigmoid", "mask": MASK, "bias": BIAS}),
    "sigmoid_alibi_window": (5, 5, {"activation": "sigmoid", "alibi_slopes": SLOPES, "window": (2, 1)}),
    "order": (4, 6, {"score": "dot", "scale": 2.0, "softcap": 1.1, "bias": BIAS, "alibi_slopes": SLOPES}),
}


def _spelled_out(q_len: int, kv_len: int, options: dict[str, Any]) -> dict[str, Any]:
    """The options with the alignment as a number, as `loops` takes it."""
    options = dict(options)
    if options.get("causal") == "bottom_right":
        options["q_offset"] = kv_len - q_len
    return options


@pytest.mark.parametrize("digits", ["float", "50 digits"])
@pytest.mark.parametrize("name", OPTIONS)
def test_against_loops(name, digits):
    q_len, kv_len, options = OPTIONS[name]
    arrays = problem(q_len, kv_len)
    softmax = "activation" not in options
    result = reference.attention(*arrays, **options, return_weights=True, return_lse=softmax)
    lists = [array.tolist() for array in arrays]
    spelled = _spelled_out(q_len, kv_len, options)
    if digits == "float":
        exact = loops(math, float, *lists, **spelled)
    else:
        with mpmath.workdps(50):
            exact = loops(mpmath.mp, mpmath.mpf, *lists, **spelled)
    output, lse, weights = (np.array(rows, dtype=np.float64) for rows in exact)
    bound = bounds(*arrays, **options)
    assert result.output.dtype == np.float64
    assert worst_ratio(result.output, output.reshape(HQ, q_len, DV), bound.output) <= 1.0
    assert worst_ratio(result.weights, weights.reshape(HQ, q_len, kv_len), bound.weights) <= 1.0
    if softmax:
        assert worst_ratio(result.lse, lse.reshape(HQ, q_len), bound.lse) <= 1.0
        assert np.array_equal(np.isneginf(result.lse), np.isneginf(lse.reshape(HQ, q_len)))
    else:
        assert result.lse is None


def test_large_logits_against_50_digits():
    q = np.array([[1e3, -1.0], [0.5, 2.0]])
    k = np.array([[10.0, 3.0], [9.0, -700.0], [-10.0, 0.0]])
    v = np.eye(3, 2)
    result = reference.attention(q, k, v, score="dot", return_lse=True)
    with mpmath.workdps(50):
        rows = [[mpmath.fdot(map(mpmath.mpf, a), map(mpmath.mpf, b)) for b in k.tolist()] for a in q.tolist()]
        sums = [mpmath.fsum(mpmath.exp(x) for x in row) for row in rows]
        lse = [float(mpmath.log(s)) for s in sums]
        output = [
            [float(mpmath.exp(row[j]) / s) for j in range(2)] for row, s in zip(rows, sums, strict=True)
        ]
    bound = bounds(q, k, v, score="dot")
    assert worst_ratio(result.output, output, bound.output) <= 1.0
    assert worst_ratio(result.lse, lse, bound.lse) <= 1.0


# ----- shapes


def test_layout_blhd_is_bhld_with_axes_swapped():
    q, k, v = problem(4, 6)
    swapped = [array.swapaxes(0, 1) for array in (q, k, v)]
    expected = reference.attention(q, k, v, causal="top_left", return_lse=True, return_weights=True)
    result = reference.attention(
        *swapped, causal="top_left", layout="blhd", return_lse=True, return_weights=True
    )
    assert np.array_equal(result.output, expected.output.swapaxes(0, 1))
    assert np.array_equal(result.lse, expected.lse)
    assert np.array_equal(result.weights, expected.weights)


@pytest.mark.parametrize("layout", ["bhld", "blhd"])
def test_two_axes_are_one_head(layout):
    q, k, v = (array[0] for array in problem(4, 6))
    result = reference.attention(q, k, v, layout=layout, return_lse=True, return_weights=True)
    expected = reference.attention(q[None], k[None], v[None], return_lse=True, return_weights=True)
    assert [a.shape for a in result[:3]] == [(4, DV), (4,), (4, 6)]
    for name in ("output", "lse", "weights"):
        assert np.array_equal(getattr(result, name), getattr(expected, name)[0])


@pytest.mark.parametrize("group_size", [1, 2, 3])
def test_groups_of_query_heads_share_a_kv_head(group_size):
    rng = np.random.default_rng(0)
    q = rng.standard_normal((2 * group_size, 3, D))
    k, v = rng.standard_normal((2, 5, D)), rng.standard_normal((2, 5, DV))
    output = reference.attention(q, k, v)
    for h in range(2 * group_size):
        assert np.array_equal(output[h], reference.attention(q[h], k[h // group_size], v[h // group_size]))


def test_batch_axes_broadcast():
    rng = np.random.default_rng(0)
    q = rng.standard_normal((2, 1, HQ, 3, D))
    k, v = rng.standard_normal((3, HKV, 5, D)), rng.standard_normal((1, HKV, 5, DV))
    mask = rng.random((2, 1, 1, 3, 5)) < 0.6
    lengths, offsets = np.array([[1, 5, 3]]), np.array([[0], [2]])
    result = reference.attention(
        q, k, v, causal=True, mask=mask, kv_lengths=lengths, q_offset=offsets, return_lse=True
    )
    assert result.output.shape == (2, 3, HQ, 3, DV)
    assert result.lse.shape == (2, 3, HQ, 3)
    for a in range(2):
        for b in range(3):
            one = reference.attention(
                q[a, 0],
                k[b],
                v[0],
                causal=True,
                mask=mask[a, 0],
                kv_lengths=lengths[0, b],
                q_offset=offsets[a, 0],
                return_lse=True,
            )
            assert np.array_equal(result.output[a, b], one.output)
            assert np.array_equal(result.lse[a, b], one.lse)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_input_dtypes_are_widened_first(dtype):
    narrow = [array.astype(dtype) for array in problem(4, 6)]
    bias = BIAS.astype(dtype)
    output = reference.attention(*narrow, bias=bias)
    wide = [array.astype(np.float64) for array in narrow]
    assert output.dtype == np.float64
    assert np.array_equal(output, reference.attention(*wide, bias=bias.astype(np.float64)))


def test_zero_length_axes():
    q, k, v = problem(4, 6)
    assert reference.attention(q[:, :0], k, v).shape == (HQ, 0, DV)
    assert reference.attention(q, k, v[..., :0]).shape == (HQ, 4, 0)
    empty = reference.attention(q[None][:0], k, v, return_lse=True)
    assert (empty.output.shape, empty.lse.shape) == ((0, HQ, 4, DV), (0, HQ, 4))
    average = np.repeat(v.mean(axis=1, keepdims=True), 2, axis=0)
    assert np.allclose(reference.attention(q[..., :0], k[..., :0], v), average, rtol=1e-15, atol=1e-15)


# ----- masked means absent


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("how", ["mask", "bias", "kv_lengths", "causal", "window"])
def test_masked_keys_and_values_may_hold_anything(how, bad, activation):
    q, k, v = problem(4, 6)
    options = {
        "mask": {"mask": np.arange(6) < 4},
        "bias": {"bias": np.where(np.arange(6) < 4, 0.5, -np.inf)},
        "kv_lengths": {"kv_lengths": 4},
        "causal": {"causal": "top_left"},
        "window": {"window": (None, 0), "q_offset": 0},
    }[how]
    clean = reference.attention(q, k, v, activation=activation, **options)
    k[:, 4:], v[:, 4:] = bad, bad
    assert np.isfinite(clean).all()
    assert np.array_equal(reference.attention(q, k, v, activation=activation, **options), clean)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("where", ["key", "value"])
def test_attended_nan_reaches_the_rows_that_attend_it(where, activation):
    q, k, v = problem(5, 5)
    clean = reference.attention(q, k, v, causal=True, activation=activation)
    (k if where == "key" else v)[0, 3] = np.nan  # kv head 0 serves query heads 0 and 1, from row 3 on
    output = reference.attention(q, k, v, causal=True, activation=activation)
    hit = np.zeros((HQ, 5), bool)
    hit[:2, 3:] = True
    assert np.isnan(output[hit]).all()
    assert np.array_equal(output[~hit], clean[~hit])


def test_row_without_keys():
    q, k, v = problem(4, 6)
    nothing = reference.attention(q, k, v, mask=False, return_lse=True, return_weights=True)
    assert np.array_equal(nothing.output, np.zeros((HQ, 4, DV)))
    assert np.array_equal(nothing.weights, np.zeros((HQ, 4, 6)))
    assert np.array_equal(nothing.lse, np.full((HQ, 4), -np.inf))
    with_sinks = reference.attention(q, k, v, mask=False, sinks=SINKS, return_lse=True)
    assert np.array_equal(with_sinks.output, np.zeros((HQ, 4, DV)))
    assert np.array_equal(with_sinks.lse, np.repeat(SINKS[:, None], 4, axis=1))


def test_generated_cases_are_finite_and_their_weights_add_up():
    for case in cases(0, 60):
        result = case.run(reference, return_weights=True)
        assert np.isfinite(result.output).all(), case
        assert case.activation in ("tanh", "identity") or (result.weights >= 0.0).all(), case
        if case.activation == "softmax" and not case.sinks:
            totals = result.weights.sum(axis=-1)
            assert np.all((totals == 0.0) | (np.abs(totals - 1.0) < 1e-12)), case


# ----- the other functions


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_stages_make_attention(activation):
    q, k, v = problem(4, 6)
    logits = reference.scores(q, k, softcap=2.0)
    weights = reference.activate(logits, activation, mask=MASK)
    output = reference.combine(weights, v)
    expected = reference.attention(q, k, v, softcap=2.0, mask=MASK, activation=activation)
    assert np.array_equal(output, expected)


def test_combine_leaves_out_values_of_weight_zero():
    values = np.array([[1.0, 3.0], [np.nan, np.inf]])
    assert reference.combine([[0.5, 0.0]], values).tolist() == [[0.5, 1.5]]
    assert np.isnan(reference.combine([[0.5, 0.25]], values)[0, 0])


def test_activate_along_another_axis():
    logits = np.random.default_rng(0).standard_normal((3, 4, 5))
    along = reference.activate(logits, axis=0)
    assert np.array_equal(along, np.moveaxis(reference.activate(np.moveaxis(logits, 0, -1)), -1, 0))
    assert np.allclose(along.sum(axis=0), 1.0, rtol=1e-15, atol=0.0)


def test_out_is_filled_and_returned():
    q, k, v = problem(4, 6)
    out = np.zeros((HQ, 4, DV), ml_dtypes.bfloat16)
    assert reference.attention(q, k, v, out=out, num_threads=3) is out
    assert np.array_equal(out, reference.attention(q, k, v).astype(ml_dtypes.bfloat16))


@pytest.mark.parametrize("options", [{"causal": True}, {"window": (1, 1)}])
def test_alignment_must_be_named(options):
    with pytest.raises(ValueError, match=r"top_left.*bottom_right.*q_offset"):
        reference.attention(*problem(4, 6), **options)


def test_sigmoid_has_neither_lse_nor_sinks():
    with pytest.raises(ValueError, match="return_lse"):
        reference.attention(*problem(4, 6), activation="sigmoid", return_lse=True)
    with pytest.raises(ValueError, match="sinks"):
        reference.attention(*problem(4, 6), activation="sigmoid", sinks=SINKS)


# ----- printed examples


def test_worked_example_of_the_article():
    """Features 2 x + 1 of 1, 2, 3; sigmoid weights; their sum over the inputs, to the digits given."""
    features = 2.0 * np.array([[1.0], [2.0], [3.0]]) + 1.0
    inputs = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    result = reference.attention(
        [[1.0]], features, inputs, score="dot", activation="sigmoid", return_weights=True
    )
    assert result.weights.round(6).tolist() == [[0.952574, 0.993307, 0.999089]]
    assert result.output.round(6).tolist() == [[5.936455, 8.881425]]


def test_dot_example_of_keras():
    q, k, v = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]]
    output = reference.attention(q, k, v, score="dot")
    assert output.round(3).tolist() == [[2.462, 3.462], [1.538, 2.538]]
