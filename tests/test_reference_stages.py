"""Every stage of the oracle against formulas of another kind: 50 digits, brute force, loops, examples."""

import itertools
import math

import mpmath
import numpy as np
import pytest

from foveate import Additive, Bilinear, Cosine, Entmax, Sigmoid, TopK, reference

EPS = 2.0**-52
RNG = np.random.default_rng(7)
Q, K = RNG.standard_normal((4, 3, 5)), RNG.standard_normal((2, 6, 5))
WIDE = RNG.standard_normal((2, 6, 7))  # keys of another head_dim
NORMALISED = ["softmax", "sparsemax", "entmax15", Entmax(1.2), Entmax(3.0), TopK(2)]
SCORES = ["dot", "scaled_dot", "additive", Bilinear(np.eye(5)), "cosine"]


# ----- scores


def additive_by_loops(q, k, v=None, w_q=None, w_k=None):
    """One head, sums by fsum."""

    def project(rows, w):
        if w is None:
            return rows.tolist()
        return [
            [math.fsum(x * c for x, c in zip(row, column, strict=True)) for column in w.T] for row in rows
        ]

    a, b = project(q, w_q), project(k, w_k)
    v = [1.0] * len(a[0]) if v is None else v
    return [
        [math.fsum(c * math.tanh(x + y) for c, x, y in zip(v, row, key, strict=True)) for key in b]
        for row in a
    ]


def test_additive_example_of_keras():
    """To the three places that Keras prints, cut off."""
    q, k, v = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]]
    output = reference.attention(q, k, v, score="additive")
    assert (np.floor(output * 1000) / 1000).tolist() == [[1.727, 2.727], [2.272, 3.272]]


