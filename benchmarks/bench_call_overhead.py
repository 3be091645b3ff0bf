"""What a call costs before any arithmetic: the smallest attention there is."""

import pytest

import foveate
from benchmarks import exactness, rivals, shapes


@pytest.mark.parametrize("n_axes", [2, 4])
@pytest.mark.parametrize("form", ["function", "mode", "mode_out"])
def bench_tiny(run, form, n_axes):
    arrays = tuple(array.reshape(array.shape[4 - n_axes :]) for array in shapes.TINY.arrays())
    query, key, value = arrays
    mode = foveate.Mode()
    output = foveate.attention(query, key, value)
    calls = {
        "function": lambda: foveate.attention(query, key, value),
        "mode": lambda: mode(query, key, value),
        "mode_out": lambda: mode(query, key, value, out=output),
    }
    run(calls[form], shapes.TINY, lambda made: exactness.attention_error(made, arrays, {}))


def bench_tiny_numpy(run):
    arrays = shapes.TINY.arrays()
    run(
        rivals.numpy_call(shapes.TINY, arrays),
        shapes.TINY,
        lambda made: exactness.attention_error(made, arrays, {}),
    )


def bench_mode_creation(run):
    """Computes nothing, so that it has neither a rate nor an error."""
    run(lambda: foveate.Mode(causal=True, softcap=30.0, window=(128, 0)))
