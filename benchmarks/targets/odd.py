"""Shapes between the round numbers, each beside a neighbour that has a target: no cliff may hide there."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.shapes import DECODE, Shape, square
from benchmarks.targets.table import BF16, F32, L1024, L2048, L4096, causal, decode, typed
from benchmarks.targets.target import Against, Target

FACTOR = 1.4  # no shape within 20 % of a listed one is more than so much slower per multiply-add
B1H1 = square(1, 1, 4096, 64)


def _pairs() -> Iterator[tuple[str, Shape, Shape]]:
    """What is odd, the odd shape, its listed neighbour."""
    for head_dim, neighbour in [(80, 64), (96, 128), (112, 128), (256, 128)]:
        listed = L1024 if neighbour == 64 else L2048
        yield "head_dim", replace(listed, head_dim=head_dim), listed
        yield "head_dim", replace(DECODE, head_dim=head_dim), DECODE
    thousand = square(1, 8, 1000, 64)
    yield "length", thousand, L1024
    yield "length", causal(thousand), causal(L1024)
    yield "keys", decode(32, 8, 4000), DECODE
    yield "group of 5", decode(40, 8, 4096), DECODE
    yield "group of 5", Shape(1, 40, 8, 8, 4096, 128), Shape(1, 32, 8, 8, 4096, 128)
    yield "one head", B1H1, L4096
    yield "one head", causal(B1H1), causal(L4096)
    yield "one head", decode(1, 1, 32768), decode(8, 8, 32768)
    yield "3 heads", square(1, 3, 4096, 64), L4096
    yield "3 heads", square(8, 3, 128, 64), square(8, 12, 128, 64)


ODD = tuple(
    Target(
        f"odd {what}",
        typed(odd, dtype),
        own=Against(Target("neighbour", typed(listed, dtype)), 1 / FACTOR, per_flop=True),
    )
    for what, odd, listed in _pairs()
    for dtype in (F32, BF16)
)
