"""benchmarks.memory: modes that hold Lq x Lk fail, the others pass, and the criterion does what it says."""

import json
import sys

import numpy as np
import pytest

from benchmarks import kernels, memory
from foveate import _core

LENGTHS = np.array(memory.LENGTHS)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


def verdict(extra):
    return memory.fit("made up", extra.round().astype(int).tolist()).materialises


def test_modes_that_hold_every_pair_fail(capsys, tmp_path):
    """The weights that were asked for and the NumPy reference are Lq x Lk."""
    report = tmp_path / "memory.json"
    assert memory.main(["--controls", "--json", str(report)]) == 1
    assert "hold Lq x Lk: the NumPy reference; return_weights" in capsys.readouterr().out
    modes = {row["mode"]: row for row in json.loads(report.read_text())["modes"]}
    assert modes["return_weights"]["materialises"] is True
    assert 3.0 < modes["return_weights"]["per_pair"] < 6.0  # f32
    assert modes["the NumPy reference"]["per_pair"] >= 8.0  # one array of f64 at least


def test_plain_attention_passes(capsys):
    assert memory.main(["-k", "scaled_dot, softmax, weighted_sum"]) == 0
    assert "1 modes at 5 lengths; none holds Lq x Lk" in capsys.readouterr().out


def test_unknown_mode(capsys):
    assert memory.main(["-k", "no such mode"]) == 2
    assert "-k must be part of a mode's name, got 'no such mode'" in capsys.readouterr().err


@pytest.mark.parametrize("per_pair", [1 / 8, 1 / 4, 1, 2, 4, 8])
def test_from_one_bit_per_pair_it_fails(per_pair):
    pages = np.random.default_rng(3).integers(0, 3, LENGTHS.size) * 4096
    assert verdict(200_000 + 300.0 * LENGTHS + per_pair * LENGTHS**2 + pages)


@pytest.mark.parametrize("per_token", [0, 8, 400, 4000])
@pytest.mark.parametrize("seed", range(20))
def test_lines_with_a_few_pages_of_noise_pass(per_token, seed):
    pages = np.random.default_rng(seed).integers(0, 4, LENGTHS.size) * 4096
    assert not verdict(200_000.0 + per_token * LENGTHS + pages)


def test_growth_that_saturates_passes():
    """Lists of what a row may keep stop growing where few keys are left that can have weight."""
    assert not verdict(100_000.0 + 400_000 * (1 - np.exp(-LENGTHS / 500)))


def test_every_combination_is_measured():
    names = set(memory.selected(quick=False, controls=False))
    stages = _core.score_names, _core.activation_names, _core.combine_names
    expected = {f"{s}, {a}, {c}" for s in stages[0] for a in stages[1] for c in stages[2]}
    assert names == expected | memory.VARIANTS.keys()
    quick = set(memory.selected(quick=True, controls=False))
    assert {*memory.VARIANTS, "scaled_dot, softmax, weighted_sum"} < quick < names
    for kind, name in kernels.each_alone():
        mode = kernels.PLAIN | {kind: name}
        assert ", ".join(mode.values()) in quick
