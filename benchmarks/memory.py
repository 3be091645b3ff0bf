"""Peak memory of every mode against length: `python -m benchmarks.memory`; exit 1 when one holds Lq x Lk.

Each figure is the growth of the peak resident set during one call, beyond its arrays and its output and
beyond what a call on 256 keys left behind, in a fresh process. Over the lengths L = Lq = Lk the extra bytes
are fitted by a + b L + c L^2, and c, the bytes per pair of query and key, is the verdict: a mode that keeps
anything for each pair needs at least one bit, 1/8 byte. A mode fails when c exceeds half of that, 1/16 byte,
and the 95 % confidence interval of c lies above 0, also for the median of five processes per length: where a
process moves to another core, the kernel's counter of its pages is off by up to 32 pages per core.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats

import foveate
from benchmarks import kernels
from benchmarks.peak_memory import growth

# beyond the first tiles of keys, and short, for the sake of time: a page more or less moves c by 0.003
LENGTHS = (384, 576, 832, 1152, 1536)
# of glibc: pages of its own for each array; memory that the warm-up freed would hide up to 128 KiB of growth
OWN_PAGES = {"MALLOC_MMAP_THRESHOLD_": "4096"}
IMPORTED = ("foveate.reference", "rich.progress", "rich.table", "scipy.stats")  # once, not by every process
N_WORKERS = min(4, os.cpu_count() or 1)
WARM_LENGTH = 256
HEAD_DIM = 16
PRODUCT_DIM = 1  # value_dim of the combine "product", whose output is Lq x Lk x Dv
LIMIT = 1 / 16  # bytes per pair
N_REPEATS = 5  # of a mode that fails at first sight
CONFIDENCE = 0.95
# ways through plain attention that no stage shows; those of CONTROLS hold Lq x Lk by definition
VARIANTS: dict[str, dict[str, Any]] = {
    "causal": {"causal": True},
    "window": {"window": (64, 0)},
    "softcap": {"softcap": 30.0},
    "return_lse": {"return_lse": True},
    "key_stats sum": {"key_stats": "sum"},
    "key_stats max": {"key_stats": "max"},
}
CONTROLS: dict[str, dict[str, Any]] = {
    "return_weights": {"return_weights": True},
    "the NumPy reference": {"reference": True},
}


@dataclass(frozen=True)
class Fit:
    """Extra bytes of one mode at the lengths, and what they say."""

    mode: str
    extra: Sequence[int]
    per_token: float
    per_pair: float
    half_width: float  # of the confidence interval of per_pair

    @property
    def materialises(self) -> bool:
        return self.per_pair > max(LIMIT, self.half_width)


def extra_bytes(length: int, options: Mapping[str, Any]) -> int:
    """Of one call on one head and one thread; runs in a process of its own."""
    given = dict(options)
    mode = {kind: given.pop(kind, name) for kind, name in kernels.PLAIN.items()}
    product = mode["combine"] == "product"
    rng = np.random.default_rng(0)
    dims = HEAD_DIM, HEAD_DIM, PRODUCT_DIM if product else HEAD_DIM
    arrays = [rng.standard_normal((length, dim), np.float32) for dim in dims]
    given |= kernels.options(mode, HEAD_DIM)
    if given.pop("reference", False):
        return growth(lambda: foveate.reference.attention(*arrays, **given))
    output = np.ones((length, length, PRODUCT_DIM) if product else (length, HEAD_DIM), np.float32)
    given |= {"num_threads": 1}
    # touches the code and starts what a process needs once; below the shortest length, because the binding
    # keeps a workspace of up to 8 MiB for the next call
    foveate.attention(*(array[:WARM_LENGTH] for array in arrays), **given)
    extra = growth(lambda: foveate.attention(*arrays, out=output, **given))
    if (output == 1.0).all():
        raise RuntimeError("the call did not compute")
    return extra


def fit(mode: str, extra: Sequence[int], lengths: Sequence[int] = LENGTHS) -> Fit:
    """Fit a + b L + c L^2."""
    coefficients, covariance = np.polyfit(lengths, extra, 2, cov=True)
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(lengths) - 3)
    per_pair, per_token, _ = map(float, coefficients)
    return Fit(mode, list(extra), per_token, per_pair, float(quantile * covariance[0, 0] ** 0.5))


def selected(quick: bool, controls: bool) -> dict[str, dict[str, Any]]:
    """Name to options of all that is measured."""
    if controls:
        return CONTROLS
    found: dict[str, dict[str, Any]] = {
        ", ".join(mode.values()): dict(mode) for mode in kernels.modes(1 if quick else 3)
    }
    return found | VARIANTS


def measure(modes: Mapping[str, Mapping[str, Any]], console: Console | None = None) -> list[Fit]:
    """Fits of these modes, the steepest first.

    Every figure has a fresh process: forked, for each, from one that has imported everything and called
    nothing.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.peak_memory", "benchmarks.kernels", *IMPORTED])
    console = console or Console(stderr=True)
    os.environ |= OWN_PAGES
    with ExitStack() as stack:
        for name in OWN_PAGES:
            stack.callback(os.environ.pop, name)
        pool = stack.enter_context(ProcessPoolExecutor(N_WORKERS, mp_context=context, max_tasks_per_child=1))

        def submit(name: str) -> list[Future[int]]:
            return [pool.submit(extra_bytes, length, modes[name]) for length in LENGTHS]

        waiting = {name: submit(name) for name in modes}
        names = track(waiting, "modes", console=console, transient=True, disable=not console.is_terminal)
        fits = {name: fit(name, [figure.result() for figure in waiting[name]]) for name in names}
        doubtful = {
            name: [submit(name) for _ in range(1, N_REPEATS)] for name in modes if fits[name].materialises
        }
        for name, repeats in doubtful.items():
            figures = [fits[name].extra, *([figure.result() for figure in row] for row in repeats)]
            fits[name] = fit(name, np.median(figures, axis=0).astype(int).tolist())
    return sorted(fits.values(), key=lambda found: -found.per_pair)


