"""Put source files into documentation pages, so that what is printed there is what is built and tested.

    python tools/docs_sources.py            write the blocks anew
    python tools/docs_sources.py --check    exit with 1 where a block differs from its file

A block is a fence after a line `<!-- source: path/from/the/root -->`; the file's text replaces what is in it.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- source: (?P<path>\S+) -->\n```\w*\n).*?(^```$)", re.MULTILINE | re.DOTALL)


def with_sources(text: str) -> str:
    """The page with every block replaced by its file."""
    return BLOCK.sub(
        lambda match: match[1] + (ROOT / match["path"]).read_text(encoding="utf-8") + match[3], text
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Put source files into documentation pages.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail on a difference")
    check = parser.parse_args().check
    stale = 0
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = with_sources(text)
        if new == text:
            continue
        stale += 1
        if check:
            print(f"{page.relative_to(ROOT)} differs from its sources: python tools/docs_sources.py")
        else:
            page.write_text(new, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
