"""OpenVINO's scaled_dot_product_attention, compiled for the CPU in float32, inputs as its own tensors."""

from __future__ import annotations

import numpy as np
import openvino  # type: ignore[import-not-found, import-untyped, unused-ignore]
from openvino import opset13  # type: ignore[import-not-found, import-untyped, unused-ignore]

from . import Array, Prepared, folded


def prepare(query: Array, key: Array, value: Array, *, causal: bool, n_threads: int) -> Prepared:
    """A compiled model of its own; float32 is forced, where it would take bfloat16 on a CPU that has it."""
    shape = (*query.shape[:-1], value.shape[-1])
    arrays = folded(query, key, value, causal)
    inputs = [opset13.parameter(list(array.shape), np.float32) for array in arrays]
    attention = opset13.scaled_dot_product_attention(*inputs, causal=causal)
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": n_threads,
        "PERFORMANCE_HINT": "LATENCY",  # one stream, which has all the threads
        "ENABLE_CPU_PINNING": False,  # the others are not pinned either
    }
    compiled = openvino.Core().compile_model(openvino.Model([attention], inputs), "CPU", options)
    request = compiled.create_infer_request()
    for i, array in enumerate(arrays):
        request.set_input_tensor(i, openvino.Tensor(array, shared_memory=True))

    def call(_: object = arrays) -> None:  # a shared tensor does not keep its array alive
        request.infer()

    return Prepared(call, lambda _: np.array(request.get_output_tensor(0).data).reshape(shape))
