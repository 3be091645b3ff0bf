"""THE table of modes that are timed, with the ratio that each is meant to reach."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import foveate
from benchmarks import shapes
from benchmarks.shapes import Shape, square

Targets = Mapping[str, float | None]


@dataclass(frozen=True)
class Workload:
    """One mode on one shape; against each peer the ratio to reach, None: measured, nothing promised."""

    name: str
    shape: Shape
    options: Mapping[str, Any] = field(hash=False)
    targets: Targets = field(hash=False)

    def __str__(self) -> str:
        return f"{self.name}, {self.shape}"

    @property
    def score(self) -> Any:
        return self.options.get("score", "scaled_dot")

    @property
    def activation(self) -> Any:
        return self.options.get("activation", "softmax")

    @property
    def combine(self) -> Any:
        return self.options.get("combine", "weighted_sum")

    @property
    def scale(self) -> float:
        """Factor of the logits, as `foveate.attention` has it."""
        default = self.shape.head_dim**-0.5 if self.score == "scaled_dot" else 1.0
        return float(self.options.get("scale", default))

    @property
    def flops(self) -> int:
        """Of the score and the combine; what an activation computes, and additive's tanh, is not counted."""
        of_both = self.shape.flops
        return of_both * 3 // 4 if self.combine == "product" else of_both

    @property
    def n_bytes(self) -> int:
        """The arrays read once, the result written once."""
        shape = self.shape
        if self.combine != "product":
            return shape.n_bytes
        rows = shape.batch * shape.n_q_heads * shape.q_len
        itemsize = np.dtype(shape.dtype).itemsize
        return shape.n_bytes + rows * (shape.kv_len - 1) * shape.head_dim * itemsize

    @property
    def dtype(self) -> str:
        return self.shape.dtype

    def unclear(self, arrays: tuple[NDArray[np.floating], ...]) -> NDArray[np.bool_] | None:
        """Rows (B, Hq, Lq) whose k-th and next logit stand so close that rounding may swap the two keys.

        A sum of D products errs by at most D u |q| |k|, both rivals do, and both logits.
        """
        stages = [stage for stage in (self.activation, self.combine) if hasattr(stage, "k")]
        if not stages:
            return None
        query, key, _ = arrays
        logits = np.matmul(query, key.swapaxes(-1, -2)) * self.scale
        k = stages[0].k
        top = np.partition(logits, (-k - 1, -k), axis=-1)[..., -k - 1 : logits.shape[-1] - k + 1]
        length = [np.linalg.norm(array, axis=-1).max() for array in (query, key)]
        unit_roundoff = float(np.finfo(query.dtype).eps) / 2
        error = self.shape.head_dim * unit_roundoff * length[0] * length[1] * self.scale
        return np.asarray(top[..., 1] - top[..., 0] <= 4 * error)


def square_matrix(dim: int) -> NDArray[np.float32]:
    """Keeps vectors of standard normal elements standard normal."""
    rng = np.random.default_rng(1)
    return (rng.standard_normal((dim, dim)) * dim**-0.5).astype(np.float32)


LONG = square(1, 8, 2048, 64)
ADDITIVE = [square(4, 1, 256, 64), square(1, 1, 1024, 64)]
BILINEAR = {"score": foveate.Bilinear(square_matrix(64)), "scale": 0.125}
COSINE = {"score": foveate.Cosine(0.1)}
PREPARED = 1 / 1.1  # within 10 % of scaled_dot and the preparation of its operands
EXACT_ZEROS = 1 / 2.5  # at most 2.5 times the time of softmax

CLAIMS = [
    *(
        Workload("additive", shape, {"score": "additive"}, {"torch": 15.0, "keras": 15.0, "numpy": 15.0})
        for shape in ADDITIVE
    ),
    *(
        Workload(
            name,
            LONG,
            {"activation": name},
            {"tensorflow": 1.5, "torch": 1.5, "numpy": 1.5, "softmax": target},
        )
        for name, target in [("sigmoid", 0.95), ("relu", 1.0)]
    ),
    *(
        Workload(name, LONG, {"activation": activation}, {"numpy": 1.0, "softmax": target})
        for name, activation, target in [
            ("sparsemax", "sparsemax", EXACT_ZEROS),
            ("entmax15", "entmax15", EXACT_ZEROS),
            ("topk 16", foveate.TopK(16), None),
            ("topk 64", foveate.TopK(64), None),
            ("softmax1", "softmax1", None),
            ("relu2", "relu2", None),
            ("tanh", "tanh", None),
            ("identity", "identity", None),
        ]
    ),
    # bisection in NumPy takes 24 passes of powers: a shorter row
    Workload(
        "entmax 1.3",
        square(1, 8, 512, 64),
        {"activation": foveate.Entmax(1.3)},
        {"numpy": 1.0, "softmax": None},
    ),
    Workload("select 16", LONG, {"combine": foveate.Select(16)}, {"numpy": 1.0, "softmax": None}),
    Workload("bilinear", LONG, BILINEAR, {"numpy": 1.0, "softmax after preparation": PREPARED}),
    Workload("cosine", LONG, COSINE, {"numpy": 1.0, "softmax after preparation": PREPARED}),
    Workload("product", Shape(1, 4, 4, 64, 128, 64), {"combine": "product"}, {"numpy": 1.0, "torch": None}),
    *(
        Workload(f"key_stats {kind}", LONG, {"key_stats": kind}, {"numpy": 1.0, "softmax": None})
        for kind in ("sum", "max")
    ),
]

# no mode is slower than naive NumPy on any of these; one of each kind of shape, two for what fits them
_MODES: dict[str, Mapping[str, Any]] = {
    "additive": {"score": "additive"},
    **{
        workload.name: workload.options for workload in CLAIMS if workload.name not in ("additive", "product")
    },
}
_SMALL = [square(1, 1, 32, 64), square(1, 12, 128, 64), Shape(1, 8, 8, 1, 1024, 64)]
GRID = [
    *(
        Workload(name, shape, options, {"numpy": 1.0})
        for shape in _SMALL
        for name, options in _MODES.items()
        if not (name == "topk 64" and shape.kv_len < 128)
    ),
    *(
        Workload("product", shape, {"combine": "product"}, {"numpy": 1.0})
        for shape in (shapes.TINY, square(1, 1, 32, 64), Shape(1, 8, 8, 1, 1024, 64))
    ),
]

# the suite that keeps a history
HISTORY = [
    *(replace(workload, shape=square(1, 8, 512, 64)) for workload in CLAIMS if workload.shape == LONG),
    *(workload for workload in CLAIMS if workload.shape != LONG),
]
