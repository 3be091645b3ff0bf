"""Stage objects: the scores, activations and combines that have parameters.

A bare name is the object with its defaults: ``score="cosine"`` is ``score=Cosine()``. Objects are frozen and
can be pickled; those that hold arrays compare and hash by identity, the others by value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy.typing as npt

from foveate import _validate
from foveate._learnt import Array, Learnt, learnt

__all__ = ["Additive", "Bilinear", "Cosine", "Entmax", "Select", "Sigmoid", "TopK"]


def _positive(name: str, value: object) -> float:
    number = _validate.real(name, value, "a finite number > 0")
    if number <= 0:
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")
    return number


def _count(name: str, value: object) -> int:
    n = _validate.index(name, value, "an int >= 1")
    if n < 1:
        raise ValueError(f"{name} must be an int >= 1, got {n}")
    return n


# ----- scores


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Additive(Learnt):
    r"""Score ``sum_d v_d tanh(a_d + b_d)`` with ``a = query @ w_q`` and ``b = key @ w_k``.

    Parameters
    ----------
    v : array_like, (Da,) or (Hq, Da), optional
        Weights of the sum; all ones if left out. The float types of `attention` or integers. Arrays are
        copied, and rounded to float32 in calls that compute in float32.
    w_q : array_like, (D, Da) or (Hq, D, Da), optional
        Projects the query, each of the Hq query heads by its own matrix if there are three axes.
    w_k : array_like, (Dk, Da) or (Hq, Dk, Da), optional
        Projects the key, whose head_dim Dk may then differ from that of the query.

    Raises
    ------
    TypeError
        An array of another dtype.
    ValueError
        Shapes that do not fit each other; those that do not fit query and key are refused by the call.

    See Also
    --------
    Bilinear : the other learnt score.

    Notes
    -----
    Bahdanau, Cho, Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate", 2015,
    appendix A.1.2. ``Additive()`` without projections is the additive attention of Keras.

    Examples
    --------
    >>> import numpy as np, foveate
    >>> q, k = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> v = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> foveate.attention(q, k, v, score="additive").round(4).tolist()
    [[1.7275, 2.7275], [2.2725, 3.2725]]
    >>> foveate.Additive([1.0, -1.0], w_q=np.ones((2, 2)))
    Additive(v=<float64 (2,)>, w_q=<float64 (2, 2)>)
    """

    v: Array | None
    w_q: Array | None
    w_k: Array | None

    def __init__(
        self,
        v: npt.ArrayLike | None = None,
        *,
        w_q: npt.ArrayLike | None = None,
        w_k: npt.ArrayLike | None = None,
    ) -> None:
        self.hold(
            v=None if v is None else learnt("v", v, "(Da,)"),
            w_q=None if w_q is None else learnt("w_q", w_q, "(D, Da)"),
            w_k=None if w_k is None else learnt("w_k", w_k, "(Dk, Da)"),
        )
        if len({array.shape[-1] for _, array in self._held}) > 1:
            self.refuse("v, w_q and w_k must have the same last axis, Da")

    kernel = "additive"

    def check_sizes(self, n_q_heads: int, head_dim: int, key_dim: int) -> int:
        """Refuse query and key that the arrays do not fit; returns Da."""
        self.check_heads(n_q_heads)
        if self.w_q is not None and self.w_q.shape[-2] != head_dim:
            self.refuse(f"w_q must have a row for each column of query, {head_dim}")
        if self.w_k is not None and self.w_k.shape[-2] != key_dim:
            self.refuse(f"w_k must have a row for each column of key, {key_dim}")
        q_dim = head_dim if self.w_q is None else self.w_q.shape[-1]
        k_dim = key_dim if self.w_k is None else self.w_k.shape[-1]
        if q_dim != k_dim:
            self.refuse(
                "query and key, after w_q and w_k where given, must have the same number of columns, here "
                f"{q_dim} and {k_dim} (head_dim of query {head_dim}, of key {key_dim})"
            )
        if self.v is not None and self.v.shape[-1] != q_dim:
            self.refuse(f"v must have a weight for each column of the sum, {q_dim}")
        return q_dim

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Additive) and not self._held and not other._held

    def __hash__(self) -> int:
        return object.__hash__(self) if self._held else hash(Additive)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Bilinear(Learnt):
    """Score ``query @ w @ key.T``.

    Parameters
    ----------
    w : array_like, (D, Dk) or (Hq, D, Dk)
        D and Dk are the head_dim of query and of key, which may differ; with three axes each query head has
        its own matrix. The float types of `attention` or integers. It is copied, and rounded to float32 in
        calls that compute in float32.

    Raises
    ------
    TypeError
        An array of another dtype.
    ValueError
        Another number of axes; shapes that do not fit query and key are refused by the call.

    Notes
    -----
    Luong, Pham, Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
    equation 8, "general".

    Examples
    --------
    >>> import foveate
    >>> foveate.scores([[1.0, 2.0]], [[3.0], [4.0]], score=foveate.Bilinear([[1.0], [10.0]])).tolist()
    [[63.0, 84.0]]
    """

    w: Array

    def __init__(self, w: npt.ArrayLike) -> None:
        self.hold(w=learnt("w", w, "(D, Dk)"))

    kernel = "bilinear"

    def check_sizes(self, n_q_heads: int, head_dim: int, key_dim: int) -> int:
        """Refuse query and key that w does not fit; returns Dk."""
        self.check_heads(n_q_heads)
        if self.w.shape[-2:] != (head_dim, key_dim):
            self.refuse(
                f"w must have the head_dim of query and of key as its last axes, {(head_dim, key_dim)}"
            )
        return key_dim


@dataclass(frozen=True)
class Cosine:
    """Score ``query . key / (|query| |key| temperature)``; a vector of zeros has similarity 0.

    Parameters
    ----------
    temperature : float, default 1.0
        A finite number > 0.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Notes
    -----
    Graves, Wayne, Danihelka, "Neural Turing Machines", 2014, equations 5 and 6, with beta = 1 / temperature.

    Examples
    --------
    >>> import foveate
    >>> foveate.scores([[3.0, 4.0]], [[4.0, 3.0], [0.0, 0.0]], score=foveate.Cosine(0.5)).round(12).tolist()
    [[1.92, 0.0]]
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", _positive("temperature", self.temperature))

    kernel = "cosine"


