"""Children of a process that has computed in parallel never hang, compute in parallel, get the same bits."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import foveate
from support.children import HANG_SECONDS, arrays, compute, compute_and_look

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    # from Python 3.12 on; this is the very thing under test
    pytest.mark.filterwarnings(r"ignore:This process \(pid=\d+\) is multi-threaded:DeprecationWarning"),
]

N_THREADS = min(2, foveate.info()["threads"]["available"])


@pytest.fixture(scope="module")
def expected():
    output = foveate.attention(*arrays(), causal=True)
    reference = foveate.reference.attention(*arrays(), causal=True)
    np.testing.assert_allclose(output, reference, rtol=0, atol=1e-5)
    return output.tobytes()


@contextmanager
def raw_fork(child):
    """Forks, runs child() -> bool there, yields the wait status here."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(2 * HANG_SECONDS)
            code = 0 if child() else 2
        finally:
            os._exit(code)
    yield os.waitpid(pid, 0)[1]


def right_and_parallel(expected):
    output, layer, n_pool = compute_and_look()
    return output == expected and (layer == "none" or (layer == "pthreads" and n_pool >= N_THREADS - 1))


def test_raw_fork(expected):
    for _ in range(10):
        with raw_fork(lambda: right_and_parallel(expected)) as status:
            assert status == 0


def test_grandchild(expected):
    def child():
        if not right_and_parallel(expected):
            return False
        with raw_fork(lambda: right_and_parallel(expected)) as status:
            return status == 0 and compute() == expected

    with raw_fork(child) as status:
        assert status == 0


def test_fork_while_other_threads_compute(expected):
    stop = threading.Event()
    wrong = []

    def background():
        q, k, v = arrays()
        while not stop.is_set():
            if foveate.attention(q, k, v, causal=True).tobytes() != expected:
                wrong.append(1)

    callers = [threading.Thread(target=background) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(10):
            with raw_fork(lambda: right_and_parallel(expected)) as status:
                assert status == 0
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert not wrong


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_process_pool(method, expected):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        results = [executor.submit(compute_and_look) for _ in range(4)]
        for result in results:
            output, layer, n_pool = result.result(timeout=3 * HANG_SECONDS)
            assert output == expected
            if method == "fork" and layer != "none":
                assert layer == "pthreads"
                assert n_pool >= N_THREADS - 1


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_pool(method, expected):
    with multiprocessing.get_context(method).Pool(2) as pool:
        result = pool.apply_async(compute)
        assert result.get(timeout=3 * HANG_SECONDS) == expected


LATE_IMPORT = """
import os, signal, sys
import numpy as np
pid = os.fork()
if pid == 0:
    signal.alarm(30)
    import foveate
    a = np.ones((8, 512, 64), np.float32)
    right = bool((foveate.attention(a, a, a) == 1).all())
    os._exit(0 if right and foveate.info()["threads"]["layer"] != "openmp" else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a late import that it is in a fork")
def test_import_in_a_forked_child():
    """The parent may have run OpenMP through another library: the child must not touch it."""
    result = subprocess.run(
        [sys.executable, "-c", LATE_IMPORT], timeout=90, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


EXIT_INSIDE = """
import sys, threading, time
import numpy as np, foveate
a = np.ones((8, 512, 64), np.float32)
def endless():
    while True:
        foveate.attention(a, a, a)
for _ in range(3):
    threading.Thread(target=endless, daemon=True).start()
time.sleep(0.1)
"""


def test_exit_while_daemon_threads_compute():
    for _ in range(5):
        result = subprocess.run(
            [sys.executable, "-c", EXIT_INSIDE], timeout=60, capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stderr) == (0, "")
