"""``foveate bench``: foveate and its peers, timed in turns on the same arrays."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import click
import numpy as np

import foveate
from foveate import reference
from foveate.error_bound import bounds, worst_ratio

from .bench_cases import GRID, BenchCase
from .console import add_row, console, json_option, print_json, progress, seconds, table
from .timing import blas_threads, interleaved, numpy_attention, summary, torch_attention

PEERS = ("numpy", "torch")
SAMPLED_ROWS = 16


@click.command("bench")
@click.option("--peers", metavar="NAMES", help="numpy,torch or none  [default: those installed]")
@click.option("--threads", type=click.IntRange(min=1), help="For all alike  [default: foveate's]")
@click.option("--quick", is_flag=True, help="A fifth of the time per shape.")
@json_option
@click.pass_context
def command(ctx: click.Context, peers: str | None, threads: int | None, quick: bool, as_json: bool) -> None:
    """Time float32 softmax attention over a small grid of shapes.

    All results are checked first; exit code 1 when one is wrong. All are timed in turns, after warm-up.
    """
    names, required = _peers(peers)
    n_threads = min(threads or foveate.get_num_threads(), foveate.info()["threads"]["available"])
    if "torch" in names:
        try:
            import torch  # type: ignore[import-not-found, unused-ignore]

            torch.set_num_threads(n_threads)
        except ImportError:
            if required:
                raise click.ClickException("--peers: torch is not installed") from None
            names.remove("torch")
    rows = []
    with blas_threads(n_threads) as numpy_threads, progress() as bar:
        for case in bar.track(GRID, description="bench"):
            rows.append(measure(case, names, n_threads, budget=0.2 if quick else 1.0))
    wrong = [f"{row['shape']}: {name}" for row in rows for name, ok in row["correct"].items() if not ok]
    if as_json:
        print_json(
            {
                "isa": foveate.get_isa(), "threads": n_threads, "numpy_threads": numpy_threads,
                "peers": names, "correct": not wrong, "shapes": rows,
            }
        )  # fmt: skip
    else:
        _print(rows, names, n_threads, numpy_threads)
    for line in wrong:
        click.echo(f"foveate bench: wrong result: {line}", err=True)
    ctx.exit(1 if wrong else 0)


def _peers(given: str | None) -> tuple[list[str], bool]:
    """Names, and whether the user asked for them."""
    if given is None:
        return list(PEERS), False
    names = [] if given == "none" else [name.strip() for name in given.split(",")]
    for name in names:
        if name not in PEERS:
            raise click.ClickException(f"--peers: got {name!r}, expected {', '.join(PEERS)} or none")
    return list(dict.fromkeys(names)), True


def measure(case: BenchCase, peers: list[str], n_threads: int, budget: float) -> dict[str, Any]:
    """Check every competitor on one shape, then time them in turns."""
    q, k, v = case.arrays()
    mode = foveate.Mode(causal=case.causal)
    attend = np.tri(case.q_len, case.kv_len, dtype=bool) if case.causal else None
    calls: dict[str, Callable[[], Any]] = {"foveate": lambda: mode(q, k, v, num_threads=n_threads)}
    if "numpy" in peers:
        calls["numpy"] = lambda: numpy_attention(q, k, v, scale=case.head_dim**-0.5, attend=attend)
    if "torch" in peers:
        calls["torch"] = torch_attention(q, k, v, causal=case.causal)
    correct = {name: is_correct(case, call()) for name, call in calls.items()}
    times = {name: summary(samples) for name, samples in interleaved(calls, budget=budget).items()}
    ours = times["foveate"]["median"]
    return {
        "shape": case.name,
        "correct": correct,
        "seconds": times,
        "gflops": case.flops() / ours / 1e9,
        "ratio": {name: times[name]["median"] / ours for name in peers},
    }


def is_correct(case: BenchCase, output: Any) -> bool:
    """Sampled rows of every head within the error bound of the float64 reference, and all of it finite."""
    q, k, v = case.arrays()
    if output.shape != (*q.shape[:-1], v.shape[-1]) or not np.isfinite(output).all():
        return False
    rows = np.unique(np.linspace(0, case.q_len - 1, SAMPLED_ROWS).astype(int))
    for head in range(case.n_q_heads):
        kv_head = head * case.n_kv_heads // case.n_q_heads
        few = q[0, head, rows], k[0, kv_head], v[0, kv_head]
        mask = np.arange(case.kv_len) <= rows[:, None] if case.causal else None
        expected: Any = reference.attention(*few, mask=mask)
        if worst_ratio(output[0, head, rows], expected, bounds(*few, mask=mask).output) > 1.0:
            return False
    return True


def _print(rows: list[dict[str, Any]], peers: list[str], n_threads: int, numpy_threads: str) -> None:
    columns = ["shape", "min", "median", "GFLOP/s"]
    for peer in peers:
        columns += [peer, f"x {peer}"]
    title = f"foveate {foveate.__version__}, {foveate.get_isa()}, float32, threads: {n_threads}"
    shown = table(title, columns)
    for row in rows:
        ours = row["seconds"]["foveate"]
        cells = [row["shape"], seconds(ours["min"]), seconds(ours["median"]), f"{row['gflops']:.1f}"]
        for peer in peers:
            cells += [seconds(row["seconds"][peer]["median"]), f"{row['ratio'][peer]:.2f}"]
        add_row(shown, *cells)
    out = console()
    out.print(shown)
    for peer in peers:
        mean = statistics.geometric_mean([row["ratio"][peer] for row in rows])
        out.print(f"x {peer}: its median time over foveate's; geometric mean {mean:.2f}.")
    if "numpy" in peers:
        out.print(f"NumPy ran on {numpy_threads}.")
