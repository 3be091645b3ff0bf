"""THE table of benchmark shapes: the suites and the scripts take theirs from here."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shape:
    """One attention problem: q (batch, n_q_heads, q_len, head_dim), k and v with n_kv_heads and kv_len."""

    batch: int
    n_q_heads: int
    n_kv_heads: int
    q_len: int
    kv_len: int
    head_dim: int
    causal: bool = False
    dtype: str = "float32"

    def __str__(self) -> str:
        heads = f"H{self.n_q_heads}"
        if self.n_kv_heads != self.n_q_heads:
            heads += f" Hkv{self.n_kv_heads}"
        length = f"L{self.q_len}" if self.q_len == self.kv_len else f"Lq{self.q_len} Lk{self.kv_len}"
        causal = " causal" if self.causal else ""
        wide = " f64" if self.dtype == "float64" else ""
        return f"B{self.batch} {heads} {length} D{self.head_dim}{causal}{wide}"

    @property
    def flops(self) -> int:
        """Multiplications and additions of the two products; half of them under causal."""
        pairs = self.q_len * (self.q_len + 1) // 2 if self.causal else self.q_len * self.kv_len
        return 4 * self.batch * self.n_q_heads * pairs * self.head_dim

    @property
    def n_bytes(self) -> int:
        """Query, key and value read once, the output written once: what no method can do without."""
        rows = 2 * self.n_q_heads * self.q_len + 2 * self.n_kv_heads * self.kv_len
        return self.batch * rows * self.head_dim * np.dtype(self.dtype).itemsize

    def arrays(self, seed: int = 0) -> tuple[NDArray[np.floating], ...]:
        """Contiguous query, key, value with standard normal elements."""
        rng = np.random.default_rng(seed)
        query = (self.batch, self.n_q_heads, self.q_len, self.head_dim)
        key = (self.batch, self.n_kv_heads, self.kv_len, self.head_dim)
        return tuple(rng.standard_normal(shape, np.float32).astype(self.dtype) for shape in (query, key, key))


def square(batch: int, n_heads: int, length: int, head_dim: int, **options: object) -> Shape:
    """Self-attention without grouping."""
    return Shape(batch, n_heads, n_heads, length, length, head_dim, **options)  # type: ignore[arg-type]


TINY = square(1, 1, 3, 2)
DECODE = Shape(1, 32, 8, 1, 4096, 128)
PREFILL = [
    square(1, 8, length, head_dim, causal=causal)
    for (length, head_dim), causal in itertools.product([(4096, 64), (2048, 128)], [False, True])
]
SMALL = [square(1, 12, 128, 64), square(8, 12, 128, 64)]

# foveate is never slower than naive NumPy on any of these
GRID = [
    *(
        square(1, n_heads, length, head_dim, causal=causal, dtype=dtype)
        for length, n_heads, head_dim, causal, dtype in itertools.product(
            [3, 16, 64, 128, 512, 1024, 2048],
            [1, 8],
            [2, 16, 64, 128, 256],
            [False, True],
            ["float32", "float64"],
        )
    ),
    *(
        Shape(1, n_q_heads, n_kv_heads, 1, kv_len, head_dim, dtype=dtype)
        for (n_q_heads, n_kv_heads), kv_len, head_dim, dtype in itertools.product(
            [(1, 1), (8, 8), (32, 8)], [16, 128, 1024, 4096], [16, 64, 128], ["float32", "float64"]
        )
    ),
]

# the suites that keep a history
HISTORY = [
    *SMALL,
    square(1, 8, 1024, 64),
    square(1, 8, 1024, 64, causal=True),
    square(1, 8, 1024, 64, dtype="float64"),
    square(1, 8, 1024, 128),
    Shape(1, 8, 2, 512, 512, 64),
    DECODE,
]
