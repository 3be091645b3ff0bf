"""The bits of one (batch element, kv head) depend on its own values, not on threads, company or memory."""

import numpy as np
import pytest

import foveate
from support.cases import DTYPES
from support.memory import MEMORY
from support.numerics import ACTIVATIONS, SHAPES, assert_same_bits, everything, heads_problem, run_python
from support.thread_bits import THREADS, problems

QKV = ("query", "key", "value")
SAME_VALUES = [name for name in MEMORY if name != "broadcast"]


def per_element(shape):
    """Arrays beside query, key and value that differ by batch element and head."""
    n_q_heads, _, q_len, kv_len = SHAPES[shape]
    rng = np.random.default_rng(8)
    return {
        "mask": rng.random((2, n_q_heads, q_len, kv_len)) < 0.9,
        "bias": rng.standard_normal((2, n_q_heads, 1, kv_len)).astype(np.float32),
        "alibi_slopes": rng.random(n_q_heads),
        "sinks": rng.standard_normal(n_q_heads),
        "kv_lengths": np.array([kv_len - 20, kv_len]),
        "q_offset": np.array([kv_len - q_len, kv_len // 2]),
    }


def extras(shape, activation):
    arrays = per_element(shape)
    if activation == "sigmoid":
        del arrays["sinks"]
    return arrays


def test_threads():
    child = run_python("-m", "support.thread_bits", FOVEATE_NUM_THREADS=str(max(THREADS)))
    assert child.returncode == 0, child.stdout + child.stderr
    assert child.stdout.splitlines() == [" ".join(problem[:3]) for problem in problems()]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_alone_and_in_company(isa, shape, dtype, activation):
    """Each batch element and kv head with its group has, by itself, the bits it has in the whole call."""
    n_q_heads, n_kv_heads = SHAPES[shape][:2]
    group = n_q_heads // n_kv_heads
    query, key, value = heads_problem(shape, dtype)
    more = extras(shape, activation)
    together = everything(query, key, value, **more, causal=True, activation=activation)
    for element in range(2):
        for head in range(n_kv_heads):
            heads = slice(head * group, (head + 1) * group)
            where = {"kv_lengths": element, "q_offset": element, "alibi_slopes": heads, "sinks": heads}
            mine = {name: array[where.get(name, (element, heads))] for name, array in more.items()}
            alone = everything(
                query[element, heads],
                key[element, head : head + 1],
                value[element, head : head + 1],
                **mine,
                causal=True,
                activation=activation,
            )
            assert_same_bits(alone, {name: array[element, heads] for name, array in together.items()})


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_memory(isa, shape, dtype, activation):
    """Strides, order, alignment and both layouts: the same values give the same bits."""
    arrays = dict(zip(QKV, heads_problem(shape, dtype, 35, 33), strict=True)) | extras(shape, activation)
    options = {"causal": True, "activation": activation}
    expected = everything(**arrays, **options)
    for memory in SAME_VALUES:
        moved = {name: MEMORY[memory](a) if a.ndim > 1 else a for name, a in arrays.items()}
        assert_same_bits(everything(**moved, **options), expected)
    # rows a multiple of 4 KiB apart are copied for the sake of the cache
    wide = {}
    for name in QKV:
        a = arrays[name]
        wide[name] = np.zeros((*a.shape[:-1], 4096 // a.itemsize), a.dtype)[..., : a.shape[-1]]
        wide[name][...] = a
    assert_same_bits(everything(**arrays | wide, **options), expected)
    other = arrays | {name: np.ascontiguousarray(arrays[name].swapaxes(1, 2)) for name in QKV}
    actual = everything(**other, **options, layout="blhd")
    actual["output"] = actual["output"].swapaxes(1, 2)
    assert_same_bits(actual, expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_returned(isa, shape, dtype, activation):
    """With or without lse, weights and out=, and once more: the same bits."""
    query, key, value = heads_problem(shape, dtype)
    options = {"activation": activation, "causal": "bottom_right"}
    full = everything(query, key, value, **options)
    assert_same_bits(everything(query, key, value, **options), full)
    plain = foveate.attention(query, key, value, **options)
    assert_same_bits({"output": plain}, {"output": full["output"]})
    for memory in ("contiguous", "transposed", "every_second", "reversed", "byte_offset"):
        out = MEMORY[memory](np.full(plain.shape, 7.0, plain.dtype))
        assert foveate.attention(query, key, value, **options, out=out) is out
        assert_same_bits({"output": out}, {"output": full["output"]})
    for name in full.keys() - {"output"}:
        result = foveate.attention(query, key, value, **options, **{f"return_{name}": True})._asdict()
        for part in ("output", name):
            assert_same_bits({part: result[part]}, {part: full[part]})
