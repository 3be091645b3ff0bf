"""The float environment belongs to the caller: rounding, gradual underflow, exception flags."""

import ctypes
import platform

import numpy as np
import pytest

import foveate
from support.numerics import with_logits

#: glibc's fenv.h: where the two bits of the rounding mode stand, and FE_INVALID | FE_DIVBYZERO
SHIFT, INVALID_OR_DIVISION = (22, 0x03) if platform.machine() == "aarch64" else (10, 0x05)


@pytest.fixture
def libm():
    return ctypes.CDLL("libm.so.6")


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("rounding", [mode << SHIFT for mode in range(4)])
def test_float_environment_of_the_caller(isa, libm, rounding, num_threads):
    """Rounding mode and gradual underflow stay the caller's, and the result does not depend on them."""
    rng = np.random.default_rng(4)
    arrays = [rng.standard_normal((3, 200, 32)).astype(np.float32) for _ in range(3)]
    expected = foveate.attention(*arrays, num_threads=num_threads)
    denormal = np.array([2.0**-130, 2.0**-126], np.float32)
    nearest = libm.fegetround()
    assert libm.fesetround(rounding) == 0
    try:
        actual = foveate.attention(*arrays, num_threads=num_threads)
        after = libm.fegetround()
    finally:
        libm.fesetround(nearest)
    assert after == rounding
    assert (actual == expected).all()
    halves = np.array([2.0**-131, 2.0**-127], np.float32)
    assert (denormal * np.float32(0.5) == halves).all()  # neither inputs nor results are flushed


def test_no_floating_point_exception_is_left(isa, libm):
    """Masks and -inf inside the kernels set no flag that a caller could trip over."""
    libm.feclearexcept(0x3F)
    query, key, value = with_logits([1.0, -np.inf, 3.0], 9)
    foveate.attention(query, key, value, scale=1.0)
    assert libm.fetestexcept(INVALID_OR_DIVISION) == 0
