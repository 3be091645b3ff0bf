"""Score additive across the guards where its kernel changes path: no jump, and each key keeps to itself.

The kernel takes e^(2q) e^(2k) and lets eight terms share a reciprocal while the reaches of query block and
key add up to at most 34.5 (f64: 314), gives each its own while |q| and |k| are at most 21.5 (175), and calls
tanh beyond. A reach is the largest sum of positive elements over eight neighbours.
"""

import numpy as np
import pytest

import foveate
from foveate import Additive, reference
from foveate.error_bound import bounds, worst_ratio
from support.cases import DTYPES
from support.numerics import Q_LENS, assert_same_bits, bits, everything, is_nan

SHARED = {"f32": 34.5, "f64": 314.0}  # of both reaches
CODED = {"f32": 21.5, "f64": 175.0}  # of |q| and of |k|
DIMS = [1, 4, 19, 67]  # without and with a rest after groups of four terms, of elements and of vectors
N_KEYS = 256


def learnt(dim, signs, dtype):
    """v of size 1 or so; alternating signs cancel in the sum, where errors show."""
    v = np.random.default_rng(dim).uniform(0.5, 1.5, dim)
    if signs == "mixed":
        v *= np.where(np.arange(dim) % 2, -1.0, 1.0)
    return Additive(v.astype(DTYPES[dtype]))


def reach(rows):
    """Of every row."""
    positive = np.maximum(rows, 0.0)
    return np.add.reduceat(positive, np.arange(0, rows.shape[-1], 8), axis=-1).max(axis=-1)


def sweep(dtype, q_len, dim, guard, side):
    """Keys whose reach, or largest element, moves evenly across the guard.

    With opposite signs (half of the columns, at the guard of the sharing) q + k lies near 0, where tanh
    bends, while the factors of e^(2q) e^(2k) are at their largest; with the same sign tanh saturates.
    """
    numbers = np.random.default_rng([q_len, dim])
    if guard == "shared":
        query, key = (1.0 - 0.1 * numbers.random((n, dim)) for n in (q_len, N_KEYS))
        if side == "cancel":
            key[:, 1::2] *= -1.0
        middle = SHARED[dtype] / 2
        query *= middle / reach(query).max()
        key *= (np.linspace(0.93 * middle, 1.07 * middle, N_KEYS) / reach(key))[:, None]
        return query.astype(DTYPES[dtype]), key.astype(DTYPES[dtype])
    middle = CODED[dtype]
    q_size, k_sizes = 0.99 * middle, np.linspace(0.95 * middle, 1.05 * middle, N_KEYS)
    query = q_size - numbers.uniform(0.0, 2.0, (q_len, dim))
    query[:, 0] = q_size
    key = np.minimum(k_sizes[:, None], q_size + 2.0) - numbers.uniform(0.0, 2.0, (N_KEYS, dim))
    key[:, 0] = k_sizes
    key *= -1.0 if side == "cancel" else 1.0
    return query.astype(DTYPES[dtype]), key.astype(DTYPES[dtype])


def paths(query, key, dtype):
    """How many keys are on each path: shared, single, tanh."""
    coded = (np.abs(key).max(axis=-1) <= CODED[dtype]) & (np.abs(query).max() <= CODED[dtype])
    shared = coded & (reach(query).max() + reach(key) <= SHARED[dtype])
    return int(shared.sum()), int((coded & ~shared).sum()), int((~coded).sum())


@pytest.mark.parametrize("signs", ["equal", "mixed"])
@pytest.mark.parametrize("side", ["cancel", "saturate"])
@pytest.mark.parametrize("guard", ["shared", "coded"])
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("dtype", SHARED)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_no_jump(isa, q_len, dtype, dim, guard, side, signs):
    """One bound, which knows no path, holds on both sides of the guard, and it is tight enough to see one."""
    query, key = sweep(dtype, q_len, dim, guard, side)
    used = paths(query, key, dtype)
    below = used[0] if guard == "shared" else used[0] + used[1]
    assert N_KEYS // 4 < below < N_KEYS * 3 // 4, used
    score = learnt(dim, signs, dtype)
    exact = reference.scores(query, key, score=score)
    bound = bounds(query, key, key[:, :1], score=score, activation="identity").weights
    actual = foveate.scores(query, key, score=score)
    assert worst_ratio(actual, exact, bound) <= 1.0
    u, whole = (2.0 ** {"f32": -24, "f64": -53}[dtype]), np.abs(score.v.astype(np.float64)).sum()
    assert bound.max() < 1.1 * bound.min()  # no path may be worse; what varies is the rounding of the logit
    assert (
        bound.max() < (100 + 8 * dim) * u * whole
    )  # a term 44 u, or 46 u and the oracle's as much; 2 u a sum


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_every_size_in_one_call(isa, q_len, dtype):
    """Sizes from 0 to the largest of f16, in any order: every path beside every other, within its bound."""
    numbers = np.random.default_rng(q_len)
    sizes = numbers.permutation(np.concatenate([np.geomspace(1e-6, 6e4, 150), np.linspace(0.0, 30.0, 150)]))
    key = (sizes[:, None] * numbers.uniform(-1.0, 1.0, (300, 21))).astype(DTYPES[dtype])
    for spread in (0.1, 5.0, 15.0, 1e4):
        query = (spread * numbers.uniform(-1.0, 1.0, (q_len, 21))).astype(DTYPES[dtype])
        exact = reference.scores(query, key, score="additive")
        bound = bounds(query, key, key[:, :1], score="additive", activation="identity").weights
        assert worst_ratio(foveate.scores(query, key, score="additive"), exact, bound) <= 1.0


