"""Output, lse, weights and key_stats stay within their bounds, on every ISA, for 5,000 random problems.

Each problem runs on every ISA of the machine: the reference and the bound cost far more than the kernels.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import foveate
from foveate import _core, reference
from foveate.error_bound import worst_ratio
from support.cases import COMBINES, DIMS, DTYPES, ELEMENTWISE, SCORES, SPARSE, Case, case_strategy
from support.numerics import ACTIVATIONS, ISAS, bounds_by_isa, everything, small, small_cases

N_BLOCKS, BLOCK = 100, 50
NUMBERS = range(N_BLOCKS)
#: few rows in chunks of 512 and of 2048 keys, many rows in chunks of 4096
SPLITS = [(1, 5000, 8), (2, 4097, 1), (1, 40000, 1), (9, 8193, 1), (31, 12289, 3)]
SLOW_ORACLE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def check(case, ratios):
    arrays, options = case.arrays(), case.options()
    expected = everything(**arrays, **options, module=reference)
    bound = bounds_by_isa(**arrays, **options)
    ratios.problems += 1
    for isa in ISAS:
        with foveate.use_isa(isa):
            actual = everything(**arrays, **options)
        worst = {name: worst_ratio(actual[name], expected[name], bound[isa][name]) for name in actual}
        ratios.add(isa, case.dtype, worst)
        assert max(worst.values()) <= 1.0, f"{isa}: ratio to the bound {worst} of {case}"


@pytest.mark.parametrize("number", NUMBERS)
def test_seeded(number, ratios):
    for case in small_cases(number, BLOCK):
        check(case, ratios)


def test_seeded_cases_reach_everything():
    assert N_BLOCKS * BLOCK >= 5000
    drawn = [case for number in NUMBERS for case in small_cases(number, BLOCK)]
    assert {case.dtype for case in drawn} == set(DTYPES)
    assert {case.head_dim for case in drawn} == set(DIMS) == {case.value_dim for case in drawn}
    assert {case.score for case in drawn} == {*SCORES} == {*_core.score_names}
    activations = {"softmax", "softmax1", *ELEMENTWISE, *SPARSE}
    assert {case.activation for case in drawn} == activations == {*_core.activation_names}
    assert {case.combine for case in drawn} == {*COMBINES} == {*_core.combine_names}
    assert {case.key_stats for case in drawn} == {None, "sum", "max"}
    assert max(case.kv_len for case in drawn) >= 1025
    few = sum(case.q_len * case.n_q_heads // case.n_kv_heads <= 8 for case in drawn)
    assert len(drawn) // 5 < few < len(drawn) * 4 // 5  # both orientations


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("q_len", "kv_len", "group_size"), SPLITS)
def test_keys_split_into_chunks(q_len, kv_len, group_size, dtype, activation, ratios):
    case = Case(
        seed=kv_len,
        dtype=dtype,
        n_q_heads=group_size,
        q_len=q_len,
        kv_len=kv_len,
        head_dim=33,
        value_dim=17,
        magnitude=8.0,
        activation=activation,
        causal="bottom_right",
        sinks=activation == "softmax",
        mask="j",
    )
    check(case, ratios)
    check(replace(case, causal=False, window=(None, kv_len // 3), mask=None, q_offset=7), ratios)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rising_logits(dtype, ratios):
    """Every block of keys exceeds those before it: the running maximum moves each time."""
    for q_len in (1, 20):
        case = Case(seed=1, dtype=dtype, q_len=q_len, kv_len=1025, head_dim=1, value_dim=3, magnitude=1.0)
        arrays = case.arrays()
        arrays["query"] = np.ones_like(arrays["query"])
        arrays["key"] = np.linspace(-300, 300, 1025).astype(arrays["key"].dtype)[None, :, None]
        expected = everything(**arrays, module=reference)
        bound = bounds_by_isa(**arrays)
        for isa in ISAS:
            with foveate.use_isa(isa):
                actual = everything(**arrays)
            worst = {name: worst_ratio(actual[name], expected[name], bound[isa][name]) for name in actual}
            ratios.add(isa, dtype, worst)
            assert max(worst.values()) <= 1.0, (isa, q_len, worst)


@given(case=case_strategy())
@settings(max_examples=150, deadline=None, print_blob=True, suppress_health_check=SLOW_ORACLE)
def test_hypothesis(ratios, case):
    check(small(case, 10_000), ratios)
