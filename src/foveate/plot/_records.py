"""What the pictures of benchmark records share: the caption, colours, labels that keep their distance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "FONT_SIZE", "GREY", "MARKERS", "OURS", "Record", "caption", "commit_of", "duration", "factor",
    "in_words", "label_ends", "open_axes", "plain", "steps", "time_axis",
]  # fmt: skip

Record: TypeAlias = Mapping[str, Any]

FONT_SIZE = 9
OURS, GREY = "#0072b2", "0.45"
# Okabe and Ito, "Color Universal Design", 2008, without yellow, which is pale on white
COLOURS = (OURS, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def commit_of(record: Record) -> str:
    """Seven letters of the commit, "+" where files had been changed; the version outside of a clone."""
    revision = record["revision"]
    if revision is None:
        return f"version {record['foveate']}"
    return str(revision["commit"])[:7] + ("+" if revision["dirty"] else "")


def in_words(record: Record) -> str:
    """The machine and how it was used."""
    threads = f"{record['threads']} thread" + ("s" if record["threads"] != 1 else "")
    return f"{record['machine']['cpu']}, {threads}, {record['isa']}, float32"


def caption(figure: Figure, record: Record) -> None:
    """One line below: machine, threads, ISA, revision, day."""
    commit = "" if record["revision"] is None else f" at {commit_of(record)}"
    figure.supxlabel(
        f"{in_words(record)}; foveate {record['foveate']}{commit}, {record['time'][:10]}",
        x=0.01, ha="left", fontsize=FONT_SIZE - 1, color=GREY,
    )  # fmt: skip


def plain(value: float) -> str:
    """A number of two or three digits in front of its unit, without an exponent.

    >>> [plain(x) for x in (0.031, 3.14159, 210.4, 1234.0)]
    ['0.031', '3.1', '210', '1234']
    """
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def factor(value: float) -> str:
    """A multiple, for a label.

    >>> [factor(x) for x in (0.973, 3.0, 12.34, 10749.0)]
    ['0.97 x', '3.0 x', '12 x', '10700 x']
    """
    return f"{value:#.2g} x" if value < 10 else f"{float(f'{value:.3g}'):.0f} x"


def duration(value: float) -> str:
    """Seconds in the unit that reads best.

    >>> [duration(x) for x in (3e-6, 0.0012, 0.1, 2.0)]
    ['3 us', '1.2 ms', '100 ms', '2 s']
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size * (1 - 1e-9):
            return f"{plain(value / size)} {unit}"
    return f"{plain(value * 1e9)} ns"


def open_axes(ax: Axes) -> None:
    """A light grid, no box."""
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)
    ax.tick_params(which="both", length=0, labelsize=FONT_SIZE)
    ax.minorticks_off()


def steps(low: float, high: float, most: int = 8) -> list[float]:
    """Round numbers between two values, for a log axis, the densest of three kinds that has at most ``most``.

    >>> steps(0.8, 4.0), steps(0.7, 12.0), steps(0.5, 2000.0)
    ([1.0, 1.5, 2.0, 3.0], [0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0], [1.0, 10.0, 100.0, 1000.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        found = [float(f"{part}e{decade}") for decade in decades for part in parts]
        found = [value for value in found if low <= value <= high]
        if len(found) <= most:
            break
    return found


def time_axis(ax: Axes) -> None:
    """Decades of seconds with their units."""
    ax.yaxis.set_major_formatter(lambda value, _: duration(value))
    ax.minorticks_off()


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Name lines at their right ends, (x, y, text, colour) each, moved apart where they would overlap.

    The axis must have its final limits. A hair line joins a label that was moved with its line.
    """
    figure = ax.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]  # the layout decides the height of the axes
    height = ax.get_window_extent().height * 72 / figure.dpi  # points
    to_axes, to_data = ax.transData + ax.transAxes.inverted(), ax.transAxes + ax.transData.inverted()
    gap = 1.25 * FONT_SIZE / height
    order = sorted(range(len(ends)), key=lambda i: ends[i][1])
    wanted = [float(to_axes.transform(ends[i][:2])[1]) for i in order]
    for i, place in zip(order, apart(wanted, gap), strict=True):
        x, y, text, colour = ends[i]
        at = float(to_data.transform((1.0, place))[1])
        ax.annotate(
            text, (x, y), (1.03, at), xycoords="data", textcoords=("axes fraction", "data"),
            va="center", fontsize=FONT_SIZE, color=darker(colour), parse_math=False, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 1, "shrinkB": 3},
        )  # fmt: skip


def darker(colour: str) -> tuple[float, float, float]:
    """The colour for letters, which are thinner than lines: two thirds of its light."""
    from matplotlib.colors import to_rgb

    red, green, blue = (0.66 * part for part in to_rgb(colour))
    return red, green, blue


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Places at least ``gap`` from each other, as near to the ascending ``wanted`` ones as that allows.

    Neighbours that are too close become a block around the mean of what they want; blocks that touch join.

    >>> apart([0.0, 0.1, 0.9], 0.5)
    [-0.2, 0.3, 0.9]
    """
    blocks: list[tuple[float, list[float]]] = []  # mean of the wish for its first place, wishes
    for place in wanted:
        blocks.append((place, [place]))
        while len(blocks) > 1 and blocks[-2][0] + gap * len(blocks[-2][1]) > blocks[-1][0]:
            _, last = blocks.pop()
            _, before = blocks.pop()
            members = before + last
            start = sum(value - gap * i for i, value in enumerate(members)) / len(members)
            blocks.append((start, members))
    return [round(start + gap * i, 12) for start, members in blocks for i in range(len(members))]
