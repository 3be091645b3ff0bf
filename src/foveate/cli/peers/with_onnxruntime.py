"""ONNX Runtime on a model of one node, inputs bound as its own values.

com.microsoft.MultiHeadAttention on (B, L, H D), the faster one; the standard Attention of opset 23 where
heads are grouped, which the former does not know.
"""

from __future__ import annotations

import numpy as np
import onnxruntime  # type: ignore[import-not-found, import-untyped, unused-ignore]
from onnx import TensorProto, helper  # type: ignore[import-not-found, import-untyped, unused-ignore]

from . import Array, Prepared

NAMES = ("query", "key", "value")
MICROSOFT_OPSET, ONNX_OPSET, IR_VERSION = 1, 23, 11


def prepare(query: Array, key: Array, value: Array, *, causal: bool, n_threads: int) -> Prepared:
    """A session of its own with ``n_threads``, the calling one among them."""
    n_heads, shape = query.shape[-3], (*query.shape[:-1], value.shape[-1])
    if n_heads != key.shape[-3]:
        node = helper.make_node("Attention", NAMES, ["output"], is_causal=int(causal))
        return _bound(node, (query, key, value), shape, n_threads, n_heads=None)
    node = helper.make_node(
        "MultiHeadAttention", NAMES, ["output"],
        domain="com.microsoft", num_heads=n_heads, unidirectional=int(causal),
    )  # fmt: skip
    rows = tuple(_heads_last(array) for array in (query, key, value))
    return _bound(node, rows, (*rows[0].shape[:-1], rows[2].shape[-1]), n_threads, n_heads)


def _heads_last(array: Array) -> Array:
    """(B, H, L, D) to (B, L, H D)."""
    batch, n_heads, length, head_dim = array.shape
    return np.ascontiguousarray(array.swapaxes(1, 2)).reshape(batch, length, n_heads * head_dim)


def _bound(
    node: object, arrays: tuple[Array, ...], shape: tuple[int, ...], n_threads: int, n_heads: int | None
) -> Prepared:
    def described(name: str, sizes: tuple[int, ...]) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    inputs = [described(name, array.shape) for name, array in zip(NAMES, arrays, strict=True)]
    graph = helper.make_graph([node], "attention", inputs, [described("output", shape)])
    opsets = [
        helper.make_opsetid("", ONNX_OPSET), helper.make_opsetid("com.microsoft", MICROSOFT_OPSET)
    ]  # fmt: skip
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    for name, array in zip(NAMES, arrays, strict=True):
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    binding.bind_output("output")

    def to_array(_: object) -> Array:
        result = np.asarray(binding.get_outputs()[0].numpy())
        if n_heads is None:
            return result
        return result.reshape(*result.shape[:-1], n_heads, -1).swapaxes(1, 2)

    return Prepared(lambda: session.run_with_iobinding(binding), to_array)
