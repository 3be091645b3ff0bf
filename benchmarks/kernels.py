"""Every kernel of the tables, with parameters where it needs them; new ones need no line here."""

import itertools
from typing import Any

import numpy as np

import foveate
from foveate import reference

PLAIN = {"score": "scaled_dot", "activation": "softmax", "combine": "weighted_sum"}
_TABLES = {"score": reference.SCORES, "activation": reference.ACTIVATIONS, "combine": reference.COMBINES}


def stage(name: str, head_dim: int) -> Any:
    """A name, or the object where a kernel needs parameters."""
    if name == "bilinear":
        matrix = np.random.default_rng(1).standard_normal((head_dim, head_dim)) * head_dim**-0.5
        return foveate.Bilinear(matrix.astype(np.float32))
    objects = {"entmax": foveate.Entmax(1.3), "topk": foveate.TopK(8), "select": foveate.Select(8)}
    return objects.get(name, name)


def names(kind: str) -> list[str]:
    """Kernels of a kind ("score", "activation" or "combine") that the installed revision has."""
    return list(_TABLES[kind])


def each_alone() -> list[tuple[str, str]]:
    """(kind, name) of every kernel."""
    return [(kind, name) for kind in PLAIN for name in names(kind)]


def modes(most_changes: int = 3) -> list[dict[str, str]]:
    """Modes that differ from plain attention in at most so many stages, plain attention first."""
    found = [dict(zip(PLAIN, mode, strict=True)) for mode in itertools.product(*map(names, PLAIN))]

    def changes(mode: dict[str, str]) -> int:
        return sum(mode[kind] != name for kind, name in PLAIN.items())

    return sorted((mode for mode in found if changes(mode) <= most_changes), key=changes)


def options(mode: dict[str, str], head_dim: int) -> dict[str, Any]:
    """The mode as options of `foveate.attention`."""
    return {kind: stage(name, head_dim) for kind, name in mode.items()}
