"""What no query attends is not computed, and the logits of a long call never exist in memory."""

import numpy as np
import pytest

import foveate
from foveate import _core
from support.numerics import run_python


@pytest.fixture
def tiles():
    """A call of attention -> how many tiles of logits it computed."""

    def count(*arrays, **options):
        foveate.attention(*arrays, **options)
        counts = _core._count_tiles(True)
        return counts["tiles_computed"]

    _core._count_tiles(True)
    yield count
    _core._count_tiles(False)


def problem(q_len=1536, kv_len=1536, heads=2, dim=8):
    rng = np.random.default_rng(0)
    shapes = ((heads, length, dim) for length in (q_len, kv_len, kv_len))
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_causal_computes_half(isa, tiles, dtype):
    arrays = [array.astype(dtype) for array in problem()]
    all_of_them = tiles(*arrays)
    assert all_of_them >= 2 * 1536 * 1536 / (48 * 64)
    assert 0.49 < tiles(*arrays, causal=True) / all_of_them < 0.55


def test_window_computes_the_band(isa, tiles):
    """48 queries and 200 positions to their sides: at most 5 of 24 tiles of 64 keys."""
    arrays = problem()
    share = tiles(*arrays, window=(100, 100)) / tiles(*arrays)
    assert 201 / 1536 * 0.9 < share < 6 / 24


def test_lengths_compute_the_live_part(isa, tiles):
    arrays = [np.stack([array] * 4) for array in problem(heads=1)]
    all_of_them = tiles(*arrays)
    assert tiles(*arrays, kv_lengths=384) == all_of_them / 4
    assert tiles(*arrays, kv_lengths=np.array([1536, 768, 0, 0])) == all_of_them * 1.5 / 4
    assert tiles(*arrays, kv_lengths=0) == 0


@pytest.mark.parametrize("q_len", [1, 8])
def test_decode_skips_too(isa, tiles, q_len):
    arrays = problem(q_len=q_len, kv_len=4096, heads=1)
    all_of_them = tiles(*arrays)
    assert all_of_them == 4096 / 256
    assert tiles(*arrays, kv_lengths=1024) == all_of_them / 4
    assert tiles(*arrays, window=(255, 0), q_offset=4095) <= 2 * (q_len > 1) + 1
    assert tiles(*arrays, mask=np.arange(4096) // 256 == 3) == 1


def test_block_sparse_mask_computes_its_live_tiles(isa, tiles):
    """Blocks of 192 queries (4 x 48, 8 x 24, 16 x 12 or 32 x 6 lanes) by 64 keys are whole tiles."""
    arrays = problem(heads=1)
    blocks = np.random.default_rng(4).random((1536 // 192, 1536 // 64)) < 0.25
    mask = np.kron(blocks, np.ones((192, 64), bool)).astype(bool)
    assert tiles(*arrays, mask=mask) == tiles(*arrays) * blocks.mean()
    assert tiles(*arrays, mask=np.zeros((1536, 1536), bool)) == 0
    # one bit makes one tile live again
    one = np.zeros((1536, 1536), bool)
    one[700, 900] = True
    assert tiles(*arrays, mask=one) == 1


def test_all_conditions_together(isa, tiles):
    """Block-sparse and causal and a length: no more tiles than under any of them alone."""
    arrays = problem(heads=1)
    blocks = np.random.default_rng(5).random((8, 24)) < 0.5
    mask = np.kron(blocks, np.ones((192, 64), bool)).astype(bool)
    options = {"mask": mask, "causal": True, "kv_lengths": 700}
    together = tiles(*arrays, **options)
    assert 0 < together <= min(tiles(*arrays, **{name: option}) for name, option in options.items())


MEMORY = """
import resource, sys
import numpy as np
import foveate
length = int(sys.argv[1])
arrays = [np.ones((length, 4), np.float32) for _ in range(3)]
out = np.ones((length, 4), np.float32)
foveate.attention(*[array[:64] for array in arrays], num_threads=2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
window = (None, 0) if length < 20000 else (256, 0)
foveate.attention(*arrays, out=out, window=window, num_threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("length", [16384, 65536])
def test_memory_does_not_grow_with_the_logits(length):
    """KiB that a call adds to the peak: the logits would take 1 and 16 GiB; a thread's scratch is 20 KiB."""
    child = run_python("-c", MEMORY, str(length))
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 1024
