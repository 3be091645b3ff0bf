r"""How far a weight may stand from the float64 reference: `foveate.error_bound`, the activations.

Each takes dx_j, how far the logit x_j may be off (`foveate.error_bound_logits`), and gives dw_j, before
storing.

**softmax.** The argument of exp2 is (x_j - m) c for every key, m the reference maximum and c a rounded
factor. With h_j = x_max - x_j and mean h = sum_j p_j h_j (over the keys), numerator and denominator gain::

    a(h) = 9/4 u h                                   difference, product, and log2(e), off by < u / 4
         + 4 T u + (1 + h / T) (e_exp + u)           more than 32 keys only, T = 8 ln 2

The first tile takes its own maximum for m: |x_j - m| = h_j, exactly. Tiles have 32 keys or more. Later, m may
lag by T (8 in log2 units), and moves by more than T: a key T above m rounds 2 u T, the moves after it 2 u for
each unit of their way, at most h + T, and one exponential and one product each, at most 1 + h / T of them.
With ds = max_j dx_j over the attended keys and p_j = exp(x_j - lse)::

    dw_j = (e^(2 ds) (1 + r_j) - 1) p_j              r_j = 2 e_exp + 2 g_Lk + a(h_j) + a(mean h) + u
         = 1 where 2 ds > 600                        no weight is larger; p_j of the reference may be 0 there
    dlse = ds + e_exp + g_Lk + a(mean h) + u mean h

u: one quotient; 2 g_Lk: its sum and the weighted sum's. u mean h is the rounding of c, which in a weight is
in the 2 ds. A sink s joins at the end, s log2(e) and m c rounded, one subtracted from the other: all three
gain u (2 |s| + 2 max_j X_j + 2 T + 2) + e_exp. **softmax1** is softmax with a sink of 0.

**sigmoid.** w = 1 / (1 + e) with e = exp(-x - bias). Since d(log w)/dx = 1 - w lies in (0, 1), dx in the
logit is at most dx relative in w; likewise e_exp in the exponential is at most e_exp; the sum rounds once and
the reciprocal is off by 9/8 u at most::

    dw_j = (e^(dx_j) (1 + e_exp + 17/8 u) - 1) w_j   r gains 2 for the argument of exp2, 3 with a bias
         = 1 where dx_j > 600

**relu, relu2, tanh, identity.** The logit meets one more rounding, its product with the scale (r gains 1)::

    relu      dw_j = min(dx_j, max(x_j + dx_j, 0))   0 where no error can reach above 0
    relu2     dw_j = (1 + u) (y + dw_relu)^2 - y^2   y = max(x_j, 0)
    tanh      dw_j = dx_j + e_tanh
    identity  dw_j = dx_j

**sparsemax, entmax.** w = y^p, y = [z - tau]_+, z = (alpha - 1) x, p = 1 / (alpha - 1), tau such that the
weights sum to 1. tau rises with every z_j, and by c if all rise by c. Keys without a weight before and after
a change do not move it, so |d tau| <= m = max_C dz_j over the keys C that may have a weight: those with z_j +
dz_j > tau - max dz, the maximum over all attended ones. So y is off by dz_j + m on C, and the weights of all
other keys are exactly 0.

The solvers work in float64 whatever the inputs. Sparsemax leaves dt open in tau: of n attended keys, the mean
of Michelot's support, whose sum is off by g_(n+2) of at most n, ends within n of that. Entmax leaves e open
in the sum of the weights, and no weight is off by more, for all of them move the same way with tau::

    sparsemax  dt = 2 n g_(n+2)
    alpha < 2  e = g_n + (8 log n + 3 N + 8) u      N = p (n^(1/p) - 1), about log n where p is large
               dt = e / p                           the slope, p sum y^(p-1), is p or more where the sum is 1
    alpha > 2  e = g_n + (8 log n + 16) u           dt = 0

alpha < 2: the unknown is t = tau - max z + 1, and y = 1 + (z - max z - t). The bracket rounds by u of itself,
which is p (1 - y) y^(p-1) u in a weight and N u in all of them. p log1p(y - 1) = log w is off by 8 u of
itself, and sum w |log w| <= log n. The steps end within 2 u t of the root, where t <= 1 - n^(-1/p): 2 N u.

alpha > 2: the unknown is the weight u_k of the last key of the support; w_i^(1/p) = z_i - z_k + u_k^(1/p). A
relative error of a difference is p < 1 times that in the weight, 10 u with the powers, whose exponents bring
u |log w|. The slope of the sum is no more than the number of keys, all with weights of u_k or more, so a step
of u of u_k is at most u of the sum. A key that roundings take into the support, or leave out, has a weight
below e.

Every weight has a rounding of its own besides::

    o_j = (8 |log w_j| + 10) u w_j + [p > 1] p (1 - y_j) y_j^(p-1) u          5 u w_j for sparsemax

For p >= 1, |y'^p - y^p| <= p dy (y + dy)^(p-1). For p < 1 it is dy^p, no more than Hoelder continuous where
y = 0, and p dy (y - dy)^(p-1) where y > dy, the smaller of the two. With D_j(dy) for either, dy_j = dz_j + m
+ dt on C, and F for what the sum that is divided by is off by::

    p >= 1  F = sum_C (D_j(dt) + o_j)    dw_j = D_j(dy_j) + o_j + w_j (F + g_n + 2 u_64 + u)
    p < 1   F = e + sum_C o_j            dw_j = D_j(dy_j) + e + o_j + w_j (F + g_n + 2 u_64 + u)

u: the weight's conversion to the compute type. A logit rounds twice more in float64, u_64 X_j each. Logits
that differ by less than the smallest normal number may count as equal.

**topk.** Softmax in float64 over the k largest: 2 max dx_j over those, and softmax's own terms in float64.
Which keys are selected is not continuous in the logits: where a selected x_i - dx_i <= x_j + dx_j of one that
is not, the row is `unclear` and its bounds are infinite. Ties are for tests of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.error_bound_logits import COMPUTE_F64, F64, Arithmetic, Logits, Options, g

__all__ = ["Problem", "WeightErrors", "power_error", "unclear_order", "weight_errors"]

STALE = 8 * np.log(2.0)  # how far the reference maximum of softmax may lag
SMALLEST_TILE = 32  # keys; csrc/attention/plan.c
LARGEST_MOVE = 600.0  # e^600 times what float64 flushes to 0 is nothing in float32
U_64 = COMPUTE_F64.u
Bools = NDArray[np.bool_]


class Problem(NamedTuple):
    """One call: what its errors are made of."""

    logits: Logits
    exact_logits: Callable[[], F64]  # of the reference, -inf where masked; computed where needed
    weights: F64  # of the reference
    attended: Bools
    kernel: Arithmetic  # its share; the oracle's is COMPUTE_F64
    options: Options

    def errors(self, arithmetic: Arithmetic, more_roundings: int = 0) -> F64:
        """dx_j, 0 where not attended."""
        return np.where(self.attended, self.logits.errors(arithmetic, more_roundings), 0.0)

    def both(self, more_roundings: int = 0) -> F64:
        """dx_j of kernel and oracle together."""
        return self.errors(self.kernel, more_roundings) + self.errors(COMPUTE_F64, more_roundings)


class WeightErrors(NamedTuple):
    """Errors of the weights of the activation, before they are stored; of kernel and oracle together."""

    weights: F64
    in_sum: F64  # the same with the roundings of the sum over the keys
    lse: F64 | None
    unclear: Bools  # rows whose selection the errors may change
    positive: bool  # every attended weight is, though it may vanish


def weight_errors(name: str, stage: Any, problem: Problem) -> WeightErrors:
    """Errors of the weights of one activation."""
    if name in ("softmax", "softmax1"):
        return _softmax(problem, with_zero=name == "softmax1")
    unclear = np.zeros(problem.weights.shape[:-1], np.bool_)
    if name in ("sparsemax", "entmax15", "entmax"):
        alpha = {"sparsemax": 2.0, "entmax15": 1.5}.get(name)
        weights = _entmax(problem, stage.alpha if alpha is None else alpha)
    elif name == "topk":
        weights, unclear = _topk(problem, stage.k)
    else:
        weights = _ELEMENTWISE[name](problem, stage)
    n_keys = problem.weights.shape[-1]
    sums = g(n_keys, problem.kernel.u) + g(n_keys, U_64)
    in_sum = weights + sums * (np.abs(problem.weights) + weights)
    return WeightErrors(weights, in_sum, None, unclear, positive=name == "sigmoid")


# ----- softmax


def _argument(below: F64, n_keys: int, a: Arithmetic) -> F64:
    """a(h) of the module's formula."""
    moves = 4 * STALE * a.u + (1 + below / STALE) * (a.e_exp + a.u) if n_keys > SMALLEST_TILE else 0.0
    return np.asarray(2.25 * a.u * below + moves)


