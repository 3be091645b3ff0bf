"""The examples of foveate.layers and its pages run, and give what they say."""

import contextlib
import doctest
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import foveate
from foveate import layers

DOCS = Path(__file__).parents[2] / "docs"
KERAS = "keras_layer"  # what only Keras can give


def blocks(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return list(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("name", layers.__all__)
def test_docstring(name):
    layer = getattr(layers, name)
    module = sys.modules[layer.__module__]
    tests = doctest.DocTestFinder(recurse=False).find(layer, name, globs=dict(vars(module)))
    assert tests[0].examples
    runner = doctest.DocTestRunner()
    assert runner.run(tests[0]).failed == 0


@pytest.mark.parametrize("code", [code for code in blocks("layers.md") if KERAS not in code])
def test_page_of_layers(code):
    """Each print says in a comment what it prints."""
    expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert expected
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert printed.getvalue().splitlines() == expected


def test_page_of_the_article():
    (code,) = blocks("article.md")
    (expected,) = re.findall(r"^pooling\(.*\)  # (.*)$", code, re.MULTILINE)
    names = {"np": np, "foveate": foveate, "AttentionPooling": layers.AttentionPooling}
    exec(code.replace("\npooling(", "\nresult = pooling("), names)
    assert str(names["result"].round(6).tolist()) == expected
