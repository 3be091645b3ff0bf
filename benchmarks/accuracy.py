"""How exact every kernel is: `python -m benchmarks.accuracy`, beside the speed in comparisons and history.

Per kernel, dtype and instruction set the worst ratio of a distance from the float64 reference to its bound
(`foveate.error_bound`), on fixed seeded problems: a score by its logits (the weights of the activation
"identity"), an activation by its weights, its lse and its output, a combine by its output. Above 1 is wrong;
a kernel uses a small part of a bound that holds for the worst rounding of every operation. The problems are
fixed and the bits do not depend on threads, so that a revision has one figure, without noise.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from rich import box
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

import foveate
from benchmarks import kernels
from foveate import reference
from foveate.error_bound import bounds, worst_ratio

HEAD_DIM = 64
# few query rows and many, whole vectors and not; 30,000 to 50,000 logits for each kernel and dtype
SHAPES = ((4, 2, 3, 1030, 61), (2, 1, 100, 130, 64), (1, 1, 17, 257, 7))  # Hq, Hkv, Lq, Lk, Dv
RESULTS = {"score": ("weights",), "activation": ("weights", "lse", "output"), "combine": ("output",)}
TITLES = {("score", "weights"): "logits"}


class Figure(NamedTuple):
    """One worst ratio."""

    kernel: str  # kind and name, as "score additive"
    result: str
    dtype: str
    isa: str
    ratio: float

    @property
    def key(self) -> str:
        return f"{self.kernel} {self.result}, {self.dtype}, {self.isa}"


def dtypes() -> dict[str, DTypeLike]:
    """Those of the tables; bfloat16 where ml_dtypes is installed."""
    found: dict[str, DTypeLike] = {"f32": np.float32, "f64": np.float64, "f16": np.float16}
    try:
        import ml_dtypes
    except ImportError:
        return found
    return found | {"bf16": ml_dtypes.bfloat16}


def figures() -> Iterator[Figure]:
    """Of every kernel, dtype and instruction set that runs here, in the order of the tables."""
    for kind, name in kernels.each_alone():
        for dtype_name, dtype in dtypes().items():
            yield from _of_kernel(kind, name, dtype_name, dtype)


def _of_kernel(kind: str, name: str, dtype_name: str, dtype: DTypeLike) -> Iterator[Figure]:
    options: dict[str, Any] = {kind: kernels.stage(name, HEAD_DIM)}
    if kind == "score":
        options["activation"] = "identity"
    lse = options.get("activation", "softmax") in ("softmax", "softmax1")
    asked = {"return_weights": True, "return_lse": lse and kind == "activation"}
    worst: dict[tuple[str, str], float] = {}
    for number, shape in enumerate(SHAPES):
        arrays = _arrays(shape, dtype, number)
        limits = _limits(arrays, options)
        exact: Any = reference.attention(*arrays, **options, **asked)
        for isa in foveate.available_isas():
            with foveate.use_isa(isa):
                made: Any = foveate.attention(*arrays, **options, **asked, num_threads=1)
            for result in RESULTS[kind]:
                if getattr(exact, result) is not None:
                    ratio = worst_ratio(
                        getattr(made, result), getattr(exact, result), getattr(limits[isa], result)
                    )
                    worst[isa, result] = max(ratio, worst.get((isa, result), 0.0))
    for (isa, result), ratio in worst.items():
        yield Figure(f"{kind} {name}", TITLES.get((kind, result), result), dtype_name, isa, ratio)


def _limits(arrays: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The bounds of each ISA; tile registers have their own. Also for revisions that know none of them."""
    with foveate.use_isa("scalar"):
        limits = dict.fromkeys(foveate.available_isas(), bounds(*arrays, **options))
    if "amx" in limits and arrays[0].dtype.name == "bfloat16":
        with foveate.use_isa("amx"):
            limits["amx"] = bounds(*arrays, **options)
    return limits


def _arrays(shape: tuple[int, ...], dtype: DTypeLike, seed: int) -> tuple[Any, ...]:
    n_q_heads, n_kv_heads, q_len, kv_len, value_dim = shape
    rng = np.random.default_rng(seed)
    sizes = (n_q_heads, q_len, HEAD_DIM), (n_kv_heads, kv_len, HEAD_DIM), (n_kv_heads, kv_len, value_dim)
    return tuple(rng.standard_normal(size).astype(dtype) for size in sizes)


def measure() -> dict[str, float]:
    """The worst ratios by "kind kernel result, dtype, isa"."""
    return {figure.key: figure.ratio for figure in all_figures()}


def all_figures() -> list[Figure]:
    """All of them; the reference on one thread, which for blocks this small is faster than two."""
    with threadpool_limits(1, user_api="blas"):
        return list(figures())


def table(found: Sequence[Figure], markdown: bool) -> Table:
    """Kernels down, dtypes and instruction sets across."""
    columns = list(dict.fromkeys((figure.dtype, figure.isa) for figure in found))
    result = Table(box=box.MARKDOWN if markdown else box.SIMPLE)
    result.add_column("kernel", no_wrap=True)
    for dtype, isa in columns:
        result.add_column(f"{dtype} {isa}", justify="right")
    rows: dict[str, dict[tuple[str, str], float]] = {}
    for figure in found:
        rows.setdefault(f"{figure.kernel} {figure.result}", {})[figure.dtype, figure.isa] = figure.ratio
    for name, ratios in rows.items():
        cells = (f"{ratios[column]:.3g}" if column in ratios else "" for column in columns)
        result.add_row(name, *cells)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments, those of the process where left out; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description="Worst ratio to the error bound of every kernel, dtype and ISA; exit 1 above 1.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the ratios to this file")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    found = all_figures()
    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    console.print(table(found, options.markdown))
    worst = max(found, key=lambda figure: figure.ratio)
    console.print(f"{len(found)} ratios, the worst {worst.ratio:.3f}: {worst.key}")
    if options.json is not None:
        ratios = {figure.key: figure.ratio for figure in found}
        options.json.write_text(json.dumps(ratios, indent=1) + "\n")
    return int(not worst.ratio <= 1.0)


if __name__ == "__main__":
    sys.exit(main())
