"""The three stages alone, on whole arrays: `foveate.scores`, `foveate.activate`, `foveate.combine`."""

import numpy as np
import pytest

import foveate
from benchmarks import exactness
from benchmarks.figures import Work
from benchmarks.shapes import square
from benchmarks.workloads import COSINE, square_matrix

SHAPE = square(1, 8, 512, 64)
SCORES = {
    "scaled_dot": "scaled_dot",
    "dot": "dot",
    "additive": "additive",
    "bilinear": foveate.Bilinear(square_matrix(64)),
    "cosine": COSINE["score"],
}
ACTIVATIONS = {
    **{
        name: name
        for name in ("softmax", "softmax1", "sigmoid", "relu", "relu2", "tanh", "identity", "sparsemax")
    },
    "entmax15": "entmax15",
    "entmax 1.3": foveate.Entmax(1.3),
    "topk 16": foveate.TopK(16),
}
COMBINES = {"weighted_sum": "weighted_sum", "product": "product", "select 16": foveate.Select(16)}
PAIRS = SHAPE.n_q_heads * SHAPE.q_len * SHAPE.kv_len


def logits(n_rows=SHAPE.q_len):
    rng = np.random.default_rng(1)
    return rng.standard_normal((1, SHAPE.n_q_heads, n_rows, SHAPE.kv_len), np.float32)


@pytest.mark.parametrize("name", SCORES)
def bench_score(run, name):
    """Of additive the D terms of a pair count as D multiply-adds, which a tanh is far above."""
    query, key, _ = SHAPE.arrays()
    score = SCORES[name]
    work = Work(2 * PAIRS * SHAPE.head_dim, query.nbytes + key.nbytes + 4 * PAIRS)
    run(
        lambda: foveate.scores(query, key, score=score),
        work,
        lambda made: exactness.scores_error(made, query, key, score=score),
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def bench_activation(run, name):
    """Rated by the bytes alone: what it computes per element differs too much."""
    given, activation = logits(), ACTIVATIONS[name]
    run(
        lambda: foveate.activate(given, activation),
        Work(0, 2 * given.nbytes),
        lambda made: exactness.activate_error(made, given, activation),
    )


@pytest.mark.parametrize("name", COMBINES)
def bench_combine(run, name):
    """The product writes Lq x Lk x Dv numbers: on 32 rows."""
    combine = COMBINES[name]
    weights = foveate.activate(logits(32 if name == "product" else SHAPE.q_len))
    value = SHAPE.arrays()[2]
    flops = 2 * weights.size * SHAPE.head_dim
    out_bytes = 4 * SHAPE.head_dim * (weights.size if name == "product" else weights.size // SHAPE.kv_len)
    run(
        lambda: foveate.combine(weights, value, combine),
        Work(flops // 2 if name == "product" else flops, weights.nbytes + value.nbytes + out_bytes),
        lambda made: exactness.combine_error(made, weights, value, combine),
    )
