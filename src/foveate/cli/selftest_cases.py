"""Seeded attention problems for ``foveate selftest``: odd shapes, every dtype, every kind of mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# around the tile widths and key blocks, where loops have their tails
LENGTHS = (1, 2, 3, 7, 15, 16, 17, 31, 33, 48, 63, 65, 127, 129, 200, 257)
DIMS = (1, 3, 8, 16, 31, 33, 64, 80, 128)
HEADS = ((1, 1), (2, 2), (4, 2), (6, 2), (8, 1))  # of query, of key and value
EXTRAS = (
    "plain", "causal", "bottom_right", "window", "mask", "bias", "kv_lengths", "softcap", "alibi", "sinks",
    "dead rows", "all",
)  # fmt: skip
MAX_WORK = 1e7  # pairs of rows times columns: about 10 ms in the reference


@dataclass(frozen=True)
class Case:
    """One call: the arrays, and the options that go with them."""

    label: str
    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    options: dict[str, Any]


def dtypes() -> list[np.dtype[Any]]:
    """The storage types of this environment: bfloat16 only where ml_dtypes is installed."""
    found = [np.dtype(name) for name in ("float32", "float64", "float16")]
    try:
        import ml_dtypes
    except ImportError:
        return found
    return [*found, np.dtype(ml_dtypes.bfloat16)]


def cases(n: int, seed: int = 0) -> Iterator[Case]:
    """``n`` problems, the same ones on every machine; kinds of mask, activations and dtypes take turns."""
    kinds = dtypes()
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        extra = EXTRAS[i % len(EXTRAS)]
        activation = ("softmax", "sigmoid")[(i // len(EXTRAS)) % 2]
        dtype = kinds[(i // (2 * len(EXTRAS)) + i) % len(kinds)]
        if extra == "sinks":
            activation = "softmax"  # the others have no denominator
        yield _case(rng, extra, activation, dtype)


def _case(rng: np.random.Generator, extra: str, activation: str, dtype: np.dtype[Any]) -> Case:
    q_heads, kv_heads = HEADS[rng.integers(len(HEADS))]
    batch = int(rng.integers(1, 3))
    head_dim, value_dim = (int(rng.choice(DIMS)) for _ in range(2))
    q_len, kv_len = int(rng.choice([1, *LENGTHS])), int(rng.choice(LENGTHS))
    while batch * q_heads * q_len * kv_len * (head_dim + value_dim) > MAX_WORK:
        q_len, kv_len = (q_len + 1) // 2, (kv_len + 1) // 2

    def normal(*shape: int) -> NDArray[Any]:
        return rng.standard_normal(shape).astype(dtype)

    query = normal(batch, q_heads, q_len, head_dim)
    key = normal(batch, kv_heads, kv_len, head_dim)
    value = normal(batch, kv_heads, kv_len, value_dim)
    options = {"activation": activation} | _extra(rng, extra, batch, q_heads, q_len, kv_len, activation)
    label = f"{extra}, {activation}, {dtype.name}, {batch}x{q_heads}/{kv_heads}x{q_len}x{kv_len}x{head_dim}"
    return Case(label, query, key, value, options)


def _extra(
    rng: np.random.Generator, extra: str, batch: int, q_heads: int, q_len: int, kv_len: int, activation: str
) -> dict[str, Any]:
    """The options of one kind; "all" takes most of them together."""
    slopes = 2.0 ** -np.arange(1.0, q_heads + 1)
    lengths = rng.integers(0, kv_len + 1, batch)
    mask = rng.random((batch, 1, q_len, kv_len)) < 0.7
    bias = rng.standard_normal((q_heads, q_len, kv_len)).astype(np.float32)
    bias[rng.random(bias.shape) < 0.1] = -np.inf
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "causal": {"causal": "top_left"},
        "bottom_right": {"causal": "bottom_right"},
        "window": {"window": (int(rng.integers(0, 40)), int(rng.integers(0, 9))), "q_offset": kv_len - q_len},
        "mask": {"mask": mask},
        "bias": {"bias": bias},
        "kv_lengths": {"kv_lengths": lengths},
        "softcap": {"softcap": 2.5, "scale": 1.0},
        "alibi": {"alibi_slopes": slopes},
        "sinks": {"sinks": rng.standard_normal(q_heads)},
        "dead rows": {"mask": mask & (np.arange(q_len) % 3 != 0)[:, None]},
    }
    if extra != "all":
        return options[extra]
    every = options["mask"] | options["bias"] | options["kv_lengths"] | options["alibi"]
    every |= {"causal": "bottom_right", "window": (20, None), "softcap": 5.0}
    return every | (options["sinks"] if activation == "softmax" else {})