# ----- activations


@dataclass(frozen=True)
class Sigmoid:
    """Weights ``1 / (1 + exp(-(logit + bias)))``, each by itself.

    Parameters
    ----------
    bias : float, default 0.0
        Any finite number, added to every attended logit.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Notes
    -----
    Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", 2024; their bias is
    ``-log(kv_len)``.

    Examples
    --------
    >>> import foveate
    >>> foveate.activate([0.0, 2.0], foveate.Sigmoid(-2.0)).round(4).tolist()
    [0.1192, 0.5]
    """

    bias: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "bias", _validate.real("bias", self.bias, "a finite number"))

    kernel = "sigmoid"


@dataclass(frozen=True)
class Entmax:
    """Weights ``max((alpha - 1) logit - tau, 0) ** (1 / (alpha - 1))`` with tau such that they sum to 1.

    Parameters
    ----------
    alpha : float
        A finite number > 1: 1.5 is "entmax15", 2 is "sparsemax". Towards 1 it becomes softmax; the larger it
        is, the fewer weights differ from 0.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Notes
    -----
    Peters, Niculae, Martins, "Sparse Sequence-to-Sequence Models", 2019, section 3.

    Examples
    --------
    >>> import foveate
    >>> foveate.activate([0.0, 0.5, 2.0], foveate.Entmax(2)).tolist()
    [0.0, 0.0, 1.0]
    """

    alpha: float

    def __post_init__(self) -> None:
        alpha = _validate.real("alpha", self.alpha, "a finite number > 1")
        if alpha <= 1:
            raise ValueError(
                f"alpha must be a finite number > 1, got {self.alpha!r}; towards 1 it is softmax"
            )
        object.__setattr__(self, "alpha", alpha)

    @property
    def kernel(self) -> str:
        return {1.5: "entmax15", 2.0: "sparsemax"}.get(self.alpha, "entmax")


@dataclass(frozen=True)
class TopK:
    """Softmax over the k largest attended logits of each row; the other weights are 0.

    Parameters
    ----------
    k : int
        At least 1; more than there are keys is all of them. Of equal logits the lower index goes first.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Notes
    -----
    Gupta et al., "Memory-efficient Transformers via Top-k Attention", 2021.

    Examples
    --------
    >>> import foveate
    >>> foveate.activate([1.0, 0.0, 1.0, 1.0], foveate.TopK(2)).tolist()
    [0.5, 0.0, 0.5, 0.0]
    """

    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _count("k", self.k))

    kernel = "topk"


# ----- combines


@dataclass(frozen=True)
class Select:
    """Soft selection: the weighted sum over the k keys of largest weight, their weights made to sum to 1.

    Each selected weight w becomes ``sign(w) |w| ** (1 / temperature)``, divided by the sum of the absolute
    values of these (0 where that sum is 0).

    Parameters
    ----------
    k : int
        At least 1; more than there are keys is all of them. Of equal weights the lower index goes first.
    temperature : float, default 1.0
        A finite number > 0; towards 0 the largest weight takes all.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Examples
    --------
    >>> import foveate
    >>> foveate.combine([[0.2, 0.5, 0.3]], [[1.0], [2.0], [4.0]], foveate.Select(2)).tolist()
    [[2.75]]
    """

    k: int
    temperature: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _count("k", self.k))
        object.__setattr__(self, "temperature", _positive("temperature", self.temperature))

    kernel = "select"


# ----- names and objects

Score: TypeAlias = Additive | Bilinear | Cosine
Activation: TypeAlias = Sigmoid | Entmax | TopK
Combine: TypeAlias = Select
OBJECTS: dict[str, tuple[type[Any], ...]] = {
    "score": (Additive, Bilinear, Cosine),
    "activation": (Sigmoid, Entmax, TopK),
    "combine": (Select,),
}
#: Names that mean nothing without a parameter, and what to write.
NEED_PARAMETERS = {
    "bilinear": "foveate.Bilinear(w)",
    "entmax": "foveate.Entmax(alpha)",
    "topk": "foveate.TopK(k)",
    "select": "foveate.Select(k)",
}


def kernel_of(kind: str, stage: object, known: tuple[str, ...]) -> str:
    """The kernel's name of a score, activation or combine given as a name or an object; refuses all else."""
    if isinstance(stage, OBJECTS[kind]):
        return _validate.choice(kind, stage.kernel, known)
    if isinstance(stage, str) and stage in NEED_PARAMETERS and stage in known:
        raise ValueError(f"{kind} {stage!r} must be given with its parameter: {NEED_PARAMETERS[stage]}")
    classes = ", ".join(f"foveate.{cls.__name__}" for cls in OBJECTS[kind])
    return _validate.choice(kind, stage, known, f", or an object of {classes}")
