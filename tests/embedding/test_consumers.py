"""The three doors: examples built from the wheel in a fresh environment, run, and their numbers checked."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import foveate

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path):
    """A copy of an example, so that nothing is built inside the tree."""

    def copy(name):
        return Path(shutil.copytree(EXAMPLES / name, tmp_path / name))

    return copy


def build_with_cmake(environment, folder, *options):
    cmakedir = environment.config("--cmakedir")
    environment.run(
        "cmake", "-G", "Ninja", "-S", folder, "-B", folder / "build", f"-Dfoveate_DIR={cmakedir}", *options
    )
    environment.run("cmake", "--build", folder / "build")
    return folder / "build" / "attend"


def check_attend(environment, program, folder):
    """The program on two files against foveate.attention."""
    random = np.random.default_rng(4)
    query, context = (random.standard_normal((n, 12), dtype=np.float32) for n in (5, 33))
    np.save(folder / "query.npy", query)
    np.save(folder / "context.npy", context)
    environment.run(program, "query.npy", "context.npy", "out.npy", cwd=folder)
    out = np.load(folder / "out.npy")
    np.testing.assert_array_equal(out, foveate.attention(query, context, context))


@pytest.mark.parametrize("static", ["OFF", "ON"])
def test_c_with_cmake(environment, source, static):
    folder = source("embed_c")
    check_attend(environment, build_with_cmake(environment, folder, f"-DATTEND_STATIC={static}"), folder)


@pytest.mark.parametrize("package", ["foveate", "foveate-static"])
def test_c_with_pkg_config(environment, source, package):
    if shutil.which("pkg-config") is None:
        pytest.skip("needs pkg-config")
    folder = source("embed_c")
    environment.run("make", f"foveate={package}", cwd=folder)
    check_attend(environment, folder / "attend", folder)


@pytest.mark.parametrize("static", [[], ["--static"]])
def test_c_with_config(environment, source, static):
    folder = source("embed_c")
    flags = environment.config("--cflags", "--libs", *static)
    environment.run("sh", "-c", f"cc attend.c npy.c {flags} -lm -o attend", cwd=folder)
    check_attend(environment, folder / "attend", folder)


def test_c_program_knows_no_python(environment, source):
    folder = source("embed_c")
    program = build_with_cmake(environment, folder)
    needed = environment.run("ldd", program)
    assert "libfoveate.so" in needed
    assert "libpython" not in needed


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda raw: raw[:40], "cut off"),
        (lambda raw: raw[:-1], "less or more data"),
        (lambda raw: raw + b"x", "less or more data"),
        (lambda raw: raw.replace(b"'<f4'", b"'<f8'"), "float32"),
        (lambda raw: raw.replace(b"False", b"True "), "C order"),
        (lambda raw: raw.replace(b"(5, 12)", b"(-5,12)"), "float32"),
        (lambda raw: raw.replace(b"(5, 12), }       ", b"(9223372036854775807, 12), }"), "impossible"),
        (lambda raw: b"PK" + raw[2:], "no .npy file"),
        (lambda raw: b"", "no .npy file"),
    ],
)
def test_c_refuses_other_files(environment, source, spoil, words):
    folder = source("embed_c")
    flags = environment.config("--cflags", "--libs")
    sanitize = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    environment.run("sh", "-c", f"cc {sanitize} attend.c npy.c {flags} -lm -o attend", cwd=folder)
    np.save(folder / "query.npy", np.ones((5, 12), np.float32))
    raw = (folder / "query.npy").read_bytes()
    (folder / "bad.npy").write_bytes(spoil(raw))
    said = environment.run("./attend", "bad.npy", "query.npy", "out.npy", cwd=folder, fails=True)
    assert words in said
    assert said.count("\n") == 1
    assert not (folder / "out.npy").exists()


def install(environment, folder):
    environment.run(
        environment.folder / "bin" / "python", "-m", "pip", "install", "-q", "--no-build-isolation", folder
    )


def test_cython(environment, source):
    install(environment, source("embed_cython"))
    said = environment.run("python", "-m", "kvcache")
    assert said.startswith("8 threads x 100 tokens")


def test_capsule(environment, source, tmp_path):
    install(environment, source("embed_capsule"))
    script = tmp_path / "pool.py"
    script.write_text(
        "import foveate, numpy as np, pooling\n"
        "random = np.random.default_rng(0)\n"
        "items = random.standard_normal((5, 7, 6), dtype='f')[::2, ::-1]\n"
        "query, v = random.standard_normal((2, 6), dtype='f')\n"
        "out = np.empty((3, 6), 'f')\n"
        "pooling.pool(items, query, v, out)\n"
        "logits = np.tanh(items + query) @ v\n"
        "weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)\n"
        "np.testing.assert_allclose(out, np.einsum('bn,bnd->bd', weights, items), rtol=1e-5, atol=1e-5)\n"
        "wide = v.astype('d')\n"
        "for bad in ((items[0], query, v, out), (items, query[1:], v, out), (items, query, wide, out)):\n"
        "    try:\n"
        "        pooling.pool(*bad)\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    said = environment.run("python", script)
    assert said.count("must be float32") == 2
    assert said.count("query and v must be (6)") == 1


def test_every_function_can_be_cimported(environment, tmp_path):
    """Cython's own words for the signatures, against those that _embedding.pxi writes down."""
    names = sorted(foveate.__pyx_capi__)
    lines = ["# cython: language_level=3", f"from foveate cimport {', '.join(names)}"]
    lines += [f"cdef void *pointer_{name} = <void *>{name}" for name in names]
    lines += ["print(fov_version().decode())"]
    (tmp_path / "everything.pyx").write_text("\n".join(lines))
    include = environment.run(
        "python", "-c", "import sysconfig; print(sysconfig.get_path('include'))"
    ).strip()
    flags = environment.config("--cflags")
    environment.run("cython", "-3", "everything.pyx", cwd=tmp_path)
    environment.run(
        "sh", "-c", f"cc -shared -fPIC everything.c -I{include} {flags} -o everything.so", cwd=tmp_path
    )
    assert environment.run("python", "-c", "import everything", cwd=tmp_path).strip() == foveate.__version__


def test_environment_may_be_moved(environment, source, tmp_path):
    """CMake, pkg-config and config of an environment that was renamed, to a name with a space.

    Its own cmake is a script that knows the old name: the one of the tests builds.
    """
    moved = type(environment)(tmp_path / "moved to")
    shutil.copytree(environment.folder, moved.folder, symlinks=True)
    hidden = environment.folder.rename(environment.folder.with_name("hidden"))
    try:
        folder = source("embed_c")
        check_attend(
            moved, build_with_cmake(moved, folder, "-DCMAKE_MAKE_PROGRAM=" + shutil.which("ninja")), folder
        )
        flags = moved.config("--cflags", "--libs")
        assert str(environment.folder) not in flags
        moved.run("sh", "-c", f"cc attend.c npy.c {flags} -lm -o attend", cwd=folder)
        check_attend(moved, folder / "attend", folder)
        if shutil.which("pkg-config"):
            package = f"PKG_CONFIG_PATH={moved.config('--pkgconfigdir')}"
            flags = moved.run("sh", "-c", f"{package} pkg-config --cflags --libs foveate").strip()
            moved.run("sh", "-c", f"cc attend.c npy.c {flags} -lm -o attend", cwd=folder)
            check_attend(moved, folder / "attend", folder)
    finally:
        hidden.rename(environment.folder)
