"""Attention problems as values: `Case`, seeded generators of them, and a hypothesis strategy.

`draw` and `case_strategy` make the same choices through one function; the lists below start with the
simplest entry, so hypothesis shrinks towards it, and repeat the entries that should be frequent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from foveate import Additive, Bilinear, Cosine, Entmax, Select, Sigmoid, TopK
from support.memory import MEMORY

#: storage of key and value alone
QUANTIZED = {"int8": np.int8, "f8": ml_dtypes.float8_e4m3fn}
#: axes of (batch, key head, key) that a scale has; "": one number for all
SCALES = ["hj", "bhj", "j", "h1", "1j", ""]
DTYPES = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": ml_dtypes.bfloat16}

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300]
LONG_LENGTHS = [513, 1025]
DIMS = [1, 2, 3, 7, 8, 16, 31, 32, 33, 64, 80, 96, 128, 192, 256, 257]
GROUP_SIZES = [1, 1, 2, 3, 4, 5, 8]
KV_HEADS = [1, 1, 2, 3, 6]
#: batch axes of query, key and value
BATCHES: list[tuple[tuple[int, ...], ...]] = [
    ((), (), ()),
    ((1,), (1,), (1,)),
    ((2,), (2,), (2,)),
    ((3,), (1,), (1,)),
    ((1,), (3,), (3,)),
    ((2,), (), ()),
    ((2,), (2,), (1,)),
    ((2, 3), (2, 3), (2, 3)),
    ((2, 3), (1, 3), (1, 3)),
    ((2, 1), (1, 3), (1, 3)),
    ((2, 3), (3,), (3,)),
]
#: which axes of (batch, head, query row, key) a mask or bias has: "1" is an axis of length 1
PATTERNS = ["ij", "j", "1j", "i1", "1ij", "hij", "h1j", "bhij", "1hij", "b1ij", "b11j", "bhi1", "1111"]
#: spread of the logits, about
MAGNITUDES = [1.0, 1.0, 1e-5, 0.01, 8.0, 30.0, 100.0, 1e4]
SCORES = ["scaled_dot", "scaled_dot", "dot", "additive", "bilinear", "cosine"]
ELEMENTWISE = ["sigmoid", "relu", "relu2", "tanh", "identity"]
SPARSE = ["sparsemax", "entmax15", "entmax", "topk"]
COMBINES = ["weighted_sum", "weighted_sum", "weighted_sum", "select", "product"]
#: Lq * Lk * heads * batch * (D + Dv + 64) of one case: tens of milliseconds in the oracle
MAX_WORK = 2e7


@dataclass(frozen=True)
class Case:
    """One attention problem: everything but the numbers, which follow from ``seed``."""

    seed: int = 0
    dtype: str = "f32"
    batches: tuple[tuple[int, ...], ...] = ((), (), ())
    n_q_heads: int = 1
    n_kv_heads: int = 1
    q_len: int = 1
    kv_len: int = 1
    head_dim: int = 1
    value_dim: int = 1
    two_axes: bool = False  # (L, D) arrays: one head, no head axis
    layout: str = "bhld"
    memory: tuple[str, str, str] = ("contiguous", "contiguous", "contiguous")
    magnitude: float = 1.0
    score: str = "scaled_dot"
    activation: str = "softmax"
    combine: str = "weighted_sum"
    stages: str = "plain"  # "plain", "learnt" or "per head": the parameters of the stages
    alpha: float = 1.25  # of entmax
    k: int = 3  # of topk and select
    temperature: float = 1.0  # of cosine and select
    sigmoid_bias: float = 0.0
    key_stats: str | None = None
    precision: str = "highest"
    scale: float | None = None
    softcap: float | None = None
    causal: bool | str = False
    window: tuple[int | None, int | None] | None = None
    mask: str | None = None  # a pattern of PATTERNS
    mask_density: float = 0.7
    mask_memory: str = "contiguous"
    bias: str | None = None
    bias_dtype: str = "f32"
    bias_memory: str = "contiguous"
    bias_masks: bool = False  # some entries -inf
    alibi: bool = False
    sinks: bool = False
    quantized: str | None = None  # a key of QUANTIZED
    scales: tuple[str | None, str | None] = (None, None)  # of key and value: patterns of SCALES
    kv_lengths: str | None = None  # "scalar", "batch" or "last": one for all, one each, along the last axis
    q_offset: int | str | None = None  # a number, "batch" or "last"

    @property
    def batch(self) -> tuple[int, ...]:
        return np.broadcast_shapes(*self.batches)

    def arrays(self) -> dict[str, Any]:
        """The array arguments, rounded to their dtypes; query, key and value always."""
        rng = np.random.default_rng([self.seed, 1])
        # q . k * scale has a standard deviation of |scale| sqrt(D) factor**2
        scale = self.head_dim**-0.5 if self.score == "scaled_dot" else 1.0
        scale = abs(self.scale) if self.scale else scale
        factor = (self.magnitude / (scale * self.head_dim**0.5)) ** 0.5
        sizes = (
            (self.n_q_heads, self.q_len, self.head_dim, factor),
            (self.n_kv_heads, self.kv_len, self.head_dim, factor),
            (self.n_kv_heads, self.kv_len, self.value_dim, 1.0),
        )
        arrays: dict[str, Any] = {}
        for name, batch, (heads, length, dim, spread), memory in zip(
            ("query", "key", "value"), self.batches, sizes, self.memory, strict=True
        ):
            shape = (heads, length, dim) if self.layout == "bhld" else (length, heads, dim)
            shape = (length, dim) if self.two_axes else batch + shape
            if self.quantized and name != "query":
                pattern = self.scales[name == "value"]
                values, scale = self._quantized(rng, shape, batch, spread, pattern)
                arrays |= {} if scale is None else {f"{name[0]}_scale": scale}
            else:
                values = (rng.standard_normal(shape) * spread).astype(DTYPES[self.dtype])
            arrays[name] = MEMORY[memory](values)
        if self.mask is not None:
            arrays["mask"] = self._mask(rng)
        if self.bias is not None:
            arrays["bias"] = self._bias(rng)
        if self.alibi:
            slopes = 2.0 ** (-8.0 * np.arange(1, self.n_q_heads + 1) / self.n_q_heads)
            arrays["alibi_slopes"] = slopes.astype(np.float32)
        if self.sinks:
            sinks = rng.standard_normal(self.n_q_heads) * min(self.magnitude, 100.0)
            arrays["sinks"] = sinks.astype(np.float32)
        if self.kv_lengths is not None:
            arrays["kv_lengths"] = self._per_batch(self.kv_lengths, rng, 0, self.kv_len)
        if self.q_offset is not None:
            arrays["q_offset"] = self.q_offset
            if isinstance(self.q_offset, str):
                arrays["q_offset"] = self._per_batch(self.q_offset, rng, -self.q_len // 2, self.kv_len)
        return arrays

    def options(self) -> dict[str, Any]:
        """The arguments that are not arrays, those that differ from their defaults."""
        names = (
            "score",
            "activation",
            "combine",
            "key_stats",
            "precision",
            "scale",
            "softcap",
            "causal",
            "window",
            "layout",
        )
        options = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(Case, name)}
        objects = {"score": self._score, "activation": self._activation, "combine": self._combine}
        return options | {name: objects[name]() for name in objects if name in options}

    def _score(self) -> Any:
        rng, heads = np.random.default_rng([self.seed, 2]), (self.n_q_heads,) * (self.stages == "per head")
        spread = self.head_dim**-0.5
        if self.score == "bilinear":
            shape = (*heads, self.head_dim, self.head_dim)
            return Bilinear((rng.standard_normal(shape) * spread).astype(np.float32))
        if self.score == "cosine":
            return Cosine(self.temperature)
        if self.score != "additive" or self.stages == "plain":
            return self.score
        width = 1 + self.head_dim // 2
        shapes = {"v": (*heads, width), "w_q": (self.head_dim, width), "w_k": (*heads, self.head_dim, width)}
        arrays = {name: rng.standard_normal(shape) * spread for name, shape in shapes.items()}
        return Additive(**{name: array.astype(np.float32) for name, array in arrays.items()})

    def _activation(self) -> Any:
        objects = {
            "sigmoid": lambda: Sigmoid(self.sigmoid_bias),
            "entmax": lambda: Entmax(self.alpha),
            "topk": lambda: TopK(self.k),
        }
        return objects.get(self.activation, lambda: self.activation)()

    def _combine(self) -> Any:
        return Select(self.k, temperature=self.temperature) if self.combine == "select" else self.combine

    def run(self, module: Any, **more: Any) -> Any:
        """``module.attention`` on this problem: module is foveate or foveate.reference."""
        return module.attention(**self.arrays(), **self.options(), **more)

    def _quantized(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        batch: tuple[int, ...],
        spread: float,
        pattern: str | None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Elements of a quantized type, and scales that spread them like the numbers that they stand for."""
        few = pattern is None  # no scales: elements that make logits of some size themselves
        numbers = rng.integers(-2, 3, shape) if few else rng.standard_normal(shape).clip(-3, 3) * 40
        elements = (np.rint(numbers) if self.quantized == "int8" else numbers).astype(
            QUANTIZED[self.quantized]
        )
        if few:
            return elements, None
        axes = {"b": batch, "h": (self.n_kv_heads,), "j": (self.kv_len,), "1": (1,)}
        sizes = sum((axes[letter] for letter in pattern), ())
        scales = rng.uniform(0.5, 1.0, sizes) * (spread / 30)
        return elements, np.asarray(scales, np.float32)

    def _shape(self, pattern: str) -> tuple[int, ...]:
        axes = {"h": (self.n_q_heads,), "i": (self.q_len,), "j": (self.kv_len,), "1": (1,), "b": self.batch}
        return sum((axes[letter] for letter in pattern), ())

    def _mask(self, rng: np.random.Generator) -> np.ndarray:
        shape = self._shape(self.mask)
        mask = rng.random(shape) < self.mask_density
        if len(shape) > 1:
            mask &= rng.random(shape[:-1])[..., None] > 0.1  # a tenth of the rows attends nothing
        return MEMORY[self.mask_memory](mask)

    def _bias(self, rng: np.random.Generator) -> np.ndarray:
        bias = rng.standard_normal(self._shape(self.bias)) * min(self.magnitude, 100.0)
        if self.bias_masks:
            bias = np.where(rng.random(bias.shape) < 0.3, -np.inf, bias)
        return MEMORY[self.bias_memory](bias.astype(DTYPES[self.bias_dtype]))

    def _per_batch(self, form: str, rng: np.random.Generator, low: int, high: int) -> Any:
        shape = {"scalar": (), "batch": self.batch, "last": self.batch[-1:]}[form]
        numbers = rng.integers(low, high + 1, shape)
        return int(numbers) if shape == () else numbers


