"""What a call returns when it is asked for more than the output."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["AttentionResult"]


class AttentionResult(NamedTuple):
    """The output of an attention call together with what else was asked for.

    Attributes
    ----------
    output : ndarray
        The attention output, (..., Hq, Lq, Dv), or (..., Lq, Hq, Dv) for ``layout="blhd"``.
    lse : ndarray or None
        Natural logarithm of the sum of the exponentials of each row of logits, (..., Hq, Lq) in every
        layout; float32, float64 for float64 inputs. None unless ``return_lse=True``.
    weights : ndarray or None
        The weights of every query on every key, (..., Hq, Lq, Lk) in every layout, in the dtype of the
        inputs. None unless ``return_weights=True``.
    key_stats : ndarray or None
        Sum or maximum over the queries of the weights of each key, (..., Hq, Lk) in every layout; float32,
        float64 for float64 inputs. None unless ``key_stats="sum"`` or ``"max"``.

    Examples
    --------
    >>> import numpy as np, foveate
    >>> x = np.eye(2)
    >>> result = foveate.attention(x, x, x, return_weights=True)
    >>> result.weights.sum(axis=-1)
    array([1., 1.])
    >>> result.lse is None
    True
    """

    output: npt.NDArray[Any]
    lse: npt.NDArray[np.floating[Any]] | None = None
    weights: npt.NDArray[Any] | None = None
    key_stats: npt.NDArray[np.floating[Any]] | None = None