@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize("given", ["", "v", "w_q", "v w_q w_k", "w_q w_k"])
def test_additive_against_loops(given, per_head):
    key = WIDE if "w_k" in given else K
    width = 4 if "w_k" in given else 5
    lead = (4,) if per_head else ()
    shapes = {"v": (width,), "w_q": (5, width), "w_k": (7, width)}
    arrays = {name: RNG.standard_normal((*lead, *shapes[name])) for name in given.split()}
    logits = reference.scores(Q, key, score=Additive(**arrays))
    for h in range(4):
        own = {name: array[h] if per_head else array for name, array in arrays.items()}
        # 12 products of numbers below 5 and tanh: 40 roundings of 16
        np.testing.assert_allclose(
            logits[h], additive_by_loops(Q[h], key[h // 2], **own), rtol=0, atol=640 * EPS
        )


def test_bilinear_on_integers_is_exact():
    """Products and sums of small integers have no rounding, in whatever order."""
    q, k, w = (RNG.integers(-9, 10, shape).astype(float) for shape in [(4, 3, 5), (2, 6, 7), (4, 5, 7)])
    for learnt in (w, w[0]):
        matrices = np.broadcast_to(learnt, (4, 5, 7))
        expected = np.einsum("hid,hde,hje->hij", q, matrices, np.repeat(k, 2, axis=0))
        np.testing.assert_array_equal(reference.scores(q, k, score=Bilinear(learnt)), expected)
    np.testing.assert_array_equal(
        reference.scores(Q, K, score=Bilinear(np.eye(5))), reference.scores(Q, K, score="dot")
    )


@pytest.mark.parametrize("size", [1.0, 1e-300, 1e300])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_cosine_against_50_digits(temperature, size):
    logits = reference.scores(Q * size, K * size, score=Cosine(temperature))
    with mpmath.workdps(50):
        for h, i, j in np.ndindex(logits.shape):
            a, b = ([mpmath.mpf(x) * size for x in row.tolist()] for row in (Q[h, i], K[h // 2, j]))
            exact = mpmath.fdot(a, b) / mpmath.sqrt(mpmath.fdot(a, a) * mpmath.fdot(b, b)) / temperature
            assert abs(logits[h, i, j] - float(exact)) <= 16 * EPS / temperature  # |cosine| <= 1, 5 terms


def test_cosine_of_a_zero_vector_is_zero():
    q, k = Q.copy(), K.copy()
    q[0, 1], k[1, 2] = 0.0, 0.0
    logits = reference.scores(q, k, score="cosine")
    assert not logits[0, 1].any()
    assert not logits[2:, :, 2].any()
    assert np.all(logits[1] != 0)


def test_only_scaled_dot_has_a_default_scale():
    for score in SCORES:
        scaled = reference.scores(Q, K, score=score, scale=5**-0.5 if score == "scaled_dot" else 1.0)
        np.testing.assert_array_equal(reference.scores(Q, K, score=score), scaled)
    np.testing.assert_array_equal(
        reference.scores(Q, K, score="additive", scale=-2.0), -2.0 * reference.scores(Q, K, score="additive")
    )


# ----- activations

LOGITS = [-3.0, -0.5, 0.0, 0.25, 0.75, 1.0, 2.5, 30.0]


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("sigmoid", lambda x: 1 / (1 + mpmath.exp(-x))),
        (Sigmoid(-1.5), lambda x: 1 / (1 + mpmath.exp(1.5 - x))),
        ("relu", lambda x: max(x, 0)),
        ("relu2", lambda x: max(x, 0) ** 2),
        ("tanh", mpmath.tanh),
        ("identity", lambda x: x),
    ],
    ids=str,
)
def test_elementwise_against_50_digits(activation, formula):
    with mpmath.workdps(50):
        expected = [float(formula(mpmath.mpf(x))) for x in LOGITS]
    np.testing.assert_allclose(reference.activate(LOGITS, activation), expected, rtol=4 * EPS, atol=0)


@pytest.mark.parametrize("logits", [LOGITS, [-800.0, -801.0], [700.0, 709.0], [-3.0]])
def test_softmax1_against_50_digits(logits):
    with mpmath.workdps(50):
        exps = [mpmath.exp(mpmath.mpf(x)) for x in logits]
        expected = [float(e / (1 + mpmath.fsum(exps))) for e in exps]
        lse = float(mpmath.log1p(mpmath.fsum(exps)))
    np.testing.assert_allclose(reference.activate(logits, "softmax1"), expected, rtol=1000 * EPS, atol=0)
    ones = np.ones((len(logits), 1))
    result = reference.attention(
        [[1.0]], ones, ones, activation="softmax1", bias=logits, scale=0.0, return_lse=True
    )
    np.testing.assert_allclose(result.lse, [lse], rtol=8 * EPS, atol=8 * EPS)


def test_additive_with_more_batches_of_keys():
    query, key = RNG.standard_normal((1, 3, 5)), RNG.standard_normal((4, 1, 7, 5))
    logits = reference.scores(query, key, score="additive")
    assert logits.shape == (4, 1, 3, 7)
    for i in range(4):
        np.testing.assert_array_equal(logits[i], reference.scores(query, key[i], score="additive"))


def test_value_heads_that_do_not_divide_the_others():
    with pytest.raises(ValueError, match=r"multiple of .* got 1 and 2"):
        reference.combine(np.ones((1, 2, 3)), np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"multiple of .* got 3 and 2"):
        reference.scores(np.ones((3, 2, 4)), np.ones((2, 3, 4)))


def projection_by_brute_force(x):
    """The point of the simplex nearest to x: the best of those of all supports."""
    best, nearest = math.inf, None
    for size in range(1, len(x) + 1):
        for support in itertools.combinations(range(len(x)), size):
            p = np.zeros(len(x))
            p[list(support)] = x[list(support)] - (x[list(support)].sum() - 1.0) / size
            if np.all(p >= 0) and np.sum((p - x) ** 2) < best:
                best, nearest = np.sum((p - x) ** 2), p
    return nearest


@pytest.mark.parametrize("n", range(1, 8))
@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_sparsemax_is_the_projection_onto_the_simplex(n, spread):
    for _ in range(20):
        x = RNG.standard_normal(n) * spread
        np.testing.assert_allclose(
            reference.activate(x, "sparsemax"), projection_by_brute_force(x), rtol=0, atol=64 * EPS
        )


def entmax_to_50_digits(x, alpha):
    """(weights, (alpha - 1) x - tau) by bisection of the threshold in 50 digits."""
    with mpmath.workdps(50):
        z = [(mpmath.mpf(alpha) - 1) * mpmath.mpf(t) for t in x]
        power = 1 / (mpmath.mpf(alpha) - 1)
        low, high = max(z) - 1, max(z)
        for _ in range(160):
            tau = (low + high) / 2
            if mpmath.fsum(max(t - tau, 0) ** power for t in z) >= 1:
                low = tau
            else:
                high = tau
        return np.array([float(max(t - tau, 0) ** power) for t in z]), np.array([float(t - tau) for t in z])


@pytest.mark.parametrize("alpha", [1.01, 1.25, 1.5, 1.75, 2.0, 2.5, 4.0])
@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_entmax_against_50_digits(n, alpha):
    for spread in (0.01, 1.0, 8.0):
        x = RNG.standard_normal(n) * spread
        expected, above = entmax_to_50_digits(x.tolist(), alpha)
        power = 1.0 / (alpha - 1.0)
        # the differences to the maximum and to the threshold are rounded, before the power is taken
        off = 4 * EPS * (1.0 + (alpha - 1.0) * np.ptp(x))
        reach = np.maximum(above + off, 0.0) ** power - np.maximum(above - off, 0.0) ** power
        bound = 2 * reach + 2 * (n + 2) * EPS * expected + 2 * expected * np.sum(reach)
        for activation in [*{1.5: ["entmax15"], 2.0: ["sparsemax"]}.get(alpha, []), Entmax(alpha)]:
            assert np.all(np.abs(reference.activate(x, activation) - expected) <= bound), activation


def test_general_entmax_meets_its_special_cases():
    x = RNG.standard_normal((50, 12)) * 2.0
    for alpha, name in [(1.5, "entmax15"), (2.0, "sparsemax")]:
        special = reference.activate(x, name)
        with np.errstate(divide="ignore"):  # the log of a weight of 0
            general = reference.ACTIVATIONS["entmax"](x, Entmax(alpha))
        np.testing.assert_allclose(general, special, rtol=0, atol=64 * EPS)
        clear = np.maximum(special, general) > 1e-6  # apart from the threshold the supports are the same
        assert np.array_equal(special[clear] > 0, general[clear] > 0)
        assert (special == 0).any()
    # alpha -> 1: d weights / d alpha is below x**2 weights
    np.testing.assert_allclose(
        reference.activate(x, Entmax(1 + 1e-9)), reference.activate(x), rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("activation", NORMALISED, ids=str)
def test_normalised_weights(activation):
    x = RNG.standard_normal((30, 9)) * 3.0
    weights = reference.activate(x, activation)
    assert np.all(weights >= 0)
    assert np.all(np.abs(weights.sum(axis=-1) - 1.0) <= 4 * EPS)
    order = np.argsort(x, axis=-1)
    assert np.all(
        np.diff(np.take_along_axis(weights, order, -1), axis=-1) >= 0
    )  # larger logits, larger weights
    np.testing.assert_allclose(
        reference.activate(x + 8.0, activation), weights, rtol=0, atol=1e-12
    )  # ulp of 8 + x


def test_exact_zeros():
    assert reference.activate([0.0, 1.0, 3.0], "sparsemax").tolist() == [0.0, 0.0, 1.0]
    assert reference.activate([0.0, 2.0, 4.0], "entmax15").tolist() == [
        0.0,
        0.0,
        1.0,
    ]  # 2 below: the very edge
    assert reference.activate([1.0, 1.0, -9.0], "entmax15").tolist() == [0.5, 0.5, 0.0]
    assert reference.activate([1.0, 1.0, -9.0], Entmax(30.0)).tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 100])
def test_topk_against_loops(k):
    for n in (1, 4, 8):
        x = RNG.integers(-2, 3, n).astype(float)  # many ties
        kept = sorted(range(n), key=lambda j: (-x[j], j))[:k]
        exps = {j: math.exp(x[j]) for j in kept}
        expected = [exps.get(j, 0.0) / math.fsum(exps.values()) for j in range(n)]
        weights = reference.activate(x, TopK(k))
        np.testing.assert_allclose(weights, expected, rtol=16 * EPS, atol=0)
        assert np.array_equal(weights > 0, np.isin(np.arange(n), kept))


def test_topk_tells_logits_apart_that_their_differences_to_the_maximum_do_not():
    assert reference.activate([1e-20, 2e-20, 1.0], TopK(2))[0] == 0.0
