"""``foveate attend`` and the file system: refusals in one line, whole results or none, memory."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from foveate import reference
from foveate.error_bound import bounds, worst_ratio
from support.interrupts import heed_interrupts

SHAPE = (1, 2, 5, 4)


def run(*args, cwd, **kwargs):
    command = [sys.executable, "-W", "error", "-m", "foveate", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, **kwargs)


def assert_refused(done, *words):
    """Exit code 2, one line on stderr that says what is wrong, nothing on stdout."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def bad_files(folder):
    whole = (folder / "a.npy").read_bytes()
    (folder / "truncated.npy").write_bytes(whole[:-10])
    (folder / "header.npy").write_bytes(whole[:20])
    (folder / "damaged.npy").write_bytes(whole[:10] + b"{'descr': (((" + whole[23:])
    (folder / "empty.npy").write_bytes(b"")
    (folder / "text.npy").write_text("not an array\n")
    np.save(folder / "object.npy", np.array([{}, []], object), allow_pickle=True)
    np.save(folder / "int.npy", np.ones(SHAPE, np.int64))
    np.save(folder / "complex.npy", np.ones(SHAPE, np.complex64))
    np.save(folder / "swapped.npy", np.ones(SHAPE, ">f4"))
    np.save(folder / "raw.npy", np.ones(SHAPE, "V2"))
    np.save(folder / "double.npy", np.ones(SHAPE, np.float64))
    np.save(folder / "scalar.npy", np.float32(1))
    np.save(folder / "odd_heads.npy", np.ones((1, 3, 5, 4), np.float32))
    np.save(folder / "odd_dim.npy", np.ones((1, 2, 5, 3), np.float32))
    np.save(folder / "odd_batch.npy", np.ones((3, 2, 5, 4), np.float32))
    np.save(folder / "two_batch.npy", np.ones((2, 2, 5, 4), np.float32))
    np.savez(folder / "zip.npy.npz", np.ones(3))
    (folder / "folder.npy").mkdir()


