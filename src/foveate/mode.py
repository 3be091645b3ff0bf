"""Mode: the options of attention that are not arrays, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, Unpack, overload

import numpy.typing as npt

from foveate import _core, _validate, stages
from foveate._options import CallOptions
from foveate._result import AttentionResult

__all__ = ["Mode"]

_NAMES: dict[str, tuple[str, ...]] = {
    "score": _core.score_names,
    "activation": _core.activation_names,
    "combine": _core.combine_names,
}
_MOST = 2**62  # keys: more than there can be
_UNBOUNDED, _EQUAL_LENGTHS, _TOP_LEFT, _BOTTOM_RIGHT = range(4)  # Alignment in _core.pyx


_PRECISIONS = ("highest", "high", "medium")  # fov_precision


def _index(kind: str, stage: object) -> int:
    """The kernel's place in its list; refuses what is none."""
    return _NAMES[kind].index(stages.kernel_of(kind, stage, _NAMES[kind]))


@dataclass(frozen=True, repr=False)
class Mode(_core.Planned):
    """A kind of attention: score, activation, combine and the options that are not arrays of the call.

    ``foveate.attention(q, k, v, activation="sigmoid", mask=m)`` is exactly
    ``Mode(activation="sigmoid")(q, k, v, mask=m)``. A Mode is checked when it is made, so that its calls
    only check arrays. Modes are frozen, compare and hash by their options (stage objects that hold arrays by
    identity), and can be pickled.

    Parameters
    ----------
    score : str or stage object, default "scaled_dot"
        How a query and a key make a logit: "dot", "scaled_dot", "additive" or `Additive`, "cosine" or
        `Cosine`; "bilinear" only as `Bilinear` with its matrix.
    activation : str or stage object, default "softmax"
        How logits become weights. Normalised: "softmax", "softmax1" (one more logit of 0). Each key by
        itself: "sigmoid" or `Sigmoid`, "relu", "relu2", "tanh", "identity". Normalised with exact zeros:
        "sparsemax", "entmax15"; "entmax" only as `Entmax` and "topk" only as `TopK`.
    combine : str or stage object, default "weighted_sum"
        How weights and values make the output: "weighted_sum"; "product", each weight times its value, not
        summed, one more axis (..., Lq, Lk, Dv); "select" only as `Select`, the sum over the largest weights.
    scale : float, optional
        Multiplies the score; replaces the default, which is ``head_dim ** -0.5`` for "scaled_dot" (1 where
        head_dim is 0) and 1 for every other score.
    softcap : float, optional
        A cap c > 0: logits become ``c * tanh(logits / c)``, after the scale, before bias and mask.
    causal : bool or str, default False
        Query i stands at key position i + q_offset and sees no later key. "top_left" sets q_offset to 0,
        "bottom_right" to kv_len - q_len (also where ``kv_lengths`` are shorter). True is for q_len == kv_len,
        or for calls that give ``q_offset``.
    window : (int or None, int or None), optional
        ``(left, right)``: keys from i + q_offset - left to i + q_offset + right, both included; None leaves
        a side open. Alone it needs q_len == kv_len or ``q_offset``; a ``causal`` string sets its alignment.
    layout : str, default "bhld"
        Order of the axes of query, key, value and output: "bhld" is (..., heads, length, dim), "blhd" is
        (..., length, heads, dim).
    precision : str, default "highest"
        How exact products of float32 have to be, in PyTorch's words: "highest", as float32; "high", sums of
        products to 4.6e-5 of their sizes at most, 2e-6 as a rule; "medium", as bfloat16. Less is faster with
        tile registers (ISA amx, more than 8 rows, see docs/numerics.md); elsewhere, and for other dtypes, it
        changes nothing.

    Raises
    ------
    TypeError
        An option has the wrong type.
    ValueError
        An option is out of range, an unknown name (the message lists the known ones), or a bare name that
        needs a parameter.

    Examples
    --------
    >>> import numpy as np, foveate
    >>> mode = foveate.Mode(causal=True, window=(1, 0))
    >>> mode
    Mode(causal=True, window=(1, 0))
    >>> x = np.eye(3)
    >>> mode(x, x, x).shape
    (3, 3)
    """

    score: str | stages.Score = "scaled_dot"
    activation: str | stages.Activation = "softmax"
    combine: str | stages.Combine = "weighted_sum"
    scale: float | None = None
    softcap: float | None = None
    causal: bool | str = False
    window: tuple[int | None, int | None] | None = None
    layout: str = "bhld"
    precision: str = "highest"

    def __post_init__(self) -> None:
        for kind in _NAMES:
            _index(kind, getattr(self, kind))
        checked: dict[str, Any] = {
            "causal": _validate.causal(self.causal),
            "window": _validate.window(self.window),
            "layout": _validate.choice("layout", self.layout, ("bhld", "blhd")),
            "precision": _validate.choice("precision", self.precision, _PRECISIONS),
        }
        if self.scale is not None:
            checked["scale"] = _validate.real("scale", self.scale, "a finite number or None")
        if self.softcap is not None:
            checked["softcap"] = _validate.real("softcap", self.softcap, "a finite number > 0 or None")
            if checked["softcap"] <= 0:
                raise ValueError(f"softcap must be > 0, or None for no cap, got {self.softcap!r}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if isinstance(self.score, stages.Cosine) and math.isinf((self.scale or 1.0) / self.score.temperature):
            raise ValueError(
                "score: temperature must be such that scale / temperature is finite, "
                f"got temperature {self.score.temperature!r} and scale {self.scale!r}"
            )

    def _make_plan(self) -> _core.Plan:
        left, right = self.window or (None, None)
        if self.causal:
            right = 0
        if isinstance(self.causal, str):
            alignment = _TOP_LEFT if self.causal == "top_left" else _BOTTOM_RIGHT
        else:
            alignment = _EQUAL_LENGTHS if self.causal or self.window is not None else _UNBOUNDED
        score, activation, combine = self.score, self.activation, self.combine
        scale = 1.0 if self.scale is None and score != "scaled_dot" else self.scale
        if isinstance(score, stages.Cosine) and scale is not None:
            scale /= score.temperature
        return _core.Plan(
            _index("score", score),
            _index("activation", activation),
            _index("combine", combine),
            scale,
            self.softcap or 0.0,
            alignment,
            alignment == _EQUAL_LENGTHS,
            _validate.window_side(left),
            _validate.window_side(right),
            self.layout == "blhd",
            _PRECISIONS.index(self.precision),
            score if isinstance(score, stages.Additive | stages.Bilinear) else None,
            activation.bias if isinstance(activation, stages.Sigmoid) else 0.0,
            activation.alpha if isinstance(activation, stages.Entmax) else 0.0,
            min(activation.k, _MOST) if isinstance(activation, stages.TopK) else 0,
            min(combine.k, _MOST) if isinstance(combine, stages.Select) else 0,
            combine.temperature if isinstance(combine, stages.Select) else 0.0,
        )

    @overload
    def __call__(
        self,
        query: npt.ArrayLike,
        key: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        return_lse: Literal[False] = False,
        return_weights: Literal[False] = False,
        key_stats: None = None,
        **options: Unpack[CallOptions],
    ) -> npt.NDArray[Any]: ...

    @overload
    def __call__(
        self,
        query: npt.ArrayLike,
        key: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        return_lse: Literal[True],
        return_weights: bool = False,
        key_stats: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AttentionResult: ...

    @overload
    def __call__(
        self,
        query: npt.ArrayLike,
        key: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        return_lse: bool = False,
        return_weights: Literal[True],
        key_stats: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AttentionResult: ...

    @overload
    def __call__(
        self,
        query: npt.ArrayLike,
        key: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        return_lse: bool = False,
        return_weights: bool = False,
        key_stats: str,
        **options: Unpack[CallOptions],
    ) -> AttentionResult: ...

    @overload
    def __call__(
        self,
        query: npt.ArrayLike,
        key: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        return_lse: bool,
        return_weights: bool,
        key_stats: str | None,
        **options: Unpack[CallOptions],
    ) -> npt.NDArray[Any] | AttentionResult: ...

    @_core.call_like
    def __call__(
        self,
        query: npt.ArrayLike,
        key: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        k_scale: npt.ArrayLike | None = None,
        v_scale: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        bias: npt.ArrayLike | None = None,
        alibi_slopes: npt.ArrayLike | None = None,
        sinks: npt.ArrayLike | None = None,
        kv_lengths: npt.ArrayLike | None = None,
        q_offset: npt.ArrayLike | None = None,
        modifier: Any = None,
        tile_mask: Any = None,
        return_lse: bool = False,
        return_weights: bool = False,
        key_stats: str | None = None,
        out: npt.NDArray[Any] | None = None,
        num_threads: int | None = None,
    ) -> npt.NDArray[Any] | AttentionResult:
        """Attention in this mode; arguments, result and errors are those of `foveate.attention`.

        Examples
        --------
        >>> import numpy as np, foveate
        >>> x = np.eye(2)
        >>> foveate.Mode(activation="sigmoid", scale=0.0)(x, x, x).tolist()
        [[0.5, 0.5], [0.5, 0.5]]
        """
        raise AssertionError("the binding computes every call that this signature takes")

    def __repr__(self) -> str:
        options = [(f.name, getattr(self, f.name), f.default) for f in fields(self)]
        changed = ", ".join(f"{name}={value!r}" for name, value, default in options if value != default)
        return f"Mode({changed})"

    def __reduce__(self) -> tuple[type[Mode], tuple[Any, ...]]:
        return Mode, tuple(getattr(self, f.name) for f in fields(self))
