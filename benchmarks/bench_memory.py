"""Time and extra memory of one long head; the bytes stand in the saved history as extra_info."""

import pytest

from benchmarks import memory, rivals, shapes


@pytest.mark.parametrize("length", [2048, 8192])
def bench_long_head(run, benchmark, length):
    shape = shapes.square(1, 1, length, 64)
    benchmark.extra_info["extra_bytes"] = memory.extra_bytes(length, 64, causal=False)
    run(rivals.foveate_call(shape, shape.arrays()), shape)