@pytest.mark.parametrize(
    ("dtype", "sizes"), [("f32", [2.0**16, 2.0**17, 1e12, 1e30]), ("f64", [2.0**100, 2.0**101, 1e80])]
)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_large_v(isa, q_len, dtype, sizes):
    """Eight terms over one denominator multiply v by seven of it: v beyond 2^16 (2^100) must not overflow."""
    query = np.full((q_len, 67), SHARED[dtype] * 0.4999 / 8, DTYPES[dtype])
    for size in sizes:
        score = Additive(np.full(67, size, DTYPES[dtype]))
        for key in (query[:1], -query[:1]):
            exact = reference.scores(query, key, score=score)
            bound = bounds(query, key, key, score=score, activation="identity").weights
            assert np.isfinite(bound).all()
            assert worst_ratio(foveate.scores(query, key, score=score), exact, bound) <= 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e4])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_a_bad_key_leaves_the_others_alone(isa, q_len, dtype, bad):
    """Keys are computed some at a time: which are, must not show. tanh of an infinity is 1, of NaN NaN."""
    numbers = np.random.default_rng(q_len)
    query = numbers.standard_normal((q_len, 18)).astype(DTYPES[dtype])
    key = numbers.standard_normal((41, 18)).astype(DTYPES[dtype])
    clean = foveate.scores(query, key, score="additive")
    for place in (0, 1, 2, 3, 17, 40):
        spoilt = key.copy()
        spoilt[place, 5] = bad
        logits = foveate.scores(query, spoilt, score="additive")
        others = np.arange(41) != place
        assert (bits(logits[:, others]) == bits(clean[:, others])).all()
        assert is_nan(logits[:, place]).all() == np.isnan(bad)
        if not np.isnan(bad):
            exact = reference.scores(query, spoilt, score="additive")
            huge = np.nan_to_num(spoilt.astype(np.float64), posinf=1e4, neginf=-1e4).astype(key.dtype)
            bound = bounds(query, huge, key, score="additive", activation="identity").weights
            assert worst_ratio(logits, exact, bound) <= 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("q_len", Q_LENS)
def test_a_bad_query_is_bad_alone(isa, q_len, bad):
    """Other rows of its block may change path, not more: they stay within their bounds."""
    numbers = np.random.default_rng(q_len)
    query = numbers.standard_normal((q_len + 1, 18)).astype(np.float32)
    key = numbers.standard_normal((23, 18)).astype(np.float32)
    bound = bounds(query, key, key, score="additive", activation="identity").weights
    query[0, 7] = bad
    logits = foveate.scores(query, key, score="additive")
    assert is_nan(logits[0]).all() == np.isnan(bad)
    assert worst_ratio(logits[1:], reference.scores(query[1:], key, score="additive"), bound[1:]) <= 1.0


@pytest.mark.parametrize("activation", ["softmax", "tanh", "entmax15"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", Q_LENS)
def test_masked_garbage_does_not_change_bits(isa, q_len, dtype, activation):
    """Whatever stands in keys that nobody attends: sizes of another path, NaN, infinities."""
    numbers = np.random.default_rng(q_len)
    query = numbers.standard_normal((q_len, 18)).astype(DTYPES[dtype])
    key, value = numbers.standard_normal((2, 90, 18)).astype(DTYPES[dtype])
    mask = numbers.random(90) < 0.6
    options = {"score": "additive", "activation": activation, "mask": mask, "kv_lengths": 80}
    expected = everything(query, key, value, **options)
    hidden = ~mask | (np.arange(90) >= 80)
    for garbage in (0.0, 50.0, 6e4, np.nan, np.inf):
        spoilt_key, spoilt_value = key.copy(), value.copy()
        spoilt_key[hidden] = garbage
        spoilt_value[hidden] = garbage
        assert_same_bits(everything(query, spoilt_key, spoilt_value, **options), expected)