def _below_max(weights: F64) -> tuple[F64, F64]:
    """h_j and mean h of softmax weights."""
    logs = np.log(weights)  # a quotient of weights may overflow
    below = np.where(weights > 0.0, np.max(logs, axis=-1, keepdims=True, initial=-np.inf) - logs, 0.0)
    total = np.sum(weights, axis=-1)
    return below, np.where(total > 0.0, np.sum(weights * below, axis=-1) / total, 0.0)


def _softmax(problem: Problem, with_zero: bool) -> WeightErrors:
    weights, n_keys = problem.weights, problem.weights.shape[-1]
    below, mean = _below_max(weights)
    relative, lse = np.zeros(weights.shape), np.zeros(weights.shape[:-1])
    moved = np.zeros(weights.shape[:-1])
    for a in (problem.kernel, COMPUTE_F64):
        row = np.max(problem.errors(a), axis=-1, initial=0.0)
        side, mean_side, sums = _argument(below, n_keys, a), _argument(mean, n_keys, a), g(n_keys, a.u)
        common = _sink(problem, with_zero, a)
        moved = moved + 2 * row
        relative = relative + side + (2 * a.e_exp + 2 * sums + a.u + mean_side + common)[..., None]
        lse = lse + (row + a.e_exp + sums + mean_side + a.u * mean + common)
    unclear = np.zeros(weights.shape[:-1], np.bool_)
    errors = _of_exponentials(problem, moved[..., None], relative)
    return WeightErrors(errors, errors, lse, unclear, positive=True)


