"""tools/check_includes.py: the tree keeps its include rules, and a tree that breaks one is caught."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKER = ROOT / "tools" / "check_includes.py"

CLEAN = {
    "csrc/include/foveate/foveate.h": "#include <stdint.h>\n",
    "csrc/simd/vec.h": "#include <immintrin.h>\n#include <math.h>\n",
    "csrc/kernels/kernels.def": "",
    "csrc/kernels/kernel_types.h": '#include <stdint.h>\n#include "kernels/kernels.def"\n',
    "csrc/kernels/score/score_dot.h": '#include "simd/vec.h"\n#include "kernels/kernel_types.h"\n',
    "csrc/parallel/parallel.h": "#include <stdint.h>\n",
    "csrc/parallel/openmp.c": '#include <omp.h>\n#include "parallel.h"\n',
    "csrc/attention/driver.h": '#include "kernels/kernel_types.h"\n',
    "csrc/attention/driver.c": '#include "attention/driver.h"\n#include "parallel/parallel.h"\n',
    "csrc/dispatch/dispatch.h": '#include "foveate/foveate.h"\n#include "kernels/kernel_types.h"\n',
    "csrc/dispatch/cpu.c": "#include <cpuid.h>\n",
    "csrc/api/api.c": '#include "attention/driver.h"\n#include "dispatch/dispatch.h"\n',
    "src/foveate/_core.pyx": 'cdef extern from "foveate/foveate.h":\n    pass\n',
    "tests/capi/test_driver.c": '#include "attention/driver.h"\n',
    "tests/test_api.py": "import foveate\n",
}

BROKEN = {
    "simd knows nobody": ("csrc/simd/vec.h", '#include "kernels/kernel_types.h"\n'),
    "simd no POSIX": ("csrc/simd/vec.h", "#include <unistd.h>\n"),
    "kernels no intrinsics": ("csrc/kernels/score/score_dot.h", "#include <immintrin.h>\n"),
    "kernels no OpenMP": ("csrc/kernels/score/score_dot.h", "#include <omp.h>\n"),
    "kernels not the driver": ("csrc/kernels/score/score_dot.h", '#include "attention/driver.h"\n'),
    "attention no kernel": ("csrc/attention/driver.c", '#include "kernels/score/score_dot.h"\n'),
    "attention no simd": ("csrc/attention/driver.c", '  #  include "simd/vec.h"\n'),
    "attention no dispatch": ("csrc/attention/driver.c", '#include "../dispatch/dispatch.h"\n'),
    "attention no pthreads": ("csrc/attention/driver.c", "#include <pthread.h>\n"),
    "dispatch no attention": ("csrc/dispatch/dispatch.h", '#include "attention/driver.h"\n'),
    "cpuid only in cpu.c": ("csrc/dispatch/other.c", "#include <cpuid.h>\n"),
    "api no simd": ("csrc/api/api.c", '#include "simd/vec.h"\n'),
    "no Python": ("csrc/api/api.c", "#include <Python.h>\n"),
    "header stands alone": ("csrc/include/foveate/foveate.h", '#include "kernels/kernel_types.h"\n'),
    "unknown room": ("csrc/extra/thing.c", "#include <stdint.h>\n"),
    "same base name": ("csrc/attention/api.c", "#include <stdint.h>\n"),
    "missing file": ("csrc/api/api.c", '#include "api/nowhere.h"\n'),
    "computed include": ("csrc/kernels/score/score_dot.h", "#include VEC_HEADER\n"),
    "binding of an internal header": (
        "src/foveate/_core.pyx",
        'cdef extern from "attention/driver.h":\n',
    ),
    "binding of the NumPy C-API": ("src/foveate/_core.pyx", "cimport numpy as np\n"),
    "path trick": ("tests/test_api.py", "import sys\nsys.path.insert(0, '.')\n"),
    "benchmark of internals": ("benchmarks/kernel.c", '#include "attention/driver.h"\n'),
}


def check(root):
    return subprocess.run(
        [sys.executable, str(CHECKER), str(root)], capture_output=True, text=True, timeout=60, check=False
    )


def write_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_this_tree_keeps_the_rules():
    result = check(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_clean_tree_passes(tmp_path):
    write_tree(tmp_path, CLEAN)
    result = check(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("case", BROKEN)
def test_violation_is_reported_where_it_stands(tmp_path, case):
    file, text = BROKEN[case]
    write_tree(tmp_path, {**CLEAN, file: text})
    result = check(tmp_path)
    assert result.returncode == 1
    assert [line.split(":")[0] for line in result.stdout.splitlines()[:-1]] == [file]


def test_empty_tree_is_an_error(tmp_path):
    assert check(tmp_path).returncode == 2
