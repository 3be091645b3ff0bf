"""Which rows of the weights the demo shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ONE_HOT = 0.75  # a row with a stronger weight is a near repetition, and dull to show
N_KEYS = 3


def choose(found: list[str], weights: NDArray[Any], n: int, *, distinct: bool = True) -> list[int]:
    """The n rows with most weight on their first keys, without rows that only repeat one sentence.

    ``distinct`` leaves out rows that are shown as a key already, or share their first key with another.
    """
    strongest = -np.sort(-weights, axis=-1)[:, :N_KEYS]
    worth = np.where(strongest[:, 0] < ONE_HOT, strongest.sum(axis=-1), strongest[:, 1:].sum(axis=-1))
    chosen: list[int] = []
    seen: set[int] = set()
    for i in np.argsort(-worth, kind="stable").tolist():
        best = int(weights[i].argmax())
        if len(found[i]) > 90 or (distinct and (i in seen or best in seen)):
            continue
        chosen.append(i)
        seen |= {i, best}
        if len(chosen) == n:
            break
    return sorted(chosen) or list(range(min(n, len(found))))
