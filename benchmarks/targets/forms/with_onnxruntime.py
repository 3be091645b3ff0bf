"""ONNX Runtime: its own MultiHeadAttention, and the standard Attention of opset 23. No bfloat16 on CPUs."""

from typing import Any

from benchmarks.targets.forms import Forms
from benchmarks.targets.problem import Problem
from foveate.cli.peers.with_onnxruntime import multi_head, standard


def forms(work: Problem, n_threads: int) -> Forms:
    target = work.target
    if target.shape.dtype == "bfloat16" or target.is_other_mode:
        return {}
    # a mask of its own holds causal as well, so that no library has to combine the two
    has_mask = bool(target.mask or target.window or target.alibi)
    options: dict[str, Any] = {"causal": target.shape.causal and not has_mask, "n_threads": n_threads}
    found: Forms = {}
    if target.shape.n_q_heads == target.shape.n_kv_heads and target.softcap is None:
        found["onnxruntime MultiHeadAttention"] = lambda: multi_head(
            *work.arrays, bias=work.added() if has_mask else None, **options
        )
    found["onnxruntime Attention"] = lambda: standard(
        *work.arrays, mask=work.added() if has_mask else None, softcap=target.softcap or 0.0, **options
    )
    if target.mask == "bool" or target.window is not None:
        found["onnxruntime Attention, bool mask"] = lambda: standard(
            *work.arrays, mask=work.attended(), **options
        )
    return found
