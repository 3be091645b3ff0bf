"""``foveate attend`` writes what `foveate.attention` returns, whatever the options and the slices."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import foveate
from foveate import reference
from foveate.cli import slices
from foveate.cli.app import app
from foveate.error_bound import bounds, worst_ratio

B, HQ, HKV, LQ, LK, D, DV = 2, 4, 2, 37, 53, 16, 9


def problem(dtype=np.float32, layout="bhld"):
    rng = np.random.default_rng(5)
    shapes = (B, HQ, LQ, D), (B, HKV, LK, D), (B, HKV, LK, DV)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    return [np.ascontiguousarray(a.swapaxes(1, 2)) for a in arrays] if layout == "blhd" else arrays


def save(folder, **arrays):
    paths = {}
    for name, array in arrays.items():
        paths[name] = folder / f"{name}.npy"
        np.save(paths[name], array)
    return paths


def attend(folder, arrays, *options):
    """Run the command on q, k, v; the output array."""
    paths = save(folder, **dict(zip("qkv", arrays, strict=True)))
    out = folder / "out.npy"
    result = CliRunner().invoke(
        app, ["attend", *map(str, paths.values()), "-o", str(out), "--force", *options]
    )
    assert result.exit_code == 0, result.output
    return np.load(out)


OPTIONS = {
    "plain": ([], {}),
    "modes": (
        ["--score", "dot", "--activation", "sigmoid", "--scale", "0.5", "--softcap", "3"],
        {"score": "dot", "activation": "sigmoid", "scale": 0.5, "softcap": 3.0},
    ),
    "precision": (["--precision", "medium"], {"precision": "medium"}),
    "top left": (["--causal", "top_left"], {"causal": "top_left"}),
    "bottom right": (["--causal", "bottom_right"], {"causal": "bottom_right"}),
    "window": (
        ["--causal", "bottom_right", "--window", "7,none"],
        {"causal": "bottom_right", "window": (7, None)},
    ),
    "offset": (["--causal", "yes", "--q-offset", "3,11"], {"causal": True, "q_offset": np.array([3, 11])}),
    "offset of a window": (["--window", "9,4", "--q-offset", "-2"], {"window": (9, 4), "q_offset": -2}),
    "kv lengths": (["--kv-lengths", "50,20"], {"kv_lengths": np.array([50, 20])}),
    "sinks": (["--sinks", "0.5,-1,2,0"], {"sinks": np.array([0.5, -1, 2, 0])}),
    "alibi": (["--alibi-slopes", "0.5,0.25,0.1,0"], {"alibi_slopes": np.array([0.5, 0.25, 0.1, 0])}),
    "alibi, bottom right": (
        ["--alibi-slopes", "0.5,0.25,0.1,0", "--causal", "bottom_right"],
        {"alibi_slopes": np.array([0.5, 0.25, 0.1, 0]), "causal": "bottom_right"},
    ),
}


@pytest.fixture(params=["one slice", "heads", "queries"])
def sliced(request, monkeypatch):
    """The same work in one slice, in slices of heads, and in slices of 8 queries."""
    flops_of_query = 2.0 * (HQ // HKV) * LK * (D + DV)
    limit = {"one slice": 1e12, "heads": flops_of_query * LQ, "queries": flops_of_query * 8}[request.param]
    monkeypatch.setattr(slices, "SLICE_FLOPS", limit)
    monkeypatch.setattr(slices, "QUERY_BLOCK", 8)
    return {"one slice": 1, "heads": B * HKV, "queries": B * HKV * 5}[request.param]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("name", OPTIONS)
def test_result_of_any_slicing(tmp_path, sliced, name, dtype):
    given, options = OPTIONS[name]
    arrays = problem(dtype)
    output = attend(tmp_path, arrays, *given)
    assert output.dtype == dtype
    if sliced <= B * HKV:  # whole (batch, kv head): the same bits
        np.testing.assert_array_equal(output, foveate.attention(*arrays, **options))
    expected = reference.attention(*arrays, **options)
    assert worst_ratio(output, expected, bounds(*arrays, **options).output) <= 1.0


LEARNT = {  # arrays to save as .npy, and the other options
    "additive": ({"score-v": (7,), "score-w-q": (D, 7), "score-w-k": (D, 7)}, []),
    "additive, per head": ({"score-v": (HQ, 7), "score-w-q": (HQ, D, 7), "score-w-k": (D, 7)}, []),
    "bilinear": ({"score-w": (HQ, D, D)}, ["--scale", "0.125"]),
    "cosine": ({}, ["--cosine-temperature", "0.25"]),
    "sigmoid": ({}, ["--sigmoid-bias", "-2"]),
    "entmax": ({}, ["--alpha", "1.25"]),
    "topk": ({}, ["--top-k", "5"]),
    "select": ({}, ["--select-k", "3", "--select-temperature", "0.5"]),
}
STAGES = {
    "additive": lambda v, w_q, w_k: {"score": foveate.Additive(v, w_q=w_q, w_k=w_k)},
    "bilinear": lambda w: {"score": foveate.Bilinear(w), "scale": 0.125},
    "cosine": lambda: {"score": foveate.Cosine(0.25)},
    "sigmoid": lambda: {"activation": foveate.Sigmoid(-2.0)},
    "entmax": lambda: {"activation": foveate.Entmax(1.25)},
    "topk": lambda: {"activation": foveate.TopK(5)},
    "select": lambda: {"combine": foveate.Select(3, temperature=0.5)},
}


@pytest.mark.parametrize("name", LEARNT)
def test_parameters_of_stages(tmp_path, sliced, name):
    stage = name.partition(",")[0]
    shapes, given = LEARNT[name]
    rng = np.random.default_rng(3)
    learnt = {option: rng.standard_normal(shape) for option, shape in shapes.items()}
    options = STAGES[stage](*learnt.values())
    kind = next(iter(options))
    files = [part for option, path in save(tmp_path, **learnt).items() for part in (f"--{option}", str(path))]
    arrays = problem()
    output = attend(tmp_path, arrays, f"--{kind}", stage, *files, *given)
    if sliced <= B * HKV:
        np.testing.assert_array_equal(output, foveate.attention(*arrays, **options))
    expected = reference.attention(*arrays, **options)
    assert worst_ratio(output, expected, bounds(*arrays, **options).output) <= 1.0


def test_number_of_slices(tmp_path, sliced):
    paths = save(tmp_path, **dict(zip("qkv", problem(), strict=True)))
    out = str(tmp_path / "out.npy")
    result = CliRunner().invoke(app, ["attend", *map(str, paths.values()), "-o", out, "--json"])
    assert json.loads(result.stdout)["slices"] == sliced


def test_masks_lse_and_weights(tmp_path, sliced):
    rng = np.random.default_rng(1)
    arrays = problem()
    mask = rng.random((B, 1, LQ, LK)) < 0.6
    mask[:, :, 3] = False
    bias = rng.standard_normal((HQ, LQ, LK)).astype(np.float32)
    paths = save(tmp_path, mask=mask, bias=bias)
    output = attend(
        tmp_path, arrays, "--mask", str(paths["mask"]), "--bias", str(paths["bias"]),
        "--lse", str(tmp_path / "lse.npy"), "--weights", str(tmp_path / "weights.npy"), "--threads", "1",
    )  # fmt: skip
    options = {"mask": mask, "bias": bias}
    expected = reference.attention(*arrays, **options, return_lse=True, return_weights=True)
    bound = bounds(*arrays, **options)
    lse, weights = np.load(tmp_path / "lse.npy"), np.load(tmp_path / "weights.npy")
    assert worst_ratio(output, expected.output, bound.output) <= 1.0
    assert worst_ratio(lse, expected.lse, bound.lse) <= 1.0
    assert worst_ratio(weights, expected.weights, bound.weights) <= 1.0
    assert (output[:, :, 3] == 0).all()
    assert (lse[:, :, 3] == -np.inf).all()


def test_layout_blhd(tmp_path, sliced):
    arrays = problem(layout="blhd")
    output = attend(tmp_path, arrays, "--layout", "blhd")
    assert output.shape == (B, LQ, HQ, DV)
    expected = reference.attention(*arrays, layout="blhd")
    assert worst_ratio(output, expected, bounds(*arrays, layout="blhd").output) <= 1.0


def test_one_head_in_two_axes(tmp_path):
    q, k, v = (a[0, 0] for a in problem())
    output = attend(tmp_path, (q, k, v), "--lse", str(tmp_path / "lse.npy"))
    np.testing.assert_array_equal(output, foveate.attention(q, k, v))
    assert np.load(tmp_path / "lse.npy").shape == (LQ,)


def test_batch_axes_broadcast(tmp_path, sliced):
    q, k, v = problem()
    output = attend(tmp_path, (q, k[:1], v[:1]))
    np.testing.assert_allclose(output, foveate.attention(q, k[:1], v[:1]), rtol=1e-5, atol=1e-6)
    assert output.shape == (B, HQ, LQ, DV)


@pytest.mark.parametrize(
    "shapes", [((0, 1, 3, 2), (0, 1, 3, 2)), ((1, 1, 0, 2), (1, 1, 3, 2)), ((1, 1, 3, 2), (1, 1, 0, 2))]
)
def test_empty_axes(tmp_path, shapes):
    q, k = (np.ones(shape, np.float32) for shape in shapes)
    output = attend(tmp_path, (q, k, k))
    np.testing.assert_array_equal(output, np.zeros(q.shape, np.float32))


def test_fortran_order_input(tmp_path):
    q, k, v = problem()
    output = attend(tmp_path, (np.asfortranarray(q), k, v))
    np.testing.assert_array_equal(output, foveate.attention(q, k, v))


@pytest.mark.parametrize(
    ("axes", "cost", "n"),
    [
        ((1, 1, 100), 0.001, 1),
        ((3, 2, 100), 0.009, 6),
        ((3, 2, 100), 0.1, 60),
        ((2, 0, 5), 1.0, 1),
        ((7,), 100.0, 1),
    ],
)
def test_cut_covers_the_box_once(axes, cost, n):
    seen = np.zeros(axes, int)
    parts = list(slices.cut(axes, cost, 10))
    for part in parts:
        seen[part] += 1
    assert (seen == 1).all()
    assert len(parts) == n
