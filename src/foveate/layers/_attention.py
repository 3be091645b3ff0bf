"""Attention and AdditiveAttention: the layers without projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

import foveate
from foveate import _validate
from foveate.layers._layer import Array, Layer, Weight, flag, mask_of
from foveate.stages import Additive

__all__ = ["AdditiveAttention", "Attention"]

Inputs = Sequence[npt.ArrayLike]
Masks = Sequence[npt.ArrayLike | None]


class Attention(Layer):
    """Dot-product attention with the arguments and weights of ``keras.layers.Attention``.

    Parameters
    ----------
    use_scale : bool, default False
        Whether a learnt number multiplies the scores ("dot") or the sums inside the tanh ("concat").
    score_mode : {"dot", "concat"}, default "dot"
        "dot": ``scale * query . key``; "concat": ``concat_score_weight * sum(tanh(scale * (query + key)))``.
    dropout : float, default 0.0
        Accepted; it acts in training only, and these layers only do inference.
    seed : int, optional
        Of the initial weights. Those of this class are ones, so it changes nothing here.
    name : str, optional
        For messages.
    dtype : {"float32", "float64"}, default "float32"
        Of weights, computation and results; inputs of floats are cast to it.

    Raises
    ------
    TypeError, ValueError
        Arguments of another type, out of range, or unknown names.

    See Also
    --------
    foveate.attention : the same without weights, with every score, activation, combine and mask.

    Notes
    -----
    Luong, Pham, Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
    equation 8. Weights, in order: ``scale`` () if ``use_scale``, ``concat_score_weight`` () if "concat".
    A query whose keys are all masked gets 0; Keras gives it the mean of the values.

    Examples
    --------
    >>> import numpy as np
    >>> from foveate.layers import Attention
    >>> query, value = np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> Attention(dtype="float64")([query, value, np.eye(2)[::-1]]).round(3).tolist()
    [[2.462, 3.462], [1.538, 2.538]]
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        super().__init__(dropout, seed, name, dtype)
        self.use_scale = flag("use_scale", use_scale)
        self.score_mode = _validate.choice("score_mode", score_mode, ("dot", "concat"))

    def build(self, input_shape: Sequence[Sequence[int | None]]) -> None:
        """Make the initial weights for inputs of these shapes, [query, value] or [query, value, key].

        The first call does it for its inputs.
        """
        if self.built:
            return
        self._check_inputs("input_shape", input_shape)
        names = ["scale"] * self.use_scale + ["concat_score_weight"] * (self.score_mode == "concat")
        self._add_weights({name: Weight((), "ones") for name in names})

    def _build_for(self, weights: list[Array]) -> None:
        dim = weights[0].shape[0] if weights and weights[0].ndim else 1
        self.build([(None, dim)] * 2)

    def _prepare(self, query: Array, key: Array) -> tuple[Array, Array, dict[str, Any]]:
        """Query and key, and the options of the score, for `foveate.attention`."""
        scale = self._weights.get("scale")
        if self.score_mode == "dot":
            return query, key, {"score": "dot", "scale": None if scale is None else float(scale)}
        if scale is not None:
            query, key = query * scale, key * scale
        return query, key, {"score": "additive", "scale": float(self._weights["concat_score_weight"])}

    @overload
    def __call__(
        self,
        inputs: Inputs,
        mask: Masks | None = None,
        training: bool | None = False,
        return_attention_scores: Literal[False] = False,
        use_causal_mask: bool = False,
    ) -> Array: ...

    @overload
    def __call__(
        self,
        inputs: Inputs,
        mask: Masks | None = None,
        training: bool | None = False,
        *,
        return_attention_scores: Literal[True],
        use_causal_mask: bool = False,
    ) -> tuple[Array, Array]: ...

    def __call__(
        self,
        inputs: Inputs,
        mask: Masks | None = None,
        training: bool | None = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Array | tuple[Array, Array]:
        """Attention of every query over the keys of its batch element.

        Parameters
        ----------
        inputs : list of array_like
            [query, value] or [query, value, key]: query (..., Tq, dim), value (..., Tv, value_dim) and key
            (..., Tv, dim) of floats; the value is the key where there is none.
        mask : list, optional
            [query_mask, value_mask], each None or of bool, (..., Tq) and (..., Tv): the output is 0 where the
            query's is False, and a value whose mask is False is not attended.
        training : bool, default False
            True is refused where dropout would act.
        return_attention_scores : bool, default False
            Also return the weights.
        use_causal_mask : bool, default False
            Query i sees keys 0 to i.

        Returns
        -------
        ndarray or (ndarray, ndarray)
            Output (..., Tq, value_dim), and weights (..., Tq, Tv) if asked for.

        Raises
        ------
        TypeError, ValueError
            Inputs or masks of another kind or shape.
        """
        self._check_inputs("inputs", inputs)
        self._refuse_training(training)
        names = ("query", "value", "key")
        query, value, *keys = (self._sequence(n, x) for n, x in zip(names, inputs, strict=False))
        key = keys[0] if keys else value
        query_mask, value_mask = self._masks(mask, query, value)
        self.build([query.shape, value.shape, key.shape])

        query, key, options = self._prepare(query, key)
        result = foveate.attention(
            query[..., None, :, :],  # one head
            key[..., None, :, :],
            value[..., None, :, :],
            mask=None if value_mask is None else value_mask[..., None, None, :],
            causal="top_left" if flag("use_causal_mask", use_causal_mask) else False,
            return_weights=flag("return_attention_scores", return_attention_scores),
            **options,
        )
        output = result.output if isinstance(result, foveate.AttentionResult) else result
        output = output[..., 0, :, :]
        if query_mask is not None:
            np.copyto(output, 0.0, where=~query_mask[..., None])
        if isinstance(result, foveate.AttentionResult):
            assert result.weights is not None
            return output, result.weights[..., 0, :, :]
        return output

    def _sequence(self, name: str, value: npt.ArrayLike) -> Array:
        array = self._floats(name, value)
        if array.ndim < 2:
            raise ValueError(f"{name} must have shape (..., length, dim), got shape {array.shape}")
        return array

    def _masks(
        self, mask: Masks | None, query: Array, value: Array
    ) -> tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.bool_] | None]:
        if mask is None:
            return None, None
        if not isinstance(mask, list | tuple) or len(mask) not in (2, 3):
            raise ValueError(f"mask must be a list [query_mask, value_mask], got {mask!r}")
        return (
            mask_of("query_mask", mask[0], query.shape[:-1]),
            mask_of("value_mask", mask[1], value.shape[:-1]),
        )

    def _check_inputs(self, name: str, inputs: object) -> None:
        if isinstance(inputs, list | tuple) and len(inputs) in (2, 3):
            return
        came = f"{len(inputs)} of them" if isinstance(inputs, list | tuple) else type(inputs).__name__
        raise ValueError(f"{name} must be a list [query, value] or [query, value, key], got {came}")


