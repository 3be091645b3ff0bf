"""Both headers under the compilers and standards that embedders use, and a C++ program on the library."""

import os
import shutil
import sysconfig
from pathlib import Path

import pytest

import foveate
from foveate import _embedding
from support.commands import run

WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
COMPILERS = [
    ("gcc", "c99"),
    ("gcc", "c11"),
    ("clang", "c99"),
    ("clang", "c11"),
    ("g++", "c++17"),
    ("clang++", "c++17"),
]

USE_HEADER = """\
#include "foveate/foveate.h"
int main(void) { return fov_attention(0, 0, 0) == FOV_OK; }
"""
USE_CAPSULE = """\
#include <Python.h>
#include "foveate/foveate_capsule.h"
const fov_api *use(void) { return fov_import(); }
"""
USE_CPP = """\
#include "foveate/foveate.h"

#include <cstdio>
#include <cstring>
#include <vector>

int main()
{
    const float rows[6] = {1, 2, 3, 4, 5, 6};
    float output[6] = {};
    fov_attention_args args;
    std::memset(&args, 0, sizeof args);
    args.size = sizeof args;
    args.stages = FOV_STAGE_ALL;
    args.score = FOV_SCORE_SCALED_DOT;
    args.n_q_heads = args.n_kv_heads = 1;
    args.q_len = args.kv_len = args.kv_lengths.value = 3;
    args.head_dim = args.value_dim = 2;
    args.query = fov_array{const_cast<float *>(rows), nullptr, 24, 8, 4, FOV_F32};
    args.key = args.value = args.output = args.query;
    args.output.data = output;
    args.scale = 1;
    args.window_left = FOV_OPEN; // causal: the first row is the first value
    std::size_t size = 0;
    if (fov_workspace_size(&args, &size) != FOV_OK) return 2;
    std::vector<char> workspace(size);
    if (fov_attention(&args, workspace.data(), size) != FOV_OK) return 3;
    std::printf("%s %g %g\\n", fov_version(), output[0], output[1]);
}
"""


@pytest.fixture(params=COMPILERS, ids=" ".join)
def check_source(request, tmp_path):
    """Compile a source with one compiler and standard, every warning an error."""
    compiler, standard = request.param
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")

    def check(text, *options):
        source = tmp_path / ("source.cpp" if "+" in standard else "source.c")
        source.write_text(text)
        run(
            compiler,
            f"-std={standard}",
            *WARNINGS,
            "-c",
            *_embedding.cflags(),
            *options,
            source,
            cwd=tmp_path,
        )

    return check


def test_header_is_clean(check_source):
    check_source(USE_HEADER)


def test_capsule_header_is_clean(check_source):
    include = sysconfig.get_path("include")
    if not (Path(include) / "Python.h").is_file():
        pytest.skip("needs Python.h")
    check_source(USE_CAPSULE, "-isystem", include)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_cpp_program(compiler, static, tmp_path):
    """Linked and run: the functions have C names; the shared library is found without LD_LIBRARY_PATH."""
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    source, program = tmp_path / "program.cpp", tmp_path / "program"
    source.write_text(USE_CPP)
    options = [*_embedding.cflags(), source, *_embedding.libs(static), "-o", program]
    run(compiler, "-std=c++17", *WARNINGS, *options)
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    assert run(program, env=environment) == f"{foveate.__version__} 1 2\n"
