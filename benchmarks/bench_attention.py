"""Attention on the shapes of the history; naive NumPy on the same ones gives the scale of the machine."""

import numpy as np
import pytest

import foveate
from benchmarks import rivals, shapes
from benchmarks.timing import check_agreement

OPTIONS = ["mask", "bias", "kv_lengths", "window", "softcap", "alibi_slopes", "sinks", "return_lse"]


@pytest.mark.parametrize("shape", shapes.HISTORY, ids=str)
def bench_foveate(run, shape):
    arrays = shape.arrays()
    call = rivals.foveate_call(shape, arrays)
    check_agreement({"numpy": rivals.numpy_call(shape, arrays), "foveate": call}, shape.dtype)
    run(call, shape)


@pytest.mark.parametrize("shape", shapes.HISTORY, ids=str)
def bench_numpy(run, shape):
    run(rivals.numpy_call(shape, shape.arrays()), shape)


@pytest.mark.parametrize("option", OPTIONS)
def bench_option(run, option):
    """One option at a time on one shape: what it costs."""
    shape = shapes.square(2, 8, 512, 64)
    query, key, value = shape.arrays()
    rng = np.random.default_rng(1)
    given = {
        "mask": rng.random((2, 8, 512, 512)) < 0.9,
        "bias": rng.standard_normal((2, 8, 512, 512), np.float32),
        "kv_lengths": np.array([512, 300]),
        "window": (64, 0),
        "softcap": 30.0,
        "alibi_slopes": 2.0 ** -np.arange(1, 9),
        "sinks": np.zeros(8),
        "return_lse": True,
    }
    run(lambda: foveate.attention(query, key, value, **{option: given[option]}), shape)
