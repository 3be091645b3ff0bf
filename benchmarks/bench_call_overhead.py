"""What a call costs before any arithmetic: the smallest attention there is."""

import pytest

import foveate
from benchmarks import rivals, shapes


@pytest.mark.parametrize("n_axes", [2, 4])
@pytest.mark.parametrize("form", ["function", "mode", "mode_out"])
def bench_tiny(run, form, n_axes):
    query, key, value = (array.reshape(array.shape[4 - n_axes :]) for array in shapes.TINY.arrays())
    mode = foveate.Mode()
    output = foveate.attention(query, key, value)
    calls = {
        "function": lambda: foveate.attention(query, key, value),
        "mode": lambda: mode(query, key, value),
        "mode_out": lambda: mode(query, key, value, out=output),
    }
    run(calls[form])


def bench_tiny_numpy(run):
    run(rivals.numpy_call(shapes.TINY, shapes.TINY.arrays()))


def bench_mode_creation(run):
    run(lambda: foveate.Mode(causal=True, softcap=30.0, window=(128, 0)))
