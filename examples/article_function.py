"""Section 5.2 of the article: its attention function, made to run, and its scatter plot as a PNG.

    python -m pip install 'foveate[plot]'
    python examples/article_function.py [scatter.png]

As printed it multiplies x of shape (3, 2) by weights of shape (3,), which do not broadcast. There is one
weight per item, so they are a column here, and so are the features in the second product; then all lines
make sense:

    features = sigmoid(sum(x * weights[:, None], axis=1))       (3,)  one feature per item
    weights  = sigmoid(sum(features[:, None] * x, axis=1))      (3,)  one weight per item
    output   = sum(x * weights[:, None], axis=1)                (3,)  one number per item: its colour

The second and the third are attention with a query of ones, the score "dot" over features * x, the
activation "sigmoid" and the combine "product".
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import foveate
from foveate.layers import AttentionPooling

Array = NDArray[np.float64]

X = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
WEIGHTS = np.array([1.0, 2.0, 3.0])
MODE = foveate.Mode(score="dot", activation="sigmoid", combine="product")


def attention(x: Array, weights: Array) -> Array:
    """The article's function: one number per item of x (n, dim), from one weight per item."""

    def features(items: Array) -> Array:
        logits = np.sum(items * weights[:, None], axis=1)
        return foveate.activate(logits, "sigmoid")[:, None] * items

    pooling = AttentionPooling(features, query=np.ones(x.shape[1]), mode=MODE)
    return np.asarray(pooling(x).sum(axis=1))


def plain(x: Array, weights: Array) -> Array:
    """The same in NumPy alone, line by line as in the article."""

    def sigmoid(logits: Array) -> Array:
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))

    features = sigmoid(np.sum(x * weights[:, None], axis=1))
    weights = sigmoid(np.sum(features[:, None] * x, axis=1))
    return np.asarray(np.sum(x * weights[:, None], axis=1))


def scatter(x: Array, output: Array) -> Figure:
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    points = axes.scatter(x[:, 0], x[:, 1], c=output, cmap="viridis", s=120)
    for (first, second), value in zip(x, output, strict=True):
        axes.annotate(
            f"{value:.4f}", (first, second), xytext=(0, 12), textcoords="offset points", ha="center"
        )
    figure.colorbar(points, label="Output Value")
    axes.set(xlabel="Feature 1", ylabel="Feature 2", title="Article, section 5.2: output of each item")
    axes.margins(0.15)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description="The article's attention function and its scatter plot.")
    parser.add_argument("path", type=Path, nargs="?", default=Path("article_scatter.png"))
    path = parser.parse_args().path
    output = attention(X, WEIGHTS)
    np.testing.assert_allclose(output, plain(X, WEIGHTS), rtol=1e-14)
    print(np.array2string(output, precision=6, floatmode="fixed"))
    scatter(X, output).savefig(path, dpi=120)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
