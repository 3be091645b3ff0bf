"""A mask that heads or batch elements share is packed once; each has the bits that its own copy gives."""

import numpy as np
import pytest

import foveate
from foveate import _core
from support.cases import DTYPES
from support.numerics import assert_same_bits, everything, within_bounds

BATCH, N_HEADS = 2, 4
SHARED = {"heads": (BATCH, 1), "batch": (1, N_HEADS), "both": (1, 1), "both, without axes": ()}
OPTIONS = {
    "dense": {},
    "causal": {"causal": "bottom_right"},
    "window, lengths": {
        "window": (90, 10),
        "kv_lengths": np.array([333, 150]),
        "q_offset": np.array([70, 0]),
    },
    "selected values": {"bias": np.array([0, -np.inf] * 180 + [0], np.float32)},
    "sparsemax": {"activation": "sparsemax"},
    "product": {"combine": "product"},
}


def arrays(q_len=150, kv_len=361, n_kv_heads=N_HEADS, dtype="f32", dim=8):
    rng = np.random.default_rng([q_len, kv_len])
    sizes = (N_HEADS, q_len), (n_kv_heads, kv_len), (n_kv_heads, kv_len)
    q, k, v = (rng.standard_normal((BATCH, *size, dim)).astype(DTYPES[dtype]) for size in sizes)
    v[..., 5, :] = np.inf
    return q, k, v


def mask_for(lead, q_len, kv_len):
    """Random, with a whole tile of 64 keys for all rows, one for none, and a row without any key."""
    mask = np.random.default_rng(1).random((*lead, q_len, kv_len)) < 0.7
    mask[..., 64:128] = True
    mask[..., 128:192] = False
    mask[..., 5] = False
    mask[..., q_len // 2, :] = False
    return mask


def copied(mask, q_len, kv_len):
    return np.broadcast_to(mask, (BATCH, N_HEADS, q_len, kv_len)).copy()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("lead", SHARED)
def test_same_bits_as_with_copies(isa, lead, options):
    q, k, v = arrays()
    mask = mask_for(SHARED[lead], 150, 361)
    options = OPTIONS[options]
    alone = everything(q, k, v, mask=copied(mask, 150, 361), **options, num_threads=1)
    for n in (1, 2, 3):
        assert_same_bits(everything(q, k, v, mask=mask, **options, num_threads=n), alone)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kv_len", [63, 64, 65, 127, 129, 257])
def test_types_and_lengths(isa, dtype, kv_len):
    q, k, v = arrays(kv_len=kv_len, dtype=dtype, dim=17)
    mask = np.random.default_rng(kv_len).random((150, kv_len)) < 0.5
    alone = everything(q, k, v, mask=copied(mask, 150, kv_len))
    assert_same_bits(everything(q, k, v, mask=mask), alone)
    within_bounds(q, k, v, mask=mask)


def test_groups(isa):
    q, k, v = arrays(n_kv_heads=2)
    mask = mask_for((), 150, 361)
    assert_same_bits(everything(q, k, v, mask=mask), everything(q, k, v, mask=copied(mask, 150, 361)))


def test_one_row_for_all_queries(isa):
    q, k, v = arrays()
    padding = np.arange(361) < np.array([[[[300]]], [[[64]]]])
    assert_same_bits(everything(q, k, v, mask=padding), everything(q, k, v, mask=copied(padding, 150, 361)))


@pytest.mark.parametrize("shape", [(4700, 4700), (50, 350_000)])
def test_more_than_is_kept(isa, shape):
    """Masks beyond 2 MiB of bits: the first query blocks are kept, or none."""
    q_len, kv_len = shape
    q, k, v = (a[:1, :2] for a in arrays(q_len, kv_len, dim=4))
    mask = np.random.default_rng(0).random(shape) < 0.5
    mask[:, 5] = False
    mine = np.broadcast_to(mask, (1, 2, *shape)).copy()
    shared = foveate.attention(q, k, v, mask=mask)
    assert_same_bits({"output": shared}, {"output": foveate.attention(q, k, v, mask=mine)})


def test_no_dead_tile_is_computed_for_any_head(isa):
    q, k, v = arrays()
    mask = mask_for((), 150, 361)
    _core._count_tiles(True)
    try:
        counts = []
        for m in (mask, copied(mask, 150, 361)):
            foveate.attention(q, k, v, mask=m)
            found = _core._count_tiles(True)
            counts.append((found["tiles_computed"], found["tiles_dead"]))
    finally:
        _core._count_tiles(False)
    assert counts[0] == counts[1]
    assert counts[0][1] > 0
