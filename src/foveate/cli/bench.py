"""``foveate bench``: foveate and its peers, timed in turns on the same arrays."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

import foveate

from . import bench_record
from .bench_cases import GRID, LENGTHS
from .console import add_row, console, json_option, print_json, progress, seconds, table
from .peers import PACKAGES, Maker, Prepared, load
from .timing import Array, blas_threads, numpy_attention

PEERS = ("numpy", *PACKAGES)


@click.command("bench")
@click.option("--peers", metavar="NAMES", help=f"{','.join(PEERS)} or none  [default: those installed]")
@click.option("--threads", type=click.IntRange(min=1), help="For all alike  [default: foveate's]")
@click.option("--quick", is_flag=True, help="A fifth of the time per shape.")
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append a record of this run, one line of JSON.",
)
@click.option(
    "--plot",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw roofline.png, lengths.png and history.png.",
)
@click.option(
    "--history",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Records for history.png  [default: the file of --save]",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    peers: str | None,
    threads: int | None,
    quick: bool,
    save: Path | None,
    plot: Path | None,
    history: Path | None,
    as_json: bool,
) -> None:
    """Time float32 softmax attention: a grid of shapes, and with --save or --plot a row of lengths.

    Limits of the machine are measured in the same run. All results are checked first; exit code 1 when one is
    wrong, which is then neither saved nor drawn. All are timed in turns, after warm-up.
    """
    if history is not None and plot is None:
        raise click.UsageError("--history is for --plot FOLDER, which was not given", ctx)
    if plot is not None:
        from foveate.plot._checks import need_matplotlib

        need_matplotlib()
        plot.mkdir(parents=True, exist_ok=True)
    if save is not None:
        bench_record.check_writable(save)
    earlier = [] if history is None else bench_record.read(history)
    makers = _makers(peers)
    kinds = {"grid": GRID, "length": LENGTHS} if save or plot else {"grid": GRID}
    n_threads = min(threads or foveate.get_num_threads(), foveate.info()["threads"]["available"])
    with blas_threads(n_threads) as numpy_threads, progress() as bar:
        task = bar.add_task("bench", total=None)
        record = bench_record.measure_record(
            makers,
            n_threads,
            kinds=kinds,
            quick=quick,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    rows = record["workloads"]
    wrong = [f"{row['shape']}: {name}" for row in rows for name, ok in row["correct"].items() if not ok]
    if save is not None and not wrong:
        bench_record.append(save, record)
    pictures = [] if plot is None or wrong else _draw(plot, record, earlier, save)
    if as_json:
        print_json(_as_dict(record, numpy_threads, not wrong))
    else:
        _print(record, numpy_threads)
        for picture in pictures:
            console().print(str(picture), soft_wrap=True)
    for line in wrong:
        click.echo(f"foveate bench: wrong result: {line}", err=True)
    ctx.exit(1 if wrong else 0)


def _makers(given: str | None) -> dict[str, Maker]:
    """The peers asked for, which must be installed; else those that are."""
    if given is None:
        names = list(PEERS)
    else:
        names = [] if given == "none" else [name.strip() for name in given.split(",")]
    makers: dict[str, Maker] = {}
    for name in names:
        if name not in PEERS:
            raise click.ClickException(f"--peers: got {name!r}, expected {', '.join(PEERS)} or none")
        try:
            makers[name] = _prepare_numpy if name == "numpy" else load(name)
        except ImportError as error:
            if given is not None:
                raise click.ClickException(f"--peers: {error}") from None
            if not str(error).endswith("is not installed"):
                console(stderr=True).print(f"left out: {error}")
    return makers


def _prepare_numpy(query: Array, key: Array, value: Array, *, causal: bool, n_threads: int) -> Prepared:
    """Naive NumPy; `blas_threads` holds its BLAS. The mask exists before the clock starts."""
    scale = query.shape[-1] ** -0.5
    attend = np.tri(query.shape[-2], key.shape[-2], dtype=bool) if causal else None
    return Prepared(lambda: numpy_attention(query, key, value, scale=scale, attend=attend))


def _draw(
    folder: Path, record: dict[str, Any], earlier: list[dict[str, Any]], save: Path | None
) -> list[Path]:
    """The three pictures of a record and those before it; their paths."""
    from foveate import plot

    if save is not None:
        earlier = earlier + [
            line for line in bench_record.read(save) if line not in earlier and line != record
        ]
    figures = {
        "roofline": plot.roofline(record),
        "lengths": plot.lengths(record),
        "history": plot.history([*earlier, record]),
    }
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path, dpi=110)
    return paths


def _as_dict(record: dict[str, Any], numpy_threads: str, correct: bool) -> dict[str, Any]:
    """The record, with the rows under ``shapes``."""
    rest = {key: value for key, value in record.items() if key not in ("peers", "workloads")}
    return {
        **rest,
        "numpy_threads": numpy_threads,
        "peers": list(record["peers"]),
        "peer_versions": record["peers"],
        "correct": correct,
        "shapes": record["workloads"],
    }


def _print(record: dict[str, Any], numpy_threads: str) -> None:
    rows, peers = record["workloads"], list(record["peers"])
    title = f"foveate {foveate.__version__}, {record['isa']}, float32, threads: {record['threads']}"
    shown = table(title, ["shape", "min", "median", "GFLOP/s", "flop/byte", "of limit"])
    for row in rows:
        ours, limit = row["seconds"]["foveate"], row["limit"]
        share = "" if limit is None else f"{limit['share']:.0%}"
        rate, intensity = f"{row['gflops']:.1f}", f"{row['intensity']:.3g}"
        add_row(shown, row["shape"], seconds(ours["min"]), seconds(ours["median"]), rate, intensity, share)
    out = console()
    out.print(shown)
    if peers:
        out.print(_against(rows, peers))
        out.print("x: the peer's time over foveate's, by medians or minima, whichever is worse for foveate.")
    out.print("of limit: GFLOP/s at the minimum over what multiply-adds or memory would allow, measured now.")
    if record["clock"] == "cpu":
        out.print("Times are those on the CPU, as there is one thread: other processes are not in them.")
    if "numpy" in peers:
        out.print(f"NumPy ran on {numpy_threads}.")


def _worse_ratio(row: dict[str, Any], peer: str) -> float:
    """The peer's time over foveate's, by medians or by minima, whichever is worse for foveate."""
    minima = row["seconds"][peer]["min"] / row["seconds"]["foveate"]["min"]
    return float(min(minima, row["ratio"][peer]))


def _against(rows: list[dict[str, Any]], peers: list[str]) -> Table:
    shown = table("against the peers installed", ["shape", *(f"x {peer}" for peer in peers)])
    for row in rows:
        add_row(shown, row["shape"], *(f"{_worse_ratio(row, peer):.2f}" for peer in peers))
    means = (statistics.geometric_mean([_worse_ratio(row, peer) for row in rows]) for peer in peers)
    add_row(shown, "geometric mean", *(f"{mean:.2f}" for mean in means))
    return shown
