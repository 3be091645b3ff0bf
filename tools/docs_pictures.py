"""Draw the pictures of docs/plotting.md and docs/benchmarking.md again, from the same numbers.

pip install '.[cli,plot]' && python tools/docs_pictures.py [folder]

docs/images/heatmap.png and modes.png show made-up words; roofline.png and lengths.png the run recorded in
docs/images/bench.jsonl; history.png the records in benchmarks/history/.
"""

import sys
from pathlib import Path

import numpy as np

import foveate
from foveate import plot
from foveate.cli import bench_record

WORDS = ["The", "cat", "that", "chased", "the", "mouse", "was", "tired", "because", "it", "ran"]
ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"


def token_vectors(n_heads, head_dim=16):
    """Made-up queries and keys for WORDS: noise, and queries that look for some words' keys."""
    rng = np.random.default_rng(5)
    key = rng.standard_normal((n_heads, len(WORDS), head_dim))
    query = 0.6 * rng.standard_normal((n_heads, len(WORDS), head_dim))
    it, cat, mouse, chased, ran = (WORDS.index(w) for w in ("it", "cat", "mouse", "chased", "ran"))
    for asks, answers, strength in ((it, cat, 0.8), (it, mouse, 0.5), (ran, cat, 0.8), (mouse, chased, 0.7)):
        query[:, asks] += strength * key[:, answers]
    return query, key


def heatmap():
    query, key = token_vectors(4)
    causal = np.tri(len(WORDS), dtype=bool)
    weights = foveate.activate(foveate.scores(query, key), "entmax15", mask=causal)
    return plot.heatmap(weights, query_labels=WORDS, key_labels=WORDS, title="Four heads, entmax15, causal")


def modes():
    query, key = token_vectors(1)
    mask = np.ones(len(WORDS), bool)
    mask[-1] = False
    return plot.modes(
        query[0], key[0], row=WORDS.index("it"), mask=mask, query_labels=WORDS, key_labels=WORDS
    )


def roofline():
    return plot.roofline(bench_record.read(IMAGES / "bench.jsonl")[-1])


def lengths():
    return plot.lengths(bench_record.read(IMAGES / "bench.jsonl")[-1])


def history():
    files = sorted((ROOT / "benchmarks" / "history").glob("*.jsonl"))
    return plot.history([record for file in files for record in bench_record.read(file)])


def main(folder=IMAGES):
    for draw in (heatmap, modes, roofline, lengths, history):
        target = Path(folder) / f"{draw.__name__}.png"
        draw().savefig(target, dpi=110)
        print(target)


if __name__ == "__main__":
    main(*sys.argv[1:2])
