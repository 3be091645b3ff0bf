"""The 12 workloads of `python -m benchmarks.compare`: 2 us to 0.4 ms a call on one thread.

Short calls make short bursts, and those cancel the noise best; longer calls would only repeat the same tiles.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import foveate
from benchmarks import exactness, shapes
from benchmarks.figures import attended_work
from benchmarks.shapes import Shape, square

NONE: Mapping[str, Any] = MappingProxyType({})
WORKLOADS: dict[str, tuple[Shape, Mapping[str, Any]]] = {
    "tiny call": (shapes.TINY, NONE),
    "softmax D64": (square(1, 2, 256, 64), NONE),
    "softmax D128": (square(1, 1, 256, 128), NONE),
    "softmax many heads": (square(1, 12, 64, 64), NONE),
    "softmax f64": (square(1, 1, 256, 64, dtype="float64"), NONE),
    "causal": (square(1, 2, 256, 64), {"causal": True}),
    "grouped": (Shape(1, 8, 2, 64, 256, 64), NONE),
    "decode": (Shape(1, 8, 2, 1, 1024, 64), NONE),
    "window": (square(1, 1, 512, 64), {"window": (64, 0)}),
    "softcap": (square(1, 1, 256, 64), {"softcap": 30.0}),
    "mask": (square(1, 2, 256, 64), {"mask": np.random.default_rng(1).random((256, 256)) < 0.9}),
    "sigmoid": (square(1, 2, 256, 64), {"activation": "sigmoid"}),
}


@pytest.mark.parametrize("name", WORKLOADS)
def bench_workload(run, name):
    shape, options = WORKLOADS[name]
    arrays = shape.arrays()
    run(
        lambda: foveate.attention(*arrays, **options),
        attended_work(shape, options),
        lambda made: exactness.attention_error(made, arrays, options),
    )
