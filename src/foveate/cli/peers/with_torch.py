"""torch.nn.functional.scaled_dot_product_attention on tensors that share memory with the arrays."""

from __future__ import annotations

from typing import Any

import torch  # type: ignore[import-not-found, unused-ignore]

from . import Array, Prepared


def prepare(query: Array, key: Array, value: Array, *, causal: bool, n_threads: int) -> Prepared:
    """Grouped heads by ``enable_gqa``; the number of threads is torch's for the whole process."""
    torch.set_num_threads(n_threads)
    q, k, v = (torch.from_numpy(array) for array in (query, key, value))
    attention = torch.nn.functional.scaled_dot_product_attention
    options: dict[str, Any] = {}
    if causal:
        options["is_causal"] = True
    if query.shape[-3] != key.shape[-3]:
        options["enable_gqa"] = True
    return Prepared(lambda: attention(q, k, v, **options), lambda result: result.numpy())
