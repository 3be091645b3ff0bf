"""The examples of the article, run as a reader runs them; what they print is in docs/article.md.

`article_model.py` needs Keras: tests/peers/test_keras_layers.py runs it with every kind of attention.
"""

import importlib.util
import itertools
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FORCE_A_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
PAGE = (ROOT / "docs" / "article.md").read_text(encoding="utf-8")


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *arguments):
    """What the example prints, warnings being errors, without the colours that CI may force."""
    environment = {key: value for key, value in os.environ.items() if key not in FORCE_A_TERMINAL}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *map(str, arguments)],
        env=environment | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(name):
    """The output of the example in docs/article.md."""
    fence = re.search(rf"```text {name}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert fence, f"docs/article.md shows no output of {name}"
    return fence[1]


def tidy(text):
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


class TestWorkedNumbers:
    """Section 4.3."""

    def test_numbers(self):
        worked = load("article_worked_numbers").work()
        weights = [1.0 / (1.0 + math.exp(-feature)) for feature in (3.0, 5.0, 7.0)]
        assert worked.features.tolist() == [3.0, 5.0, 7.0]
        np.testing.assert_allclose(worked.weights, weights, rtol=1e-15)
        terms = np.array(
            [[w * a, w * b] for w, (a, b) in zip(weights, [(1, 2), (2, 3), (3, 4)], strict=True)]
        )
        np.testing.assert_allclose(worked.terms, terms, rtol=1e-15)
        np.testing.assert_allclose(worked.output, terms.sum(axis=0), rtol=1e-15)
        assert worked.output.round(6).tolist() == [5.936455, 8.881425]

    def test_a_wrong_digit_is_seen(self, monkeypatch):
        module = load("article_worked_numbers")
        monkeypatch.setattr(module, "WEIGHTS", ["0.952574", "0.993307", "0.999088"])
        with pytest.raises(AssertionError):
            module.work()

    def test_page(self):
        assert tidy(run("article_worked_numbers")) == tidy(shown("article_worked_numbers"))


class TestFunction:
    """Section 5.2."""

    def test_numbers(self):
        module = load("article_function")
        expected = []
        for (first, second), weight in zip([(1, 2), (2, 3), (3, 4)], [1, 2, 3], strict=True):
            feature = 1.0 / (1.0 + math.exp(-weight * (first + second)))
            weight = 1.0 / (1.0 + math.exp(-feature * (first + second)))
            expected.append(weight * (first + second))
        np.testing.assert_allclose(module.attention(module.X, module.WEIGHTS), expected, rtol=1e-15)

    def test_other_inputs(self):
        module = load("article_function")
        rng = np.random.default_rng(1)
        x, weights = rng.standard_normal((40, 7)), rng.standard_normal(40)
        actual = module.attention(x, weights)
        assert actual.shape == (40,)
        np.testing.assert_allclose(actual, module.plain(x, weights), rtol=0, atol=1e-14)

    def test_page_and_picture(self, tmp_path):
        path = tmp_path / "scatter.png"
        printed = run("article_function", path).replace(str(path), "docs/images/article_scatter.png")
        assert tidy(printed) == tidy(shown("article_function"))
        with Image.open(path) as drawn, Image.open(ROOT / "docs/images/article_scatter.png") as kept:
            assert (drawn.format, drawn.size) == (kept.format, kept.size) == ("PNG", (768, 576))
            colours = {colour[:3] for _, colour in drawn.convert("RGB").getcolors(1 << 20)}
        assert {(68, 1, 84), (253, 231, 37)} <= colours  # the ends of viridis: least and greatest output


class TestModes:
    """Three scores, three activations, three results."""

    FEATURES = np.array([[-0.75, -0.75], [0.25, 0.25], [1.25, 1.25]])
    INPUTS = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    QUERY = np.array([1.0, 0.25])

    def expected(self, score, activation, combine):
        logits = {
            "dot": self.FEATURES @ self.QUERY,
            "additive": np.tanh(self.FEATURES + self.QUERY).sum(axis=1),
            "scaled_dot": self.FEATURES @ self.QUERY / math.sqrt(2.0),
        }[score]
        weights = {
            "sigmoid": 1.0 / (1.0 + np.exp(-logits)),
            "relu": np.maximum(logits, 0.0),
            "tanh": np.tanh(logits),
        }[activation]
        if combine == "elementwise product":
            return weights, weights[:, None] * self.INPUTS
        if combine == "soft selection of 2":  # the last two have the largest weights in every mode
            assert weights[0] < min(weights[1:])
            return weights, weights[1:] @ self.INPUTS[1:] / np.abs(weights[1:]).sum()
        return weights, weights @ self.INPUTS

    def test_numbers(self):
        module = load("article_modes")
        modes = list(itertools.product(module.SCORES, module.ACTIVATIONS, module.COMBINES))
        assert len(modes) == 27
        outputs = set()
        for score, activation, combine in modes:
            result = module.pool(score, activation, module.COMBINES[combine])
            weights, output = self.expected(score, activation, combine)
            np.testing.assert_allclose(result.weights, weights, rtol=0, atol=1e-15, err_msg=f"{score}")
            np.testing.assert_allclose(result.output, output, rtol=0, atol=1e-14)
            outputs.add(module.lines(result.output))
        assert len(outputs) >= 26  # ReLU of dot and scaled dot select alike: both are proportional

    def test_page(self):
        assert tidy(run("article_modes")) == tidy(shown("article_modes"))


def test_page_shows_every_example():
    examples = {path.stem for path in EXAMPLES.glob("article_*.py")}
    assert len(examples) == 4
    assert set(re.findall(r"^```text (\w+)$", PAGE, re.MULTILINE)) == examples
