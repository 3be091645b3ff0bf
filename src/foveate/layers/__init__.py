"""Attention as layers in NumPy: Keras' attention layers with Keras' weights, and pooling by one query.

The layers do inference: with the weights that Keras trained, ``layer.set_weights(peer.get_weights())``, they
predict what Keras predicts, without importing it. Attention itself is `foveate.attention`: the q_len x kv_len
matrix of weights exists only where ``return_attention_scores`` asks for it.
"""

from foveate.layers._attention import AdditiveAttention, Attention
from foveate.layers._multi_head import GroupQueryAttention, MultiHeadAttention
from foveate.layers._pooling import AttentionPooling

__all__ = [
    "AdditiveAttention",
    "Attention",
    "AttentionPooling",
    "GroupQueryAttention",
    "MultiHeadAttention",
]
