"""torch, eager and compiled by inductor."""

from collections.abc import Callable
from typing import Any

from benchmarks.rivals import Arrays, Call
from benchmarks.workloads import Workload


def set_threads(n_threads: int) -> None:
    """inductor's kernels take as many as eager ones."""
    import torch

    torch.set_num_threads(n_threads)


def function_of(workload: Workload) -> Callable[..., Any]:
    """The mode as one writes it in torch; a scale goes into the query, which is smaller than the logits."""
    import torch

    def dot(query: Any, key: Any) -> Any:
        return torch.matmul(query * workload.scale, key.transpose(-1, -2))

    match workload.score, workload.activation, workload.combine:
        case "additive", "softmax", "weighted_sum":

            def function(query: Any, key: Any, value: Any) -> Any:
                logits = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3)).sum(-1)
                return torch.matmul(torch.softmax(logits, -1), value)

        case "scaled_dot", "sigmoid" | "relu" as name, "weighted_sum":
            activate = {"sigmoid": torch.sigmoid_, "relu": torch.relu_}[name]

            def function(query: Any, key: Any, value: Any) -> Any:
                return torch.matmul(activate(dot(query, key)), value)

        case "scaled_dot", "softmax", "product":

            def function(query: Any, key: Any, value: Any) -> Any:
                return torch.softmax(dot(query, key), -1).unsqueeze(-1) * value.unsqueeze(-3)

        case _:
            raise ValueError(f"nobody has written {workload} in torch")
    return function


def calls(workload: Workload, arrays: Arrays) -> dict[str, Call]:
    """dynamic=False: the second shape would else be compiled for any shape."""
    import torch

    function = function_of(workload)
    tensors = [torch.from_numpy(array) for array in arrays]
    compiled = torch.compile(function, fullgraph=True, dynamic=False)
    return {"torch": lambda: function(*tensors), "torch.compile": lambda: compiled(*tensors)}
