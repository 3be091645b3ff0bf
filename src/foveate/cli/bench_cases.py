"""The workloads of ``foveate bench``: shapes that people have, one line each, and a row of lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ITEM_BYTES = 4  # float32


@dataclass(frozen=True)
class BenchCase:
    """Sizes of one float32 problem."""

    name: str
    n_q_heads: int
    n_kv_heads: int
    q_len: int
    kv_len: int
    head_dim: int
    causal: bool = False

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """query, key, value with a batch axis of 1; the same numbers in every run."""
        rng = np.random.default_rng([self.q_len, self.kv_len, self.head_dim])
        shapes = (self.n_q_heads, self.q_len), (self.n_kv_heads, self.kv_len), (self.n_kv_heads, self.kv_len)
        q, k, v = (rng.standard_normal((1, *shape, self.head_dim), np.float32) for shape in shapes)
        return q, k, v

    def flops(self) -> float:
        """Multiplications and additions of both products, attended pairs only."""
        pairs = self.q_len * (self.q_len + 1) / 2 if self.causal else self.q_len * self.kv_len
        return 4.0 * self.n_q_heads * pairs * self.head_dim

    def n_bytes(self) -> int:
        """Query, key and value read once, the output written once: what no method can do without."""
        rows = 2 * self.n_q_heads * self.q_len + 2 * self.n_kv_heads * self.kv_len
        return rows * self.head_dim * ITEM_BYTES


GRID = (
    BenchCase("tiny 3 x 2", 1, 1, 3, 3, 2),
    BenchCase("H12 L128 D64", 12, 12, 128, 128, 64),
    BenchCase("H8 L1024 D64", 8, 8, 1024, 1024, 64),
    BenchCase("H8 L1024 D64 causal", 8, 8, 1024, 1024, 64, causal=True),
    BenchCase("H2 L4096 D64", 2, 2, 4096, 4096, 64),
    BenchCase("H4 L2048 D128", 4, 4, 2048, 2048, 128),
    BenchCase("decode H32/8 L4096 D128", 32, 8, 1, 4096, 128),
)

#: Time against length: powers of two, and 4 heads so that NumPy's logits (256 MiB at 4096) fit anywhere.
LENGTHS = tuple(
    BenchCase(f"H4 L{n} D64", 4, 4, n, n, 64) for n in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
)
