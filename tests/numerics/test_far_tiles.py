"""Tiles that ALiBi takes so far away that all their weights are 0 are left out, and nothing else changes."""

import numpy as np
import pytest

import foveate
from foveate import _core
from support.cases import DTYPES
from support.numerics import assert_same_bits, everything, within_bounds

STEEP = np.array([1.0, 0.5])
LENGTH = 600


@pytest.fixture
def tiles():
    """Runs a call: what `everything` returns, and how many tiles of logits it computed."""

    def run(*arrays, **options):
        result = everything(*arrays, **options)
        return result, _core._count_tiles(True)["tiles_computed"]

    _core._count_tiles(True)
    yield run
    _core._count_tiles(False)


def problem(dtype="f32", q_len=LENGTH, kv_len=LENGTH, heads=(2, 2), seed=0):
    rng = np.random.default_rng([seed, q_len, kv_len])
    sizes = (heads[0], q_len, 32), (heads[1], kv_len, 32), (heads[1], kv_len, 16)
    return tuple(rng.standard_normal(size).astype(DTYPES[dtype]) for size in sizes)


def kept(key):
    """A mask of every 16th key, and keys whose masked ones are infinite: no tile can be known to be far."""
    mask = np.ones(key.shape[-2], bool)
    mask[::16] = False
    endless = key.copy()
    endless[..., ::16, :] = np.inf
    return mask, endless


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options", [{"causal": True}, {}, {"window": (200, 30)}, {"causal": True, "scale": -0.4}]
)
@pytest.mark.parametrize("slopes", [STEEP, -STEEP])
def test_fewer_tiles_and_the_same_bits(isa, tiles, dtype, options, slopes):
    q, k, v = problem(dtype)
    if dtype == "f64":
        slopes = 8 * slopes  # exponentials down to 2^-1022
    mask, endless = kept(k)
    skipped, fewer = tiles(q, k, v, mask=mask, alibi_slopes=slopes, **options)
    computed, all_of_them = tiles(q, endless, v, mask=mask, alibi_slopes=slopes, **options)
    assert_same_bits(skipped, computed)
    if "window" in options or (slopes[0] < 0 and "causal" in options):
        assert fewer <= all_of_them
    else:
        assert fewer < 0.9 * all_of_them


@pytest.mark.parametrize("dtype", ["f32", "f64", "bf16"])
@pytest.mark.parametrize("heads", [(2, 2), (4, 2), (2, 1)])
def test_within_the_bounds(isa, dtype, heads):
    arrays = problem(dtype, heads=heads)
    slopes = np.array([1.0, 0.05, 0.3, 0.0])[: heads[0]]
    within_bounds(*arrays, causal=True, alibi_slopes=slopes)
    within_bounds(*arrays, alibi_slopes=slopes, sinks=np.linspace(-3.0, 3.0, heads[0]), activation="softmax")
    within_bounds(*arrays, causal=True, alibi_slopes=slopes, activation="softmax1", kv_lengths=np.array(333))


def test_a_head_of_the_group_that_sees_far_keeps_the_tiles(isa, tiles):
    q, k, v = problem(heads=(2, 1))
    _, near = tiles(q, k, v, causal=True, alibi_slopes=[1.0, 1.0])
    _, far = tiles(q, k, v, causal=True, alibi_slopes=[1.0, 0.0])
    _, plain = tiles(q, k, v, causal=True)
    assert near < 0.8 * far
    assert far == plain


def test_long_queries_and_keys_reach_farther(isa, tiles):
    q, k, v = problem()
    _, near = tiles(q, k, v, causal=True, alibi_slopes=STEEP)
    _, longer = tiles(30 * q, k, v, causal=True, alibi_slopes=STEEP)
    k[:, 5] *= 1000
    _, outlier = tiles(q, k, v, causal=True, alibi_slopes=STEEP)
    assert near < outlier < longer


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_left_out(isa, tiles, bad):
    """0 times an attended infinity is NaN, however far away."""
    q, k, v = problem()
    v[:, 3, 2] = bad
    found, _ = tiles(q, k, v, causal=True, alibi_slopes=STEEP)
    assert np.all(np.isnan(found["output"][:, 500:, 2]))
    others = np.arange(16) != 2
    assert np.all(np.isfinite(found["output"][:, 500:, others]))
    q, k, v = problem()
    k[:, 3, 2] = np.nan
    found, _ = tiles(q, k, v, causal=True, alibi_slopes=STEEP)
    assert np.all(np.isnan(found["output"][:, 3:]))


@pytest.mark.parametrize(
    "options", [{"bias": np.zeros((LENGTH, LENGTH))}, {"softcap": 5.0}, {"score": "cosine"}]
)
def test_what_is_not_bounded_keeps_all_tiles(isa, tiles, options):
    arrays = problem("f64")
    _, found = tiles(*arrays, causal=True, alibi_slopes=STEEP, **options)
    _, plain = tiles(*arrays, causal=True, **options)
    assert found == plain


def test_threads_and_batch(isa):
    q, k, v = problem()
    expected = everything(q, k, v, causal=True, alibi_slopes=STEEP, num_threads=1)
    for threads in (2, 3):
        assert_same_bits(everything(q, k, v, causal=True, alibi_slopes=STEEP, num_threads=threads), expected)
    for head in range(2):
        alone = everything(
            *(a[head : head + 1] for a in (q, k, v)), causal=True, alibi_slopes=STEEP[head : head + 1]
        )
        assert_same_bits(alone, {name: array[head : head + 1] for name, array in expected.items()})


def test_key_stats_count_what_was_left_out(isa):
    arrays = problem()
    result = foveate.attention(*arrays, causal=True, alibi_slopes=STEEP, key_stats="sum")
    np.testing.assert_allclose(result.key_stats.sum(-1), LENGTH, rtol=1e-4)
