"""docs/embedding.md prints the examples as they are."""

import re
import sys
from pathlib import Path

from support.commands import run

ROOT = Path(__file__).parents[2]


def test_page_prints_the_sources():
    run(sys.executable, ROOT / "tools" / "docs_sources.py", "--check")


def test_page_shows_each_example():
    page = (ROOT / "docs" / "embedding.md").read_text()
    shown = set(re.findall(r"^<!-- source: (\S+) -->$", page, re.MULTILINE))
    for name in ("embed_cython/src/kvcache/_cache.pyx", "embed_capsule/pooling.c", "embed_c/attend.c"):
        assert f"examples/{name}" in shown
