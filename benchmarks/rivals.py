"""What foveate is timed against: each maker returns a call without arguments on inputs in its native form."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes import Shape

Arrays = tuple[NDArray[np.floating], ...]
Call = Callable[[], object]


def foveate_call(shape: Shape, arrays: Arrays) -> Call:
    """The public function, as a user writes it."""
    import foveate

    query, key, value = arrays
    if shape.causal:
        return lambda: foveate.attention(query, key, value, causal=True)
    return lambda: foveate.attention(query, key, value)


def foveate_mode_call(shape: Shape, arrays: Arrays) -> Call:
    """A Mode that is made once."""
    import foveate

    query, key, value = arrays
    mode = foveate.Mode(causal=shape.causal)
    return lambda: mode(query, key, value)


def numpy_call(shape: Shape, arrays: Arrays) -> Call:
    """Textbook attention: the whole matrix of logits, the softmax in place, BLAS for both products.

    The group of query heads that shares a key is folded into the rows, which is NumPy's best case. The
    causal mask exists before the clock starts.
    """
    query, key, value = arrays
    rows = query.reshape(shape.batch, shape.n_kv_heads, -1, shape.head_dim)
    scale = query.dtype.type(shape.head_dim**-0.5)
    hidden = None
    if shape.causal:
        group_size = shape.n_q_heads // shape.n_kv_heads
        hidden = np.tile(~np.tri(shape.q_len, shape.kv_len, dtype=bool), (group_size, 1))

    def call() -> NDArray[np.floating]:
        weights = np.matmul(rows, key.swapaxes(-1, -2))
        weights *= scale
        if hidden is not None:
            np.copyto(weights, -np.inf, where=hidden)
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.matmul(weights, value).reshape(query.shape)

    return call


def torch_call(shape: Shape, arrays: Arrays) -> Call:
    """torch's fused attention on its own tensors, grouped heads by enable_gqa."""
    import torch

    query, key, value = map(torch.from_numpy, arrays)
    attention = torch.nn.functional.scaled_dot_product_attention
    options: dict[str, bool] = {}
    if shape.causal:
        options["is_causal"] = True
    if shape.n_q_heads != shape.n_kv_heads:
        options["enable_gqa"] = True
    return lambda: attention(query, key, value, **options)


def torch_folded_call(shape: Shape, arrays: Arrays) -> Call:
    """torch with the group folded into the query rows by a caller who knows (one row, no causal)."""
    if shape.q_len != 1 or shape.causal:
        raise ValueError(f"shape: got {shape}, folding needs one query row and no causal mask")
    query, key, value = arrays
    rows = query.reshape(shape.batch, shape.n_kv_heads, -1, shape.head_dim)
    return torch_call(
        Shape(shape.batch, shape.n_kv_heads, shape.n_kv_heads, rows.shape[2], shape.kv_len, shape.head_dim),
        (rows, key, value),
    )


def set_threads(n_threads: int) -> None:
    """The same number for everyone: foveate, NumPy's BLAS and, when it is installed, torch."""
    import importlib.util

    from threadpoolctl import threadpool_limits

    import foveate

    threadpool_limits(n_threads, user_api="blas")
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(n_threads)
    foveate.set_num_threads(n_threads)
