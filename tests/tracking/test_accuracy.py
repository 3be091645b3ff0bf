"""Error ratios beside the times: benchmarks.accuracy, and how benchmarks.compare judges them."""

import json
import subprocess

import numpy as np
import pytest

import foveate
from benchmarks import accuracy, exactness, kernels
from foveate import _core
from tracking.test_compare import command, environment
from tracking.tiny_package import TinyRepository

QUICK = ("--budget", "0.01", "--threshold", "900", "-k", "largest")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Revisions base (ratio 0.1), 19 and 21 % worse, and one without the number."""
    result = TinyRepository(tmp_path_factory.mktemp("ratios") / "repository")
    for tag, ratio in (("worse19", 0.119), ("worse21", 0.121)):
        result.package(error_ratio=ratio)
        result.commit(tag)
    result.write("tiny_sums.py", "def total(numbers):\n    return sum(numbers)\n\nlargest = max\n")
    result.commit("without")
    return result


def compare(repository, *arguments):
    line = [*command(repository, *arguments), *QUICK, "--accuracy", "bench/accuracy.py"]
    return subprocess.run(
        line, cwd=repository.folder, env=environment(), capture_output=True, text=True, timeout=120
    )


def test_a_fifth_worse_is_reported_like_a_slowdown(repository, tmp_path):
    files = "--json", str(tmp_path / "r.json"), "--markdown", str(tmp_path / "r.md")
    done = compare(repository, "base", "worse21", *files)
    assert done.returncode == 1, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())["accuracy"]
    assert report["bad"] == ["total"]
    assert report["ratios"]["total"] == {"base": 0.1, "head": 0.121, "state": "worse"}
    assert report["ratios"]["largest"]["state"] == "within"
    assert "error_ratio of total" in done.stdout
    assert "2 error ratios compared" in done.stdout
    row = next(line for line in (tmp_path / "r.md").read_text().splitlines() if "error_ratio: total" in line)
    assert "+21.0 %" in row
    assert "**worse**" in row


def test_less_than_a_fifth_passes(repository):
    done = compare(repository, "base", "worse19")
    assert done.returncode == 0, done.stdout
    assert "error_ratio of" not in done.stdout
    done = compare(repository, "worse21", "base")
    assert done.returncode == 0, done.stdout
    assert "error_ratio: total" in done.stdout
    assert "better" in done.stdout


def test_a_revision_without_the_numbers_is_said(repository):
    done = compare(repository, "base", "without")
    assert done.returncode == 0, done.stderr
    assert "no error ratios of head: AttributeError: module 'tiny_sums' has no attribute" in done.stdout


def test_unknown_script(repository):
    line = [*command(repository, "base", "worse19"), "--accuracy", "nowhere.py"]
    done = subprocess.run(line, cwd=repository.folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "compare: --accuracy: got nowhere.py, expected a Python file\n"


def test_every_kernel_dtype_and_isa_has_a_ratio(monkeypatch):
    monkeypatch.setattr(accuracy, "SHAPES", ((2, 1, 9, 33, 5),))
    found = accuracy.all_figures()
    named = {figure.kernel for figure in found}
    assert named == {
        *(f"score {name}" for name in _core.score_names),
        *(f"activation {name}" for name in _core.activation_names),
        *(f"combine {name}" for name in _core.combine_names),
    }
    for kernel in named:
        mine = [figure for figure in found if figure.kernel == kernel]
        assert {figure.isa for figure in mine} == {*foveate.available_isas()}
        assert {figure.dtype for figure in mine} == {"f32", "f64", "f16", "bf16"}
        assert len(mine) % 4 == 0
    assert len({figure.key for figure in found}) == len(found)
    assert all(0.0 <= figure.ratio <= 1.0 for figure in found)
    assert max(figure.ratio for figure in found if figure.dtype == "f32") > 0.001


def test_a_less_exact_kernel_has_a_larger_ratio(monkeypatch):
    """A relative error of 2^-16 in one row is 256 roundings of f32."""
    monkeypatch.setattr(accuracy, "SHAPES", ((2, 1, 9, 33, 5),))
    before = {figure.key: figure.ratio for figure in accuracy._of_kernel("score", "dot", "f32", np.float32)}
    true_attention = foveate.attention

    def spoiled(*arrays, **options):
        result = true_attention(*arrays, **options)
        result.weights[..., 3, :] *= 1 + 2.0**-16
        return result

    monkeypatch.setattr(foveate, "attention", spoiled)
    after = {figure.key: figure.ratio for figure in accuracy._of_kernel("score", "dot", "f32", np.float32)}
    assert before.keys() == after.keys()
    assert all(after[key] > 1.2 * before[key] for key in before)


OPTIONS = {
    "plain": {},
    "causal": {"causal": True},
    "bottom right": {"causal": "bottom_right"},
    "window": {"window": (5, 2), "causal": "top_left"},
    "mask": {"mask": np.random.default_rng(2).random((2, 4, 50, 41)) < 0.7},
    "bias of keys": {"bias": np.random.default_rng(2).standard_normal((1, 41), np.float32)},
    "kv_lengths": {"kv_lengths": np.array([41, 17])},
    "sinks": {"sinks": np.ones(4)},
    "lse": {"return_lse": True},
    "alibi": {"alibi_slopes": np.arange(4.0)},
    "alibi causal": {"alibi_slopes": np.arange(4.0), "causal": "top_left"},
    "key_stats": {"key_stats": "sum"},
    "product": {"combine": "product"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_sampled_rows_see_an_error_and_only_an_error(name):
    options = dict(OPTIONS[name])
    if options.get("causal") is True:
        options["causal"] = "top_left"
    rng = np.random.default_rng(1)
    sizes = (2, 4, 50, 8), (2, 2, 41, 8), (2, 2, 41, 6)
    arrays = tuple(rng.standard_normal(size, np.float32) for size in sizes)
    result = foveate.attention(*arrays, **options)
    given = {key: option for key, option in options.items() if key != "return_lse"}
    assert 0.0 < exactness.attention_error(result, arrays, given) <= 1.0
    output = getattr(result, "output", result)
    output[0, 0, 2] += 0.01  # the first rows and the first head are always among the samples
    assert exactness.attention_error(result, arrays, given) > 1.0
    output[0, 0, 2] = np.nan
    assert exactness.attention_error(result, arrays, given) == float("inf")


def test_errors_of_single_stages():
    rng = np.random.default_rng(1)
    query, key = rng.standard_normal((2, 40, 8), np.float32), rng.standard_normal((2, 30, 8), np.float32)
    for name in kernels.names("score"):
        score = kernels.stage(name, 8)
        logits = foveate.scores(query, key, score=score)
        assert exactness.scores_error(logits, query, key, score=score) <= 1.0
        logits[0, 39, 3] += 0.01
        assert exactness.scores_error(logits, query, key, score=score) > 1.0
    logits = foveate.scores(query, key)
    for name in kernels.names("activation"):
        activation = kernels.stage(name, 8)
        weights = foveate.activate(logits, activation)
        assert exactness.activate_error(weights, logits, activation) <= 1.0
        weights[0, 1, 3] += 0.01
        assert exactness.activate_error(weights, logits, activation) > 1.0
    weights = foveate.activate(logits)
    for name in kernels.names("combine"):
        combine = kernels.stage(name, 8)
        output = foveate.combine(weights, key, combine)
        assert exactness.combine_error(output, weights, key, combine) <= 1.0
        output[0, 1, 3] += 0.01
        assert exactness.combine_error(output, weights, key, combine) > 1.0
