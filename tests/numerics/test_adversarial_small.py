"""The bound where it has the least slack: few dims and keys, logits far apart, roundings at their largest.

With many dims or keys the counts g_(D+1) and g_Lk leave room for an uncounted rounding; here one shows. If
the roundings of the argument of exp2 are not counted, f32 stands at 1.2 to 1.6 times the bound for D <= 2.
"""

import numpy as np
import pytest

import foveate
from foveate import reference
from foveate.error_bound import bounds, worst_ratio
from support.numerics import ACTIVATIONS, ISAS, everything

N_HEADS, N_SCALES = 2048, 4
LOG2_E = 1.4426950408889634
SIZES = [
    1.0,
    32.0,
    60.0,
]  # largest logit in log2 units, just above a power of two where roundings are largest


def awkward_scale(rng, dtype):
    """A scale whose product with log2(e) lies near the middle between two numbers of the compute type."""
    step = 2.0**-52 if dtype == np.float64 else 2.0**-23
    return float((1.0 + (rng.integers(1, 2**16) + rng.choice([0.49, 0.51])) * step) / LOG2_E)


def opposite(rng, dtype, size, head_dim, kv_len):
    """Heads of one query whose first logit has one sign and the others the other."""
    query = 1.0 + rng.uniform(0.0, 0.01, (N_HEADS, 1, head_dim))
    key = size / head_dim * (1.0 + rng.uniform(0.0, 0.015, (N_HEADS, kv_len, head_dim)))
    key[:, 1:] *= -1.0
    value = rng.choice([0.0, 1e-3, 1.0, -1.0], (N_HEADS, kv_len, 2))
    return [array.astype(dtype) for array in (query, key * rng.choice([-1.0, 1.0], (N_HEADS, 1, 1)), value)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("head_dim", "kv_len"), [(1, 2), (1, 3), (2, 2), (4, 3)])
def test_opposite_logits(head_dim, kv_len, dtype, activation):
    rng = np.random.default_rng([head_dim, kv_len, np.dtype(dtype).itemsize])
    for size in SIZES:
        for _ in range(N_SCALES):
            arrays = opposite(rng, dtype, size, head_dim, kv_len)
            options = {"scale": awkward_scale(rng, dtype), "activation": activation}
            expected = everything(*arrays, **options, module=reference)
            bound = bounds(*arrays, **options)._asdict()
            for isa in ISAS:
                with foveate.use_isa(isa):
                    actual = everything(*arrays, **options)
                worst = {name: worst_ratio(actual[name], expected[name], bound[name]) for name in actual}
                assert max(worst.values()) <= 1.0, (isa, size, options, worst)
