"""ONNX Runtime on a model of one node, inputs bound as its own values.

com.microsoft.MultiHeadAttention on (B, L, H D), the faster one; the standard Attention of opset 23 where
heads are grouped, which the former does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-not-found, import-untyped, unused-ignore]
from onnx import helper  # type: ignore[import-not-found, import-untyped, unused-ignore]

from . import Array, Prepared

NAMES = ("query", "key", "value")
MICROSOFT_OPSET, ONNX_OPSET, IR_VERSION = 1, 23, 11


def prepare(query: Array, key: Array, value: Array, *, causal: bool, n_threads: int) -> Prepared:
    """A session of its own with ``n_threads``, the calling one among them."""
    make = multi_head if query.shape[-3] == key.shape[-3] else standard
    return make(query, key, value, causal=causal, n_threads=n_threads)


def standard(
    query: Array, key: Array, value: Array, *,
    causal: bool, n_threads: int, mask: Array | None = None, softcap: float = 0.0,
) -> Prepared:  # fmt: skip
    """Attention of opset 23; ``mask`` is bool, or a float that is added, and broadcasts to the logits."""
    arrays = {"query": query, "key": key, "value": value} | ({} if mask is None else {"mask": mask})
    node = helper.make_node("Attention", list(arrays), ["output"], is_causal=int(causal), softcap=softcap)
    return _bound(node, arrays, (*query.shape[:-1], value.shape[-1]), n_threads, n_heads=None)


def multi_head(
    query: Array, key: Array, value: Array, *, causal: bool, n_threads: int, bias: Array | None = None
) -> Prepared:
    """com.microsoft.MultiHeadAttention; ``bias`` (1 or B, 1 or H, Lq, Lk) is added to the logits."""
    arrays = {name: _heads_last(array) for name, array in zip(NAMES, (query, key, value), strict=True)}
    shape = (*arrays["query"].shape[:-1], arrays["value"].shape[-1])
    inputs = list(arrays)
    if bias is not None:
        arrays["bias"] = bias
        inputs += ["", "", "bias"]  # no bias of the projections, no padding of the keys
    node = helper.make_node(
        "MultiHeadAttention", inputs, ["output"],
        domain="com.microsoft", num_heads=query.shape[-3], unidirectional=int(causal),
    )  # fmt: skip
    return _bound(node, arrays, shape, n_threads, query.shape[-3])


def _heads_last(array: Array) -> Array:
    """(B, H, L, D) to (B, L, H D)."""
    batch, n_heads, length, head_dim = array.shape
    return np.ascontiguousarray(array.swapaxes(1, 2)).reshape(batch, length, n_heads * head_dim)


def _bound(
    node: Any, arrays: Mapping[str, Array], shape: tuple[int, ...], n_threads: int, n_heads: int | None
) -> Prepared:
    def described(name: str, like: Array, sizes: tuple[int, ...]) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(like.dtype), sizes)

    inputs = [described(name, array, array.shape) for name, array in arrays.items()]
    output = described("output", arrays["query"], shape)
    graph = helper.make_graph([node], "attention", inputs, [output])
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
    for name, array in arrays.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    binding.bind_output("output")

    def to_array(_: object) -> Array:
        result = np.asarray(binding.get_outputs()[0].numpy())
        if n_heads is None:
            return result
        return result.reshape(*result.shape[:-1], n_heads, -1).swapaxes(1, 2)

    return Prepared(lambda: session.run_with_iobinding(binding), to_array)
