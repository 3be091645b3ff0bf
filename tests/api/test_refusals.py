"""Every refusal names the argument, says what came and what was expected."""

# ruff: noqa: E501 - one case per line

import ml_dtypes
import numpy as np
import pytest

import foveate


def rand(*shape, dtype=np.float32):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


Q, K, V = rand(2, 4, 3, 8), rand(2, 2, 5, 8), rand(2, 2, 5, 6)  # batch 2, Hq 4, Hkv 2, Lq 3, Lk 5, D 8, Dv 6
X = rand(5, 4)  # one head, Lq = Lk = 5


def attend(q=Q, k=K, v=V, **options):
    return foveate.attention(q, k, v, **options)


def alone(**options):
    return foveate.attention(X, X, X, **options)


def read_only(shape):
    array = np.zeros(shape, np.float32)
    array.flags.writeable = False
    return array


# name: (call, exception, what the message must say)
REFUSALS = {
    # dtypes
    "int query": (lambda: attend(q=np.ones((3, 8), int)), TypeError, ["query", "int64", "float32, float64"]),
    "complex key": (lambda: attend(k=K.astype(complex)), TypeError, ["key", "complex128", "float32, float64"]),
    "object value": (lambda: attend(v=V.astype(object)), TypeError, ["value", "object", "float32, float64"]),
    "longdouble query": (lambda: attend(q=Q.astype(np.longdouble)), TypeError, ["query", "float128", "bfloat16"]),
    "swapped query": (lambda: attend(q=Q.astype(">f4")), TypeError, ["query", ">f4", "byte order", "newbyteorder"]),
    "float8 query": (lambda: attend(q=Q.astype(ml_dtypes.float8_e4m3fn)), TypeError, ["query", "float8_e4m3fn"]),
    "key of another dtype": (lambda: attend(k=K.astype(float)), TypeError, ["key", "float64", "float32"]),
    "value of another dtype": (lambda: attend(v=V.astype("f2")), TypeError, ["value", "float16", "float32"]),
    "bf16 with f32": (lambda: attend(k=K.astype(ml_dtypes.bfloat16)), TypeError, ["key", "bfloat16", "float32"]),
    "int8 key alone": (lambda: attend(k=K.astype("i1")), TypeError, ["value", "dtype of key", "int8", "float32"]),
    "int8 value alone": (lambda: attend(v=V.astype("i1")), TypeError, ["value", "that of query", "int8"]),
    "int8 and float8": (
        lambda: attend(k=K.astype("i1"), v=V.astype(ml_dtypes.float8_e4m3fn)),
        TypeError,
        ["value", "dtype of key, int8", "float8_e4m3fn"],
    ),
    "int8 query": (lambda: attend(q=Q.astype("i1")), TypeError, ["query", "int8", "float32, float64"]),
    "uint8 key": (lambda: attend(k=K.astype("u1")), TypeError, ["key", "uint8", "int8 or float8_e4m3fn"]),
    "float8 of another kind": (lambda: attend(k=K.astype(ml_dtypes.float8_e5m2)), TypeError, ["key", "float8_e5m2"]),
    "1-D int8 key": (lambda: attend(k=np.ones(8, np.int8), v=V.astype("i1")), ValueError, ["key", "(8,)", "at least 2"]),
    "scale of floats": (lambda: attend(k_scale=rand(2, 5)), TypeError, ["k_scale", "int8 or float8_e4m3fn"]),
    "scale of ints": (lambda: attend(k=K.astype("i1"), v=V.astype("i1"), v_scale=np.ones(5, int)), TypeError, ["v_scale", "float32", "int64"]),
    "scale of another length": (
        lambda: attend(k=K.astype("i1"), v=V.astype("i1"), k_scale=rand(2, 4)),
        ValueError,
        ["k_scale", "(2, 4)", "broadcast"],
    ),
    "scale per column": (
        lambda: attend(k=K.astype("i1"), v=V.astype("i1"), v_scale=rand(2, 2, 5, 6)),
        ValueError,
        ["v_scale", "(2, 2, 5, 6)"],
    ),
    "scale under out": (
        lambda: (lambda s: attend(k=K.astype("i1"), v=V.astype("i1"), k_scale=s[:5], out=s.reshape(2, 4, 3, 6)))(rand(144)),
        ValueError,
        ["out", "k_scale"],
    ),
    "None query": (lambda: attend(q=None), TypeError, ["query", "None", "array"]),
    "list of ints": (lambda: attend(q=[[1, 2]]), TypeError, ["query", "int64", "float32, float64"]),
    "ragged list": (lambda: attend(q=[[1.0], [1.0, 2.0]]), ValueError, ["query", "list", "array"]),
    "masked array": (lambda: attend(q=np.ma.ones((3, 8))), TypeError, ["query", "MaskedArray", "mask="]),
    # shapes
    "1-D query": (lambda: attend(q=rand(8)), ValueError, ["query", "(8,)", "at least 2 axes"]),
    "0-D value": (lambda: attend(v=np.float32(1)), ValueError, ["value", "()", "at least 2 axes"]),
    "head_dim": (lambda: attend(k=rand(2, 2, 5, 7)), ValueError, ["key", "head_dim of query, 8", "got 7"]),
    "kv_len": (lambda: attend(v=rand(2, 2, 4, 6)), ValueError, ["value", "kv_len of key, 5", "got 4"]),
    "kv heads": (lambda: attend(v=rand(2, 1, 5, 6)), ValueError, ["value", "heads of key, 2", "got 1"]),
    "group": (lambda: attend(q=rand(2, 3, 3, 8)), ValueError, ["query", "multiple of those of key", "3 and 2"]),
    "no kv heads": (lambda: attend(k=K[:, :0], v=V[:, :0]), ValueError, ["query", "multiple", "4 and 0"]),
    "batch": (lambda: attend(k=rand(3, 2, 5, 8)), ValueError, ["batch", "key (3, 2, 5, 8)", "broadcast"]),
    "layout of data": (lambda: attend(layout="blhd"), ValueError, ["key", "blhd", "multiple", "3 and 5"]),
    "giant": (
        lambda: attend(*(np.broadcast_to(np.float32(0), (2**40, 0)) for _ in range(3))),
        ValueError,
        ["query", "q_len 1099511627776", "2**63"],
    ),
    "giant row": (
        lambda: attend(*(np.broadcast_to(np.float32(0), (1, n)) for n in (2**50, 2**50, 1))),
        ValueError,
        ["query, key or value", "head_dim", "below 2^31"],
    ),
    # names and options of the mode
    "score": (lambda: attend(score="scaled-dot"), ValueError, ["score", "'scaled-dot'", "'dot'", "mean 'scaled_dot'"]),
    "activation": (lambda: attend(activation="sofmax"), ValueError, ["activation", "'sigmoid'", "mean 'softmax'"]),
    "combine": (lambda: attend(combine="sum"), ValueError, ["combine", "'sum'", "mean 'weighted_sum'"]),
    "score type": (lambda: attend(score=1), TypeError, ["score", "int", "'scaled_dot'"]),
    "layout": (lambda: attend(layout="bhdl"), ValueError, ["layout", "'bhdl'", "'bhld', 'blhd'"]),
    "scale nan": (lambda: attend(scale=float("nan")), ValueError, ["scale", "nan", "finite"]),
    "scale huge": (lambda: attend(scale=10**400), ValueError, ["scale", "finite"]),
    "scale type": (lambda: attend(scale="1"), TypeError, ["scale", "'1'", "finite number"]),
    "scale bool": (lambda: attend(scale=True), TypeError, ["scale", "True", "finite number"]),
    "softcap zero": (lambda: attend(softcap=0.0), ValueError, ["softcap", "0.0", "> 0"]),
    "softcap negative": (lambda: attend(softcap=-3), ValueError, ["softcap", "-3", "> 0"]),
    "softcap inf": (lambda: attend(softcap=float("inf")), ValueError, ["softcap", "inf", "finite"]),
    "causal int": (lambda: attend(causal=1), TypeError, ["causal", "1 (int)", "'bottom_right'"]),
    "causal name": (lambda: attend(causal="bottom-right"), ValueError, ["causal", "'bottom-right'", "'top_left'"]),
    "window int": (lambda: alone(window=4), TypeError, ["window", "4 (int)", "(left, right)", "(W - 1, 0)"]),
    "window triple": (lambda: alone(window=(1, 2, 3)), ValueError, ["window", "3 values", "(left, right)"]),
    "window negative": (lambda: alone(window=(1, -1)), ValueError, ["window right", "-1", ">= 0"]),
    "window float": (lambda: alone(window=(1.0, 0)), TypeError, ["window left", "1.0 (float)", "int >= 0"]),
    "window bool": (lambda: alone(window=(True, 0)), TypeError, ["window left", "True (bool)", "int >= 0"]),
    # positions
    "causal unaligned": (lambda: attend(causal=True), ValueError, ["causal", "3", "5", "top_left", "bottom_right", "q_offset"]),
    "window unaligned": (lambda: attend(window=(1, 1)), ValueError, ["window", "3", "5", "top_left", "bottom_right", "q_offset"]),
    "offset alone": (lambda: attend(q_offset=1), ValueError, ["q_offset", "causal=True or a window", "neither"]),
    "offset twice": (lambda: attend(q_offset=1, causal="top_left"), ValueError, ["q_offset", "causal=True", "already"]),
    "offset float": (lambda: attend(q_offset=1.0, causal=True), TypeError, ["q_offset", "float", "int"]),
    "offset bool": (lambda: attend(q_offset=True, causal=True), TypeError, ["q_offset", "bool", "int"]),
    "offset far": (lambda: attend(q_offset=2**62, causal=True), ValueError, ["q_offset", str(2**62), "2**62"]),
    "offset vast": (lambda: attend(q_offset=-(2**70), causal=True), ValueError, ["q_offset", str(-(2**70)), "2**62"]),
    "offset shape": (lambda: attend(q_offset=[1, 2, 3], causal=True), ValueError, ["q_offset", "(3,)", "(2,)"]),
    "lengths beyond": (lambda: attend(kv_lengths=6), ValueError, ["kv_lengths", "0..5", "6"]),
    "lengths negative": (lambda: attend(kv_lengths=[1, -1]), ValueError, ["kv_lengths", "0..5", "-1"]),
    "lengths float": (lambda: attend(kv_lengths=[1.0, 2.0]), TypeError, ["kv_lengths", "float64", "int"]),
    "lengths shape": (lambda: attend(kv_lengths=np.ones((2, 4), int)), ValueError, ["kv_lengths", "(2, 4)", "(2,)"]),
    "lengths of one head": (lambda: alone(kv_lengths=[3]), ValueError, ["kv_lengths", "(1,)", "()"]),
    # mask, bias, per-head values
    "float mask": (lambda: attend(mask=np.zeros((3, 5))), TypeError, ["mask", "float64", "bool", "bias="]),
    "bf16 mask": (lambda: attend(mask=np.zeros((3, 5), ml_dtypes.bfloat16)), TypeError, ["mask", "bfloat16", "bias="]),
    "int mask": (lambda: attend(mask=np.ones((3, 5), int)), TypeError, ["mask", "int64", "bool", "mask != 0"]),
    "masked array mask": (lambda: attend(mask=np.ma.ones((3, 5), bool)), TypeError, ["mask", "MaskedArray", "plain array"]),
    "mask shape": (lambda: attend(mask=np.ones((5, 3), bool)), ValueError, ["mask", "(5, 3)", "(2, 4, 3, 5)"]),
    "mask rank": (lambda: attend(mask=np.ones((1, 2, 4, 3, 5), bool)), ValueError, ["mask", "(1, 2, 4, 3, 5)", "(2, 4, 3, 5)"]),
    "bool bias": (lambda: attend(bias=np.ones((3, 5), bool)), TypeError, ["bias", "bool", "mask="]),
    "int bias": (lambda: attend(bias=np.ones((3, 5), int)), TypeError, ["bias", "int64", "float32, float64"]),
    "bias shape": (lambda: attend(bias=rand(2, 3, 5)), ValueError, ["bias", "(2, 3, 5)", "(2, 4, 3, 5)"]),
    "sinks shape": (lambda: attend(sinks=np.zeros(2)), ValueError, ["sinks", "(2,)", "(4,)"]),
    "sinks dtype": (lambda: attend(sinks=["a"] * 4), TypeError, ["sinks", "<U1", "float32, float64"]),
    "sinks with sigmoid": (lambda: attend(sinks=np.zeros(4), activation="sigmoid"), ValueError, ["sinks", "'sigmoid'", "softmax"]),
    "slopes shape": (lambda: attend(alibi_slopes=np.zeros((4, 1))), ValueError, ["alibi_slopes", "(4, 1)", "(4,)"]),
    "slopes complex": (lambda: attend(alibi_slopes=np.zeros(4, complex)), TypeError, ["alibi_slopes", "complex128", "float32"]),
    # results and threads
    "lse of sigmoid": (lambda: attend(return_lse=True, activation="sigmoid"), ValueError, ["return_lse", "'sigmoid'", "softmax"]),
    "threads zero": (lambda: attend(num_threads=0), ValueError, ["num_threads", "0", ">= 1"]),
    "threads bool": (lambda: attend(num_threads=True), TypeError, ["num_threads", "True (bool)", "int >= 1"]),
    "threads float": (lambda: attend(num_threads=2.0), TypeError, ["num_threads", "2.0 (float)", "int >= 1"]),
    "set threads zero": (lambda: foveate.set_num_threads(0), ValueError, ["n must", "0", ">= 1"]),
    "set threads float": (lambda: foveate.set_num_threads(1.5), TypeError, ["n must", "1.5 (float)", "int >= 1"]),
    "out type": (lambda: attend(out=[[0.0]]), TypeError, ["out", "list", "numpy.ndarray"]),
    "out dtype": (lambda: attend(out=np.zeros((2, 4, 3, 6))), TypeError, ["out", "float64", "float32"]),
    "out shape": (lambda: attend(out=np.zeros((2, 4, 3, 8), "f")), ValueError, ["out", "(2, 4, 3, 8)", "(2, 4, 3, 6)"]),
    "out read-only": (lambda: attend(out=read_only((2, 4, 3, 6))), ValueError, ["out", "read-only", "writable"]),
    # stages alone
    "scores dim": (lambda: foveate.scores(Q, V), ValueError, ["key", "head_dim of query, 8", "got 6"]),
    "combine rows": (lambda: foveate.combine(rand(3, 4), rand(5, 6)), ValueError, ["value", "key of weights, 4", "got 5"]),
    "combine group": (lambda: foveate.combine(rand(3, 1, 5), rand(2, 5, 6)), ValueError, ["weights", "multiple", "3 and 2"]),
    "combine dtype": (lambda: foveate.combine(rand(3, 5), np.ones((5, 6))), TypeError, ["value", "float64", "float32"]),
    "combine name": (lambda: foveate.combine(rand(3, 5), rand(5, 6), "wsum"), ValueError, ["combine", "'wsum'", "'weighted_sum'"]),
    "activate 0-D": (lambda: foveate.activate(np.float32(1)), ValueError, ["logits", "()", "at least 1 axes"]),
    "activate int": (lambda: foveate.activate([1, 2]), TypeError, ["logits", "int64", "float32, float64"]),
    "activate axis": (lambda: foveate.activate(X, axis=2), ValueError, ["axis", "-2..1", "got 2"]),
    "activate axis type": (lambda: foveate.activate(X, axis=0.5), TypeError, ["axis", "0.5 (float)", "int"]),
    "activate mask": (lambda: foveate.activate(X, mask=np.ones(5, bool)), ValueError, ["mask", "5", "(5, 4)"]),
    "activate mask rank": (lambda: foveate.activate(X, mask=np.ones((1, 5, 4), bool)), ValueError, ["mask", "(1, 5, 4)", "(5, 4)"]),
    "activate float mask": (lambda: foveate.activate(X, mask=X), TypeError, ["mask", "float32", "bool", "bias="]),
    # instruction sets
    "isa": (lambda: foveate.use_isa("scalr"), ValueError, ["name", "'scalr'", "mean 'scalar'"]),
    "isa type": (lambda: foveate.use_isa(512), TypeError, ["name", "512 (int)", "ISA"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal(case):
    call, kind, words = REFUSALS[case]
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    message = str(caught.value)
    assert all(word in message for word in words), message


def test_unhashable_options_are_judged_like_others():
    np.testing.assert_array_equal(alone(window=[1, 0]), alone(window=(1, 0)))
    with pytest.raises(TypeError, match="score must be a name"):
        attend(score=np.zeros(2))