def _of_exponentials(problem: Problem, moved: F64, relative: F64) -> F64:
    """Errors of weights of at most 1 whose logarithms move by ``moved``, and that round by ``relative``."""
    growth = np.expm1(np.minimum(moved, LARGEST_MOVE))
    errors = problem.weights * (growth + relative + growth * relative)
    return np.where(moved > LARGEST_MOVE, np.where(problem.attended, 1.0, 0.0), errors)


def _sink(problem: Problem, with_zero: bool, a: Arithmetic) -> F64:
    if with_zero:
        sinks = np.zeros(())
    elif "sinks" in problem.options:
        sinks = np.abs(np.asarray(problem.options["sinks"]).astype(np.float64))
        sinks = np.where(np.isinf(sinks), 0.0, sinks)  # -inf is none
        sinks = sinks if problem.weights.ndim == 2 else sinks[:, None]
    else:
        return np.zeros(())
    reach = np.max(np.where(problem.attended, problem.logits.added, 0.0), axis=-1, initial=0.0)
    return np.asarray(a.u * (2 * sinks + 2 * reach + 2 * STALE + 2) + a.e_exp)


# ----- elementwise


def _sigmoid(problem: Problem, stage: Any) -> F64:
    moved, relative = np.zeros(problem.weights.shape), np.zeros(())
    for a in (problem.kernel, COMPUTE_F64):
        moved = moved + problem.errors(a, 3 if stage.bias else 2) + (3 * a.u * abs(stage.bias))
        relative = relative + (a.e_exp + 17 / 8 * a.u)
    return _of_exponentials(problem, moved, relative)


def _relu(problem: Problem, stage: None) -> F64:
    error = problem.both(1)
    highest = problem.exact_logits() + error
    return np.where(problem.attended, np.minimum(error, np.maximum(highest, 0.0)), 0.0)


def _relu2(problem: Problem, stage: None) -> F64:
    root, error = np.sqrt(problem.weights), _relu(problem, None)
    rounding = problem.kernel.u + U_64
    return np.asarray(error * (2 * root + error) + rounding * (root + error) ** 2)


def _tanh(problem: Problem, stage: None) -> F64:
    e_tanh = problem.kernel.e_tanh + COMPUTE_F64.e_tanh
    return np.where(problem.attended, problem.both(1) + e_tanh, 0.0)


def _identity(problem: Problem, stage: None) -> F64:
    return problem.both(1)


_ELEMENTWISE: dict[str, Callable[[Problem, Any], F64]] = {
    "sigmoid": _sigmoid,
    "relu": _relu,
    "relu2": _relu2,
    "tanh": _tanh,
    "identity": _identity,
}

# ----- exact zeros


def power_error(y: F64, p: float, around: F64, error: F64) -> F64:
    """The largest change of y'^p, y' within ``around`` of y >= 0, when y' moves by ``error`` at most."""
    if p >= 1.0:
        return np.asarray(p * error * (y + around + error) ** (p - 1.0))
    inside = y - around - error
    smooth = np.where(inside > 0.0, p * error * np.where(inside > 0.0, inside, 1.0) ** (p - 1.0), np.inf)
    return np.minimum(error**p, smooth)


def _in_double(problem: Problem) -> F64:
    """dx_j of a logit that goes on in float64."""
    return problem.both() + np.where(problem.attended, 2 * U_64 * problem.logits.added, 0.0)