class AdditiveAttention(Attention):
    """Additive attention with the arguments and weights of ``keras.layers.AdditiveAttention``.

    The score is ``sum_d scale_d tanh(query_d + key_d)``, without projections.

    Parameters
    ----------
    use_scale : bool, default True
        Whether there is a learnt ``scale``; otherwise all its elements are 1.
    dropout : float, default 0.0
        Accepted; it acts in training only.
    seed : int, optional
        Of the initial weights, Glorot uniform from NumPy's default generator.
    name : str, optional
        For messages.
    dtype : {"float32", "float64"}, default "float32"
        Of weights, computation and results; inputs of floats are cast to it.

    Raises
    ------
    TypeError, ValueError
        Arguments of another type or out of range.

    See Also
    --------
    foveate.Additive : the same score with projections.

    Notes
    -----
    Bahdanau, Cho, Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate", 2015,
    appendix A.1.2, without its matrices. Weight: ``scale`` (dim,) if ``use_scale``. Called like `Attention`.

    Examples
    --------
    >>> import numpy as np
    >>> from foveate.layers import AdditiveAttention
    >>> layer = AdditiveAttention(dtype="float64")
    >>> layer.set_weights([np.ones(2)])
    >>> query, value = np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> layer([query, value, np.eye(2)[::-1]]).round(3).tolist()
    [[1.727, 2.727], [2.273, 3.273]]
    """

    def __init__(
        self,
        use_scale: bool = True,
        dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, seed=seed, name=name, dtype=dtype)
        self._score: str | Additive = "additive"

    def build(self, input_shape: Sequence[Sequence[int | None]]) -> None:
        """Make the initial weights for inputs of these shapes, [query, value] or [query, value, key]."""
        if self.built:
            return
        self._check_inputs("input_shape", input_shape)
        dim = input_shape[0][-1]
        if dim is None:
            raise ValueError(f"input_shape must say the last axis of query, got {input_shape!r}")
        scale = {"scale": Weight((dim,), "glorot_uniform")} if self.use_scale else {}
        self._add_weights(scale)

    def _weights_changed(self) -> None:
        if self.use_scale:
            self._score = Additive(self._weights["scale"])

    def _prepare(self, query: Array, key: Array) -> tuple[Array, Array, dict[str, Any]]:
        return query, key, {"score": self._score}
