"""Attention on arrays beside an inaccessible page: ``python -m support.guard_pages ISA DTYPE SIDE``.

A program of its own, for one byte too many ends it with SIGSEGV; it prints each case before the call, so the
last line names the culprit. SIDE is "end" or "begin"; "overrun" instead of an ISA reads one byte too many.
"""

import ctypes
import faulthandler
import mmap
import random
import sys
from typing import Any

import numpy as np

import foveate
from support.cases import DTYPES
from support.numerics import bits

PAGE = mmap.PAGESIZE
PROT_NONE = 0
SLACK = 0xA5
N_CASES = 60
DIMS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 64, 65, 130]
Q_LENS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 49]
KV_LENS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257, 515]
FORMS = ["contiguous", "contiguous", "every_second", "reversed", "transposed"]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Guarded:
    """Arrays flush against a PROT_NONE page at their end or their beginning; keeps them mapped."""

    def __init__(self, side: str):
        self.side = side
        self.maps: list[tuple[mmap.mmap, np.ndarray, slice]] = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """A contiguous array; what is left of its pages holds SLACK."""
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        n_pages = -(-n_bytes // PAGE)
        memory = mmap.mmap(-1, (n_pages + 2) * PAGE)
        everything = np.frombuffer(memory, np.uint8)
        everything[:] = SLACK
        start = PAGE * (n_pages + 1) - n_bytes if self.side == "end" else PAGE
        array = everything[start : start + n_bytes].view(dtype).reshape(shape)
        for page in (0, n_pages + 1):
            if _libc.mprotect(everything.ctypes.data + page * PAGE, PAGE, PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        slack = slice(PAGE, start) if self.side == "end" else slice(PAGE + n_bytes, PAGE * (n_pages + 1))
        self.maps.append((memory, everything, slack))
        return array

    def take(self, array: np.ndarray, form: str) -> np.ndarray:
        """The values of ``array``, first and last element at the ends of the memory."""
        if form == "every_second":
            base = self.empty(tuple(2 * n - 1 if n else 0 for n in array.shape), array.dtype)
            view = base[(slice(None, None, 2),) * array.ndim]
        elif form == "reversed":
            view = self.empty(array.shape, array.dtype)[(slice(None, None, -1),) * array.ndim]
        elif form == "transposed":
            view = self.empty(array.shape[::-1], array.dtype).T
        else:
            view = self.empty(array.shape, array.dtype)
        view[...] = array
        return view

    def slack_untouched(self) -> bool:
        return all((memory[slack] == SLACK).all() for _, memory, slack in self.maps)


def call(rng: random.Random, dtype: str, side: str) -> None:
    """One random case: the result has the bits of the same call on ordinary arrays."""
    guarded = Guarded(side)
    numbers = np.random.default_rng(rng.getrandbits(32))
    group, kv_heads = rng.choice([1, 1, 2, 3]), rng.choice([1, 1, 2])
    q_len, kv_len = rng.choice(Q_LENS), rng.choice(KV_LENS)
    head_dim, value_dim = rng.choice(DIMS), rng.choice(DIMS)
    layout, activation = rng.choice(["bhld", "blhd"]), rng.choice(["softmax", "sigmoid"])
    sizes = {"query": (group * kv_heads, q_len, head_dim), "key": (kv_heads, kv_len, head_dim)}
    sizes["value"] = (kv_heads, kv_len, value_dim)
    arrays = {name: numbers.standard_normal(size).astype(DTYPES[dtype]) for name, size in sizes.items()}
    if layout == "blhd":
        arrays = {name: array.swapaxes(0, 1) for name, array in arrays.items()}
    logits = (group * kv_heads, q_len, kv_len)
    for name in ("mask", "bias"):
        axes = rng.choice([None, (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 1, 1)])
        if axes:
            numbers_of = numbers.standard_normal(np.where(axes, logits, 1))
            arrays[name] = (
                numbers_of < 0.5 if name == "mask" else numbers_of.astype(DTYPES[rng.choice([*DTYPES])])
            )
    poison = rng.random() < 0.3  # the careful path for values that are not finite
    if poison and "mask" in arrays:
        arrays["value"][-1, -1, -1] = np.nan
    forms = {name: rng.choice(FORMS) for name in arrays}
    options = {"layout": layout, "activation": activation}
    dtypes = [array.dtype.name for array in arrays.values()]
    print(
        foveate.get_isa(), side, {n: a.shape for n, a in arrays.items()}, dtypes, forms, options, flush=True
    )

    expected = foveate.attention(**arrays, **options, return_weights=True, return_lse=activation == "softmax")
    out = guarded.take(np.zeros_like(expected.output), rng.choice(FORMS))
    placed = {name: guarded.take(array, forms[name]) for name, array in arrays.items()}
    actual = foveate.attention(
        **placed, **options, out=out, return_weights=True, return_lse=activation == "softmax"
    )
    assert actual.output is out
    for a, b in zip(actual, expected, strict=True):
        assert a is b is None or (bits(a) == bits(b)).all()
    assert guarded.slack_untouched(), "bytes beside an array were written"


def main() -> None:
    faulthandler.enable()
    isa, dtype, side = sys.argv[1:]
    if isa == "overrun":
        array = Guarded(side).empty((3,), DTYPES[dtype])
        beyond = array.nbytes if side == "end" else -1
        print("reading", ctypes.string_at(array.ctypes.data, array.nbytes).hex(), flush=True)
        print(ctypes.string_at(array.ctypes.data + beyond, 1))
        return
    rng = random.Random(f"{isa} {dtype} {side}")
    with foveate.use_isa(isa):
        for _ in range(N_CASES):
            call(rng, dtype, side)
    print(f"{N_CASES} cases done")


if __name__ == "__main__":
    main()
