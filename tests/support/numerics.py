"""What the numerics tests share: problems by size, comparison bit by bit, children of the test process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import foveate
from foveate import reference
from foveate.error_bound import bounds, bounds_per_isa, worst_ratio
from support.cases import DTYPES, Case, cases

# all of this machine, or the one that FOVEATE_ISA forces
ISAS = (os.environ["FOVEATE_ISA"],) if os.environ.get("FOVEATE_ISA") else foveate.available_isas()
ACTIVATIONS = ("softmax", "sigmoid")
Q_LENS = [1, 9, 60]  # few rows; lanes of one vector or more; several blocks
IN_F32_RANGE = ["f32", "f64", "bf16"]  # dtypes that hold 1e38

#: name -> (n_q_heads, n_kv_heads, q_len, kv_len): one shape for each way that the driver cuts a call
SHAPES = {
    "rows": (4, 2, 3, 70),
    "rows, three chunks": (4, 2, 2, 1100),
    "lanes": (4, 2, 33, 70),
    "lanes, two tasks": (3, 1, 90, 65),
    "lanes, three chunks": (2, 2, 11, 8300),
}


def heads_problem(
    shape: str, dtype: str, head_dim: int = 19, value_dim: int = 21, batch: int = 2, seed: int = 5
):
    """query, key, value of standard normals in the shape of SHAPES, in one dtype of DTYPES."""
    n_q_heads, n_kv_heads, q_len, kv_len = SHAPES[shape]
    rng = np.random.default_rng([seed, kv_len])
    sizes = (n_q_heads, q_len, head_dim), (n_kv_heads, kv_len, head_dim), (n_kv_heads, kv_len, value_dim)
    return tuple(rng.standard_normal((batch, *size)).astype(DTYPES[dtype]) for size in sizes)


def everything(
    query: Any, key: Any, value: Any, *, module: Any = foveate, **options: Any
) -> dict[str, np.ndarray]:
    """Output, weights and, where there is one, lse by name; key_stats where the options ask for them."""
    has_lse = options.get("activation", "softmax") in ("softmax", "softmax1")
    result = module.attention(query, key, value, **options, return_weights=True, return_lse=has_lse)
    return {name: array for name, array in result._asdict().items() if array is not None}


def bounds_by_isa(query: Any, key: Any, value: Any, **options: Any) -> dict[str, dict[str, Any]]:
    """The bounds as dicts for each of ISAS."""
    found = bounds_per_isa(ISAS, query, key, value, **options)
    return {isa: bound._asdict() for isa, bound in found.items()}


def within_bounds(query: Any, key: Any, value: Any, **options: Any) -> dict[str, np.ndarray]:
    """Output, lse and weights, each within its bound of the reference."""
    expected = everything(query, key, value, **options, module=reference)
    bound = bounds(query, key, value, **options)._asdict()
    actual = everything(query, key, value, **options)
    for name, array in actual.items():
        assert worst_ratio(array, expected[name], bound[name]) <= 1.0, (name, array, expected[name])
    return actual


def with_logits(logits: Any, q_len: int, dtype: str = "f32", value_dim: int = 3) -> tuple[np.ndarray, ...]:
    """query, key, value of one head whose logits at scale 1 are these numbers, in every row."""
    logits = np.asarray(logits, np.float64)
    query = np.ones((q_len, 1), DTYPES[dtype])
    value = np.random.default_rng(3).standard_normal((len(logits), value_dim)).astype(DTYPES[dtype])
    return query, logits[:, None].astype(DTYPES[dtype]), value


def bits(array: np.ndarray) -> np.ndarray:
    """The elements as unsigned integers: NaN equals NaN, 0.0 differs from -0.0."""
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def assert_same_bits(
    actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], where: Any = ...
) -> None:
    """Equal names, shapes, dtypes and bits; ``where`` indexes the axes of both before."""
    assert actual.keys() == expected.keys()
    for name in expected:
        a, b = actual[name][where], expected[name][where]
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        different = np.argwhere(bits(a) != bits(b))
        assert len(different) == 0, (
            f"{name}: {len(different)} of {a.size} elements differ, first at {different[0].tolist()}: "
            f"{a[tuple(different[0])]!r} and {b[tuple(different[0])]!r}"
        )


def is_nan(array: np.ndarray) -> np.ndarray:
    """isnan for every float dtype."""
    return np.isnan(array.astype(np.float64))


def is_finite(array: np.ndarray) -> np.ndarray:
    """isfinite for every float dtype."""
    return np.isfinite(array.astype(np.float64))


def largest(dtype: str) -> float:
    """1e38, or the largest number of the dtype."""
    return min(1e38, float(ml_dtypes.finfo(DTYPES[dtype]).max))


def _pairs(case: Case) -> int:
    return case.q_len * case.kv_len * case.n_q_heads * int(np.prod(case.batch))


def small(case: Case, max_pairs: int) -> Case:
    """The same case with at most about that many pairs of query and key: batch goes first, dims stay."""
    smaller = (
        {"batches": ((), (), ())},
        {"n_q_heads": case.n_q_heads // case.n_kv_heads, "n_kv_heads": 1},
        {"q_len": max(1, max_pairs // (case.kv_len * (case.n_q_heads // case.n_kv_heads)))},
    )
    for change in smaller:
        if _pairs(case) <= max_pairs:
            break
        if "q_len" in change and case.q_len == case.kv_len:  # causal=True and windows may need equal lengths
            change = {name: int((max_pairs / case.n_q_heads) ** 0.5) for name in ("q_len", "kv_len")}
        case = replace(case, **change)
    if case.batch == ():  # a pattern with more axes than the logits have is refused
        longest = 2 if case.two_axes else 3
        axes = {name: getattr(case, name) for name in ("mask", "bias") if getattr(case, name) is not None}
        axes = {name: pattern.replace("b", "")[-longest:] for name, pattern in axes.items()}
        case = replace(case, **axes)
    return case


def small_cases(seed: int, n: int) -> Iterator[Case]:
    """Cases for the many: every tenth of up to 300,000 pairs of query and key, the others of up to 10,000."""
    for i, case in enumerate(cases(seed, n)):
        yield small(case, 300_000 if i % 10 == 0 else 10_000)


def run_python(
    *arguments: str, timeout: float = 240.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A child of this Python that can import `support`."""
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
