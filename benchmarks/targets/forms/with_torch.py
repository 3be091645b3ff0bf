"""torch: its fused attention in the ways a caller can ask for it, flex_attention, eager and compiled code."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch._inductor import config as inductor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from benchmarks.peers.with_torch import function_of
from benchmarks.targets.forms import Forms
from benchmarks.targets.problem import Array, Problem
from foveate.cli.peers import Prepared, folded

SDPA = torch.nn.functional.scaled_dot_product_attention


def _tensor(array: Array) -> torch.Tensor:
    """Of the same memory; NumPy's bfloat16 is not torch's, its bits are."""
    if array.dtype == "bfloat16":
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _call(function: Callable[..., torch.Tensor], work: Problem, *tensors: torch.Tensor) -> Prepared:
    def to_array(result: torch.Tensor) -> Array:
        # bfloat16 widened, which is exact; folded rows as heads again
        array = (result.float() if result.dtype is torch.bfloat16 else result).numpy()
        return array.reshape(work.arrays[0].shape)

    return Prepared(lambda: function(*tensors), to_array)


def _sdpa(work: Problem, mask: Array | None = None, is_causal: bool = False) -> Prepared:
    options: dict[str, Any] = {"is_causal": True} if is_causal else {}
    if mask is not None:
        options["attn_mask"] = _tensor(mask)
    if work.target.shape.n_q_heads != work.target.shape.n_kv_heads:
        options["enable_gqa"] = True
    return _call(partial(SDPA, **options) if options else SDPA, work, *map(_tensor, work.arrays))


def _folded(work: Problem) -> Prepared:
    return _call(SDPA, work, *map(_tensor, folded(*work.arrays, causal=False)))


def _flex(work: Problem) -> Prepared:
    """Compiled, as flex_attention is meant to run; the block mask exists before the clock starts."""
    target, shape = work.target, work.target.shape
    options: dict[str, Any] = {}
    if shape.causal or target.window is not None:
        window = target.window or shape.kv_len

        def kept(batch: Any, head: Any, row: Any, column: Any) -> Any:
            return (row >= column) & (row - column < window)

        options["block_mask"] = create_block_mask(kept, None, None, shape.q_len, shape.kv_len, device="cpu")
    if target.alibi:
        slopes = _tensor(work.options["alibi_slopes"])

        def biased(logit: Any, batch: Any, head: Any, row: Any, column: Any) -> Any:
            return logit + slopes[head] * (column - row)

        options["score_mod"] = biased
    elif target.softcap is not None:
        softcap = target.softcap

        def capped(logit: Any, batch: Any, head: Any, row: Any, column: Any) -> Any:
            return softcap * torch.tanh(logit / softcap)

        options["score_mod"] = capped
    compiled = torch.compile(flex_attention, dynamic=False, fullgraph=True)
    return _call(partial(compiled, **options), work, *map(_tensor, work.arrays))


def _function(work: Problem) -> Callable[..., torch.Tensor]:
    """The workload as one writes it in torch."""
    if work.target.softcap is None:
        function: Callable[..., torch.Tensor] = function_of(work.as_mode())
        return function
    softcap, added, scale = work.target.softcap, work.added(), work.as_mode().scale
    mask = None if added is None else _tensor(added)

    def capped(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        logits = softcap * torch.tanh(torch.matmul(query * (scale / softcap), key.transpose(-1, -2)))
        return torch.matmul(torch.softmax(logits if mask is None else logits + mask, -1), value)

    return capped


def _written(work: Problem, compiled: bool) -> Prepared:
    function = _function(work)
    if compiled:
        function = torch.compile(function, fullgraph=True, dynamic=False)
    return _call(function, work, *map(_tensor, work.arrays))


def forms(work: Problem, n_threads: int) -> Forms:
    torch.set_num_threads(n_threads)
    inductor.compile_threads = 1  # else processes that compile, which are not stopped with this one
    torch._dynamo.reset()  # one shape after the other would reach its limit of compilations
    target = work.target
    if target.is_other_mode or target.softcap is not None:
        found: Forms = {
            "torch": partial(_written, work, compiled=False),
            "torch.compile": partial(_written, work, compiled=True),
        }
        return found if target.softcap is None else found | {"torch flex": partial(_flex, work)}
    if target.is_plain:
        found = {"torch SDPA": partial(_sdpa, work, is_causal=target.shape.causal)}
        if target.shape.n_q_heads != target.shape.n_kv_heads and not target.shape.causal:
            found["torch SDPA, group folded"] = partial(_folded, work)
        return found
    if target.mask == "bool" or target.window is not None:
        found = {
            "torch SDPA, bool mask": lambda: _sdpa(work, work.attended()),
            "torch SDPA, float mask": lambda: _sdpa(work, work.added()),
        }
    else:
        found = {"torch SDPA, float mask": lambda: _sdpa(work, work.added())}
    return found | {"torch flex": partial(_flex, work)} if target.window or target.alibi else found
