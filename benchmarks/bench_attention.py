"""Attention on the shapes of the history; naive NumPy on the same ones gives the scale of the machine."""

import numpy as np
import pytest

import foveate
from benchmarks import exactness, rivals, shapes
from benchmarks.figures import attended_work

OPTIONS = ["mask", "bias", "kv_lengths", "window", "softcap", "alibi_slopes", "sinks", "return_lse"]


def error_of(shape, arrays):
    """The check of `run`."""
    return lambda made: exactness.attention_error(made, arrays, {"causal": shape.causal})


@pytest.mark.parametrize("shape", shapes.HISTORY, ids=str)
def bench_foveate(run, shape):
    arrays = shape.arrays()
    run(rivals.foveate_call(shape, arrays), shape, error_of(shape, arrays))


@pytest.mark.parametrize("shape", shapes.HISTORY, ids=str)
def bench_numpy(run, shape):
    arrays = shape.arrays()
    run(rivals.numpy_call(shape, arrays), shape, error_of(shape, arrays))


@pytest.mark.parametrize("option", OPTIONS)
def bench_option(run, option):
    """One option at a time on one shape: what it costs."""
    shape = shapes.square(2, 8, 512, 64)
    arrays = shape.arrays()
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
    options = {option: given[option]}
    checked = {} if option == "return_lse" else options
    run(
        lambda: foveate.attention(*arrays, **options),
        attended_work(shape, options),
        lambda made: exactness.attention_error(made, arrays, checked),
    )
