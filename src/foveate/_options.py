"""Types of the options, for the overloads that tell an array from an `AttentionResult`."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy.typing as npt

from foveate.stages import Activation, Combine, Score

__all__ = ["AttentionOptions", "CallOptions"]


class CallOptions(TypedDict, total=False):
    """Options of one call of a Mode."""

    k_scale: npt.ArrayLike | None
    v_scale: npt.ArrayLike | None
    mask: npt.ArrayLike | None
    bias: npt.ArrayLike | None
    alibi_slopes: npt.ArrayLike | None
    sinks: npt.ArrayLike | None
    kv_lengths: npt.ArrayLike | None
    q_offset: npt.ArrayLike | None
    modifier: Any
    tile_mask: Any
    out: npt.NDArray[Any] | None
    num_threads: int | None


class AttentionOptions(CallOptions, total=False):
    """Those and the options of the Mode itself."""

    score: str | Score
    activation: str | Activation
    combine: str | Combine
    scale: float | None
    softcap: float | None
    causal: bool | str
    window: tuple[int | None, int | None] | None
    layout: str
    precision: str
