"""Small multiples, one panel for each activation."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from foveate.plot._cells import (
    FONT_SIZE,
    NEGATIVE,
    POSITIVE,
    cells,
    colour_bar,
    label_axis,
    number,
    room_for,
    scale_of,
    write_numbers,
)
from foveate.plot._checks import Array, Labels

__all__ = ["bars", "maps"]

N_COLUMNS = 4
NUMBERS_UP_TO = 5  # rows and columns of a panel whose cells carry their numbers
LOGITS = "0.55"  # grey: no weights


def panel_grid(n: int, width: float, height: float, key_labels: Labels) -> tuple[Figure, list[Axes]]:
    n_columns, room = min(N_COLUMNS, n), room_for(key_labels)
    n_rows = -(-n // n_columns)
    size = n_columns * (width + room) + 0.4, n_rows * height + room + 0.9
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for spare in axes[n:]:
        spare.remove()
    return figure, list(axes[:n])


def finish(figure: Figure, panels: list[Axes], title: str, key_labels: Labels, n_keys: int) -> None:
    """Key labels below the last panel of each column alone, and the title."""
    for n, ax in enumerate(panels):
        label_axis(ax, "x", key_labels, n_keys, ax.get_window_extent().width / figure.dpi)
        below = n + N_COLUMNS < len(panels)
        ax.tick_params(labelbottom=not below)
        ax.set_xlabel("" if below else "key")
    figure.suptitle(title, x=0.01, ha="left", parse_math=False)


def bars(
    logits: Array,
    attended: NDArray[np.bool_],
    names: list[str],
    weights: list[Array],
    query_labels: Labels,
    key_labels: Labels,
    title: str | None,
) -> Figure:
    """One query: the logits, then the weights under each activation, as bars over the keys."""
    kv_len = len(logits)
    figure, panels = panel_grid(1 + len(names), min(max(0.25 * kv_len, 2.5), 3.6), 1.75, key_labels)
    shown = np.where(attended, logits, np.nan)
    one_panel(panels[0], shown, attended, "logits", "", [LOGITS, LOGITS])
    span(panels[0], shown)
    small = [w for w in weights if shares(w)]
    for ax, name, row in zip(panels[1:], names, weights, strict=True):
        one_panel(ax, row, attended, name, f"sum {number(float(row.sum()))}", [POSITIVE, NEGATIVE])
        span(ax, np.concatenate(small) if shares(row) else row)
    finish(figure, panels, title or of_query("One row of logits", query_labels), key_labels, kv_len)
    figure.legend(
        handles=[
            Line2D([], [], color=POSITIVE, lw=5, label="weight > 0"),
            Line2D([], [], color=NEGATIVE, lw=5, label="weight < 0"),
            Line2D([], [], **ring(5), label="exactly 0"),
            Line2D([], [], **cross(5), label="masked"),
        ],
        loc="outside lower left",
        ncols=4,
        frameon=False,
        fontsize=FONT_SIZE,
    )
    return figure


def of_query(text: str, query_labels: Labels) -> str:
    query = f" (query: {query_labels[0]})" if query_labels is not None else ""
    return f"{text} under every activation{query}"


def shares(row: Array) -> bool:
    """Nothing negative and a sum of at most 1; 1 % of room for weights in float16 and bfloat16."""
    return bool((row >= 0).all() and row.sum() <= 1.01)


def ring(size: float) -> dict[str, Any]:
    return {"ls": "", "marker": "o", "mfc": "white", "mec": "0.35", "ms": size}


def cross(size: float) -> dict[str, Any]:
    return {"ls": "", "marker": "x", "color": "0.6", "ms": size}


def one_panel(
    ax: Axes, row: Array, attended: NDArray[np.bool_], name: str, note: str, colours: list[str]
) -> None:
    at = np.arange(len(row))
    paint = np.where(row < 0, colours[1], colours[0]).tolist()
    edge = 0.6 if len(row) > 60 else 0.0  # bars narrower than a pixel would vanish
    ax.bar(at, np.nan_to_num(row), width=0.8, color=paint, edgecolor=paint, linewidth=edge)
    size = min(5.0, max(1.2, 100 / len(row)))
    for where, marker in ((attended & (row == 0), ring(size)), (~attended, cross(size))):
        if where.any():  # an empty line has no extent, which the layout cannot take
            ax.plot(at[where], np.zeros(where.sum()), **marker, clip_on=False, zorder=4)
    ax.axhline(0, color="0.35", linewidth=0.8)
    ax.set_xlim(-0.7, len(row) - 0.3)
    ax.set_title(name, loc="left", fontsize=10, fontweight="bold", parse_math=False)
    ax.set_title(note, loc="right", fontsize=FONT_SIZE, color="0.3")
    ax.tick_params(length=0, labelsize=FONT_SIZE)
    ax.locator_params(axis="y", nbins=4)
    ax.grid(axis="y", color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)


def span(ax: Axes, values: Array) -> None:
    """Limits that hold 0 and the values, with room above for what stands on the bars."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    room = 0.06 * (high - low or 1.0)
    ax.set_ylim(low - room if low < 0 else 0.0, high + room)


def maps(
    logits: Array,
    attended: NDArray[np.bool_],
    names: list[str],
    weights: list[Array],
    query_labels: Labels,
    key_labels: Labels,
    title: str | None,
) -> Figure:
    """Several queries: the logits, then the weights under each activation, as heat maps."""
    q_len, kv_len = logits.shape
    width = min(max(0.3 * kv_len, 1.8), 2.6) + 0.9
    height = min(max(0.3 * q_len, 1.4), 2.4) + 0.4
    figure, panels = panel_grid(1 + len(names), width, height, key_labels)
    matrices = [np.where(attended, logits, np.nan), *weights]
    for n, (ax, name, matrix) in enumerate(zip(panels, ["logits", *names], matrices, strict=True)):
        norm, colormap = scale_of(matrix)
        image = cells(ax, matrix, norm, colormap)
        if max(matrix.shape) <= NUMBERS_UP_TO:
            write_numbers(ax, image, matrix)
        colour_bar(image, [ax]).ax.locator_params(nbins=4)
        label_axis(ax, "y", query_labels, q_len, ax.get_window_extent().height / figure.dpi)
        ax.tick_params(labelleft=n % N_COLUMNS == 0)
        ax.set_ylabel("query" if n % N_COLUMNS == 0 else "")
        ax.set_title(name, loc="left", fontsize=10, fontweight="bold", parse_math=False)
        if n:
            ax.set_title(sums(matrix), loc="right", fontsize=FONT_SIZE, color="0.3")
    finish(figure, panels, title or "The same logits under every activation", key_labels, kv_len)
    notes = "blue > 0, orange < 0, white: exactly 0" + ("" if attended.all() else ", grey: masked logit")
    figure.supxlabel(f"colours: {notes}; each panel has its own scale", x=0.01, ha="left", fontsize=FONT_SIZE)
    return figure


def sums(matrix: Array) -> str:
    """The row sums: one number, or the smallest and the largest."""
    low, high = (number(float(x)) for x in (matrix.sum(axis=1).min(), matrix.sum(axis=1).max()))
    return f"row sums {low}" if low == high else f"row sums {low}..{high}"
