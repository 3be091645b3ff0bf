"""Fixtures of the suites: the thread count, and arrays with the call already warm."""

import pytest

from benchmarks import rivals


def pytest_addoption(parser):
    parser.addoption("--threads", type=int, default=2, help="threads of foveate and of NumPy's BLAS")


@pytest.fixture(scope="session", autouse=True)
def n_threads(request):
    """One number for all libraries."""
    threads = request.config.getoption("--threads")
    rivals.set_threads(threads)
    return threads


@pytest.fixture
def run(benchmark, n_threads):
    """Time a call after a warm-up; the thread count goes into the saved history."""

    def timed(call, shape=None):
        benchmark.extra_info["threads"] = n_threads
        if shape is not None:
            benchmark.extra_info["flops"] = shape.flops
        call()
        return benchmark(call)

    return timed
