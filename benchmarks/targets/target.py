"""A workload with what it is meant to reach: against the best peer, a limit, another workload of our own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.shapes import Shape

TANH_PER_CORE = 8e9  # per second; the rate that additive is to reach, softmax and weighted sum included
TANH = "8 G tanh/s per core"
READ = "a read of as many bytes"  # from wherever they are after the last one


@dataclass(frozen=True)
class Share:
    """At least this share of a limit: a name of `foveate.limits`, `TANH` or `READ`; on AVX2 another one."""

    limit: str
    at_least: float
    at_least_avx2: float | None = None

    def target(self, isa: str) -> float:
        """The share to reach on that instruction set."""
        return self.at_least if isa != "avx2" or self.at_least_avx2 is None else self.at_least_avx2


@dataclass(frozen=True)
class Against:
    """At least this ratio of another workload's time to ours, both foveate's, per call or multiply-add."""

    target: Target
    at_least: float
    per_flop: bool = False


@dataclass(frozen=True)
class Target:
    """One workload; ``peers`` is the ratio of the best peer's time to ours to reach, None: none is timed.

    ``mask`` is "", "bool" or "float"; ``window`` the number of keys that a query sees, itself the last;
    ``rival`` begins the names of the forms that count, all where it is empty; ``threads`` overrides those
    of the run; ``prepared`` calls a Mode with ``out=``; ``f32_in_tiles`` runs with FOVEATE_F32=amx, while the
    workload of our own beside it does not. ``dropped`` says why ``peers``, or without them
    ``own``, or without both ``share``, is out of reach, with a figure that docs/performance.md explains; it
    is measured all the same.
    """

    name: str
    shape: Shape
    peers: float | None = None
    share: Share | None = None
    own: Against | None = None
    mask: str = ""
    window: int | None = None
    alibi: bool = False
    softcap: float | None = None
    score: str = "scaled_dot"
    activation: str = "softmax"
    kv_dtype: str | None = None
    precision: str = "highest"
    rival: str = ""
    threads: int | None = None
    prepared: bool = False
    f32_in_tiles: bool = False
    dropped: str = ""

    def __str__(self) -> str:
        # a Shape of its own type would print f64 alone
        kv = f", {self.kv_dtype} K/V" if self.kv_dtype else ""
        kv += f", precision {self.precision}" if self.precision != "highest" else ""
        kv += ", FOVEATE_F32=amx" if self.f32_in_tiles else ""
        threads = f", {self.threads} thread" if self.threads else ""
        return f"{self.name}, {self.shape}, {self.shape.dtype}{kv}{threads}"

    @property
    def is_plain(self) -> bool:
        """Softmax of scaled dots with no more than a causal mask, on one type."""
        return not (
            self.mask or self.window or self.alibi or self.softcap or self.kv_dtype or self.is_other_mode
        )

    @property
    def is_other_mode(self) -> bool:
        return (self.score, self.activation) != ("scaled_dot", "softmax")

    @property
    def flops(self) -> int:
        """Multiplications and additions of both products, of pairs attended under causal and the window."""
        shape = self.shape
        if self.window is None or not shape.causal:
            return shape.flops
        pairs = sum(min(row + 1, self.window) for row in range(shape.q_len))
        return 4 * shape.batch * shape.n_q_heads * pairs * shape.head_dim

    @property
    def n_bytes(self) -> int:
        """The arrays read once, the result written once; quantized rows with a float32 scale each."""
        if self.kv_dtype is None:
            return self.shape.n_bytes
        shape = self.shape
        rows = 2 * shape.batch * shape.n_q_heads * shape.q_len
        stored = 2 * shape.batch * shape.n_kv_heads * shape.kv_len
        return rows * shape.head_dim * np.dtype(shape.dtype).itemsize + stored * (shape.head_dim + 4)

    @property
    def work(self) -> float:
        """What ``share.limit`` counts: operations, bytes or tanh."""
        if self.share is None:
            raise ValueError(f"{self} has no limit")
        if self.share.limit == TANH:
            return self.flops / 4
        return float(self.n_bytes if self.share.limit == READ else self.flops)
