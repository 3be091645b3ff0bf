"""Every mode once, on a shape that keeps the history short, and naive NumPy for the scale of the machine."""

import pytest

from benchmarks import peers, workloads
from benchmarks.peers import own
from benchmarks.timing import check_agreement


@pytest.mark.parametrize("workload", workloads.HISTORY, ids=str)
def bench_foveate_mode(run, workload):
    arrays = workload.shape.arrays()
    call = own.mode_call(workload, arrays)
    naive = peers.calls("numpy", workload, arrays)
    check_agreement(naive | {"foveate": call}, workload.shape.dtype, workload.unclear(arrays))
    run(call)


@pytest.mark.parametrize("workload", workloads.HISTORY, ids=str)
def bench_numpy_mode(run, workload):
    run(peers.calls("numpy", workload, workload.shape.arrays())["numpy"])
