"""Time against length, foveate and its peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foveate.plot._checks import need_matplotlib
from foveate.plot._records import (
    COLOURS,
    FONT_SIZE,
    MARKERS,
    Record,
    caption,
    factor,
    label_ends,
    open_axes,
    steps,
    time_axis,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["lengths"]


def lengths(record: Record) -> Figure:
    """Draw the time of attention against its length, and each peer's time over foveate's, on log axes.

    Shortest times and their ratios: what others do on the machine only adds to a time.

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
        The record has fewer than two lengths.

    Examples
    --------
    >>> from foveate.cli import bench_cases, bench_record
    >>> from foveate.plot import lengths
    >>> kinds = {"length": bench_cases.LENGTHS[:2]}  # a second; all of them where left out
    >>> record = bench_record.measure_record(n_threads=1, kinds=kinds, quick=True)
    >>> figure = lengths(record)
    >>> figure.axes[0].get_yscale()
    'log'
    """
    need_matplotlib()
    rows = sorted(
        (row for row in record["workloads"] if row["kind"] == "length"),
        key=lambda row: row["sizes"]["kv_len"],
    )
    if len(rows) < 2:
        raise ValueError(f"record: got {len(rows)} workloads of the kind 'length', expected at least 2")
    x = [row["sizes"]["kv_len"] for row in rows]
    names = list(rows[0]["seconds"])

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 6.0 if len(names) > 1 else 4.2), layout="constrained")
    if len(names) > 1:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    else:
        above = below = figure.subplots()
    ends, ratio_ends = [], []
    for i, name in enumerate(names):
        colour = COLOURS[i % len(COLOURS)]
        style = {"color": colour, "marker": MARKERS[i % len(MARKERS)], "ms": 4, "lw": 2.2 if i == 0 else 1.2}
        y = [row["seconds"][name]["min"] for row in rows]
        above.plot(x, y, **style, zorder=4 if i == 0 else 3)
        ends.append((x[-1], y[-1], name, colour))
        if i:
            ratios = [row["seconds"][name]["min"] / row["seconds"][names[0]]["min"] for row in rows]
            below.plot(x, ratios, **style)
            ratio_ends.append((x[-1], ratios[-1], f"{name}  {factor(ratios[-1])}", colour))
    above.set(xscale="log", yscale="log")
    open_axes(above)
    time_axis(above)
    above.set_ylabel("time", fontsize=FONT_SIZE)
    if below is not above:
        below.axhline(1.0, color=COLOURS[0], lw=2.2, zorder=1)
        below.set_yscale("log")
        open_axes(below)
        below.set_ylabel("time / foveate's", fontsize=FONT_SIZE)
        low, high = below.get_ylim()
        low, high = min(low, 0.8), max(high, 2.5)
        below.set_ylim(low, high)
        below.set_yticks(ticks := steps(low, high), [f"{tick:g} x" for tick in ticks])
        below.minorticks_off()
    below.set_xticks(x, [str(n) for n in x])
    below.minorticks_off()
    below.set_xlabel("length of query and key", fontsize=FONT_SIZE)
    sizes = rows[0]["sizes"]
    shape = f"{sizes['n_q_heads']} heads of {sizes['head_dim']}"
    figure.suptitle(f"Softmax attention against its length, {shape}", x=0.01, ha="left")
    caption(figure, record)
    label_ends(above, ends)
    if ratio_ends:
        label_ends(below, ratio_ends)
    return figure
