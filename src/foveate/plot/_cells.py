"""Matrices as coloured cells: the colours, the scale that sets exact zeros apart, the tick labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from foveate.plot._checks import Array, Labels

__all__ = [
    "NEGATIVE",
    "POSITIVE",
    "bar_label",
    "cells",
    "colour_bar",
    "label_axis",
    "room_for",
    "scale_of",
    "write_numbers",
]

POSITIVE, NEGATIVE = "#0072b2", "#d55e00"  # Okabe and Ito, "Color Universal Design", 2008
NOT_FINITE = "0.85"
GRID_UP_TO = 64  # beyond it lines between the cells hide the cells
FONT_SIZE = 9


class ZeroApart(Normalize):
    """A linear scale that sends exactly 0 below the map, to its "under" colour."""

    def __call__(self, value: Any, clip: bool | None = None) -> Any:
        scaled = np.ma.array(super().__call__(value, clip), dtype=np.float64)
        scaled[np.ma.asarray(value) == 0] = -1.0
        return scaled


def scale_of(values: Array) -> tuple[ZeroApart, Colormap]:
    """Blues from 0 up, or oranges and blues around 0 where some value is negative; exact zeros white."""
    finite = values[np.isfinite(values)]
    top = float(np.abs(finite).max(initial=0.0)) or 1.0
    signed = bool((finite < 0).any())
    # the maps start at 0.2, so that a tiny weight is visibly no zero
    colours = mpl.colormaps["Blues"](np.linspace(0.2, 1.0, 128))
    if signed:
        colours = np.concatenate([mpl.colormaps["Oranges"](np.linspace(1.0, 0.2, 128)), colours])
    colormap = ListedColormap(list(map(tuple, colours)), name="foveate").with_extremes(
        under="white", bad=NOT_FINITE
    )
    return ZeroApart(-top if signed else 0.0, top), colormap


def bar_label(label: str, values: Array) -> str:
    """The label of the colour bar, with what the colours outside it mean where they occur."""
    notes = ["white: exactly 0"] if (values == 0).any() else []
    notes += [] if np.isfinite(values).all() else ["grey: not finite"]
    return f"{label} ({', '.join(notes)})" if notes else label


def colour_bar(image: AxesImage, axes: Sequence[Axes], label: str = "") -> Colorbar:
    """The colour bar of a linear scale: that of ZeroApart has no inverse to place ticks by."""
    low, high = image.get_clim()
    linear = ScalarMappable(Normalize(low, high), image.get_cmap())
    figure = axes[0].figure
    bar = figure.colorbar(linear, ax=list(axes), label=label, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=FONT_SIZE)
    return bar


def cells(ax: Axes, matrix: Array, norm: Normalize, colormap: Colormap) -> AxesImage:
    image = ax.imshow(
        np.ma.masked_invalid(matrix),
        cmap=colormap,
        norm=norm,
        aspect="auto",
        interpolation="nearest",
        interpolation_stage="rgba",  # colours first: a resampled 0 stays a 0
    )
    n_rows, n_columns = matrix.shape
    if max(matrix.shape) <= GRID_UP_TO:
        ax.set_xticks(np.arange(0.5, n_columns - 1), minor=True)
        ax.set_yticks(np.arange(0.5, n_rows - 1), minor=True)
        ax.grid(which="minor", color="0.9", linewidth=0.6)
    ax.tick_params(which="both", length=0, labelsize=FONT_SIZE)
    ax.spines[:].set(color="0.6", linewidth=0.6)
    return image


def write_numbers(ax: Axes, image: AxesImage, matrix: Array) -> None:
    """The value of each cell, dark on light and light on dark."""
    luminance = image.to_rgba(np.ma.masked_invalid(matrix))[..., :3] @ [0.299, 0.587, 0.114]
    for (i, j), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            ax.text(
                j, i, number(float(value)), ha="center", va="center", fontsize=FONT_SIZE - 1,
                color="white" if luminance[i, j] < 0.55 else "0.15",
            )  # fmt: skip


def number(value: float) -> str:
    """Two decimals; 0 where it is exactly that, a power of ten where two decimals say nothing.

    >>> [number(x) for x in (0.0, 0.5, -1.25, 0.0004)]
    ['0', '0.50', '-1.25', '4e-04']
    """
    if value == 0:
        return "0"
    return f"{value:.2f}" if 0.005 <= abs(value) < 1000 else f"{value:.0e}"


def room_for(labels: Labels) -> float:
    """Inches that long slanted labels of keys need beyond what every figure has, in width and in height."""
    longest = max(map(len, labels), default=0) if labels is not None else 0
    return max(0.0, 0.055 * longest - 0.5)  # 0.078 inches for a letter, times cos 45


def label_axis(ax: Axes, which: str, labels: Labels, n: int, inches: float) -> None:
    """One label per row or column, or every second, third ... where they would overlap on so many inches."""
    axis: Axis = ax.xaxis if which == "x" else ax.yaxis
    if labels is None:
        n_ticks = max(1, min(8, int(inches * 3)))
        # by default at least two ticks: fractions, where there is one row
        axis.set_major_locator(MaxNLocator(n_ticks, integer=True, min_n_ticks=1))
        return
    spacing = 1.25 if which == "y" else 1.3  # in letter heights; slanted labels need more
    step = -(-n // max(1, int(inches * 72 / (spacing * FONT_SIZE))))
    shown: Sequence[str] = list(labels)[::step]
    # parse_math off: a dollar sign in a label is a dollar sign
    options: dict[str, Any] = {"parse_math": False}
    if which == "x" and max(map(len, shown), default=0) > 2:
        options |= {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axis.set_ticks(range(0, n, step), shown, **options)
