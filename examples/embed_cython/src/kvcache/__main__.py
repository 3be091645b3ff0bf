"""Eight threads decode, each a batch of its own; then everything is compared with foveate.attention."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import foveate
from kvcache import KVCache

THREADS, STEPS, BATCH, Q_HEADS, KV_HEADS, DIM = 8, 100, 2, 8, 2, 64


def work(seed: int) -> float:
    """Largest difference between decoding token by token and one causal call over all tokens."""
    random = np.random.default_rng(seed)
    query = random.standard_normal((STEPS, BATCH, Q_HEADS, DIM), dtype=np.float32)
    key, value = random.standard_normal((2, STEPS, BATCH, KV_HEADS, DIM), dtype=np.float32)
    out = np.empty_like(query)
    KVCache(BATCH, Q_HEADS, KV_HEADS, STEPS, DIM).decode(query, key, value, out)
    heads_first = (array.transpose(1, 2, 0, 3) for array in (query, key, value))
    expected = foveate.attention(*heads_first, causal=True)
    return float(np.abs(out.transpose(1, 2, 0, 3) - expected).max())


with ThreadPoolExecutor(THREADS) as pool:
    worst = max(pool.map(work, range(THREADS)))
print(f"{THREADS} threads x {STEPS} tokens x {BATCH} sequences, largest difference {worst:.1e}")
if not worst < 1e-5:
    raise SystemExit("decoding and foveate.attention disagree")
