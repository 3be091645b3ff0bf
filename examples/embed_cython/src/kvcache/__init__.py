"""A key-value cache in C memory, and decoding against it without the GIL."""

from kvcache._cache import KVCache

__all__ = ["KVCache"]
