"""Workloads under the limits of the machine they ran on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from foveate.plot._checks import need_matplotlib
from foveate.plot._records import (
    COLOURS,
    FONT_SIZE,
    MARKERS,
    Record,
    caption,
    open_axes,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["roofline"]

LEVELS = {"read_l1": "L1", "read_l2": "L2", "read_l3": "L3", "read_dram": "DRAM"}


def roofline(record: Record) -> Figure:
    """Draw every workload of a record under the machine's roofs, which were measured in the same run.

    Across: arithmetic intensity, flops per byte of query, key, value and output, each moved once. Up: GFLOP/s
    at the shortest time. The flat roof is multiply-adds in registers, the slanted ones are reads from each
    level of memory. Each workload of the grid has a marker, and the share of its limit in the legend; the row
    of lengths is a line.

    Parameters
    ----------
    record : mapping
        A record of ``foveate bench --save``, `json.loads` of its line.

    Returns
    -------
    matplotlib.figure.Figure
        A new figure, which pyplot does not know.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        The record has no workload, or no limit could be measured.

    Examples
    --------
    >>> from foveate.cli import bench_cases, bench_record
    >>> from foveate.plot import roofline
    >>> kinds = {"grid": bench_cases.GRID[:1]}  # a second; all of them where left out
    >>> record = bench_record.measure_record(n_threads=1, kinds=kinds, quick=True)
    >>> figure = roofline(record)
    >>> figure.axes[0].get_yscale()
    'log'
    """
    need_matplotlib()
    workloads = record["workloads"]
    if not workloads:
        raise ValueError("record: got no workload, expected at least one")
    roofs = {name: value for name, value in record["roofs"].items() if value is not None}
    if not roofs:
        raise ValueError("record: got no limit that was measured, expected at least one roof")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 4.9), layout="constrained")
    ax = figure.subplots()
    ax.set(xscale="log", yscale="log")
    open_axes(ax)
    left = 0.5 * min(row["intensity"] for row in workloads)
    if "fma_f32" in roofs:  # the ridges of all caches inside
        left = min([left, *(0.2 * roofs["fma_f32"] / roofs[name] for name in LEVELS if name in roofs)])
    right = 2.5 * max(row["intensity"] for row in workloads)
    top = max([roofs.get("fma_f32", 0.0), *(row["gflops"] for row in workloads)])
    ax.set_xlim(left, right)
    ax.set_ylim(0.5 * min(row["gflops"] for row in workloads), 3.0 * top)

    grid = [row for row in workloads if row["kind"] == "grid"]
    lengths = [row for row in workloads if row["kind"] == "length"]
    if lengths:
        draw_lengths(ax, lengths)
    for i, row in enumerate(grid):
        limit = "" if row["limit"] is None else f"  {100 * row['limit']['share']:.2g} %"
        ax.plot(
            row["intensity"], row["gflops"], ls="", marker=MARKERS[i % len(MARKERS)], ms=8,
            color=COLOURS[i % len(COLOURS)], mec="white", mew=0.8, label=row["shape"] + limit, zorder=4,
        )  # fmt: skip
    ax.set_xlabel("flops per byte", fontsize=FONT_SIZE)
    ax.set_ylabel("GFLOP/s", fontsize=FONT_SIZE)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: plain(value))
    legend = figure.legend(
        loc="outside right upper", frameon=False, fontsize=FONT_SIZE, title="workload, share of its limit",
        title_fontsize=FONT_SIZE, alignment="left",
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    draw_roofs(ax, roofs, left, right)
    figure.suptitle("Roofline: foveate under the limits of this machine", x=0.01, ha="left")
    caption(figure, record)
    return figure


def draw_roofs(ax: Axes, roofs: dict[str, float], left: float, right: float) -> None:
    """The slanted roofs up to the flat one, each named along its own line."""
    peak = roofs.get("fma_f32", math.inf)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # the slope on paper is the layout's
    (x0, y0), (x1, y1) = (ax.transData.transform((at, at)) for at in (1.0, 10.0))
    slope = math.degrees(math.atan2(y1 - y0, x1 - x0))
    if peak < math.inf:
        ax.plot([left, right], [peak, peak], color="0.35", lw=1.4)
        ax.annotate(
            f"multiply-adds {plain(peak)} GFLOP/s", (right, peak), (-4, 4), textcoords="offset points",
            ha="right", fontsize=FONT_SIZE, color="0.25",
        )  # fmt: skip
    names = sorted((name for name in LEVELS if name in roofs), key=roofs.__getitem__)
    for i, name in enumerate(names):
        bandwidth = roofs[name]
        ridge = min(peak / bandwidth, right)
        ax.plot([left, ridge], [left * bandwidth, ridge * bandwidth], color="0.55", lw=1.2)
        # the lowest roof has its name below, as the next one may be close
        x, offset = left * 1.1, (5, -5) if i == 0 else (-1, 3)
        ax.annotate(
            f"{LEVELS[name]} {plain(bandwidth)} GB/s", (x, x * bandwidth), offset,
            textcoords="offset points", rotation=slope, rotation_mode="anchor", ha="left",
            va="top" if i == 0 else "bottom", fontsize=FONT_SIZE - 1, color="0.3",
        )  # fmt: skip


def draw_lengths(ax: Axes, lengths: list[Record]) -> None:
    """The row of lengths as one line; intensity grows with the length."""
    lengths = sorted(lengths, key=lambda row: row["intensity"])
    first, last = (row["sizes"]["kv_len"] for row in (lengths[0], lengths[-1]))
    sizes = lengths[0]["sizes"]
    ax.plot(
        [row["intensity"] for row in lengths], [row["gflops"] for row in lengths],
        color="0.45", lw=1.0, marker=".", ms=6, zorder=3,
        label=f"H{sizes['n_q_heads']} D{sizes['head_dim']}, from L{first} to L{last}",
    )  # fmt: skip
