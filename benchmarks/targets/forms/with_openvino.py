"""OpenVINO's scaled_dot_product_attention, in the type of the workload."""

import sys

from benchmarks.targets.forms import Forms
from benchmarks.targets.problem import Problem

# its import starts a process that sends a message; without this package it has a stub instead
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

from foveate.cli.peers.with_openvino import prepare  # noqa: E402


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
