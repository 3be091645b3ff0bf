"""A Mode that computes problem after problem gives the bits of a Mode that never computed another one."""

import gc
import threading

import ml_dtypes
import numpy as np
import pytest

import foveate
from foveate import Mode

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
SHAPES = [  # of query, then of key and value
    ((3, 2), (3, 2)),
    ((3, 2), (5, 2)),
    ((1, 3, 2), (1, 3, 2)),
    ((4, 3, 2), (2, 5, 2)),
    ((2, 4, 3, 2), (2, 2, 5, 2)),
    ((2, 1, 4, 3, 2), (3, 2, 5, 2)),
    ((2, 4, 70, 16), (2, 2, 90, 16)),
    ((0, 2), (3, 2)),
    ((3, 2), (0, 2)),
]
VIEWS = {
    "contiguous": lambda a: a,
    "reversed": lambda a: a[..., ::-1, :],
    "transposed": lambda a: a.T.copy().T,
    "one row for all": lambda a: np.broadcast_to(a[..., :1, :], a.shape),
    "read-only": lambda a: np.frombuffer(a.tobytes(), np.uint8).view(a.dtype).reshape(a.shape),
    "at an odd address": lambda a: (
        np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
    ),
    "swapped bytes": lambda a: a if a.dtype == ml_dtypes.bfloat16 else a.astype(a.dtype.newbyteorder()),
    "a subclass": lambda a: a.view(np.recarray),
    "a list": lambda a: a.astype(np.float64).tolist(),
}

OPTIONS = [{}, {"causal": "bottom_right", "layout": "blhd"}, {"combine": "product"}]
CALL_OPTIONS = [{"return_lse": True}, {"kv_lengths": 2}, {"num_threads": 1}, {"sinks": [1.0, 2.0]}]


def inputs(rng, dtype, shapes, view):
    q, k, v = (rng.standard_normal(shapes[i > 0]).astype(dtype) for i in range(3))
    return VIEWS[view](q), VIEWS[view](k), VIEWS[view](v)


def outcome(mode, arrays, out=None):
    try:
        result = mode(*arrays, out=out)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return result.dtype, result.shape, result.tobytes()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "options", [{}, {"causal": "bottom_right", "layout": "blhd"}, {"combine": "product"}]
)
def test_problems_in_any_order(options, view):
    rng = np.random.default_rng(5)
    shared = Mode(**options)
    order = [(dtype, shapes) for dtype in DTYPES for shapes in SHAPES for _ in range(2)]
    computed = 0
    for i in rng.permutation(len(order)):
        for _ in range(2):
            arrays = inputs(rng, *order[i], view if rng.random() < 0.7 else "contiguous")
            for _ in range(2):
                expected = outcome(Mode(**options), arrays)
                assert outcome(shared, arrays) == expected
            computed += len(expected) == 3
    assert computed > 20


OUTS = {
    "plain": lambda a, x: a,
    "every other row": lambda a, x: np.repeat(a, 2, axis=0)[::2],
    "reversed": lambda a, x: a[:, ::-1],
    "swapped bytes": lambda a, x: a.astype(a.dtype.newbyteorder()),
    "float64": lambda a, x: a.astype(np.float64),
    "one row more": lambda a, x: np.empty((4, 2), np.float32),
    "read-only": lambda a, x: np.frombuffer(a.tobytes(), np.float32).reshape(a.shape),
    "the query": lambda a, x: x,
    "half of the query": lambda a, x: x.base[1:7].reshape(3, 2),
    "a list": lambda a, x: a.tolist(),
    "a subclass": lambda a, x: a.view(np.recarray),
}


@pytest.mark.parametrize("kind", OUTS)
def test_out_of_a_known_problem(kind):
    q, k, v = (np.random.default_rng(i).standard_normal(8, np.float32)[:6].reshape(3, 2) for i in range(3))
    expected = Mode()(q, k, v)
    known = Mode()
    for _ in range(2):
        known(q, k, v, out=np.empty_like(q))
    before = q.copy()
    out = OUTS[kind](np.zeros((3, 2), np.float32), q)
    assert outcome(known, (q, k, v), out) == outcome(Mode(), (q, k, v), out)
    np.testing.assert_array_equal(q, before)
    np.testing.assert_array_equal(known(q, k, v), expected)


def test_options_after_a_known_problem():
    x = np.random.default_rng(1).standard_normal((2, 3, 4), np.float32)
    known = Mode()
    for options in [{"mask": np.tri(3, dtype=bool)}, *CALL_OPTIONS]:
        plain = known(x, x, x)
        np.testing.assert_array_equal(plain, known(x, x, x))
        result, expected = known(x, x, x, **options), Mode()(x, x, x, **options)
        if "return_lse" in options:
            np.testing.assert_array_equal(result.lse, expected.lse)
            result, expected = result.output, expected.output
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(known(x, x, x), plain)


def test_another_isa_after_a_known_problem():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 9, 5), np.float32)
    known = Mode()
    for isa in foveate.available_isas() * 2:
        with foveate.use_isa(isa):
            np.testing.assert_array_equal(known(x, x, x), Mode()(x, x, x))


def test_missing_options_are_refused_every_time():
    x = np.eye(3, dtype=np.float32)
    causal = Mode(causal=True)
    for _ in range(3):
        causal(x, x, x)
        with pytest.raises(ValueError, match="where the queries stand"):
            causal(x[:2], x, x)


def test_collecting_garbage_may_call_the_mode():
    x = np.random.default_rng(3).standard_normal((3, 2)).astype(np.float32)
    wide = np.random.default_rng(4).standard_normal((7, 5)).astype(np.float32)
    mode = Mode()
    expected = mode(x, x, x), Mode()(wide, wide, wide)
    seen = []

    class Node:
        def __init__(self):
            self.me = self

        def __del__(self):
            seen.append(mode(wide, wide, wide))

    before = gc.get_threshold()
    gc.set_threshold(5, 1, 1)
    try:
        for _ in range(300):
            Node()
            np.testing.assert_array_equal(mode(x, x, x), expected[0])
    finally:
        gc.set_threshold(*before)
    assert len(seen) > 50
    for result in seen:
        np.testing.assert_array_equal(result, expected[1])


def test_threads_share_a_mode():
    mode = Mode()
    problems = [
        (arrays, Mode()(*arrays))
        for dtype in (np.float32, np.float64)
        for shapes in SHAPES[:7]
        for arrays in [inputs(np.random.default_rng(6), dtype, shapes, "contiguous")]
    ]
    wrong = []

    def compute(seed):
        rng = np.random.default_rng(seed)
        for i in rng.integers(len(problems), size=800):
            arrays, expected = problems[i]
            if not np.array_equal(mode(*arrays), expected):
                wrong.append(i)

    threads = [threading.Thread(target=compute, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
