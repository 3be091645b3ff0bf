"""Pictures of attention weights. Needs the extra ``plot`` (matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heatmap"]


def heatmap(
    weights: ArrayLike,
    *,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the weights of one head as a heat map, queries down and keys across, with a colour bar.

    Parameters
    ----------
    weights : array_like, shape (Lq, Lk)
        Weights or any other matrix of numbers, for example logits. Values that are not finite are grey.
    query_labels : sequence of str, length Lq, optional
        One label per row; numbered where left out.
    key_labels : sequence of str, length Lk, optional
        One label per column; numbered where left out.
    title : str, optional
    ax : matplotlib.axes.Axes, optional
        Where to draw; the current axes of pyplot where left out.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        Where weights is not 2-D, or the number of labels is not that of rows or columns.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from foveate.plot import heatmap
    >>> ax = heatmap(np.eye(2), query_labels=["it", "cat"], ax=Figure().add_subplot())
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['it', 'cat']
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise ImportError("foveate.plot needs matplotlib: pip install 'foveate[plot]'") from None

    matrix = np.asarray(weights).astype(np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"weights: got shape {matrix.shape}, expected (Lq, Lk), one head")
    for name, labels, n in (
        ("query_labels", query_labels, matrix.shape[0]),
        ("key_labels", key_labels, matrix.shape[1]),
    ):
        if labels is not None and len(labels) != n:
            raise ValueError(f"{name}: got {len(labels)} labels, expected {n}")
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.gca()

    ax.set_facecolor("0.88")  # what is not finite
    image = ax.imshow(
        np.ma.masked_invalid(matrix), cmap=mpl.colormaps["Blues"], aspect="auto", vmin=min(0.0, _low(matrix))
    )
    bar = ax.figure.colorbar(image, ax=ax, label="weight", pad=0.02)
    bar.outline.set_visible(False)
    ax.set_xlabel("key")
    ax.set_ylabel("query")
    # parse_math off: a dollar sign in a label is a dollar sign
    if query_labels is not None:
        ax.set_yticks(range(len(query_labels)), list(query_labels), parse_math=False)
    if key_labels is not None:
        ax.set_xticks(
            range(len(key_labels)),
            list(key_labels),
            rotation=45,
            ha="right",
            rotation_mode="anchor",
            parse_math=False,
        )
    # thin white lines between the cells keep neighbours apart
    ax.set_xticks(np.arange(0.5, matrix.shape[1] - 1), minor=True)
    ax.set_yticks(np.arange(0.5, matrix.shape[0] - 1), minor=True)
    if max(matrix.shape) <= 64:
        ax.grid(which="minor", color="white", linewidth=1.0)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    if title is not None:
        ax.set_title(title, loc="left", parse_math=False)
    return ax


def _low(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    finite = matrix[np.isfinite(matrix)]
    return float(finite.min()) if finite.size else 0.0
