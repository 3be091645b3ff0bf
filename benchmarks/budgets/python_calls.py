"""A loop of N calls of the smallest attention, for callgrind: ``python python_calls.py NAME N``."""

import gc
import sys

import numpy as np

import foveate

x = np.arange(6, dtype=np.float32).reshape(3, 2) / 8
out = np.empty_like(x)
mode = foveate.Mode()
CALLS = {
    "attention": lambda: foveate.attention(x, x, x),
    "mode_out": lambda: mode(x, x, x, out=out),
}


def main() -> None:
    foveate.set_num_threads(1)
    call, n_calls = CALLS[sys.argv[1]], int(sys.argv[2])
    gc.disable()
    for _ in range(n_calls):
        call()


if __name__ == "__main__":
    main()
