"""TensorFlow: eager, as a graph, and as a graph compiled by XLA."""

import functools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from benchmarks.rivals import Arrays, Call
from benchmarks.workloads import Workload


@functools.cache
def tensorflow() -> ModuleType:
    """Imported without its log lines and without looking for a GPU."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    return tf


def set_threads(n_threads: int) -> None:
    """One operation at a time, on all threads; TensorFlow takes the number before its first operation."""
    threading = tensorflow().config.threading
    threading.set_intra_op_parallelism_threads(n_threads)
    threading.set_inter_op_parallelism_threads(1)


def forms(name: str, function: Callable[..., Any], tensors: list[Any]) -> dict[str, Call]:
    """The three ways to run a function of tensors."""
    tf = tensorflow()
    graph, compiled = tf.function(function), tf.function(function, jit_compile=True)
    return {
        name: lambda: function(*tensors),
        f"{name}, tf.function": lambda: graph(*tensors),
        f"{name}, XLA": lambda: compiled(*tensors),
    }


def calls(workload: Workload, arrays: Arrays) -> dict[str, Call]:
    tf = tensorflow()
    if (workload.score, workload.combine) != ("scaled_dot", "weighted_sum"):
        raise ValueError(f"nobody has written {workload} in TensorFlow")
    activate = {"sigmoid": tf.sigmoid, "relu": tf.nn.relu}[workload.activation]

    def function(query: Any, key: Any, value: Any) -> Any:
        logits = tf.matmul(query * workload.scale, key, transpose_b=True)
        return tf.matmul(activate(logits), value)

    return forms("tensorflow", function, [tf.constant(array) for array in arrays])
