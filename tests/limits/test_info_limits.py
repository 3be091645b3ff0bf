"""``foveate info --limits``."""

import json

import pytest
from click.testing import CliRunner

import foveate
from foveate import limits
from foveate.cli import info_limits
from foveate.cli.app import app


def invoke(*args, **environment):
    return CliRunner().invoke(app, args, env={"COLUMNS": "200", **environment})


def row(text, *words):
    """The one line with all these words, as cells."""
    (line,) = [line for line in text.splitlines() if all(word in line for word in words)]
    return [cell.strip() for cell in line.strip("\u2502").split("\u2502")]


def test_every_limit_has_a_label():
    assert set(info_limits.LABELS) == set(limits.NAMES)


def test_table():
    result = invoke("info", "--limits", "--seconds", "0.05")
    assert result.exit_code == 0, result.output
    threads = foveate.get_num_threads()
    n_columns = 1 if threads == 1 else 2
    for isa in foveate.available_isas():
        label, shown_isa, unit, *cells = row(result.stdout, "multiply-add f32", isa)
        assert (label, unit) == ("multiply-add f32", "GFLOP/s")
        assert shown_isa.startswith(f"{isa}, ")
        assert len(cells) == n_columns
        best, median = map(float, cells[0].rstrip(")").split(" ("))
        assert best >= median > 0
    assert row(result.stdout, "read L1")[2] == "GB/s"
    assert row(result.stdout, "fork/join ")[2] == "us"
    if "amx_bf16" not in foveate.info()["cpu_features"]:
        assert row(result.stdout, "AMX bf16, L1 loads")[3] == "absent"
    assert "ISA chosen" in result.stdout  # the other table is still there


def test_json():
    result = invoke("info", "--limits", "--seconds", "0.05", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    measured = found.pop("limits")
    assert found == json.loads(json.dumps(foveate.info()))
    assert measured["threads"] == foveate.get_num_threads()
    assert {entry["name"] for entry in measured["entries"]} >= {"fma_f32", "read_dram", "fork_join"}


def test_without_the_option_nothing_is_measured(monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(limits, "measure", fail)
    assert invoke("info").exit_code == 0
    assert "limits" not in json.loads(invoke("info", "--json").stdout)


@pytest.mark.parametrize(
    "args", [["--seconds", "1"], ["--limits", "--seconds", "0"], ["--limits", "--seconds", "x"]]
)
def test_wrong_use_is_one_line(args):
    result = invoke("info", *args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "--seconds" in result.stderr


@pytest.mark.parametrize(
    ("value", "text"), [(178.83, "179"), (15.27, "15.3"), (1.234, "1.23"), (0.0262, "0.026")]
)
def test_numbers(value, text):
    assert info_limits._number(value) == text
