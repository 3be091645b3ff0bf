"""Attention with logits of your own making: they decay with distance, and documents do not see each other.

    python examples/score_modifier.py

The functions are compiled by numba (`pip install numba`) and by the C compiler, whichever is there. foveate
calls them on each tile of logits, inside the fused pass. Prints how far the result is from the same with a
bias and a mask in memory.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import foveate

C_SOURCE = r"""
#include <math.h>
#include "foveate/foveate.h"

void decay_in_document(const fov_logits_tile *t, void *user)
{
    const int64_t *ids = user; /* which document each position belongs to */
    float *logits = t->logits; /* this modifier is for float32 calls */
    for (int64_t j = 0; j < t->n_keys; j++)
        for (int64_t i = 0; i < t->n_queries; i++) {
            int64_t query = t->first_query + i, key = t->first_key + j;
            float distance = (float)(query > key ? query - key : key - query);
            float *x = &logits[i * t->query_stride + j * t->key_stride];
            *x = ids[query] == ids[key] ? *x - 0.125f * distance : -INFINITY;
        }
}

int same_document(const fov_logits_tile *t, void *user)
{
    const int64_t *ids = user; /* they never fall, so first and last say it all */
    return ids[t->first_query] <= ids[t->first_key + t->n_keys - 1] &&
           ids[t->first_key] <= ids[t->first_query + t->n_queries - 1];
}
"""


def with_numba() -> tuple[Any, Any]:
    """The modifier and the tile mask, from Python functions."""

    @foveate.score_modifier("int64")
    def decay_in_document(logit, batch, head, query, key, ids):
        if ids[query] != ids[key]:
            return -np.inf
        return logit - np.float32(0.125) * np.float32(abs(query - key))

    @foveate.score_modifier.tile_mask("int64")
    def same_document(batch, head, first_query, n_queries, first_key, n_keys, ids):
        return (
            ids[first_query] <= ids[first_key + n_keys - 1]
            and ids[first_key] <= ids[first_query + n_queries - 1]
        )

    return decay_in_document, same_document


def with_c(folder: Path) -> tuple[Any, Any]:
    """The same from C, through ctypes."""
    source, library = folder / "modifier.c", folder / "modifier.so"
    source.write_text(C_SOURCE)
    command = [os.environ.get("CC", "cc"), "-O3", "-march=native", "-shared", "-fPIC"]
    subprocess.run([*command, f"-I{foveate.get_include()}", source, "-o", library], check=True)
    loaded = ctypes.CDLL(str(library))
    for function, result in ((loaded.decay_in_document, None), (loaded.same_document, ctypes.c_int)):
        function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_void_p), result
    return loaded.decay_in_document, loaded.same_document


def report(how: str, functions: tuple[Any, Any]) -> None:
    """Compare with a bias and a mask that exist as matrices."""
    rng = np.random.default_rng(0)
    length = 600
    query, key, value = (rng.standard_normal((4, length, 32), np.float32) for _ in range(3))
    ids = np.repeat(np.arange(4), length // 4)
    modifier, tile_mask = functions
    result = foveate.attention(query, key, value, modifier=(modifier, ids), tile_mask=(tile_mask, ids))

    positions = np.arange(length, dtype=np.float32)
    bias = -0.125 * np.abs(positions[:, None] - positions)
    expected = foveate.attention(query, key, value, bias=bias, mask=ids[:, None] == ids)
    print(f"{how}: {np.abs(result - expected).max():.0e} from the same with a bias and a mask")


def main() -> None:
    skipped = []
    try:
        report("numba", with_numba())
    except ImportError as error:
        skipped.append(str(error))
    if shutil.which(os.environ.get("CC", "cc")):
        with tempfile.TemporaryDirectory() as folder:
            report("C", with_c(Path(folder)))
    else:
        skipped.append("no C compiler")
    for reason in skipped:
        print(f"skipped: {reason}")
    if len(skipped) == 2:
        sys.exit("needs numba or a C compiler")


if __name__ == "__main__":
    main()
