"""foveate with FOVEATE_F32=amx, which a process reads once: all float32 in tile registers."""

import os
from functools import partial

import foveate
from benchmarks.targets.forms import OWN, Forms
from benchmarks.targets.forms.own import prepare
from benchmarks.targets.problem import Problem

os.environ["FOVEATE_F32"] = "amx"


def forms(work: Problem, n_threads: int) -> Forms:
    if not work.target.f32_in_tiles:
        return {}
    if foveate.get_isa() != "amx":
        raise RuntimeError(f"the ISA in use is {foveate.get_isa()}, which has no tile registers")
    return {OWN: partial(prepare, work, n_threads)}
