"""Print or run what README.md tells a reader to type, so that CI runs the very text.

python tools/readme.py test       the command that tests the package
python tools/readme.py demo       the command that shows it
python tools/readme.py example    the first Python example
python tools/readme.py example --run
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """Bodies of the fenced blocks of a language ("" for shell blocks of any spelling)."""
    shells = {"", "sh", "bash", "shell", "console"}
    wanted = {language} if language else shells
    text = README.read_text(encoding="utf-8")
    return [match["body"] for match in FENCE.finditer(text) if match["language"] in wanted]


def only_command(pattern: str) -> str:
    """The one line of the shell blocks that matches; two different ones would leave open which is meant."""
    lines = [line.strip().removeprefix("$ ") for block in blocks("") for line in block.splitlines()]
    found = sorted({line for line in lines if re.search(pattern, line)})
    if len(found) != 1:
        raise SystemExit(f"{README.name}: expected one command that matches {pattern!r}, found {found}")
    return found[0]


def text_of(what: str) -> str:
    if what == "test":
        return only_command(r"^pip install .*&& *pytest\b")
    if what == "demo":
        return only_command(r"^pip install .*&& *foveate demo\b")
    examples = blocks("python")
    if not examples:
        raise SystemExit(f"{README.name} has no Python example")
    return examples[0]


def main() -> int:
    parser = argparse.ArgumentParser(description="What README.md tells a reader to type.")
    parser.add_argument("what", choices=["test", "demo", "example"])
    parser.add_argument("--run", action="store_true", help="run it with the tools of this environment")
    arguments = parser.parse_args()
    text = text_of(arguments.what)
    print(text, flush=True)
    if not arguments.run:
        return 0
    command = (
        [sys.executable, "-W", "error", "-c", text] if arguments.what == "example" else ["bash", "-c", text]
    )
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
