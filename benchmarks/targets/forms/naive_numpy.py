"""Textbook attention in NumPy, in float32, where its matrix of logits fits."""

from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks import rivals
from benchmarks.peers import naive_numpy
from benchmarks.targets.forms import Forms
from benchmarks.targets.problem import Array, Problem
from foveate.cli.peers import Prepared

MOST_BYTES = 2 << 30


def _prepare(work: Problem, n_threads: int) -> Prepared:
    shape = work.target.shape
    n_bytes = 4 * shape.batch * shape.n_q_heads * shape.q_len * shape.kv_len
    if n_bytes > MOST_BYTES:
        raise MemoryError(f"its logits take {n_bytes / 2**30:.1f} GiB, more than {MOST_BYTES >> 30}")
    threadpool_limits(n_threads, user_api="blas")
    if work.target.is_plain:
        return Prepared(rivals.numpy_call(shape, work.arrays))
    if work.target.is_other_mode:
        return Prepared(naive_numpy.calls(work.as_mode(), work.arrays)["numpy"])
    return Prepared(partial(_softmax_attention, *work.arrays, work.added(), work.target.softcap))


def _softmax_attention(
    query: Array, key: Array, value: Array, added: Array | None, softcap: float | None
) -> Array:
    """In place; whatever masks is in ``added``, which exists before the clock starts."""
    logits = np.matmul(query * query.dtype.type(query.shape[-1] ** -0.5), key.swapaxes(-1, -2))
    if softcap is not None:
        logits /= softcap
        np.tanh(logits, out=logits)
        logits *= softcap
    if added is not None:
        logits += added
    return np.asarray(np.matmul(naive_numpy.softmax(logits), value))


def forms(work: Problem, n_threads: int) -> Forms:
    if work.target.shape.dtype != "float32":
        return {}
    return {"numpy": partial(_prepare, work, n_threads)}
