"""Sentences of a text, and a vector for each: hashed character n-grams, nothing learned."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DIM = 256
N_GRAMS = (3, 4, 5)
MIN_WORDS = 4  # shorter ones ("Alice replied.") say too little to attend by

_PARAGRAPH = re.compile(r"\n\s*\n")
# a stop, closing quotes or brackets, white space, and something that can begin a sentence
_OPENS, _CLOSES = r"""["'\u2018\u201c(\[]*""", r"""["'\u2019\u201d)\]]*"""
_END = re.compile(rf"(?<=[.!?]){_CLOSES}\s+(?={_OPENS}[A-Z0-9\u00c0-\u024f])|(?<=[\u3002\uff01\uff1f])")


def sentences(text: str) -> list[str]:
    """The sentences of at least `MIN_WORDS` words, in order, with white space made even.

    >>> sentences("She looked at it again. 'Oh dear!' It said so, and\\nthen it ran off.")
    ['She looked at it again.', 'It said so, and then it ran off.']
    """
    found = []
    for paragraph in _PARAGRAPH.split(text):
        flat = " ".join("".join(c if c.isprintable() else " " for c in paragraph).split())
        start = 0
        for match in [*_END.finditer(flat), None]:
            end = match.end() if match else len(flat)
            sentence = flat[start:end].strip()
            if len(re.findall(r"\w+", sentence)) >= MIN_WORDS:
                found.append(sentence)
            start = end
    return found


def features(texts: Sequence[str], dim: int = DIM) -> NDArray[np.float32]:
    """Vectors (n, dim) of length 1: n-grams hashed to a place and a sign, (1 + log tf) times idf.

    >>> f = features(["a white rabbit ran by", "the rabbit ran"])
    >>> bool(abs(float(f[0] @ f[0]) - 1) < 1e-6)
    True
    """
    counts = [Counter(_n_grams(text)) for text in texts]
    n_texts_with = Counter(gram for count in counts for gram in count)
    result = np.zeros((len(texts), dim), np.float32)
    for row, count in zip(result, counts, strict=True):
        for gram, n in count.items():
            code = zlib.crc32(gram.encode("utf-8", "surrogatepass"))
            sign = 1.0 if code & 1 else -1.0
            idf = math.log((1 + len(texts)) / n_texts_with[gram])
            row[(code >> 1) % dim] += sign * (1 + math.log(n)) * idf
    norms = np.linalg.norm(result, axis=1, keepdims=True)
    return np.asarray(result / np.where(norms == 0, 1, norms), np.float32)


def _n_grams(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [f" {w} "[i : i + n] for w in words for n in N_GRAMS for i in range(len(w) + 3 - n)]
