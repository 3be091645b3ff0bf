"""MultiHeadAttention and GroupQueryAttention: the layers with projections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from foveate.layers._layer import positive_int
from foveate.layers._projected import ProjectedAttention

__all__ = ["GroupQueryAttention", "MultiHeadAttention"]


class MultiHeadAttention(ProjectedAttention):
    """Multi-head attention with the arguments and weights of ``keras.layers.MultiHeadAttention``.

    Parameters
    ----------
    num_heads : int
        Heads of query, key and value.
    key_dim : int
        Columns of each head of query and key.
    value_dim : int, optional
        Columns of each head of the value; ``key_dim`` where left out.
    dropout : float, default 0.0
        Accepted; it acts in training only, and these layers only do inference.
    use_bias : bool, default True
        Whether the projections add biases.
    output_shape : int or sequence of int, optional
        Axes of each output vector; as many columns as the query has where left out.
    attention_axes : None
        Attention runs over the one axis between batch and features; anything but None, 1 or (1,) is refused.
    sliding_window : int, optional
        Query i sees keys i - sliding_window + 1 to i + sliding_window - 1.
    flash_attention : bool, optional
        Accepted; the computation is always fused.
    kernel_initializer, bias_initializer : {"glorot_uniform", "zeros", "ones"}
        How the weights start.
    use_gate : bool, default False
        Multiply the heads, before the last projection, by the sigmoid of one more projection of the query.
    seed : int, optional
        Of the initial weights, from NumPy's default generator: not Keras' numbers, but their distribution.
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
    GroupQueryAttention : fewer heads of key and value than of query.

    Notes
    -----
    Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2; the gate: Qiu et al., "Gated Attention
    for Large Language Models", 2025. Weights, in order, biases if ``use_bias``, the gate if ``use_gate``:
    ``query/kernel`` (query_dim, heads, key_dim), ``query/bias`` (heads, key_dim), ``key/...`` likewise,
    ``gate/kernel`` (query_dim, heads, value_dim), ``gate/bias``, ``value/...``,
    ``attention_output/kernel`` (heads, value_dim, *output_shape), ``attention_output/bias`` (*output_shape,).
    The heads of a query whose keys are all masked are 0, so its output is the last bias.

    Examples
    --------
    >>> import numpy as np
    >>> from foveate.layers import MultiHeadAttention
    >>> layer = MultiHeadAttention(num_heads=2, key_dim=4, seed=0)
    >>> x = np.ones((1, 5, 6), np.float32)
    >>> output, weights = layer(x, x, use_causal_mask=True, return_attention_scores=True)
    >>> output.shape, weights.shape
    ((1, 5, 6), (1, 2, 5, 5))
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: str = "glorot_uniform",
        bias_initializer: str = "zeros",
        *,
        use_gate: bool = False,
        seed: int | None = None,
        name: str | None = None,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        self.num_heads = positive_int("num_heads", num_heads)
        self.key_dim = positive_int("key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else positive_int("value_dim", value_dim)
        if attention_axes not in (None, 1, (1,), [1]):
            raise ValueError(
                "attention_axes must be None: attention runs over axis 1 of (batch, length, dim), "
                f"got {attention_axes!r}"
            )
        axes: Sequence[object] = output_shape if isinstance(output_shape, list | tuple) else [output_shape]
        super().__init__(
            heads=(self.num_heads, self.num_heads),
            dims=(self.key_dim, self.value_dim),
            output_shape=None if not output_shape else tuple(positive_int("output_shape", n) for n in axes),
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            use_gate=use_gate,
            seed=seed,
            name=name,
            dtype=dtype,
        )


class GroupQueryAttention(ProjectedAttention):
    """Grouped-query attention with the arguments and weights of ``keras.layers.GroupQueryAttention``.

    Query head h reads key and value head ``h // (num_query_heads // num_key_value_heads)``; the heads of key
    and value are never repeated in memory.

    Parameters
    ----------
    head_dim : int
        Columns of each head.
    num_query_heads, num_key_value_heads : int
        The first is a multiple of the second.
    dropout : float, default 0.0
        Accepted; it acts in training only, and these layers only do inference.
    use_bias : bool, default True
        Whether the projections add biases.
    sliding_window : int, optional
        Query i sees keys i - sliding_window + 1 to i + sliding_window - 1.
    flash_attention : bool, optional
        Accepted; the computation is always fused.
    kernel_initializer, bias_initializer : {"glorot_uniform", "zeros", "ones"}
        How the weights start.
    use_gate : bool, default False
        Multiply the heads, before the last projection, by the sigmoid of one more projection of the query.
    seed : int, optional
        Of the initial weights, from NumPy's default generator.
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
    MultiHeadAttention : as many heads of key and value as of query.

    Notes
    -----
    Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints",
    2023. Weights as in `MultiHeadAttention`, the kernels of key and value (dim, num_key_value_heads,
    head_dim); the output has the columns of the query. Called like `MultiHeadAttention`.

    Examples
    --------
    >>> import numpy as np
    >>> from foveate.layers import GroupQueryAttention
    >>> layer = GroupQueryAttention(head_dim=4, num_query_heads=6, num_key_value_heads=2, seed=0)
    >>> x = np.ones((1, 5, 8), np.float32)
    >>> layer(x, x).shape
    (1, 5, 8)
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: str = "glorot_uniform",
        bias_initializer: str = "zeros",
        *,
        use_gate: bool = False,
        seed: int | None = None,
        name: str | None = None,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        self.head_dim = positive_int("head_dim", head_dim)
        self.num_query_heads = positive_int("num_query_heads", num_query_heads)
        self.num_key_value_heads = positive_int("num_key_value_heads", num_key_value_heads)
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_query_heads must be a multiple of num_key_value_heads, got {num_query_heads} "
                f"and {num_key_value_heads}"
            )
        super().__init__(
            heads=(self.num_query_heads, self.num_key_value_heads),
            dims=(self.head_dim, self.head_dim),
            output_shape=None,
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            use_gate=use_gate,
            seed=seed,
            name=name,
            dtype=dtype,
        )