def table(fits: Sequence[Fit], markdown: bool) -> Table:
    """A row per mode."""
    result = Table(box=box.MARKDOWN if markdown else box.SIMPLE)
    result.add_column("mode", no_wrap=True)
    for length in (LENGTHS[0], LENGTHS[-1]):
        result.add_column(f"KiB at {length}", justify="right")
    result.add_column("bytes per token", justify="right")
    result.add_column("bytes per pair", justify="right")
    result.add_column("verdict")
    for found in fits:
        result.add_row(
            found.mode,
            *(f"{found.extra[at] / 1024:.0f}" for at in (0, -1)),
            f"{found.per_token:.0f}",
            f"{found.per_pair:.4f} +- {found.half_width:.4f}",
            "holds Lq x Lk" if found.materialises else "linear",
        )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments, those of the process where left out; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory",
        description="Peak memory of every mode against length; exit 1 when one holds Lq x Lk.",
    )
    parser.add_argument("--quick", action="store_true", help="only modes that change one stage of the plain")
    parser.add_argument("--controls", action="store_true",
        help="instead, what holds Lq x Lk by definition: shows that it is found, so exit 1")  # fmt: skip
    parser.add_argument("-k", default="", metavar="TEXT", help="modes whose name contains this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    if not Path("/proc/self/clear_refs").exists():
        print("memory: needs /proc/self/clear_refs and /proc/self/status of Linux", file=sys.stderr)
        return 2
    modes = {name: o for name, o in selected(options.quick, options.controls).items() if options.k in name}
    if not modes:
        print(f"memory: -k must be part of a mode's name, got {options.k!r}", file=sys.stderr)
        return 2

    fits = measure(modes)
    bad = [found.mode for found in fits if found.materialises]
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table(fits, options.markdown))
    verdict = f"hold Lq x Lk: {'; '.join(bad)}" if bad else "none holds Lq x Lk"
    console.print(f"{len(fits)} modes at {len(LENGTHS)} lengths; {verdict}")
    if options.json is not None:
        rows = [vars(found) | {"materialises": found.materialises} for found in fits]
        options.json.write_text(
            json.dumps({"lengths": LENGTHS, "limit": LIMIT, "modes": rows}, indent=1) + "\n"
        )
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
