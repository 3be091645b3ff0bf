"""``foveate attend``: attention over .npy files, also those that are larger than memory."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np

import foveate

from .console import json_option, print_json, progress, seconds
from .npy import Array, check_output, create_output, open_input
from .options import integers, numbers, window
from .slices import Job
from .stage_options import stage_parameters, take_stages

FILE = click.Path(path_type=Path)


@click.command("attend")
@click.argument("query", type=FILE)
@click.argument("key", type=FILE)
@click.argument("value", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The .npy file to write.")
@click.option(
    "--score", default="scaled_dot", show_default=True, help="dot, scaled_dot, additive, bilinear or cosine."
)
@click.option(
    "--activation",
    default="softmax",
    show_default=True,
    help="softmax, softmax1, sigmoid, relu, relu2, tanh, identity, sparsemax, entmax15, entmax or topk.",
)
@click.option("--combine", default="weighted_sum", show_default=True, help="weighted_sum or select.")
@stage_parameters
@click.option("--scale", type=float, help="[default: head_dim**-0.5 for scaled_dot, else 1]")
@click.option("--softcap", type=float, help="c: logits become c tanh(logits / c).")
@click.option(
    "--causal", type=click.Choice(["top_left", "bottom_right", "yes"]), help="No key after the query."
)
@click.option("--window", callback=window, metavar="L,R", help="L keys before, R after; or none.")
@click.option("--layout", default="bhld", show_default=True, type=click.Choice(["bhld", "blhd"]))
@click.option(
    "--precision",
    default="highest",
    show_default=True,
    type=click.Choice(["highest", "high", "medium"]),
    help="Of float32 products in tile registers.",
)
@click.option("--mask", type=FILE, help="bool .npy, true = attend; broadcasts to (..., Hq, Lq, Lk).")
@click.option("--bias", type=FILE, help="float .npy, added to the logits; broadcasts alike.")
@click.option(
    "--sinks", callback=numbers, metavar="FILE|N,N", help="One more logit per head and row, for softmax."
)
@click.option("--alibi-slopes", callback=numbers, metavar="FILE|N,N", help="One slope per query head.")
@click.option(
    "--kv-lengths", callback=integers, metavar="FILE|N,N", help="Keys that exist, per batch element."
)
@click.option("--q-offset", callback=integers, metavar="FILE|N,N", help="Key position of query 0.")
@click.option("--lse", type=FILE, help="Also write the log-sum-exp of each row.")
@click.option("--weights", type=FILE, help="Also write the weights, (..., Hq, Lq, Lk).")
@click.option("--threads", type=click.IntRange(min=1), help="At most so many.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@json_option
def command(
    query: Path,
    key: Path,
    value: Path,
    output: Path,
    layout: str,
    causal: str | None,
    mask: Path | None,
    bias: Path | None,
    lse: Path | None,
    weights: Path | None,
    threads: int | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Attend QUERY to KEY and VALUE, three .npy files, and write the result as .npy.

    Arrays are (..., heads, length, dim), or (..., length, heads, dim) with --layout blhd; 2-D is one head.
    Files are mapped, not read: logits never exist in memory, and inputs need not fit into it.
    """
    if options["combine"] == "product":
        raise click.ClickException("--combine: expected weighted_sum or select, got product")
    take_stages(options)
    targets = {"--output": output, "--lse": lse, "--weights": weights}
    chosen = {name: path for name, path in targets.items() if path is not None}
    if len({path.resolve() for path in chosen.values()}) < len(chosen):
        raise click.ClickException(f"{', '.join(chosen)}: expected different files")
    for name, path in chosen.items():
        check_output(path, name, force)

    inputs = [open_input(path, name) for name, path in (("query", query), ("key", key), ("value", value))]
    one_head = all(array.ndim == 2 for array in inputs)
    job = Job(
        _heads_first(inputs[0], layout),
        _heads_first(inputs[1], layout),
        _heads_first(inputs[2], layout),
        causal=True if causal == "yes" else causal or False,
        mask=None if mask is None else open_input(mask, "mask"),
        bias=None if bias is None else open_input(bias, "bias"),
        num_threads=threads,
        **{name: options.pop(name) for name in ("window", "sinks", "alibi_slopes", "kv_lengths", "q_offset")},
        options=options,
    )
    job.alignment()

    started = time.perf_counter()
    with ExitStack() as stack:

        def create(name: str, path: Path | None, shape: tuple[int, ...], dtype: Any) -> Array | None:
            if path is None:
                return None
            shape = shape[1:] if one_head else shape
            array = stack.enter_context(create_output(path, name, shape, np.dtype(dtype))).array
            return array[None] if one_head else array

        dtype = job.query.dtype
        swapped = layout == "blhd" and not one_head
        shape = _swap_heads(job.output_shape) if swapped else job.output_shape
        out = create("--output", output, shape, dtype)
        assert out is not None
        out = np.swapaxes(out, -3, -2) if swapped else out
        lse_out = create(
            "--lse", lse, job.output_shape[:-1], np.float64 if dtype == np.float64 else np.float32
        )
        weights_out = create("--weights", weights, job.weights_shape, dtype)
        parts = job.slices(with_weights=weights is not None)
        with progress() as bar:
            for part in bar.track(parts, description="attend"):
                job.run(part, out, lse_out, weights_out)
    _report(chosen, job, layout, one_head, len(parts), time.perf_counter() - started, as_json)


def _swap_heads(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:-3], shape[-2], shape[-3], shape[-1])


def _heads_first(array: Array, layout: str) -> Array:
    if array.ndim == 2:
        return array[None]
    return np.swapaxes(array, -3, -2) if layout == "blhd" and array.ndim > 2 else array


def _report(
    files: dict[str, Path], job: Job, layout: str, one_head: bool, n_slices: int, took: float, as_json: bool
) -> None:
    shape = job.output_shape[1:] if one_head else job.output_shape
    if layout == "blhd" and not one_head:
        shape = _swap_heads(shape)
    facts = {
        "files": {name.removeprefix("--"): str(path) for name, path in files.items()},
        "shape": list(shape),
        "dtype": job.query.dtype.name,
        "isa": foveate.get_isa(),
        "slices": n_slices,
        "seconds": took,
    }
    if as_json:
        print_json(facts)
        return
    text = f"{facts['dtype']} {tuple(shape)} on {facts['isa']}, {seconds(took)}"
    click.echo(f"{', '.join(map(str, files.values()))}: {text}")
