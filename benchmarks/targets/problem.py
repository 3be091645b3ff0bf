"""The arrays of a workload, and its options in the terms of `foveate.attention`."""

from dataclasses import dataclass
from typing import Any

import ml_dtypes  # noqa: F401 - registers bfloat16 and float8_e4m3fn with NumPy
import numpy as np
from numpy.typing import NDArray

from benchmarks.targets.target import Target
from benchmarks.workloads import Workload

Array = NDArray[Any]
ATTENDED = 0.9  # share of the keys that a bool mask leaves: no tile is dead, which would be another workload
INT8_STEP = 1 / 40  # of keys and values stored as int8: 127 steps are 3 standard deviations


@dataclass(frozen=True, eq=False)
class Problem:
    """query, key and value, and the options of the call that is timed."""

    target: Target
    arrays: tuple[Array, Array, Array]
    options: dict[str, Any]

    def as_mode(self) -> Workload:
        """The same for `benchmarks.peers`, which know scores and activations."""
        stages = {"score": self.target.score, "activation": self.target.activation}
        return Workload(str(self.target), self.target.shape, stages, {})

    def attended(self) -> NDArray[np.bool_] | None:
        """(Lq, Lk): what causal, the window and the mask leave; None: everything."""
        target = self.target
        rows = np.arange(target.shape.q_len)[:, None]
        distance = rows - np.arange(target.shape.kv_len)
        kept = np.ones(distance.shape, bool)
        if target.shape.causal:
            kept &= distance >= 0
        if target.window is not None:
            kept &= distance < target.window
        if "mask" in self.options:
            kept &= self.options["mask"]
        return None if kept.all() else kept

    def added(self) -> Array | None:
        """What is added to the logits, -inf where a key is not attended; broadcasts to (1, Hq, Lq, Lk).

        None where nothing is: in the type of the query, as the peers want it.
        """
        target, kept = self.target, self.attended()
        total = self.options.get("bias")
        if target.alibi:
            distance = np.arange(target.shape.kv_len) - np.arange(target.shape.q_len)[:, None]
            total = self.options["alibi_slopes"][:, None, None] * distance.astype(np.float32)
        if kept is not None:
            total = np.where(kept, 0 if total is None else total, -np.inf)
        if total is None:
            return None
        return np.ascontiguousarray(total[(None,) * (4 - total.ndim)], self.arrays[0].dtype)


def make(target: Target) -> Problem:
    """The same numbers in every process: float32 of a fixed seed, rounded to the type of the workload."""
    query, key, value = target.shape.arrays()
    rng = np.random.default_rng(1)
    options: dict[str, Any] = {}
    if target.shape.causal:
        options["causal"] = True
    if target.window is not None:
        options["window"] = (target.window - 1, 0)
    if target.softcap is not None:
        options["softcap"] = target.softcap
    if target.precision != "highest":
        options["precision"] = target.precision
    if target.is_other_mode:
        options |= {"score": target.score, "activation": target.activation}
    logits = target.shape.q_len, target.shape.kv_len
    if target.mask == "bool":
        options["mask"] = (rng.random(logits, np.float32) < ATTENDED) | np.eye(*logits, dtype=bool)
    if target.mask == "float":
        options["bias"] = rng.standard_normal(logits, np.float32).astype(target.shape.dtype)
    if target.alibi:
        n_heads = target.shape.n_q_heads
        options["alibi_slopes"] = np.exp2(-8 / n_heads * np.arange(1, n_heads + 1)).astype(np.float32)
    if target.kv_dtype is not None:
        key, value = (_stored(array, target.kv_dtype) for array in (key, value))
        step = INT8_STEP if target.kv_dtype == "int8" else 1.0
        for name in ("k_scale", "v_scale"):
            options[name] = (rng.uniform(0.5, 1.5, key.shape[:-1]) * step).astype(np.float32)
    return Problem(target, (query, key, value), options)


def _stored(array: Array, dtype: str) -> Array:
    """Rows as a cache of that type holds them."""
    wide = array.astype(np.float32)
    if dtype == "int8":
        wide = np.clip(np.rint(wide / INT8_STEP), -127, 127)
    return wide.astype(dtype)
