"""Results by number of threads: ``python -m support.thread_bits`` prints a line per ISA, activation, shape.

A program of its own, for FOVEATE_NUM_THREADS, read once per process, lets it use more threads than CPUs.
"""

from collections.abc import Iterator

import numpy as np

import foveate
from foveate import _core
from support.numerics import ACTIVATIONS, ISAS, assert_same_bits, everything, heads_problem

THREADS = (1, 2, 3, 4, 8)
#: each is above the work below which a call stays serial, and has tasks for several threads
PROBLEMS = {"rows, three chunks": (8, 64), "lanes, two tasks": (8, 64), "lanes, three chunks": (2, 16)}


def problems() -> Iterator[tuple[str, str, str, str]]:
    for isa in ISAS:
        for activation in ACTIVATIONS:
            for number, shape in enumerate(PROBLEMS):
                yield isa, activation, shape, ("f32", "f64", "f16", "bf16")[number % 4]


def main() -> None:
    _core._count_tiles(True)
    for isa, activation, shape, dtype in problems():
        batch, dim = PROBLEMS[shape]
        arrays = heads_problem(shape, dtype, dim, dim, batch)
        options = {"activation": activation, "causal": "bottom_right"}
        with foveate.use_isa(isa):
            serial = everything(*arrays, **options, num_threads=1)
            for n in THREADS:
                for _ in range(2):
                    assert_same_bits(everything(*arrays, **options, num_threads=n), serial)
                    used = _core._count_tiles(True)["n_threads"]
                    assert used == n, f"{isa}, {shape}: {used} threads instead of {n}"
        assert np.isfinite(serial["output"].astype(np.float64)).all()
        print(isa, activation, shape)


if __name__ == "__main__":
    main()