Choose = Callable[[Sequence[Any]], Any]


def _fit(case: Case) -> Case:
    """The same case with less work, where it is more than MAX_WORK."""
    smaller = (
        {"batches": ((), (), ())},
        {"n_q_heads": case.n_q_heads // case.n_kv_heads, "n_kv_heads": 1},
        {"head_dim": min(case.head_dim, 33), "value_dim": min(case.value_dim, 31)},
        {"q_len": min(case.q_len, 129)},
        {"kv_len": min(case.kv_len, 257)},
    )
    if case.combine == "product":  # (..., Lq, Lk, Dv) numbers
        case = replace(case, value_dim=min(case.value_dim, 8))
    for change in smaller:
        pairs = case.q_len * case.kv_len * case.n_q_heads * int(np.prod(case.batch))
        if pairs * (case.head_dim + case.value_dim + 64) <= MAX_WORK:
            break
        case = replace(case, **change)
    return case


def _choose_case(seed: int, choose: Choose) -> Case:
    rarely = [False] * 5 + [True]
    sometimes = [False, False, True]
    kv_heads = choose(KV_HEADS)
    kv_len = choose(LENGTHS) if not choose([False] * 15 + [True]) else choose(LONG_LENGTHS)
    q_len = choose([1, kv_len, *LENGTHS])
    case = Case(
        seed=seed,
        dtype=choose(["f32", "f32", "f64", "f16", "bf16"]),
        batches=choose(BATCHES),
        n_q_heads=kv_heads * choose([g for g in GROUP_SIZES if g * kv_heads <= 12]),
        n_kv_heads=kv_heads,
        q_len=q_len,
        kv_len=kv_len,
        head_dim=choose(DIMS),
        value_dim=choose(DIMS),
        layout=choose(["bhld", "bhld", "blhd"]),
        memory=(choose([*MEMORY]), choose([*MEMORY]), choose([*MEMORY])),
        magnitude=choose(MAGNITUDES),
        score=choose(SCORES),
        activation=choose(["softmax", "softmax", "softmax1", choose(ELEMENTWISE), choose(SPARSE)]),
        combine=choose(COMBINES),
        stages=choose(["plain", "learnt", "per head"]),
        alpha=choose([1.25, 1.01, 1.5, 1.75, 2.0, 2.5, 4.0]),
        k=choose([1, 2, 3, 8, 17, 1000]),
        temperature=choose([1.0, 1.0, 0.25, 3.0]),
        sigmoid_bias=choose([0.0, -3.5]),
        key_stats=choose([None, None, "sum", "max"]),
        precision=choose(["highest", "highest", "high", "medium"]),
        scale=choose([None, None, None, 0.0, -0.5, 3.75, 1e-3]),
        softcap=choose([None, None, None, 30.0, 1.5]),
        kv_lengths=choose([None, None, "scalar", "batch", "last"]),
        alibi=choose(sometimes),
    )
    case = _fit(case)
    changes: dict[str, Any] = {}
    if case.n_q_heads == 1 and case.batch == () and choose([False, True]):
        changes["two_axes"] = True
    if case.activation == "softmax" and choose(sometimes):
        changes["sinks"] = True
    n_axes = 2 if changes.get("two_axes") else 3 + len(case.batch)
    patterns = [p for p in PATTERNS if len(p.replace("b", "")) <= n_axes - len(case.batch) * ("b" in p)]
    if choose(sometimes):
        changes |= {"mask": choose(patterns), "mask_memory": choose([*MEMORY])}
        changes["mask_density"] = choose([0.7, 0.05, 0.97])
    if choose(sometimes):
        changes |= {"bias": choose(patterns), "bias_memory": choose([*MEMORY])}
        changes |= {"bias_dtype": choose([*DTYPES]), "bias_masks": choose(sometimes)}
    changes["causal"] = choose([False, False, True, "top_left", "bottom_right"])
    if choose(rarely) or choose(rarely):
        sides = [None, 0, 1, 2, 16, 17, case.kv_len]
        changes["window"] = (choose(sides), choose(sides))
    aligned = isinstance(changes["causal"], str) or not (changes["causal"] or "window" in changes)
    if not aligned and (case.q_len != case.kv_len or choose(sometimes)):
        offsets = [0, 1, case.kv_len - case.q_len, -1, -case.q_len // 2, "batch", "last"]
        changes["q_offset"] = choose(offsets)
    if choose(rarely):
        scales = ["j", ""] if changes.get("two_axes") else SCALES
        changes["quantized"] = choose([*QUANTIZED])
        changes["scales"] = (choose([None, *scales]), choose([None, *scales]))
    return replace(case, **changes)


def draw(seed: int) -> Case:
    """The case of this seed."""
    rng = np.random.default_rng([seed, 0])
    return _choose_case(seed, lambda options: options[rng.integers(len(options))])


def cases(seed: int, n: int) -> Iterator[Case]:
    """``n`` cases; different seeds give different ones."""
    yield from (draw(int(s)) for s in np.random.default_rng(seed).integers(0, 2**63, n))


@st.composite
def case_strategy(draw_from: Callable[[Any], Any]) -> Case:
    """Hypothesis: any case that `draw` can make, shrinking to one query, one key, contiguous f32."""
    seed = draw_from(st.integers(0, 2**16))
    return _choose_case(seed, lambda options: draw_from(st.sampled_from(options)))