def _entmax(problem: Problem, alpha: float) -> F64:
    weights, p = problem.weights, 1.0 / (alpha - 1.0)
    error = (alpha - 1.0) * _in_double(problem)
    z = np.where(problem.attended, (alpha - 1.0) * problem.exact_logits(), -np.inf)
    largest = np.max(z, axis=-1, keepdims=True, initial=-np.inf)
    tau = largest - np.max(weights, axis=-1, keepdims=True, initial=0.0) ** (1.0 / p)
    n = np.maximum(np.sum(problem.attended, axis=-1, keepdims=True), 1).astype(np.float64)
    in_sum = _left_open(n, p)
    solver = 2 * (2 * n * g_of(n + 2, U_64)) if p == 1.0 else in_sum / p
    every = np.max(error, axis=-1, keepdims=True, initial=0.0)
    candidates = problem.attended & (z - tau + error + every + 2 * solver + 8 * U_64 >= 0.0)
    shift = np.max(np.where(candidates, error, 0.0), axis=-1, keepdims=True, initial=0.0)
    own = 2 * np.where(candidates, _own_rounding(weights, p), 0.0)
    if p < 1.0:
        moved = power_error(weights ** (1.0 / p), p, np.zeros(()), error + shift) + in_sum
        left_open = in_sum
    else:
        around = error + shift + solver
        moved = p * around * _power_beside(weights, p, around)
        each = p * solver * _power_beside(weights, p, around + solver)
        left_open = np.sum(np.where(candidates, each, 0.0), axis=-1, keepdims=True)
    common = left_open + np.sum(own, axis=-1, keepdims=True) + g_of(n, U_64) + 2 * U_64 + problem.kernel.u
    result = moved + own + (weights + moved) * common
    return np.where(np.isnan(weights), np.nan, np.where(candidates, result, 0.0))


def _left_open(n: F64, p: float) -> F64:
    """e, of kernel and oracle."""
    steps = 3 * p * np.expm1(np.log(n) / p) if p > 1.0 else 8.0
    return np.asarray(2 * (g_of(n, U_64) + (8 * np.log(n) + steps + 8) * U_64))


def _own_rounding(weights: F64, p: float) -> F64:
    """o_j."""
    if p == 1.0:
        return 5 * U_64 * weights
    logs = np.log(np.where(weights > 0.0, weights, 1.0))
    own = (10 - 8 * logs) * weights
    if p > 1.0:
        own = own - p * np.expm1(logs / p) * _power_beside(weights, p, np.zeros(()))
    return np.asarray(U_64 * own)


def _power_beside(weights: F64, p: float, around: F64) -> F64:
    """(w^(1/p) + around)^(p-1), p >= 1: of logarithms, for w^(1/p) is no more than 1 - u where p is large."""
    positive = weights > 0.0
    logs = np.log(np.where(positive, weights, 1.0)) / p
    return np.where(
        positive, np.exp((p - 1.0) * (logs + np.log1p(around * np.exp(-logs)))), around ** (p - 1.0)
    )


def g_of(n: F64, u: float) -> F64:
    """g_n of an array."""
    return np.asarray(n * u / (1.0 - n * u))


def unclear_order(values: F64, errors: F64, joins: Bools, negligible: Bools, k: int) -> tuple[Bools, Bools]:
    """Of those that join: which are the k largest, ties the first; rows where errors may change which.

    It does not matter which of those that are negligible are among them.
    """
    order = np.argsort(np.where(joins, -values, np.inf), axis=-1, kind="stable")
    kept = joins & (np.argsort(order, axis=-1, kind="stable") < k)
    low, high = values - errors, values + errors

    def crossed(inside: Bools, outside: Bools) -> Bools:
        lowest = np.min(np.where(inside, low, np.inf), axis=-1, initial=np.inf)
        highest = np.max(np.where(outside, high, -np.inf), axis=-1, initial=-np.inf)
        return np.asarray(lowest <= highest)

    others = joins & ~kept
    return kept, crossed(kept & ~negligible, others) | crossed(kept, others & ~negligible)


def _topk(problem: Problem, k: int) -> tuple[F64, Bools]:
    weights, error = problem.weights, _in_double(problem)
    no_key = np.zeros(weights.shape, np.bool_)
    kept, unclear = unclear_order(problem.exact_logits(), error, problem.attended, no_key, k)
    row = np.max(np.where(kept, error, 0.0), axis=-1, initial=0.0)
    below, mean = _below_max(weights)
    a, n = COMPUTE_F64, min(k, weights.shape[-1])
    side, mean_side = _argument(below, 0, a), _argument(mean, 0, a)
    own = 2 * (side + (mean_side + 2 * a.e_exp + g(n, a.u) + a.u)[..., None])
    return weights * (np.expm1(2 * row)[..., None] + own + problem.kernel.u), unclear
