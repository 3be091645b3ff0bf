"""THE table of targets: what foveate is meant to reach against the best installable peer, on 2 threads."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.shapes import DECODE, TINY, Shape, square
from benchmarks.targets.target import READ, TANH, Against, Share, Target

F32, F16, BF16 = "float32", "float16", "bfloat16"
L4096, L2048, L1024 = square(1, 8, 4096, 64), square(1, 8, 2048, 128), square(1, 8, 1024, 64)
MASKED = square(1, 8, 2048, 64)
GROUPED = Shape(1, 32, 8, 1024, 1024, 128, causal=True, dtype=F16)
LONG = square(1, 1, 32768, 64)
# A kernel of multiply-adds can have 93 % of their peak at most: the rest is the softmax.
NEAR_THE_PEAK = "needs 91 to 97 % of the multiply-add peak"
BEYOND_THE_PEAK = "needs 1.4 to 1.9 times the multiply-add peak: AMX"
CONVERSIONS = "needs 11 to 14 ns per key: conversions alone take 10 for int8, 17 for float8"
OPERATIONS = "needs {} ns per key and core: multiply-adds and conversions alone take {}"
SHORT = "needs 88 to 89 % of the multiply-add peak: the softmax leaves 83 (D 32) and 91 (D 64)"
TRANSPOSED = "needs 5 % more than the products: its way into the lanes alone takes 6.3 % of their ports"
NARROW = "needs 6.8 ms: products at 91 % of the multiply-add peak and softmax take 5.9, rows and masks 1.6"
CAUSAL_SHARE = Share("fma_f32", 0.75)


def causal(shape: Shape) -> Shape:
    return replace(shape, causal=True)


def typed(shape: Shape, dtype: str) -> Shape:
    return replace(shape, dtype=dtype)


def decode(n_q_heads: int, n_kv_heads: int, kv_len: int, batch: int = 1) -> Shape:
    return Shape(batch, n_q_heads, n_kv_heads, 1, kv_len, 128)


def _prefill() -> Iterator[Target]:
    # AVX2 at D 64 was to have 82 %: its softmax takes 19 operations per 8 logits
    for shape, f32, bf16, avx2 in [(L4096, 1.35, 1.8, 0.76), (L2048, 1.2, 1.75, 0.82)]:
        yield Target("prefill", shape, f32, Share("fma_f32", 0.80, avx2), dropped=NEAR_THE_PEAK)
        yield Target("prefill", typed(shape, BF16), bf16)
        yield Target("prefill", shape, 2.4, precision="high", dropped=BEYOND_THE_PEAK)
    for shape, f32, bf16, dropped in [
        (L4096, 1.6, 2.2, NEAR_THE_PEAK),
        (L2048, 1.6, 2.2, NEAR_THE_PEAK),
        (L1024, 1.7, 2.5, ""),
    ]:
        yield Target("prefill", causal(shape), f32, CAUSAL_SHARE, dropped=dropped)
        yield Target("prefill", causal(typed(shape, BF16)), bf16)
    for shape in (L4096, L2048):  # in quiet stretches
        multiply_adds = Against(Target("multiply-adds", shape), 1.5)
        yield Target("prefill", shape, own=multiply_adds, f32_in_tiles=True)
    # of the tile products in registers, one thread: two threads share the limit on some machines
    for shape, share in [(L4096, 0.25), (L2048, 0.31)]:
        yield Target("prefill", typed(shape, BF16), share=Share("amx_bf16", share), threads=1)
    for shape in (typed(L1024, F16), GROUPED):
        yield Target("prefill", shape, 2.8, dropped=BEYOND_THE_PEAK)
    yield Target("one long head", LONG, 1.35, dropped=NEAR_THE_PEAK)
    yield Target("one long head", typed(LONG, BF16), 1.9)


def _options() -> Iterator[Target]:
    for dtype, of_bool, of_float, ratios, dropped, in_lanes in [
        (F32, 1.05, 1.05, (1.4, 1.4), NEAR_THE_PEAK, TRANSPOSED),
        (BF16, 1.08, 1.12, (1.75, 1.6), "", ""),
    ]:
        unmasked = Target("without a mask", typed(MASKED, dtype))
        masked = replace(unmasked, name="bool mask", peers=ratios[0], mask="bool", dropped=dropped)
        yield replace(masked, own=Against(unmasked, 1 / of_bool))
        biased = replace(masked, name="float mask", peers=ratios[1], mask="float")
        yield biased
        cost = Against(unmasked, 1 / of_float)
        yield replace(biased, name="float mask, its cost", peers=None, own=cost, dropped=in_lanes)
    for dtype, window, alibi, softcap, dropped in [(F32, 4.0, 4.0, 3.3, NARROW), (BF16, 5.2, 5.0, 5.0, "")]:
        shape = causal(typed(L4096, dtype))
        yield Target("window 256", shape, window, window=256, dropped=dropped)
        plain = Against(Target("plain causal", shape), 1.25)  # tiles whose weights are all 0 are left out
        yield Target("ALiBi", shape, alibi, own=plain, alibi=True)
        yield Target("softcap", shape, softcap, softcap=30.0)


def _decode() -> Iterator[Target]:
    for shape, f32 in [
        (DECODE, 1.2),
        (decode(32, 32, 4096), 1.3),
        (decode(8, 1, 32768), 1.6),
        (decode(32, 8, 1024, batch=16), 1.35),
    ]:
        yield Target("decode", shape, f32)
        yield Target("decode", typed(shape, BF16), 1.6)
    for dtype, ratio, dropped in [(F32, 1.8, NEAR_THE_PEAK), (BF16, 2.0, "")]:
        yield Target("few rows", Shape(1, 32, 8, 8, 4096, 128, dtype=dtype), ratio, dropped=dropped)


def _bandwidth() -> Iterator[Target]:
    """8 heads of keys: with 32768 of them 134 MB in bfloat16, more than caches hold."""
    for group_size, shares in [(1, (0.95, 0.95)), (4, (0.90, 0.75)), (8, (0.75, 0.62))]:
        for dtype, share in zip((F32, BF16), shares, strict=True):
            shape = typed(decode(8 * group_size, 8, 32768), dtype)
            dropped = OPERATIONS.format(29, 29) if (group_size, dtype) == (8, BF16) else ""
            yield Target("bandwidth", shape, share=Share(READ, share), dropped=dropped)
    shape = typed(decode(8, 8, 32768), BF16)
    plain = Against(Target("bfloat16 K/V", shape), 1.7)
    int8 = Target("quantized", shape, own=plain, kv_dtype="int8", dropped=CONVERSIONS)
    yield int8
    yield replace(int8, kv_dtype="float8_e4m3fn")
    yield replace(int8, name="bandwidth", own=None, share=Share(READ, 0.95), dropped=OPERATIONS.format(9, 11))


def _small() -> Iterator[Target]:
    for dtype, ratio, dropped in [(F32, 1.5, SHORT), (BF16, 2.0, "")]:
        yield Target("short", square(8, 12, 128, 64, dtype=dtype), ratio, dropped=dropped)
        yield Target("short", square(1, 12, 128, 32, dtype=dtype), ratio, dropped=dropped)
    yield Target("a call", TINY, 5.0, rival="torch")
    yield Target("a Mode with out=", TINY, 5.0, rival="torch", prepared=True)


def _modes() -> Iterator[Target]:
    for shape in (square(4, 1, 256, 64), square(1, 1, 1024, 64)):
        yield Target("additive", shape, 22.0, Share(TANH, 1.3), score="additive")
    for dtype, ratio, dropped in [(F32, 2.2, ""), (BF16, 3.0, NEAR_THE_PEAK)]:
        shape = typed(MASKED, dtype)
        softmax = Against(Target("softmax", shape), 0.95)
        yield Target("sigmoid", shape, ratio, own=softmax, activation="sigmoid", dropped=dropped)
        yield Target("relu", shape, ratio, activation="relu", dropped=dropped)


TARGETS = (*_prefill(), *_options(), *_decode(), *_bandwidth(), *_small(), *_modes())
