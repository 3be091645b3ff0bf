"""OpenVINO's scaled_dot_product_attention, in the type of the workload."""

from benchmarks.targets.forms import Forms
from benchmarks.targets.problem import Problem
from foveate.cli.peers.with_openvino import prepare


def forms(work: Problem, n_threads: int) -> Forms:
    target = work.target
    if target.is_other_mode or target.softcap is not None:
        return {}
    if target.is_plain:
        return {"openvino": lambda: prepare(*work.arrays, causal=target.shape.causal, n_threads=n_threads)}
    found: Forms = {
        "openvino, float mask": lambda: prepare(
            *work.arrays, causal=False, n_threads=n_threads, mask=work.added()
        )
    }
    if target.mask == "bool" or target.window is not None:
        found["openvino, bool mask"] = lambda: prepare(
            *work.arrays, causal=False, n_threads=n_threads, mask=work.attended()
        )
    return found
