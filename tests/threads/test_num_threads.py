"""How many threads compute, who may limit them, and that their number never changes a bit."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import foveate

AVAILABLE = foveate.info()["threads"]["available"]
HAS_THREADS = foveate.info()["threads"]["layer"] != "none"
needs_two = pytest.mark.skipif(AVAILABLE < 2 or not HAS_THREADS, reason="needs two CPUs, and threads")


def run(code, **environment):
    """Run code in a fresh interpreter without thread settings but those given; its last line is JSON."""
    clean = {k: v for k, v in os.environ.items() if k not in ("FOVEATE_NUM_THREADS", "OMP_NUM_THREADS")}
    result = subprocess.run(
        [sys.executable, "-c", "import json, numpy as np, foveate\n" + code],
        env=clean | environment, timeout=120, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def automatic_afterwards():
    yield
    foveate.set_num_threads(None)


SAME_BITS = """
import hashlib
rng = np.random.default_rng(3)
hashes = {}
shapes = [(2, 4, 100, 301, 40), (1, 8, 1, 4096, 64), (1, 1, 700, 515, 64), (3, 3, 33, 31, 17)]
for n in (1, 2, 3, 4, 8, None):
    digest = hashlib.sha256()
    rng = np.random.default_rng(3)
    for batch, heads, lq, lk, d in shapes:
        for dtype in (np.float32, np.float64, np.float16):
            q, k, v = (rng.standard_normal((batch, heads, l, d)).astype(dtype) for l in (lq, lk, lk))
            for activation in ("softmax", "sigmoid"):
                for repeat in range(2):
                    digest.update(foveate.attention(q, k, v, activation=activation, num_threads=n).tobytes())
    hashes[str(n)] = digest.hexdigest()
print(json.dumps({"hashes": hashes, "default": foveate.get_num_threads()}))
"""


def test_bits_do_not_depend_on_the_number_of_threads():
    result = run(SAME_BITS, FOVEATE_NUM_THREADS="8")
    assert len(result["hashes"]) == 6
    assert len(set(result["hashes"].values())) == 1, result["hashes"]
    if HAS_THREADS and "cgroup quota none" in foveate.info()["threads"]["reason"]:
        assert result["default"] == 8


DEFAULT = "print(json.dumps([foveate.get_num_threads(), foveate.info()['threads']['reason']]))"


@pytest.mark.parametrize(
    ("environment", "expected", "reason"),
    [
        ({}, AVAILABLE, "FOVEATE_NUM_THREADS not set"),
        ({"OMP_NUM_THREADS": "1"}, 1, "OMP_NUM_THREADS is 1"),
        ({"OMP_NUM_THREADS": "1,2"}, 1, "OMP_NUM_THREADS is 1"),
        ({"OMP_NUM_THREADS": "900"}, AVAILABLE, "OMP_NUM_THREADS is 900"),
        ({"FOVEATE_NUM_THREADS": "1"}, 1, "FOVEATE_NUM_THREADS is 1"),
        ({"FOVEATE_NUM_THREADS": "two"}, AVAILABLE, "FOVEATE_NUM_THREADS ignored"),
        ({"FOVEATE_NUM_THREADS": "0", "OMP_NUM_THREADS": "1"}, 1, "FOVEATE_NUM_THREADS ignored"),
    ],
)
@pytest.mark.skipif(not HAS_THREADS, reason="built without threads")
def test_environment(environment, expected, reason):
    default, why = run(DEFAULT, **environment)
    assert default == expected
    assert reason in why
    assert why.startswith(f"{expected}: ")


def test_set_num_threads():
    automatic = foveate.get_num_threads()
    foveate.set_num_threads(1)
    assert foveate.get_num_threads() == 1
    foveate.set_num_threads(10**6)
    assert foveate.get_num_threads() >= automatic
    foveate.set_num_threads(None)
    assert foveate.get_num_threads() == automatic


@needs_two
def test_threadpoolctl_sees_and_limits_us():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    automatic = foveate.get_num_threads()

    def ours():
        (entry,) = (i for i in threadpoolctl.threadpool_info() if i["internal_api"] == "foveate")
        return entry

    assert ours()["num_threads"] == automatic
    assert ours()["version"] == foveate.__version__
    assert ours()["threading_layer"] == foveate.info()["threads"]["layer"]
    with threadpoolctl.threadpool_limits(1):
        assert ours()["num_threads"] == foveate.get_num_threads() == 1
        seen = []
        other = threading.Thread(target=lambda: seen.append(foveate.get_num_threads()))
        other.start()
        other.join()
        assert seen == [1], "the limit must hold in other threads, too"
    assert foveate.get_num_threads() == automatic
    assert "set_num_threads" not in foveate.info()["threads"]["reason"], "the choice must be automatic again"
    with threadpoolctl.threadpool_limits(1, user_api="foveate"):
        assert foveate.get_num_threads() == 1
    assert foveate.get_num_threads() == automatic


@needs_two
@pytest.mark.skipif(foveate.info()["threads"]["layer"] != "openmp", reason="no OpenMP here")
def test_openmp_limit_of_threadpoolctl():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    automatic = foveate.get_num_threads()
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert foveate.get_num_threads() == 1
        with threadpoolctl.threadpool_limits(1):
            assert foveate.get_num_threads() == 1
    assert foveate.get_num_threads() == automatic, "the inner limit put back what OpenMP allowed then"


TCTL_ORDER = """
loaded = [i["internal_api"] for i in threadpoolctl.threadpool_info()]
print(json.dumps(loaded.count("foveate")))
"""


@pytest.mark.parametrize("first", ["import foveate, threadpoolctl", "import threadpoolctl, foveate"])
def test_threadpoolctl_import_order(first):
    pytest.importorskip("threadpoolctl")
    code = f"import json\n{first}\n{TCTL_ORDER}"
    result = subprocess.run(
        [sys.executable, "-c", code], timeout=60, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == 1


def slow_arrays():
    """A call on one thread takes some 0.2 s or more, so that a held GIL shows."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((16, 2048, 128), dtype=np.float32) for _ in range(3)]


def test_other_python_threads_run_during_a_call():
    q, k, v = slow_arrays()
    foveate.attention(q[:1], k[:1], v[:1])
    span = []

    def call():
        start = time.perf_counter()
        foveate.attention(q, k, v, num_threads=1)
        span.extend((start, time.perf_counter()))

    caller = threading.Thread(target=call)
    ticks = []
    caller.start()
    while caller.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    caller.join()
    start, end = span
    inside = sum(start + 0.25 * (end - start) < t < start + 0.75 * (end - start) for t in ticks)
    assert inside >= 3, f"{inside} ticks of this thread in the middle half of a call of {end - start:.3f} s"


def test_concurrent_callers_get_the_right_results():
    rng = np.random.default_rng(1)
    lengths = (64, 200, 333, 512)
    problems = [[rng.standard_normal((4, n, 32), dtype=np.float32) for _ in range(3)] for n in lengths]
    expected = [foveate.attention(*p, num_threads=1).tobytes() for p in problems]
    wrong, errors = [], []
    start = threading.Barrier(6)

    def caller(first):
        try:
            start.wait(timeout=30)
            for i in range(first, first + 24):
                which = i % len(problems)
                if foveate.attention(*problems[which]).tobytes() != expected[which]:
                    wrong.append(which)
        except Exception as error:
            errors.append(error)

    callers = [threading.Thread(target=caller, args=(i,)) for i in range(6)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in callers)
    assert not errors
    assert not wrong
