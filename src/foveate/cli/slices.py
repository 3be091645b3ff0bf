"""Long work in slices: attention over mapped arrays, a bounded amount at a time.

Slices are cut along batch axes first, then kv heads, then queries. A (batch element, kv head) is computed
alike in any call, so only slices of queries may differ from one call in the last bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import foveate
from foveate._learnt import Learnt

Array = NDArray[Any]
Slices = tuple[slice, ...]

SLICE_FLOPS = 2e10  # below a second on two cores: so long may a bar stand still and Ctrl-C wait
SLICE_BYTES = 2**26  # of weights in memory at a time
QUERY_BLOCK = 192  # a multiple of every tile width (16, 32, 48, 64)


@dataclass
class Job:
    """One call of attention whose arrays may be larger than memory; all of them heads first.

    ``options`` are the fields of `foveate.Mode` without causal, window and layout.
    """

    query: Array
    key: Array
    value: Array
    options: dict[str, Any]
    causal: bool | str = False
    window: tuple[int | None, int | None] | None = None
    mask: Array | None = None
    bias: Array | None = None
    alibi_slopes: Array | None = None
    sinks: Array | None = None
    kv_lengths: Array | None = None
    q_offset: Array | None = None
    num_threads: int | None = None
    batch: tuple[int, ...] = field(init=False)
    group_size: int = field(init=False)

    def __post_init__(self) -> None:
        for name in ("query", "key", "value"):
            if getattr(self, name).ndim < 3:
                raise ValueError(f"{name} must have at least 2 axes, got shape {getattr(self, name).shape}")
        heads = {name: getattr(self, name).shape[-3] for name in ("query", "key", "value")}
        n_q, n_kv = heads["query"], heads["key"]
        if heads["value"] != n_kv:
            raise ValueError(f"value must have the heads of key, {n_kv}, got {heads['value']}")
        if n_q and (n_kv == 0 or n_q % n_kv):
            raise ValueError(f"the heads of query must be a multiple of those of key, {n_kv}, got {n_q}")
        self.group_size = n_q // n_kv if n_kv else 1
        shapes = [getattr(self, name).shape[:-3] for name in heads]
        try:
            self.batch = np.broadcast_shapes(*shapes)
        except ValueError:
            got = ", ".join(map(str, shapes))
            raise ValueError(
                f"batch axes of query, key and value must broadcast together, got {got}"
            ) from None
        self._broadcast()

    def _broadcast(self) -> None:
        for name in ("query", "key", "value"):
            array = getattr(self, name)
            setattr(self, name, np.broadcast_to(array, self.batch + array.shape[-3:]))
        for name, shape in (
            ("mask", self.weights_shape),
            ("bias", self.weights_shape),
            ("kv_lengths", self.batch),
            ("q_offset", self.batch),
            ("alibi_slopes", (self.query.shape[-3],)),
            ("sinks", (self.query.shape[-3],)),
        ):
            array = getattr(self, name)
            if array is not None:
                try:
                    setattr(self, name, np.broadcast_to(array, shape))
                except ValueError:
                    raise ValueError(f"{name} must broadcast to {shape}, got shape {array.shape}") from None

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(..., Hq, Lq, Dv)."""
        return (*self.query.shape[:-1], self.value.shape[-1])

    @property
    def weights_shape(self) -> tuple[int, ...]:
        """(..., Hq, Lq, Lk)."""
        return (*self.query.shape[:-1], self.key.shape[-2])

    def alignment(self) -> Array:
        """The key position of query 0 for every batch element."""
        q_len, kv_len = self.query.shape[-2], self.key.shape[-2]
        if self.q_offset is not None:
            if isinstance(self.causal, str) or not (self.causal or self.window is not None):
                raise ValueError(
                    f"q_offset must come with causal yes or a window alone, got causal {self.causal!r}"
                )
            return self.q_offset
        unaligned = self.causal is True or (self.window is not None and not self.causal)
        if unaligned and q_len != kv_len:
            raise ValueError(
                f"causal or window with q_len {q_len} and kv_len {kv_len} needs to know where the queries "
                "stand: causal top_left, bottom_right, or q_offset"
            )
        return np.broadcast_to(kv_len - q_len if self.causal == "bottom_right" else 0, self.batch)

    def slices(self, with_weights: bool = False) -> list[Slices]:
        """Slices over (batch axes, kv head, query), none above the limits unless it cannot be cut."""
        q_len, kv_len = self.query.shape[-2:-1] + self.key.shape[-2:-1]
        axes = (*self.batch, self.key.shape[-3], q_len)
        flops = 2.0 * self.group_size * kv_len * (self.query.shape[-1] + self.value.shape[-1])
        cost = flops / SLICE_FLOPS
        if with_weights:
            cost = max(cost, self.group_size * kv_len * self.query.dtype.itemsize / SLICE_BYTES)
        return list(cut(axes, cost, QUERY_BLOCK))

    def run(self, at: Slices, output: Array, lse: Array | None, weights: Array | None) -> None:
        """Compute one slice into the arrays of the whole result."""
        batch, heads, rows = at[:-2], at[-2], at[-1]
        q_heads = slice(heads.start * self.group_size, heads.stop * self.group_size)
        here = (*batch, q_heads, rows)
        positions: dict[str, Any] = {"causal": bool(self.causal), "window": self.window}
        if self.causal or self.window is not None or self.alibi_slopes is not None:
            positions["q_offset"] = np.array(self.alignment()[batch] + rows.start)
            if not self.causal and self.window is None:
                # ALiBi alone: a window that hides nothing, because q_offset goes with causal or a window
                positions["window"] = (None, None)
        options = dict(self.options)
        if isinstance(options.get("score"), Learnt):
            options["score"] = options["score"].of_heads(q_heads)
        result: Any = foveate.attention(
            self.query[here],
            self.key[(*batch, heads)],
            self.value[(*batch, heads)],
            **options,
            **positions,
            mask=None if self.mask is None else self.mask[here],
            bias=None if self.bias is None else self.bias[here],
            alibi_slopes=None if self.alibi_slopes is None else self.alibi_slopes[q_heads],
            sinks=None if self.sinks is None else self.sinks[q_heads],
            kv_lengths=None if self.kv_lengths is None else np.array(self.kv_lengths[batch]),
            return_lse=lse is not None,
            return_weights=weights is not None,
            out=output[here],
            num_threads=self.num_threads,
        )
        if lse is not None:
            lse[here] = result.lse
        if weights is not None:
            weights[here] = result.weights


def cut(axes: tuple[int, ...], cost: float, block: int) -> Iterator[Slices]:
    """Cut a box into slices of cost about 1, where one element of the last axis costs ``cost``.

    Axes before the cut are walked one by one, axes after it are whole; the last axis is cut at multiples of
    ``block``.

    >>> [tuple((s.start, s.stop) for s in c) for c in cut((3, 2, 100), 0.002, 10)]
    [((0, 2), (0, 2), (0, 100)), ((2, 3), (0, 2), (0, 100))]
    """
    if math.prod(axes) == 0:
        yield tuple(slice(0, n) for n in axes)
        return
    axis = 0
    while axis < len(axes) - 1 and cost * math.prod(axes[axis + 1 :]) > 1:
        axis += 1
    step = max(1, int(1 / max(cost * math.prod(axes[axis + 1 :]), 1e-30)))
    if axis == len(axes) - 1:
        step = max(block, step // block * block)
    after = tuple(slice(0, n) for n in axes[axis + 1 :])
    for before in np.ndindex(*axes[:axis]):
        for start in range(0, axes[axis], step):
            here = slice(start, min(start + step, axes[axis]))
            yield (*(slice(i, i + 1) for i in before), here, *after)
