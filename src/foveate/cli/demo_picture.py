"""The picture of the demo: a PNG where matplotlib is installed, blocks in the terminal where it is not."""

from __future__ import annotations

import warnings
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from .demo_rows import choose

N_ROWS = 14
VISIBLE = 0.08  # a key with less weight in every row gets no column
SHADES = " \u2591\u2592\u2593\u2588"
ASCII_SHADES = " .:*#"


def excerpt(weights: NDArray[Any], rows: list[int]) -> tuple[list[int], NDArray[Any]]:
    """The keys that some row attends to visibly, in text order, and their weights; NaN for itself."""
    part = weights[rows]
    columns = sorted({*np.nonzero((part >= VISIBLE).any(axis=0))[0].tolist(), *part.argmax(axis=1).tolist()})
    block = part[:, columns].astype(np.float64)
    block[np.equal.outer(rows, columns)] = np.nan
    return columns, block


def picture(
    found: list[str], result: dict[str, Any], png: Path | None, force: bool, *, title: str, out: Console
) -> Text:
    """Draw, and return what to print: the path of the picture, or the picture."""
    weights = result["softmax"]
    rows = choose(found, weights, N_ROWS, distinct=False)
    columns, block = excerpt(weights, rows)
    try:
        from matplotlib.figure import Figure

        from foveate.plot import heatmap
    except ImportError:
        return Text.assemble(
            (title, "bold"), "\n", blocks(block, found, rows, out),
            "\nA picture needs matplotlib: pip install 'foveate[plot]'",
        )  # fmt: skip
    figure = Figure(
        figsize=(5.0 + 0.44 * len(columns), 3.0 + 0.38 * len(rows)), dpi=130, layout="constrained"
    )
    axes = heatmap(
        block,
        query_labels=[starts(found[i], 34) for i in rows],
        key_labels=[starts(found[j], 30) for j in columns],
        title=title,
        ax=figure.add_subplot(),
    )
    axes.set_xlabel("attended sentence (key); grey: the sentence itself, masked")
    axes.set_ylabel("attending sentence (query)")
    target = png or numbered(Path("foveate-demo.png"), force)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the font has no such letter: a box
        figure.savefig(target, format="png")
    return Text(f"Heat map: {target}")


def blocks(block: NDArray[Any], found: list[str], rows: list[int], out: Console) -> Text:
    """One line per row: a cell per column, shaded by its share of the largest weight, and the sentence."""
    can_draw = (out.encoding or "").lower().startswith("utf")
    shades = SHADES if can_draw else ASCII_SHADES
    weights = np.nan_to_num(block)
    step = max(float(weights.max()), 1e-9) / len(shades)
    levels = np.minimum((weights / step).astype(int), len(shades) - 1)
    width = max(12, min(40, out.width - 2 * block.shape[1] - 3))
    lines = [
        "".join(shades[level] * 2 for level in line) + "  " + starts(found[i], width)
        for line, i in zip(levels, rows, strict=True)
    ]
    legend = "  ".join(f"'{shade * 2}' {i * step:.2f}+" for i, shade in enumerate(shades))
    return Text("\n".join([*lines, legend]))


def starts(text: str, width: int) -> str:
    """The first words of a text without quotation marks, at most ``width`` letters.

    >>> starts("'Curiouser and curiouser!' cried Alice", 20)
    'Curiouser and...'
    """
    text = " ".join(word.strip("'\"()`\u2018\u2019\u201c\u201d") for word in text.split())
    if len(text) <= width:
        return text
    cut = text[: width - 2].rsplit(" ", 1)[0].rstrip(",;:-")
    return (cut if width // 3 < len(cut) <= width - 3 else text[: width - 3]) + "..."


def numbered(path: Path, force: bool) -> Path:
    """The path, or with -1, -2 ... where it exists already."""
    if force or not path.exists():
        return path
    return next(p for i in count(1) if not (p := path.with_stem(f"{path.stem}-{i}")).exists())
