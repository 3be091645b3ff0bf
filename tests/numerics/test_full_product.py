"""Every score with every activation and every combine, dtype, ISA and kind of mask, within its bounds.

The names are those of the library: one without a reference, or without the object that `STAGES` must give
where a name alone means nothing, fails here. tests/test_names_agree.py compares them with types and docs.
"""

import itertools

import numpy as np
import pytest

import foveate
from foveate import Additive, Bilinear, Entmax, Select, TopK, _core, reference
from foveate.error_bound import bounds, worst_ratio
from support.cases import DTYPES
from support.numerics import bounds_by_isa

HEAD_DIM, SCORE_DIM, VALUE_DIM, N_HEADS = 7, 6, 5, 2
#: (q_len, kv_len): few rows, whose vectors run along head_dim; rows in lanes
LENGTHS = [(3, 9), (20, 37)]
rng = np.random.default_rng(7)
#: forms of the stages, where the bare name is not the only one
STAGES = {
    "additive": [
        "additive",
        Additive(
            rng.standard_normal((N_HEADS, SCORE_DIM)).astype(np.float32),
            w_q=rng.standard_normal((HEAD_DIM, SCORE_DIM)).astype(np.float32),
            w_k=rng.standard_normal((HEAD_DIM, SCORE_DIM)).astype(np.float32),
        ),
    ],
    "bilinear": [Bilinear((rng.standard_normal((HEAD_DIM, HEAD_DIM)) / HEAD_DIM**0.5).astype(np.float32))],
    "cosine": [foveate.Cosine(0.3)],
    "sigmoid": [foveate.Sigmoid(-1.5)],
    "entmax": [Entmax(1.2), Entmax(3.0)],
    "topk": [TopK(3)],
    "select": [Select(3, temperature=0.5)],
}
MASKS = {
    "none": {},
    "bool": {"mask": "ij"},
    "causal": {"causal": "bottom_right"},
    "window": {"window": (4, 2), "q_offset": 2},
    "bias": {"bias": "ij"},
    "kv_lengths": {"kv_lengths": "i"},
}
MODES = [*itertools.product(_core.score_names, _core.activation_names, _core.combine_names)]


def problem(dtype, q_len, kv_len):
    """query, key and value; the mask, bias and length of each kind."""
    numbers = np.random.default_rng([q_len, kv_len])
    shapes = (N_HEADS, q_len, HEAD_DIM), (1, kv_len, HEAD_DIM), (1, kv_len, VALUE_DIM)
    arrays = [numbers.standard_normal(shape).astype(DTYPES[dtype]) for shape in shapes]
    mask = numbers.random((q_len, kv_len)) < 0.7
    bias = np.where(numbers.random(mask.shape) < 0.3, -np.inf, numbers.standard_normal(mask.shape))
    mask[0] = False  # a row that attends nothing
    bias[1] = -np.inf
    return arrays, {"mask": mask, "bias": bias.astype(np.float32), "kv_lengths": kv_len // 2}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", _core.activation_names)
@pytest.mark.parametrize("score", _core.score_names)
def test_within_bounds(score, activation, dtype, ratios):
    has_lse = activation in ("softmax", "softmax1")
    for combine, kind, lengths in itertools.product(_core.combine_names, MASKS, LENGTHS):
        arrays, masks = problem(dtype, *lengths)
        masks = {name: masks.get(name, option) for name, option in MASKS[kind].items()}
        forms = (STAGES.get(name, [name]) for name in (score, activation, combine))
        for stages in itertools.product(*forms):
            options = dict(zip(("score", "activation", "combine"), stages, strict=True)) | masks
            options["key_stats"] = "max" if kind == "none" else "sum"
            extras = {"return_weights": True, "return_lse": has_lse}
            expected = reference.attention(*arrays, **options, **extras)._asdict()
            every_bound = bounds_by_isa(*arrays, **options)
            for isa, bound in every_bound.items():
                with foveate.use_isa(isa):
                    actual = foveate.attention(*arrays, **options, **extras)._asdict()
                results = [name for name in actual if actual[name] is not None]
                worst = {name: worst_ratio(actual[name], expected[name], bound[name]) for name in results}
                where = f"{isa}, {lengths}, {kind}, {options}"
                assert max(worst.values()) <= 1.0, f"{where}: ratio to the bound {worst}"
                ratios.add(isa, dtype, {name: worst[name] for name in worst if name != "key_stats"})
            bounded = min(np.isfinite(bound[name]).mean() for name in ("output", "weights"))
            assert bounded > 0.9, f"{options}: only {bounded} of the results have a bound"


@pytest.mark.parametrize("kind", MASKS)
def test_bounds_say_something(kind):
    """A weight or output that is wrong in the ninth digit of float64 is out of bounds, in every mode."""
    arrays, masks = problem("f64", 20, 37)
    masks = {name: masks.get(name, option) for name, option in MASKS[kind].items()}
    for names in MODES:
        stages = (STAGES.get(name, [name])[0] for name in names)
        options = dict(zip(("score", "activation", "combine"), stages, strict=True)) | masks
        exact = reference.attention(*arrays, **options, key_stats="sum", return_weights=True)
        bound = bounds(*arrays, **options, key_stats="sum")
        for name in ("weights", "output", "key_stats"):
            right = getattr(exact, name)
            assert worst_ratio(right * (1 + 1e-9), right, getattr(bound, name)) > 1.0, (name, options)
