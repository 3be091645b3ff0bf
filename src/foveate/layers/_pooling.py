"""AttentionPooling: many vectors become one, by their score against one learnt query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from foveate import _validate
from foveate._result import AttentionResult
from foveate.mode import Mode

__all__ = ["AttentionPooling"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Affine: TypeAlias = tuple[npt.ArrayLike, npt.ArrayLike]
Extract: TypeAlias = Callable[[Array], npt.ArrayLike]


class AttentionPooling:
    """Features of every item, their score against a query vector, weights, and what these make of the items.

    ``f_i = features(x_i)``, ``w = activation(score(query, f))``, ``output = combine(w, x)``: the sum
    ``sum_i w_i x_i`` with the combine "weighted_sum" and `foveate.Select`, every ``w_i x_i`` with "product".

    Parameters
    ----------
    features : (W, b) or callable
        An affine map, ``x @ W + b`` with W (F, A) or (F,) and b that broadcasts; a number W multiplies x
        elementwise. Or any function of the array of items (..., L, F) that returns (..., L, A), or (..., L)
        for one number per item.
    query : array_like, (A,)
        What the features are scored against; a number if the features are numbers.
    mode : Mode, default ``foveate.Mode()``
        Score, activation, combine, scale and softcap. One query has no position: a mode with causal, window
        or another layout is refused.

    Raises
    ------
    TypeError, ValueError
        Parameters of another type or shape.

    Notes
    -----
    The weights of Bahdanau, Cho, Bengio, "Neural Machine Translation by Jointly Learning to Align and
    Translate", 2015, for one query that is a parameter; as a pooling of words: Yang et al., "Hierarchical
    Attention Networks for Document Classification", 2016, section 2.2.

    Examples
    --------
    Sigmoid weights of the feature 2 x + 1 of the first column:

    >>> import numpy as np, foveate
    >>> from foveate.layers import AttentionPooling
    >>> x = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    >>> mode = foveate.Mode(score="dot", activation="sigmoid")
    >>> pooling = AttentionPooling(([2.0, 0.0], 1.0), query=1.0, mode=mode)
    >>> pooling(x).round(6).tolist()
    [5.936455, 8.881425]
    """

    def __init__(self, features: Affine | Extract, query: npt.ArrayLike, mode: Mode | None = None) -> None:
        self.features: tuple[Floats, Floats] | Extract
        if callable(features):
            self.features = features
        elif isinstance(features, tuple | list) and len(features) == 2:
            self.features = _numbers("W", features[0], 2), _numbers("b", features[1], 1)
        else:
            raise TypeError(f"features must be a pair (W, b) or a callable, got {type(features).__name__}")
        self.query = np.atleast_1d(_numbers("query", query, 1))
        self.mode = Mode() if mode is None else mode
        if not isinstance(self.mode, Mode):
            raise TypeError(f"mode must be a foveate.Mode, got {self.mode!r} ({type(mode).__name__})")
        if self.mode.causal or self.mode.window is not None or self.mode.layout != "bhld":
            raise ValueError(f"mode must have no causal, window or layout: one query, got {self.mode!r}")

    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        mask: npt.ArrayLike | None = None,
        return_weights: Literal[False] = False,
        num_threads: int | None = None,
    ) -> Array: ...

    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        mask: npt.ArrayLike | None = None,
        return_weights: Literal[True],
        num_threads: int | None = None,
    ) -> AttentionResult: ...

    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        mask: npt.ArrayLike | None = None,
        return_weights: bool = False,
        num_threads: int | None = None,
    ) -> Array | AttentionResult:
        """Pool the items of every leading index.

        Parameters
        ----------
        x : array_like, (..., L, F)
            Items, of a dtype that `foveate.attention` takes; they are the values as well.
        mask : array_like of bool, optional
            True = attend; broadcasts to (..., L).
        return_weights : bool, default False
            Return an `AttentionResult`, its weights (..., L).
        num_threads : int, optional
            Most threads for this call.

        Returns
        -------
        ndarray or AttentionResult
            (..., F) in the dtype of x; (..., L, F) with the combine "product".

        Raises
        ------
        TypeError, ValueError
            Arrays of another dtype or shape, features that are not one vector or number per item.
        """
        items = _validate.as_ndarray("x", x)
        if _validate.float_code(items.dtype) < 0:
            _validate.refuse_dtype("x", items)
        if items.ndim < 2:
            raise ValueError(f"x must have shape (..., L, F), got shape {items.shape}")
        if mask is not None:
            mask = _validate.mask(mask)
            if mask.ndim:
                mask = mask[..., None, None, :]
        features = self._features(items)
        result = self.mode(
            self.query.astype(items.dtype)[None, None, :],  # one head, one query
            features[..., None, :, :],
            items[..., None, :, :],
            mask=mask,
            return_lse=False,
            return_weights=bool(return_weights),
            key_stats=None,
            num_threads=num_threads,
        )
        if isinstance(result, AttentionResult):
            assert result.weights is not None
            return AttentionResult(self._one_query(result.output), weights=result.weights[..., 0, 0, :])
        return self._one_query(result)

    def _one_query(self, output: Array) -> Array:
        """Without the axes of the head and of the query."""
        return output[..., 0, 0, :, :] if self.mode.combine == "product" else output[..., 0, 0, :]

    def _features(self, items: Array) -> Array:
        """(..., L, A) in the dtype of the items; an affine map of 16-bit items computes in float32."""
        if callable(self.features):
            features = _validate.as_ndarray("features(x)", self.features(items))
        else:
            dtype = np.dtype(np.float64 if items.dtype == np.float64 else np.float32)
            w, b = (array.astype(dtype) for array in self.features)
            wide: Floats = items.astype(dtype, copy=False)
            if w.ndim and w.shape[0] != items.shape[-1]:
                raise ValueError(f"W must have a row for each column of x, got {w.shape} and {items.shape}")
            features = (wide @ w if w.ndim else wide * w) + b
        if features.shape == items.shape[:-1]:
            features = features[..., None]
        if features.shape[:-1] != items.shape[:-1]:
            raise ValueError(
                f"features must be one vector or number for each item of x {items.shape}, "
                f"got shape {features.shape}"
            )
        if _validate.float_code(features.dtype) < 0 and features.dtype.kind not in "iu":
            _validate.refuse_dtype("features(x)", features)
        return features.astype(items.dtype, copy=False)


def _numbers(name: str, value: npt.ArrayLike, most: int) -> Floats:
    """A float64 copy with at most so many axes."""
    array = _validate.as_ndarray(name, value)
    if _validate.float_code(array.dtype) < 0 and array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be {_validate.FLOATS} or integers, got dtype {array.dtype}")
    if array.ndim > most:
        raise ValueError(f"{name} must have at most {most} axes, got shape {array.shape}")
    return array.astype(np.float64)
