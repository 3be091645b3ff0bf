"""Types of the compiled binding. Private: use the functions of `foveate`."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, final

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from foveate.stages import Additive, Bilinear

_Function = TypeVar("_Function", bound=Callable[..., object])
_Score = Literal["dot", "scaled_dot", "additive", "bilinear", "cosine"]
_Activation = Literal[
    "softmax", "sigmoid", "softmax1", "relu", "relu2", "tanh", "identity",
    "sparsemax", "entmax15", "entmax", "topk",
]  # fmt: skip
_Combine = Literal["weighted_sum", "product", "select"]

score_names: tuple[_Score, ...]
activation_names: tuple[_Activation, ...]
combine_names: tuple[_Combine, ...]
isa_names: tuple[str, ...]
version: str
compiler: str
static_libs: str
_C_API: Any
__pyx_capi__: dict[str, Any]

def available_isas() -> tuple[str, ...]: ...
def set_isa(name: str | None) -> int: ...
def get_isa() -> tuple[int, str | None]: ...
def status_name(status: int) -> str: ...
def status_message(status: int) -> str: ...
def cpu_features() -> str: ...
def amx_state() -> str: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def available_threads() -> int: ...
def threads_reason() -> str: ...
def threading_layer() -> str: ...
def capsule_parts(capsule: object) -> tuple[str, int, int]: ...
def _fail_allocation(n: int) -> None: ...
def _count_tiles(on: bool) -> dict[str, int]: ...

@final
class Plan:
    def __init__(
        self,
        score: int,
        activation: int,
        combine: int,
        scale: float | None,
        softcap: float,
        alignment: int,
        offset_allowed: bool,
        left: int,
        right: int,
        blhd: bool,
        precision: int,
        learnt: Additive | Bilinear | None,
        sigmoid_bias: float,
        entmax_alpha: float,
        top_k: int,
        select_k: int,
        select_temperature: float,
    ) -> None: ...
    def scores(
        self, query: npt.ArrayLike, key: npt.ArrayLike, num_threads: int | None
    ) -> npt.NDArray[Any]: ...
    def activate(
        self,
        logits: npt.NDArray[Any],
        weights: npt.NDArray[Any],
        mask: npt.NDArray[np.bool_] | None,
        num_threads: int | None,
    ) -> None: ...
    def combine_weights(
        self, weights: npt.ArrayLike, value: npt.ArrayLike, num_threads: int | None
    ) -> npt.NDArray[Any]: ...

@final
class Signature:
    def __init__(
        self, function: Callable[..., object], options: tuple[str, ...], is_method: bool
    ) -> None: ...

@disjoint_base
class Planned:
    @property
    def _plan(self) -> Plan: ...

def attention_like(function: _Function, mode_of: Callable[..., Planned], plan: Plan) -> _Function: ...
def call_like(function: _Function) -> _Function: ...
