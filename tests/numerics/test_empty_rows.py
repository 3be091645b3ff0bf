"""Rows that attend no key, by whatever means: output exactly 0, weights 0, lse -inf or the sink."""

import itertools

import numpy as np
import pytest

from foveate import reference
from foveate.error_bound import bounds, worst_ratio
from support.cases import DTYPES
from support.numerics import ACTIVATIONS, everything

SINK_RTOL = 3 * 2.0**-24  # times log2(e), times ln(2), stored as f32: a rounding each

MEANS = {
    "mask": {"mask": np.zeros((1, 1), bool)},
    "bias": {"bias": np.full((1, 1), -np.inf, np.float32)},
    "bias f64": {"bias": np.array(-np.inf)},
    "kv_lengths": {"kv_lengths": 0},
    "causal": {"causal": True, "q_offset": -100},
    "window before the keys": {"window": (5, 5), "q_offset": -100},
    "window behind the keys": {"window": (5, 5), "q_offset": 10_000},
}


def problem(dtype, n_q_heads, n_kv_heads, q_len, kv_len, batch=()):
    rng = np.random.default_rng(kv_len)
    sizes = (n_q_heads, q_len, 5), (n_kv_heads, kv_len, 5), (n_kv_heads, kv_len, 6)
    return tuple(rng.standard_normal((*batch, *size)).astype(DTYPES[dtype]) for size in sizes)


def check_rows(arrays, options, empty, sinks=None):
    """Empty rows exactly, the others within their bound; ``empty`` has the shape of lse."""
    expected = everything(*arrays, **options, module=reference)
    bound = bounds(*arrays, **options)._asdict()
    actual = everything(*arrays, **options)
    for name, array in actual.items():
        assert worst_ratio(array, expected[name], bound[name]) <= 1.0, name
    empty = np.broadcast_to(empty, actual["output"].shape[:-1])
    assert (actual["output"][empty] == 0.0).all()
    assert (actual["weights"][empty] == 0.0).all()
    if "lse" in actual:
        nothing = np.broadcast_to(-np.inf if sinks is None else sinks[:, None], actual["lse"].shape)
        np.testing.assert_allclose(actual["lse"][empty], nothing[empty], rtol=SINK_RTOL)
        assert (np.isneginf(actual["lse"]) == (empty if sinks is None else False)).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("means", ["mask", "bias"])
@pytest.mark.parametrize("q_len", [1, 9])
@pytest.mark.parametrize("kv_len", range(1, 9))
def test_every_mask(isa, kv_len, q_len, means, activation):
    """All 2**Lk masks in the batch; row i of element b has mask b + i: blocks mix empty rows with others."""
    masks = np.array([*itertools.product([False, True], repeat=kv_len)])
    mask = masks[(np.arange(len(masks))[:, None] + np.arange(q_len)) % len(masks)][:, None]
    arrays = problem("f32", 1, 1, q_len, kv_len, batch=(len(masks),))
    for sinks in (None, np.array([0.75])):
        if sinks is not None and activation != "softmax":
            continue
        options = {"mask": mask} if means == "mask" else {"bias": np.where(mask, 0.5, -np.inf)}
        options["activation"] = activation
        if sinks is not None:
            options["sinks"] = sinks
        check_rows(arrays, options, ~mask.any(axis=-1), sinks)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_len", [1, 8, 60])
@pytest.mark.parametrize("kv_len", [0, 1, 17, 300, 600])
def test_every_row_is_empty(isa, kv_len, q_len, dtype, activation):
    """Each means alone, and each two together."""
    arrays = problem(dtype, 2, 1, q_len, kv_len)
    pairs = [{**MEANS[a], **MEANS[b]} for a, b in itertools.combinations_with_replacement(MEANS, 2)]
    for options in [{}, *pairs] if kv_len == 0 else pairs:
        for sinks in (None, np.array([-3.5, 2.25])):
            if sinks is not None and activation != "softmax":
                continue
            extra = {} if sinks is None else {"sinks": sinks}
            actual = everything(*arrays, **options, **extra, activation=activation)
            assert actual["output"].shape == (2, q_len, 6)
            assert (actual["output"] == 0.0).all()
            assert (actual["weights"] == 0.0).all()
            if sinks is not None:
                np.testing.assert_allclose(actual["lse"], np.repeat(sinks[:, None], q_len, 1), rtol=SINK_RTOL)
            elif activation == "softmax":
                assert np.isneginf(actual["lse"]).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("q_len", "kv_len"), [(8, 3), (9, 1), (70, 33), (260, 257), (3, 2)])
def test_causal_bottom_right_with_more_queries_than_keys(isa, q_len, kv_len, dtype, activation):
    arrays = problem(dtype, 4, 2, q_len, kv_len)
    empty = np.arange(q_len) < q_len - kv_len
    check_rows(arrays, {"causal": "bottom_right", "activation": activation}, empty)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("q_len", [5, 40])
def test_some_rows_empty_by_window_and_lengths(isa, q_len, activation):
    """Row i looks at keys i + 4 ... i + 6 of kv_length 7: rows from 3 on see nothing."""
    arrays = problem("f32", 2, 2, q_len, 40, batch=(2,))
    options = {"window": (0, 2), "q_offset": 4, "kv_lengths": np.array([7, 0]), "activation": activation}
    empty = (np.arange(q_len) >= 3) | np.array([False, True])[:, None, None]
    check_rows(arrays, options, empty)


@pytest.mark.parametrize("sink", [-np.inf, -1e30, -80.0, 0.0, 1e30])
@pytest.mark.parametrize("q_len", [1, 9])
def test_the_sink_is_the_lse_of_an_empty_row(isa, q_len, sink):
    arrays = problem("f32", 1, 1, q_len, 4)
    actual = everything(*arrays, mask=np.zeros(4, bool), sinks=np.array([sink]))
    assert (actual["output"] == 0.0).all()
    np.testing.assert_allclose(actual["lse"], np.full((1, q_len), sink), rtol=SINK_RTOL, atol=0.0)
