"""Every mode once, on a shape that keeps the history short, and naive NumPy for the scale of the machine."""

import pytest

import foveate
from benchmarks import exactness, peers, workloads


@pytest.mark.parametrize("workload", workloads.HISTORY, ids=str)
def bench_foveate_mode(run, workload):
    arrays, options = workload.shape.arrays(), dict(workload.options)
    run(
        lambda: foveate.attention(*arrays, **options),
        workload,
        lambda made: exactness.attention_error(made, arrays, options),
    )


@pytest.mark.parametrize("workload", workloads.HISTORY, ids=str)
def bench_numpy_mode(run, workload):
    arrays, options = workload.shape.arrays(), dict(workload.options)
    key_stats = "key_stats" in options
    *leading, q_len, _ = arrays[0].shape
    columns = (q_len, -1) if workload.combine != "product" else (q_len, arrays[1].shape[-2], -1)

    def error(made):
        output, stats = made if key_stats else (made, None)
        result = foveate.AttentionResult(output.reshape(*leading, *columns), None, None, stats)
        return exactness.attention_error(result, arrays, options)

    run(peers.calls("numpy", workload, arrays)["numpy"], workload, error)
