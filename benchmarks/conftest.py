"""Fixtures of the suites: the thread count, the limits of the machine, and `run`, which times a call.

`benchmarks.compare` drives the same suites with a `benchmark` of its own. It reads times, `error_ratio` and
`peak_bytes`; so rates and limits are left out then, and results are checked in the first round only.
"""

from collections.abc import Callable

import pytest

from benchmarks import rivals
from benchmarks.figures import Sized, figures

LIMITS_SECONDS = 2.0


def pytest_addoption(parser):
    parser.addoption("--threads", type=int, default=2, help="threads of foveate and of NumPy's BLAS")


@pytest.fixture(scope="session", autouse=True)
def n_threads(request):
    """One number for all libraries."""
    threads = request.config.getoption("--threads")
    rivals.set_threads(threads)
    return threads


@pytest.fixture(scope="session")
def limits(n_threads):
    """What this machine can do at most now, with as many threads."""
    from foveate import limits

    return limits.measure(LIMITS_SECONDS, n_threads)


@pytest.fixture
def run(request, benchmark, n_threads):
    """Time a call after a first one, whose result is checked; figures go into the saved history.

    ``run(call, work, error)``: `work` says what the call has to do at least (a `Shape` or `Work`), `error`
    turns its result into the worst ratio to the error bound. A ratio above 1 fails: a wrong result has no
    time; a comparison goes on, and reports it.
    """

    def timed(call, work: Sized | None = None, error: Callable[[object], float] | None = None):
        compared = hasattr(benchmark, "first_round")  # that of benchmarks/compare/worker.py
        benchmark.extra_info["threads"] = n_threads
        first = call()
        if error is not None and getattr(benchmark, "first_round", True):
            ratio = benchmark.extra_info["error_ratio"] = error(first)
            if not ratio <= 1.0 and not compared:
                raise ArithmeticError(f"error_ratio must be at most 1, got {ratio:.3g}")
        result = benchmark(call)
        if work is not None and not compared and benchmark.stats is not None:
            benchmark.extra_info |= figures(work, benchmark.stats["min"], request.getfixturevalue("limits"))
        return result

    return timed
