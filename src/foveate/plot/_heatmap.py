"""Weights as matrices of coloured cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike

from foveate.plot._checks import Array, Labels, check_labels, matrices, need_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["heatmap"]

NUMBERS_UP_TO = 8  # rows and columns of one head whose cells carry their numbers


@overload
def heatmap(
    weights: ArrayLike,
    *,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    head_labels: Sequence[str] | None = None,
    title: str | None = None,
    label: str = "weight",
    annotate: bool | None = None,
    ax: None = None,
) -> Figure: ...
@overload
def heatmap(
    weights: ArrayLike,
    *,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    head_labels: Sequence[str] | None = None,
    title: str | None = None,
    label: str = "weight",
    annotate: bool | None = None,
    ax: Axes,
) -> Axes: ...
def heatmap(
    weights: ArrayLike,
    *,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    head_labels: Sequence[str] | None = None,
    title: str | None = None,
    label: str = "weight",
    annotate: bool | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw weights as heat maps, queries down and keys across, with one colour bar.

    Blue is positive; where some value is negative, orange is negative and the scale is symmetric around 0.
    White is exactly 0 (masked, or outside the support), grey is not finite. All heads share the scale.

    Parameters
    ----------
    weights : array_like, (Lq, Lk) or (H, Lq, Lk)
        Weights of one head or of several, of any real dtype, or any other matrix, for example logits.
    query_labels : sequence of str, length Lq, optional
        One label per row; where they would overlap every second, third ... is shown. Left out: numbers.
    key_labels : sequence of str, length Lk, optional
        The same for the columns.
    head_labels : sequence of str, length H, optional
        What stands above each head; "head 0", "head 1" ... where left out and there are several.
    title : str, optional
    label : str, default "weight"
        The label of the colour bar: what the numbers are.
    annotate : bool, optional
        Write the numbers into the cells; left out: for one head of at most 8 rows and 8 columns.
    ax : matplotlib.axes.Axes, optional
        Where to draw one head; a figure of its own where left out.

    Returns
    -------
    matplotlib.figure.Figure or matplotlib.axes.Axes
        The new figure, which pyplot does not know; or ``ax`` where it was given.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError
        Weights that are complex.
    ValueError
        Weights of another number of axes or without elements; labels of another number.

    See Also
    --------
    modes : the same logits under every activation.

    Examples
    --------
    >>> import numpy as np
    >>> from foveate.plot import heatmap
    >>> figure = heatmap(np.eye(2), query_labels=["it", "cat"])
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['it', 'cat']
    """
    need_matplotlib()
    heads = matrices(weights, one=ax is not None)
    n_heads, q_len, kv_len = heads.shape
    check_labels("query_labels", query_labels, q_len)
    check_labels("key_labels", key_labels, kv_len)
    check_labels("head_labels", head_labels, n_heads)
    if head_labels is None and np.ndim(weights) == 3:
        head_labels = [f"head {h}" for h in range(n_heads)]
    if annotate is None:
        annotate = n_heads == 1 and max(q_len, kv_len) <= NUMBERS_UP_TO
    if ax is not None:
        draw([ax], heads, query_labels, key_labels, head_labels, label, annotate, n_columns=1)
        if title is not None:
            ax.set_title(title, loc="left", parse_math=False)
        return ax
    figure, panels = grid(n_heads, q_len, kv_len, key_labels)
    draw(panels, heads, query_labels, key_labels, head_labels, label, annotate, columns_of(n_heads))
    if title is not None:
        figure.suptitle(title, x=0.01, ha="left", parse_math=False)
    return figure


def columns_of(n_panels: int) -> int:
    """At most 4 panels side by side, and no last row with one panel where that can be had."""
    if n_panels <= 4:
        return n_panels
    return min((4, 3), key=lambda n: -n_panels % n)


def grid(n_panels: int, q_len: int, kv_len: int, key_labels: Labels) -> tuple[Figure, list[Axes]]:
    """A figure of panels with square cells where the sizes allow that, 0.45 inches for each cell of a few."""
    from matplotlib.figure import Figure

    from foveate.plot._cells import room_for

    n_columns, room = columns_of(n_panels), room_for(key_labels)
    n_rows = -(-n_panels // n_columns)
    low, high = (2.6, 6.5) if n_panels == 1 else (1.9, 2.6)
    width = min(max(0.45 * kv_len, low), high)
    height = min(max(0.45 * q_len, 0.6 * low), high)
    size = n_columns * (width + room + 0.35) + 1.9, n_rows * (height + 0.55) + room + 0.9
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for spare in axes[n_panels:]:
        spare.remove()
    return figure, list(axes[:n_panels])


def draw(
    panels: list[Axes],
    heads: Array,
    query_labels: Labels,
    key_labels: Labels,
    head_labels: Labels,
    label: str,
    annotate: bool,
    n_columns: int,
) -> None:
    """Each matrix into its panel, one scale and one colour bar for all; labels at the outer edges alone."""
    from foveate.plot._cells import bar_label, cells, colour_bar, label_axis, scale_of, write_numbers

    norm, colormap = scale_of(heads)
    for n, (ax, matrix) in enumerate(zip(panels, heads, strict=True)):
        image = cells(ax, matrix, norm, colormap)
        if annotate:
            write_numbers(ax, image, matrix)
        box = ax.get_window_extent()
        inches = box.width / ax.figure.dpi, box.height / ax.figure.dpi
        label_axis(ax, "x", key_labels, matrix.shape[1], inches[0])
        label_axis(ax, "y", query_labels, matrix.shape[0], inches[1])
        is_last = n + n_columns >= len(panels)  # no panel below
        ax.tick_params(labelbottom=is_last, labelleft=n % n_columns == 0)
        ax.set_xlabel("key" if is_last else "")
        ax.set_ylabel("query" if n % n_columns == 0 else "")
        if head_labels is not None:
            ax.set_title(head_labels[n], loc="left", fontsize=10, parse_math=False)
    colour_bar(image, panels, bar_label(label, heads))
