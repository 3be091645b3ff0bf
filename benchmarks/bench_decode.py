"""One new query against a cache of keys: what generating a token costs, against the length of the cache."""

import pytest

from benchmarks import exactness, rivals
from benchmarks.shapes import Shape

SHAPES = [
    *(Shape(1, 32, 8, 1, kv_len, 128) for kv_len in (128, 1024, 4096, 16384)),
    Shape(1, 8, 8, 1, 4096, 64),
    Shape(8, 32, 8, 1, 1024, 128),
    Shape(1, 32, 8, 4, 4096, 128),  # a few rows at once, as in speculative decoding
    Shape(1, 32, 8, 1, 4096, 128, dtype="float64"),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def bench_token(run, shape):
    arrays = shape.arrays()
    run(
        rivals.foveate_call(shape, arrays),
        shape,
        lambda made: exactness.attention_error(made, arrays, {}),
    )
