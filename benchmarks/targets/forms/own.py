"""foveate: the public function as a user writes it, or a Mode that exists with the array it writes."""

from functools import partial

import numpy as np

import foveate
from benchmarks.targets import problem
from benchmarks.targets.forms import NEIGHBOUR, OWN, Forms
from benchmarks.targets.problem import Problem
from foveate.cli.peers import Prepared


def prepare(work: Problem, n_threads: int) -> Prepared:
    query, key, value = work.arrays
    foveate.set_num_threads(n_threads)  # not an option: a user's call has none
    options = work.options
    if work.target.prepared:
        mode = foveate.Mode(**options)
        out = np.empty((*query.shape[:-1], value.shape[-1]), query.dtype)
        return Prepared(lambda: mode(query, key, value, out=out))
    if options:
        return Prepared(lambda: foveate.attention(query, key, value, **options))
    return Prepared(lambda: foveate.attention(query, key, value))  # a dict of no options costs 0.1 us


def forms(work: Problem, n_threads: int) -> Forms:
    found: Forms = {} if work.target.f32_in_tiles else {OWN: partial(prepare, work, n_threads)}
    if work.target.own is not None:
        found[NEIGHBOUR] = partial(prepare, problem.make(work.target.own.target), n_threads)
    return found
