"""Section 4.3 of the article, with the right numbers.

    python -m pip install 'foveate[cli]'
    python examples/article_worked_numbers.py

Three inputs of two numbers; the feature of each is f(x) = 2x + 1 of its first number; its weight is the
sigmoid of feature times weight vector, of which the article uses the first element, 1; the output is the
sum of the weighted inputs. The article prints other weights, and a sum that does not follow from those
either.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import foveate
from foveate.layers import AttentionPooling

Array = NDArray[np.float64]

INPUTS = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
FEATURE = np.array([2.0, 0.0]), 1.0  # x -> 2 x_1 + 1
WEIGHT = 1.0
MODE = foveate.Mode(score="dot", activation="sigmoid", combine="weighted_sum")

# What it must be, to six decimals, and what the article prints.
FEATURES = ["3", "5", "7"]
WEIGHTS = ["0.952574", "0.993307", "0.999089"]
OUTPUT = ["5.936455", "8.881425"]
PRINTED_WEIGHTS = np.array([0.95, 0.86, 0.75])
PRINTED_OUTPUT = np.array([6.92, 11.48])
SUM_OF_PRINTED_WEIGHTS = ["4.92", "7.48"]


class Worked(NamedTuple):
    features: Array
    weights: Array
    terms: Array  # w_i times input i
    output: Array


def work() -> Worked:
    """Every step, by foveate; AssertionError if a digit differs."""
    w, b = FEATURE
    features = INPUTS @ w + b
    output, _, weights, _ = AttentionPooling(FEATURE, WEIGHT, MODE)(INPUTS, return_weights=True)
    per_item = foveate.Mode(score="dot", activation="sigmoid", combine="product")
    terms = AttentionPooling(FEATURE, WEIGHT, per_item)(INPUTS)
    assert [f"{feature:g}" for feature in features] == FEATURES
    assert weights is not None
    assert [f"{weight:.6f}" for weight in weights] == WEIGHTS
    assert [f"{number:.6f}" for number in output] == OUTPUT
    assert [f"{number:.6f}" for number in terms.sum(axis=0)] == OUTPUT
    assert [f"{number:.2f}" for number in PRINTED_WEIGHTS @ INPUTS] == SUM_OF_PRINTED_WEIGHTS
    return Worked(features, weights, terms, output)


def vector(numbers: Array, decimals: int = 6) -> str:
    return "[" + ", ".join(f"{number:.{decimals}f}" for number in numbers) + "]"


def table(worked: Worked) -> Table:
    made = Table(title="Section 4.3", show_footer=True)
    printed = PRINTED_WEIGHTS @ INPUTS
    made.add_column("input", "sum")
    made.add_column("feature", "", justify="right")
    made.add_column("weight", "", justify="right")
    made.add_column("weight x input", vector(worked.output), justify="right")
    made.add_column("weight in the article", "", justify="right")
    made.add_column(
        "sum in the article",
        f"{vector(PRINTED_OUTPUT, 2)}\nits weights give {vector(printed, 2)}",
        justify="right",
    )
    rows = zip(INPUTS, worked.features, worked.weights, worked.terms, PRINTED_WEIGHTS, strict=True)
    for item, feature, weight, term, article in rows:
        made.add_row(vector(item, 0), f"{feature:g}", f"{weight:.6f}", vector(term), f"{article:.2f}", "")
    return made


def main() -> None:
    Console(width=110).print(table(work()), markup=False)


if __name__ == "__main__":
    main()
