"""The same logits under every activation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate import _core, api
from foveate.plot._checks import check_labels, need_matplotlib
from foveate.stages import NEED_PARAMETERS, Activation, Entmax, Score, TopK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["modes"]

#: Activations that mean nothing without a parameter, with one that shows what they do.
EXAMPLES: dict[str, Activation] = {"entmax": Entmax(1.25), "topk": TopK(3)}


def modes(
    q: ArrayLike,
    k: ArrayLike,
    *,
    row: int | Sequence[int] | None = None,
    activations: Sequence[str | Activation] | None = None,
    score: str | Score = "scaled_dot",
    scale: float | None = None,
    mask: ArrayLike | None = None,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the weights that each activation makes of the same logits, side by side.

    One query: bars, with the logits in the first panel. Panels whose weights are positive and sum to at
    most 1 share their scale, the others have a scale of their own. Each panel states the sum of the weights;
    rings are weights of exactly 0, crosses masked keys. Several queries: a heat map for each activation,
    with its own colour bar, white for exactly 0.

    Parameters
    ----------
    q : array_like, (Lq, D)
        The queries of one head.
    k : array_like, (Lk, D)
        The keys of one head; another head_dim where the score allows it.
    row : int or sequence of int, optional
        Which queries to show; all where left out. An int, or a single query, gives bars.
    activations : sequence of str or stage object, optional
        What to compare; where left out every activation there is, with `TopK` (3) and `Entmax` (1.25).
    score, scale
        How the logits are made, see `foveate.Mode`.
    mask : array_like of bool, broadcast to (Lq, Lk), optional
        True = attend.
    query_labels, key_labels : sequence of str, optional
        One label for each of the Lq queries (also of those not shown) and each of the Lk keys.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
        A new figure, which pyplot does not know.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError
        Arguments of another type or dtype.
    ValueError
        Shapes that do not fit, no activation, labels of another number, unknown names.
    IndexError
        A row that is not there.

    See Also
    --------
    heatmap : weights that were computed already.

    Examples
    --------
    >>> import numpy as np
    >>> from foveate.plot import modes
    >>> figure = modes(np.eye(2), np.eye(2), row=0, activations=["softmax", "sparsemax"])
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['logits', 'softmax', 'sparsemax']
    """
    need_matplotlib()
    for name, array in (("q", q), ("k", k)):
        if np.ndim(array) != 2:
            expected = "(Lq, D)" if name == "q" else "(Lk, D)"
            raise ValueError(f"{name}: got shape {np.shape(array)}, expected {expected}, one head")
    logits = api.scores(q, k, score=score, scale=scale)
    if not logits.size:
        raise ValueError(f"q and k: got {logits.shape[0]} queries and {logits.shape[1]} keys, expected some")
    check_labels("query_labels", query_labels, logits.shape[0])
    check_labels("key_labels", key_labels, logits.shape[1])
    attended = attended_keys(mask, logits.shape)
    if row is not None:
        rows = chosen(row, logits.shape[0])
        logits, attended = logits[rows], attended[rows]
        query_labels = None if query_labels is None else [query_labels[i] for i in rows]
    if activations is None:
        activations = every_activation()
    if isinstance(activations, str) or not len(activations):
        raise ValueError(f"activations: got {activations!r}, expected a sequence of at least one")
    names = [name_of(a) for a in activations]
    weights = [api.activate(logits, a, mask=attended).astype(np.float64) for a in activations]
    logits = logits.astype(np.float64)

    from foveate.plot import _panels

    if len(logits) == 1:
        bars = [w[0] for w in weights]
        return _panels.bars(logits[0], attended[0], names, bars, query_labels, key_labels, title)
    return _panels.maps(logits, attended, names, weights, query_labels, key_labels, title)


def every_activation() -> list[str | Activation]:
    """All registered names, those that need a parameter as objects."""
    return [EXAMPLES[name] if name in NEED_PARAMETERS else name for name in _core.activation_names]


def name_of(activation: str | Activation) -> str:
    """A name, or an object with its numbers to four digits.

    >>> name_of("relu"), name_of(Entmax(4 / 3)), name_of(TopK(3))
    ('relu', 'Entmax(1.333)', 'TopK(3)')
    """
    if isinstance(activation, str):
        return activation
    short = re.sub(r"\w+=", "", repr(activation))
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.4g}", short)


def chosen(row: int | Sequence[int], n: int) -> list[int]:
    """Indices of rows, counted from the end where negative."""
    rows: list[Any] = list(row) if isinstance(row, Sequence | np.ndarray) else [row]
    if not rows:
        raise ValueError("row: got no row, expected an int or a sequence of at least one")
    for i in rows:
        if isinstance(i, bool) or not isinstance(i, int | np.integer):
            raise TypeError(f"row: got {i!r}, expected an int or a sequence of ints")
        if not -n <= i < n:
            raise IndexError(f"row: got {i}, expected {-n}..{n - 1}")
    return [int(i) % n for i in rows]


def attended_keys(mask: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(shape, np.bool_)
    array: NDArray[Any] = np.asarray(mask)
    if array.dtype != np.bool_:
        raise TypeError(f"mask: got dtype {array.dtype}, expected bool")
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"mask: got shape {array.shape}, expected one that broadcasts to {shape}") from None
