"""What goes wrong outside the arguments: memory, FOVEATE_ISA, imports."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import foveate
from foveate import _core

X = np.random.default_rng(0).standard_normal((2, 5, 4))


@pytest.fixture
def failing_allocation():
    yield _core._fail_allocation
    _core._fail_allocation(-1)


CALLS = {
    "attention": lambda: foveate.attention(X, X, X),
    "scores": lambda: foveate.scores(X, X),
    "activate": lambda: foveate.activate(X),
    "combine": lambda: foveate.combine(X[:, :4], X[:, :4]),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_memory_for_the_workspace(name, failing_allocation):
    expected = CALLS[name]()
    failing_allocation(0)
    with pytest.raises(MemoryError, match=r"no memory for a workspace of \d+ bytes"):
        CALLS[name]()
    np.testing.assert_array_equal(CALLS[name](), expected)


def test_no_memory_leaves_out_alone_and_nothing_held(failing_allocation):
    q, out = X.copy(), np.full(X.shape, 7.0)
    mask, bias = np.ones((5, 5), bool), np.zeros((5, 5))
    before = [sys.getrefcount(array) for array in (q, out, mask, bias)]
    for n in range(3):
        failing_allocation(n)
        for _ in range(n):
            foveate.attention(q, q, q, mask=mask, bias=bias)
        with pytest.raises(MemoryError):
            foveate.attention(q, q, q, mask=mask, bias=bias, out=out)
    assert np.all(out == 7.0)
    assert [sys.getrefcount(array) for array in (q, out, mask, bias)] == before


def test_every_refusal_releases_its_buffers():
    q, out = X.copy(), np.zeros(X.shape)
    before = sys.getrefcount(q), sys.getrefcount(out)
    nine = np.ones((9, 9))
    for options in ({"mask": nine > 0}, {"bias": nine}, {"sinks": [1.0]}, {"num_threads": 0}):
        with pytest.raises(ValueError, match="must"):
            foveate.attention(q, q, q, out=out, **options)
    assert (sys.getrefcount(q), sys.getrefcount(out)) == before


def test_no_memory_for_the_result():
    q = np.broadcast_to(np.float32(0), (2**50, 1))  # 4 PiB of output: beyond every address space
    k = np.zeros((5, 1), np.float32)
    with pytest.raises(MemoryError):
        foveate.attention(q, k, k)


def test_threads_do_not_share_a_workspace():
    rng = np.random.default_rng(5)
    inputs = [rng.standard_normal((2, n, 8)) for n in (3, 40, 130, 7)]
    expected = [foveate.attention(x, x, x) for x in inputs]

    def work(one):
        return [foveate.attention(*[inputs[one]] * 3) for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        for one, results in enumerate(pool.map(work, range(4))):
            for result in results:
                np.testing.assert_array_equal(result, expected[one])


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


USES = {
    "attention": "foveate.attention(x, x, x)",
    "activate": "foveate.activate(x)",
    "get_isa": "foveate.get_isa()",
    "info": "foveate.info()",
}


@pytest.mark.parametrize("use", USES)
def test_unknown_foveate_isa_is_an_error_at_first_use(use):
    code = f"import numpy as np, foveate; x = np.eye(3); print('imported'); {USES[use]}"
    done = run(code, FOVEATE_ISA="scalr")
    assert done.returncode == 1, done
    assert done.stdout == "imported\n"
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: FOVEATE_ISA must be one of the ISAs compiled in")
    assert "'scalar'" in last
    assert "got 'scalr'; did you mean 'scalar'?" in last


def test_unknown_foveate_isa_can_be_overridden():
    code = (
        "import foveate; foveate.use_isa('scalar'); "
        "print(foveate.get_isa(), foveate.scores([[1.0]], [[2.0]]))"
    )
    done = run(code, FOVEATE_ISA="nonsense")
    assert done.stdout == "scalar [[2.]]\n", done.stderr


def test_foveate_isa_forces():
    code = "import foveate; print(foveate.get_isa(), foveate.info()['isa']['forced_by'])"
    assert run(code, FOVEATE_ISA="scalar").stdout == "scalar FOVEATE_ISA\n"
    assert run(code, FOVEATE_ISA="").stdout == f"{foveate.available_isas()[0]} None\n"


def test_unavailable_isa():
    missing = [name for name in foveate.compiled_isas() if name not in foveate.available_isas()]
    if not missing:
        pytest.skip("this machine runs every ISA of the build")
    words = f"name must be an ISA that this machine can run .*'scalar'.*got '{missing[0]}'"
    with pytest.raises(RuntimeError, match=words):
        foveate.use_isa(missing[0])
    done = run("import foveate; foveate.get_isa()", FOVEATE_ISA=missing[0])
    assert done.stderr.strip().splitlines()[-1].startswith("RuntimeError: FOVEATE_ISA must be an ISA that")


def test_words_for_an_unavailable_isa():
    from foveate import _runtime

    status = next(n for n in range(10) if _core.status_name(n) == "isa_unavailable")
    error = _runtime.status_error(status, _core.status_message(status))
    assert isinstance(error, RuntimeError)
    assert "'scalar'" in str(error)


def test_import_brings_numpy_only():
    code = (
        "import numpy, sys; before = set(sys.modules); import foveate; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    # Cython registers its shared types under names of its own.
    new = {name for name in done.stdout.split() if "cython" not in name} - set(sys.stdlib_module_names)
    # numpy: lazily loaded parts of it; threadpoolctl: told about the pool, where it is installed.
    assert new - {"threadpoolctl"} == {"foveate", "numpy"}


def test_import_prints_nothing():
    done = run("import foveate")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
