"""Print the polynomial coefficients of csrc/simd/vec_math.h and the errors they have before rounding.

2^f = 1 + f q(f): the leading 1 is exact, so that 2^0 is exactly 1. q interpolates (2^f - 1) / f at Chebyshev
nodes, within a small factor of the minimax polynomial; the degrees are chosen so that the approximation error
stays well under the rounding errors of the evaluation (2^-24 and 2^-53).

    pip install mpmath && python tools/polynomials.py
"""

import mpmath

mpmath.mp.dps = 60


def quotient(f):
    """(2^f - 1) / f, continued to log(2) at 0."""
    return mpmath.log(2) if f == 0 else mpmath.expm1(f * mpmath.log(2)) / f


def coefficients(degree, low, high):
    """Chebyshev interpolation of the quotient on [low, high] in the monomial basis, lowest power first."""
    n = degree + 1
    nodes = [
        (low + high) / mpmath.mpf(2)
        + (high - low) / mpmath.mpf(2) * mpmath.cos(mpmath.pi * (2 * i + 1) / (2 * n))
        for i in range(n)
    ]
    vandermonde = mpmath.matrix(n, n)
    for i, node in enumerate(nodes):
        for j in range(n):
            vandermonde[i, j] = node**j
    return list(mpmath.lu_solve(vandermonde, mpmath.matrix([quotient(x) for x in nodes])))


def worst(poly, low, high, relative_to):
    """Largest error of f q(f) relative to `relative_to(f)` on a grid."""
    errors = []
    for i in range(2001):
        f = low + (high - low) * mpmath.mpf(i) / 2000
        value = f * mpmath.polyval(poly[::-1], f)
        target = mpmath.expm1(f * mpmath.log(2))
        if relative_to(f) != 0:
            errors.append(abs((value - target) / relative_to(f)))
    return max(errors)


def main():
    """Print every polynomial in use."""
    for name, degree, low, high in (
        ("exp2 f32, f in [0, 1)", 5, 0, 1),
        ("exp2 f64, f in [0, 1)", 10, 0, 1),
        ("expm1 base 2 f32, f in [-1/2, 1/2]", 5, -0.5, 0.5),
        ("expm1 base 2 f64, f in [-1/2, 1/2]", 11, -0.5, 0.5),
    ):
        low, high = mpmath.mpf(low), mpmath.mpf(high)
        poly = coefficients(degree, low, high)
        if "expm1" in name:
            error = worst(poly, low, high, lambda f: mpmath.expm1(f * mpmath.log(2)))
        else:
            error = worst(poly, low, high, lambda f: mpmath.mpf(2) ** f)
        print(f"{name}: q of degree {degree}, relative error {mpmath.nstr(error, 3)}")
        digits = 9 if "f32" in name else 17
        print("   ", ", ".join(mpmath.nstr(c, digits) for c in poly))


if __name__ == "__main__":
    main()
