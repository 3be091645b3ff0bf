"""The example's sentence embeddings against Hugging Face transformers on torch: real weights, real words."""

import importlib.metadata
import importlib.resources
import importlib.util
import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest

import foveate

INSTALL = "see tests/peers/requirements.txt"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch = pytest.importorskip("torch", reason=f"needs torch: {INSTALL}")
pytest.importorskip("transformers", reason=f"needs transformers: {INSTALL}")
pytest.importorskip("safetensors", reason=f"needs safetensors: {INSTALL}")

pytestmark = pytest.mark.peers

EXAMPLE = Path(__file__).parents[2] / "examples" / "minilm_embed.py"
N_SENTENCES = 200
LONGEST = 120  # words
# Components of a unit vector of 384 are about 0.05; six layers of f32 on both sides.
MAX_DIFFERENCE = 2e-6


def load_example():
    spec = importlib.util.spec_from_file_location("minilm_embed", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


minilm_embed = load_example()


@pytest.fixture(scope="module")
def directory():
    try:
        return minilm_embed.model_directory()
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the weights, package {minilm_embed.MODEL_PACKAGE}: {INSTALL}")


@pytest.fixture(scope="module")
def sentences():
    """200 passages of 1 to 120 words, one after the other from the text that foveate ships."""
    text = (importlib.resources.files("foveate") / "data" / "alice.txt").read_text(encoding="utf-8")
    words = itertools.cycle(text.split())
    lengths = np.linspace(1, LONGEST, N_SENTENCES).round().astype(int)
    shuffled = np.random.default_rng(2026).permutation(lengths).tolist()
    return [" ".join(itertools.islice(words, length)) for length in shuffled]


@pytest.fixture(scope="module")
def peer(directory):
    return minilm_embed.TransformersMiniLM(directory, n_threads=foveate.get_num_threads())


@pytest.fixture(scope="module")
def expected(peer, directory, sentences):
    return peer.embed(minilm_embed.MiniLM(directory).tokenize(sentences))


def test_tokens_are_those_of_transformers(directory, peer, sentences):
    model = minilm_embed.MiniLM(directory)
    long = " ".join(sentences[:20])
    assert len(model.tokenize([long])[0]) == model.max_tokens == 256
    cases = [*sentences, long]
    assert model.tokenize(cases) == peer.tokenize(cases, model.max_tokens)


@pytest.mark.parametrize("padding", ["kv_lengths", "mask"])
def test_vectors_are_those_of_transformers(directory, sentences, expected, padding):
    vectors = minilm_embed.MiniLM(directory, padding).encode(sentences)
    assert vectors.shape == (N_SENTENCES, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=0, atol=1e-6)
    difference = np.abs(vectors - expected).max()
    assert difference <= MAX_DIFFERENCE, f"largest difference {difference:.2e}"


def test_similar_sentences_are_found(directory):
    model = minilm_embed.MiniLM(directory)
    best = minilm_embed.most_similar(model.encode(minilm_embed.SENTENCES), count=2)
    assert {(first, second) for _, first, second in best} == {(0, 1), (2, 3)}


def test_gelu_error():
    x = np.linspace(-8.0, 8.0, 20001, dtype=np.float32)
    exact = np.array([0.5 * value * (1.0 + math.erf(value / math.sqrt(2.0))) for value in x.tolist()])
    # one rounding each of the product, of 1 + tanh and of tanh, and the fit: below 3 u |x|
    assert np.all(np.abs(minilm_embed.gelu(x.copy()) - exact) <= 3 * 2.0**-24 * np.abs(x))
