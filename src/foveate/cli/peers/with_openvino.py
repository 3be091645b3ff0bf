"""OpenVINO's scaled_dot_product_attention, compiled for the CPU, inputs as its own tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino  # type: ignore[import-not-found, import-untyped, unused-ignore]
from openvino import opset13  # type: ignore[import-not-found, import-untyped, unused-ignore]

from . import Array, Prepared, folded

PRECISIONS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


def prepare(
    query: Array, key: Array, value: Array, *, causal: bool, n_threads: int, mask: Array | None = None
) -> Prepared:
    """A compiled model of its own; it computes in the type of the query: for float32 it would take bfloat16.

    ``mask`` is bool, or a float that is added, and broadcasts to the logits of query heads without groups.
    """
    shape = (*query.shape[:-1], value.shape[-1])
    arrays = folded(query, key, value, causal) + (() if mask is None else (mask,))
    tensors = [_tensor(array) for array in arrays]
    inputs = [opset13.parameter(tensor.get_shape(), tensor.get_element_type()) for tensor in tensors]
    attention = opset13.scaled_dot_product_attention(*inputs, causal=causal)
    options = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[query.dtype.name],
        "INFERENCE_NUM_THREADS": n_threads,
        "PERFORMANCE_HINT": "LATENCY",  # one stream, which has all the threads
        "ENABLE_CPU_PINNING": False,  # the others are not pinned either
    }
    compiled = openvino.Core().compile_model(openvino.Model([attention], inputs), "CPU", options)
    request = compiled.create_infer_request()
    for i, tensor in enumerate(tensors):
        request.set_input_tensor(i, tensor)

    def call(_: object = arrays) -> None:  # a shared tensor does not keep its array alive
        request.infer()

    return Prepared(call, lambda _: _array(request.get_output_tensor(0), query.dtype).reshape(shape))


def _tensor(array: Array) -> Any:
    """Of the same memory; NumPy's bfloat16 is not OpenVINO's, its bits are."""
    if array.dtype.name == "bfloat16":
        return openvino.Tensor(array.view(np.uint16), openvino.Shape(array.shape), openvino.Type.bf16)
    return openvino.Tensor(array, shared_memory=True)


def _array(tensor: Any, dtype: np.dtype[Any]) -> Array:
    """A copy; bits of bfloat16 come as those of another type of two bytes."""
    return np.array(tensor.data).view(dtype)
