"""The workflows for outside contributors run what noxfile.py runs, with pinned actions."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# `tracking` has a job of its own, which compares with the base of the pull request instead of the parent
ELSEWHERE = {"tracking"}


def nox_sessions():
    """The list in noxfile.py, read without running it."""
    for node in ast.walk(ast.parse((ROOT / "noxfile.py").read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "nox.options.sessions":
            return set(ast.literal_eval(node.value))
    raise AssertionError("noxfile.py sets no nox.options.sessions")


def test_every_session_runs_in_the_workflow():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    in_matrix = re.findall(r"sessions: ([a-z0-9 ]+)[,}]", text)
    alone = re.findall(r"--sessions ([a-z0-9]+)$", text, re.MULTILINE)
    assert nox_sessions() - ELSEWHERE == {name for names in (*in_matrix, *alone) for name in names.split()}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_and_tools_are_pinned(path):
    uses = re.findall(r"uses: (\S+)", path.read_text())
    assert uses
    for action in uses:
        assert action.startswith("./") or re.fullmatch(r"[\w/-]+@v\d+(\.\d+)*", action), action
    for tool in ("nox", "cibuildwheel", "abi3audit", "build"):
        for pin in re.findall(rf"(?<![\w-]){tool}==(\S+)", path.read_text()):
            assert re.fullmatch(r"\d+(\.\d+)+", pin)
