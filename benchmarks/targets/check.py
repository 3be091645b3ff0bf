"""Whether a result is right, before it is timed: sampled rows against the float64 reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks import exactness
from benchmarks.targets.problem import Array, Problem
from foveate import reference

# roundings to the storage type between the inputs and the output of a peer that stores all it computes:
# scaled query, logit, softcap (two), what is added, difference to the maximum, weight, output
ROUNDINGS = 8
# roundings of one term in float32 on top of the sums: the polynomial of an exponential, a division
TERM_ROUNDINGS = 8
ROUNDOFF = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def peer_tolerance(problem: Problem) -> float:
    """Largest admitted root mean square of a peer's error, relative to that of the expected rows.

    Peers may round everything to the storage type, unit roundoff u, and sum in float32. Logits are of order
    1, so a rounding of a logit moves its weight by u, and roundings do not lean to one side: a weight is off
    by less than ``ROUNDINGS`` u, a sum of n terms by about sqrt(n) 2^-24. Errors of weights are as little
    related to the values as the weights themselves, so their relative size is that of the output's error. A
    mask that is off by one key in 256 errs by 1/16, twice what bfloat16 may.
    """
    shape = problem.target.shape
    sums = math.sqrt(shape.kv_len) + math.sqrt(shape.head_dim) + TERM_ROUNDINGS
    return ROUNDINGS * ROUNDOFF[shape.dtype] + sums * ROUNDOFF["float32"]


class Check:
    """The expected rows of a problem, computed once for all peers."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self._expected: list[tuple[Any, Array]] = []

    def own(self, result: Array) -> float:
        """Worst distance over `foveate.error_bound`: right up to 1."""
        return exactness.attention_error(result, self.problem.arrays, self.problem.options)

    def peer(self, result: Array) -> float:
        """Relative error over `peer_tolerance`: right up to 1."""
        query, _, value = self.problem.arrays
        wide = np.asarray(result, np.float64)
        if wide.shape != (*query.shape[:-1], value.shape[-1]) or not np.isfinite(wide).all():
            return math.inf
        if not self._expected:
            samples = exactness.samples(self.problem.arrays, self.problem.options)
            self._expected = [
                (rows, np.asarray(reference.attention(*few, **given))) for rows, few, given in samples
            ]
        error = size = 0.0
        for rows, expected in self._expected:
            part = wide[rows] if isinstance(rows, tuple) else wide[..., rows, :]
            error += float(np.square(part - expected).sum())
            size += float(np.square(expected).sum())
        return math.sqrt(error / size) / peer_tolerance(self.problem)
