"""Every mode the article names, as one table: three scores x three activations x three results.

    python -m pip install 'foveate[cli]'
    python examples/article_modes.py

Dot product, additive and scaled dot product (section 3.2.2) by sigmoid, ReLU and tanh (sections 4.2.2 and
5.5) by weighted sum, elementwise product and soft selection (section 3.2.3). The inputs are those of
section 4.3; the features are the inputs less [1.75, 2.75], so that one logit is negative and the
activations differ.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import foveate
from foveate.layers import AttentionPooling

Array = NDArray[np.float64]

INPUTS = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
FEATURES = np.eye(2), np.array([-1.75, -2.75])
QUERY = np.array([1.0, 0.25])

SCORES = {"dot": "dot product", "additive": "additive", "scaled_dot": "scaled dot product"}
ACTIVATIONS = {"sigmoid": "sigmoid", "relu": "ReLU", "tanh": "tanh"}
COMBINES: dict[str, str | foveate.Select] = {
    "weighted sum": "weighted_sum",
    "elementwise product": "product",
    "soft selection of 2": foveate.Select(2),
}


def pool(score: str, activation: str, combine: str | foveate.Select) -> foveate.AttentionResult:
    """Output (2,), or (3, 2) of the elementwise product, and the weights (3,)."""
    mode = foveate.Mode(score=score, activation=activation, combine=combine)
    return AttentionPooling(FEATURES, QUERY, mode)(INPUTS, return_weights=True)


def logits(score: str) -> Array:
    w, b = FEATURES
    return np.asarray(foveate.scores(QUERY[None], INPUTS @ w + b, score=score)[0])


def vector(numbers: Array) -> str:
    return "[" + ", ".join(f"{number:.3f}" for number in numbers + 0.0) + "]"


def lines(numbers: Array) -> str:
    """A vector, or a matrix row by row."""
    return "\n".join(vector(row) for row in np.atleast_2d(numbers))


def table() -> Table:
    made = Table(title="27 modes: 3 scores x 3 activations x 3 results", show_lines=True)
    for heading in ("score and logits", "activation and weights", *COMBINES):
        made.add_column(heading)
    for score, activation in product(SCORES, ACTIVATIONS):
        results = [pool(score, activation, combine) for combine in COMBINES.values()]
        weights = results[0].weights
        assert weights is not None
        made.add_row(
            f"{SCORES[score]}\n{vector(logits(score))}",
            f"{ACTIVATIONS[activation]}\n{vector(weights)}",
            *(lines(result.output) for result in results),
        )
    return made


def main() -> None:
    Console(width=130).print(table(), markup=False)


if __name__ == "__main__":
    main()
