"""Time and extra memory of one long head; `peak_bytes` stands in the saved history and is compared."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import exactness, rivals, shapes

MEASURE = Path(__file__).with_name("peak_memory.py")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("length", [2048, 8192])
def bench_long_head(run, benchmark, length):
    shape = shapes.square(1, 1, length, 64)
    if getattr(benchmark, "first_round", True):
        command = [sys.executable, str(MEASURE), "--length", str(length)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        benchmark.extra_info["peak_bytes"] = int(done.stdout)
    arrays = shape.arrays()
    run(
        rivals.foveate_call(shape, arrays),
        shape,
        lambda made: exactness.attention_error(made, arrays, {}),
    )
