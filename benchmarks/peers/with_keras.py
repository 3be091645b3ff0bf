"""Keras' AdditiveAttention on TensorFlow, called directly: `predict` costs milliseconds of its own."""

import os
from types import ModuleType
from typing import Any

from benchmarks.peers.with_tensorflow import forms, tensorflow
from benchmarks.peers.with_tensorflow import set_threads as set_threads
from benchmarks.rivals import Arrays, Call
from benchmarks.workloads import Workload


def _keras() -> ModuleType:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"keras was imported before, on {keras.backend.backend()}")
    return keras


def calls(workload: Workload, arrays: Arrays) -> dict[str, Call]:
    """Keras has no axis of heads, and takes query, value, key in this order."""
    if workload.score != "additive" or workload.shape.n_q_heads != 1:
        raise ValueError(f"Keras has no layer for {workload}")
    tf = tensorflow()
    layer = _keras().layers.AdditiveAttention(use_scale=False)

    def function(query: Any, key: Any, value: Any) -> Any:
        return layer([query, value, key])

    return forms("keras", function, [tf.constant(array[:, 0]) for array in arrays])
