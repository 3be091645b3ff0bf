"""What MultiHeadAttention and GroupQueryAttention share: projections, masks, the gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

import foveate
from foveate import _validate
from foveate.layers._layer import (
    INITIALIZERS,
    Array,
    Layer,
    Shape,
    Weight,
    bools,
    flag,
    mask_of,
    positive_int,
)

__all__ = ["ProjectedAttention"]

Bools = npt.NDArray[np.bool_]


class ProjectedAttention(Layer):
    """Projects query, key and value to heads, attends, gates if asked to, projects back."""

    def __init__(
        self,
        heads: tuple[int, int],
        dims: tuple[int, int],
        output_shape: Shape | None,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        kernel_initializer: str,
        bias_initializer: str,
        use_gate: bool,
        seed: int | None,
        name: str | None,
        dtype: npt.DTypeLike,
    ) -> None:
        super().__init__(dropout, seed, name, dtype)
        self._heads, self._dims = heads, dims  # of query and of key and value; of query and key and of value
        self._output_shape = output_shape
        self.use_bias, self.use_gate = flag("use_bias", use_bias), flag("use_gate", use_gate)
        self.sliding_window = None
        if sliding_window is not None:
            self.sliding_window = positive_int("sliding_window", sliding_window)
        known = tuple(INITIALIZERS)
        self._initializers = {
            "kernel": _validate.choice("kernel_initializer", kernel_initializer, known),
            "bias": _validate.choice("bias_initializer", bias_initializer, known),
        }

    # ----- weights

    def build(
        self,
        query_shape: Sequence[int | None],
        value_shape: Sequence[int | None],
        key_shape: Sequence[int | None] | None = None,
    ) -> None:
        """Make the initial weights for inputs of these shapes; only the last axes matter.

        The first call does it for its inputs.
        """
        if self.built:
            return
        n_q_heads, n_kv_heads = self._heads
        key_dim, value_dim = self._dims
        shapes = {"query": query_shape, "value": value_shape, "key": key_shape or value_shape}
        sizes: dict[str, int] = {}
        for name, shape in shapes.items():
            if shape[-1] is None:
                raise ValueError(f"{name}_shape must say the last axis, got {tuple(shape)}")
            sizes[name] = shape[-1]
        output_shape = self._output_shape or (sizes["query"],)
        projections = {
            "query": ((sizes["query"],), (n_q_heads, key_dim)),
            "key": ((sizes["key"],), (n_kv_heads, key_dim)),
            "gate": ((sizes["query"],), (n_q_heads, value_dim)),
            "value": ((sizes["value"],), (n_kv_heads, value_dim)),
            "attention_output": ((n_q_heads, value_dim), output_shape),
        }
        if not self.use_gate:
            del projections["gate"]
        weights: dict[str, Weight] = {}
        for name, (inner, outer) in projections.items():
            fans = math.prod(inner) + math.prod(outer)
            weights[f"{name}/kernel"] = Weight((*inner, *outer), self._initializers["kernel"], fans)
            if self.use_bias:
                weights[f"{name}/bias"] = Weight(outer, self._initializers["bias"])
        self._add_weights(weights)

    def _build_for(self, weights: list[Array]) -> None:
        step = 2 if self.use_bias else 1
        query, key, value = 0, step, (3 if self.use_gate else 2) * step
        if any(i >= len(weights) or weights[i].ndim != 3 for i in (query, key, value)):
            came = [array.shape for array in weights]
            raise ValueError(
                f"weights of {self.name} must begin with query/kernel (query_dim, heads, dim), got {came}"
            )
        self.build(*((None, None, len(weights[i])) for i in (query, value, key)))

    def _project(self, name: str, array: Array, n_inner: int = 1) -> Array:
        """The last ``n_inner`` axes times the kernel, plus the bias; one product of two matrices."""
        kernel = self._weights[f"{name}/kernel"]
        n = math.prod(kernel.shape[:n_inner])
        rows = array.reshape(-1, n) @ kernel.reshape(n, -1)
        if self.use_bias:
            rows += self._weights[f"{name}/bias"].reshape(-1)
        return rows.reshape(*array.shape[: array.ndim - n_inner], *kernel.shape[n_inner:])

    # ----- the call

    @overload
    def __call__(
        self,
        query: npt.ArrayLike,
        value: npt.ArrayLike,
        key: npt.ArrayLike | None = None,
        query_mask: npt.ArrayLike | None = None,
        value_mask: npt.ArrayLike | None = None,
        key_mask: npt.ArrayLike | None = None,
        attention_mask: npt.ArrayLike | None = None,
        return_attention_scores: Literal[False] = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Array: ...

    @overload
    def __call__(
        self,
        query: npt.ArrayLike,
        value: npt.ArrayLike,
        key: npt.ArrayLike | None = None,
        query_mask: npt.ArrayLike | None = None,
        value_mask: npt.ArrayLike | None = None,
        key_mask: npt.ArrayLike | None = None,
        attention_mask: npt.ArrayLike | None = None,
        *,
        return_attention_scores: Literal[True],
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> tuple[Array, Array]: ...

    def __call__(
        self,
        query: npt.ArrayLike,
        value: npt.ArrayLike,
        key: npt.ArrayLike | None = None,
        query_mask: npt.ArrayLike | None = None,
        value_mask: npt.ArrayLike | None = None,
        key_mask: npt.ArrayLike | None = None,
        attention_mask: npt.ArrayLike | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Array | tuple[Array, Array]:
        """Attention of every query over the keys of its batch element, in every head.

        Parameters
        ----------
        query : array_like, (batch, T, query_dim)
        value : array_like, (batch, S, value_input_dim)
        key : array_like, (batch, S, key_input_dim), optional
            The value where it is left out.
        query_mask, value_mask, key_mask : array_like of bool, optional
            (batch, T), (batch, S) and (batch, S): True = attend. A masked query attends no key.
        attention_mask : array_like of bool, optional
            (T, S), (batch, T, S) or (batch, heads, T, S), axes of length 1 included. All masks act together.
        return_attention_scores : bool, default False
            Also return the weights.
        training : bool, optional
            True is refused where dropout would act.
        use_causal_mask : bool, default False
            Query i sees keys 0 to i.

        Returns
        -------
        ndarray or (ndarray, ndarray)
            Output (batch, T, ...), and weights (batch, heads, T, S) if asked for.

        Raises
        ------
        TypeError, ValueError
            Inputs or masks of another kind or shape.
        """
        self._refuse_training(training)
        q, v = self._sequence("query", query), self._sequence("value", value)
        k = v if key is None else self._sequence("key", key)
        mask = self._merge(
            mask_of("query_mask", query_mask, q.shape[:-1]),
            mask_of("value_mask", value_mask, v.shape[:-1]),
            mask_of("key_mask", key_mask, k.shape[:-1]),
            self._pairs(attention_mask, (len(q), self._heads[0], q.shape[1], k.shape[1])),
        )
        self.build(q.shape, v.shape, k.shape)
        self._check_widths(query=q, key=k, value=v)
        result = foveate.attention(
            self._project("query", q),
            self._project("key", k),
            self._project("value", v),
            layout="blhd",
            mask=mask,
            return_weights=flag("return_attention_scores", return_attention_scores),
            **self._positions(flag("use_causal_mask", use_causal_mask)),
        )
        heads = result.output if isinstance(result, foveate.AttentionResult) else result
        if self.use_gate:
            heads *= foveate.activate(self._project("gate", q), "sigmoid")
        output = self._project("attention_output", heads, n_inner=2)
        if isinstance(result, foveate.AttentionResult):
            assert result.weights is not None
            return output, result.weights
        return output

    def _sequence(self, name: str, value: npt.ArrayLike) -> Array:
        array = self._floats(name, value)
        if array.ndim != 3:
            raise ValueError(f"{name} must have shape (batch, length, dim), got shape {array.shape}")
        return array

    def _check_widths(self, **inputs: Array) -> None:
        for name, array in inputs.items():
            expected = len(self._weights[f"{name}/kernel"])
            if array.shape[-1] != expected:
                raise ValueError(
                    f"{name} must have {expected} columns, as {self.name} was built for, got {array.shape}"
                )

    def _positions(self, causal: bool) -> dict[str, Any]:
        """causal, window and q_offset of `foveate.attention`: query i stands at key i."""
        options: dict[str, Any] = {"causal": "top_left" if causal else False}
        if self.sliding_window is not None:
            options["window"] = (self.sliding_window - 1, self.sliding_window - 1)
            if not causal:
                options["q_offset"] = 0
        return options

    def _pairs(self, attention_mask: npt.ArrayLike | None, sizes: Shape) -> Bools | None:
        """The attention mask with an axis for the heads; ``sizes``: batch, heads, T, S."""
        if attention_mask is None:
            return None
        came = bools("attention_mask", attention_mask)
        mask = came[:, None] if came.ndim == 3 else came
        fits = all(n in (1, size) for n, size in zip(mask.shape[::-1], sizes[::-1], strict=False))
        if came.ndim not in (2, 3, 4) or not fits:
            raise ValueError(
                "attention_mask must have shape (T, S), (batch, T, S) or (batch, heads, T, S) with "
                f"(batch, heads, T, S) = {sizes}, got shape {came.shape}"
            )
        return mask

    def _merge(
        self,
        query_mask: Bools | None,
        value_mask: Bools | None,
        key_mask: Bools | None,
        pairs: Bools | None,
    ) -> Bools | None:
        """One mask that broadcasts to (batch, heads, T, S)."""
        masks: list[Bools] = []
        if query_mask is not None:
            masks.append(query_mask[:, None, :, None])
        masks += [mask[:, None, None, :] for mask in (value_mask, key_mask) if mask is not None]
        if pairs is not None:
            masks.append(pairs)
        merged = None
        for mask in masks:
            merged = mask if merged is None else merged & mask
        return merged