BAD_KEYS = {
    "missing.npy": "key: cannot open missing.npy: No such file",
    "folder.npy": "key: cannot open folder.npy: Is a directory",
    "truncated.npy": "key: truncated.npy is not a readable .npy file",
    "header.npy": "key: header.npy is not a readable",
    "damaged.npy": "key: damaged.npy is not a readable",
    "empty.npy": "key: empty.npy is not a readable",
    "text.npy": "key: text.npy is not a readable",
    "zip.npy.npz": "key: zip.npy.npz is not a readable",
    "object.npy": "Python objects",
    "raw.npy": "bfloat16",
    "int.npy": "key must",
    "complex.npy": "key must",
    "swapped.npy": "key must",
    "double.npy": "key must have the dtype",
    "scalar.npy": "key must have at least 2 axes",
    "odd_heads.npy": "heads",
    "odd_dim.npy": "head_dim",
    "odd_batch.npy": "",
}


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_input(folder, key):
    bad_files(folder)
    before = names(folder)
    query = "two_batch.npy" if key == "odd_batch.npy" else "a.npy"
    assert_refused(run("attend", query, key, "a.npy", "-o", "out.npy", cwd=folder), BAD_KEYS[key])
    assert names(folder) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--score", "dott"], "did you mean 'dot'"),
        (["--activation", "relu9"], "activation"),
        (["--combine", "product"], "--combine: expected weighted_sum or select, got product"),
        (["--activation", "topk"], "--activation topk: needs --top-k"),
        (["--score", "bilinear"], "--score bilinear: needs --score-w"),
        (["--combine", "select", "--select-temperature", "2"], "--combine select: needs --select-k"),
        (["--alpha", "2"], "--alpha: only with --activation entmax, got --activation softmax"),
        (["--activation", "topk", "--top-k", "0"], "k must be an int >= 1, got 0"),
        (["--activation", "entmax", "--alpha", "1"], "alpha must be a finite number > 1"),
        (["--score", "additive", "--score-v", "nowhere.npy"], "--score-v: cannot open nowhere.npy"),
        (["--score", "additive", "--score-v", "float.npy"], "Additive: v must have"),
        (["--scale", "nan"], "scale"),
        (["--softcap", "-1"], "softcap"),
        (["--window", "3"], "L,R"),
        (["--window", "-3,1"], "window left"),
        (["--causal", "maybe"], "--causal"),
        (["--precision", "low"], "--precision"),
        (["--sinks", "1,2,3"], "sinks"),
        (["--sinks", "1,2", "--activation", "sigmoid"], "sinks"),
        (["--lse", "lse.npy", "--activation", "sigmoid"], "return_lse"),
        (["--kv-lengths", "9"], "kv_lengths"),
        (["--kv-lengths", "99999999999999999999"], "63 bits"),
        (["--q-offset", "two"], "numbers separated by commas"),
        (["--q-offset", "1"], "q_offset must come with"),
        (["--q-offset", "1", "--causal", "top_left"], "q_offset must come with"),
        (["--mask", "float.npy"], "mask must be bool"),
        (["--mask", "nowhere.npy"], "mask: cannot open nowhere.npy"),
        (["--bias", "bias.npy"], "bias must broadcast"),
        (["--threads", "0"], "--threads"),
        (["--lse", "out.npy"], "different files"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_option(folder, options, words):
    np.save(folder / "bias.npy", np.ones((3, 7), np.float32))
    np.save(folder / "float.npy", np.ones((5, 5), np.float32))
    before = names(folder)
    assert_refused(run("attend", "a.npy", "a.npy", "a.npy", "-o", "out.npy", *options, cwd=folder), words)
    assert names(folder) == before


def test_causal_without_alignment(folder):
    np.save(folder / "long.npy", np.ones((1, 2, 6, 4), np.float32))
    done = run("attend", "a.npy", "long.npy", "long.npy", "-o", "out.npy", "--causal", "yes", cwd=folder)
    assert_refused(done, "top_left", "bottom_right", "q_offset")


def test_bad_output(folder):
    done = run("attend", "a.npy", "a.npy", "a.npy", "-o", "nowhere/out.npy", cwd=folder)
    assert_refused(done, "directory nowhere does not exist")
    assert_refused(run("attend", "a.npy", "a.npy", "a.npy", "-o", ".", cwd=folder), "is a directory")
    assert_refused(run("attend", "a.npy", "a.npy", "a.npy", cwd=folder), "--output")


def test_overwrites_only_by_force(folder):
    (folder / "out.npy").write_text("precious")
    assert_refused(run("attend", "a.npy", "a.npy", "a.npy", "-o", "out.npy", cwd=folder), "--force")
    assert (folder / "out.npy").read_text() == "precious"
    done = run("attend", "a.npy", "a.npy", "a.npy", "-o", "out.npy", "--force", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert np.load(folder / "out.npy").shape == SHAPE


def test_may_replace_its_own_input(folder):
    a = np.load(folder / "a.npy")
    done = run("attend", "a.npy", "a.npy", "a.npy", "-o", "a.npy", "--force", cwd=folder)
    assert done.returncode == 0
    expected = reference.attention(a, a, a)
    assert worst_ratio(np.load(folder / "a.npy"), expected, bounds(a, a, a).output) <= 1.0
    assert names(folder) == ["a.npy"]


def test_permissions_are_those_of_a_new_file(folder):
    run("attend", "a.npy", "a.npy", "a.npy", "-o", "out.npy", cwd=folder, umask=0o027)
    assert (folder / "out.npy").stat().st_mode & 0o777 == 0o640


def test_full_disk_is_an_error(folder):
    """A file size limit stands in for the full disk: both fail when blocks are reserved."""
    np.save(folder / "big.npy", np.ones((1, 1, 4096, 16), np.float32))  # 256 KiB

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    before = names(folder)
    done = run("attend", *["big.npy"] * 3, "-o", "out.npy", cwd=folder, preexec_fn=limit)
    assert_refused(done, "--output: cannot write out.npy")
    assert names(folder) == before


def test_interrupt_removes_the_temporary_file(folder):
    np.save(folder / "big.npy", np.ones((65536, 32), np.float32))  # 550 GFLOP: seconds anywhere
    command = [sys.executable, "-m", "foveate", "attend", *["big.npy"] * 3, "-o", "out.npy"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, preexec_fn=heed_interrupts, **pipes)
    deadline = time.monotonic() + 30
    while not any(name.endswith(".tmp") for name in names(folder)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "foveate: interrupted"
    assert names(folder) == ["a.npy", "big.npy"]


def test_logits_never_exist(tmp_path):
    """4 GiB of logits within an address space of 2 GiB."""
    length, dim = 32768, 8
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal((length, dim)).astype(np.float32) for _ in range(3)]
    for name, array in zip("qkv", arrays, strict=True):
        np.save(tmp_path / f"{name}.npy", array)

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))

    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # its buffers take address space per thread
    done = run(
        "attend", "q.npy", "k.npy", "v.npy", "-o", "out.npy", "--causal", "yes",
        cwd=tmp_path, preexec_fn=limit, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    q, k, v = arrays
    output = np.load(tmp_path / "out.npy")
    assert output.shape == (length, dim)
    for start in (0, 192, 20000, length - 4):  # rows from the first, an inner and the last slice
        rows = slice(start, start + 4)
        options = {"causal": True, "q_offset": start}
        few = q[rows], k, v
        assert (
            worst_ratio(output[rows], reference.attention(*few, **options), bounds(*few, **options).output)
            <= 1.0
        )
