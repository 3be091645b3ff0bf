"""The table "Where systems disagree", row by row, on the compiled package: numbers and bits, no oracle."""

import math

import numpy as np
import pytest
from ml_dtypes import finfo

import foveate
from foveate.error_bound import bounds, worst_ratio
from support.cases import DTYPES

BAD = [np.nan, np.inf, -np.inf, "huge"]
ACTIVATIONS = ["softmax", "sigmoid"]
OTHERS = (
    "softmax1",
    "relu",
    "relu2",
    "tanh",
    "identity",
    "sparsemax",
    "entmax15",
    foveate.Entmax(1.3),
    foveate.TopK(2),
)
each_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
each_other = pytest.mark.parametrize("activation", OTHERS, ids=str)
each_bad = pytest.mark.parametrize("bad", BAD, ids=str)


def bits(array):
    """The bytes of an array: NaNs and signs of zeros count."""
    return np.ascontiguousarray(array).tobytes()


def problem(dtype=np.float32, *, q_len=5, kv_len=5, n_q_heads=4, n_kv_heads=2, head_dim=8, value_dim=3):
    rng = np.random.default_rng(q_len * 1000 + kv_len)
    shapes = (n_q_heads, q_len, head_dim), (n_kv_heads, kv_len, head_dim), (n_kv_heads, kv_len, value_dim)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def filled(array, bad):
    """What to put where nobody looks."""
    return finfo(array.dtype).max if bad == "huge" else bad


class TestCausalWithDifferentLengths:
    """Two queries, four keys; scores are all 0, so every output is the mean of the values attended."""

    VALUE = np.array([[1.0], [2.0], [4.0], [8.0]], np.float32)

    def run(self, q_len, kv_len, **options):
        zeros = np.zeros((q_len, 1), np.float32), np.zeros((kv_len, 1), np.float32)
        return foveate.attention(*zeros, self.VALUE[:kv_len], **options)[:, 0].tolist()

    def test_top_left(self):
        assert self.run(2, 4, causal="top_left") == [1.0, 1.5]

    def test_bottom_right(self):
        assert self.run(2, 4, causal="bottom_right") == [pytest.approx(7 / 3, rel=1e-6), 3.75]

    def test_bottom_right_with_more_queries_than_keys(self):
        assert self.run(4, 2, causal="bottom_right") == [0.0, 0.0, 1.0, 1.5]

    def test_true_with_equal_lengths(self):
        assert self.run(2, 2, causal=True) == [1.0, 1.5]

    def test_true_with_q_offset(self):
        assert self.run(2, 4, causal=True, q_offset=1) == [1.5, pytest.approx(7 / 3, rel=1e-6)]
        assert self.run(2, 4, causal=True, q_offset=-1) == [0.0, 1.0]

    @pytest.mark.parametrize(
        "options", [{"causal": True}, {"window": (1, 1)}, {"causal": True, "window": (1, 1)}]
    )
    def test_no_alignment_is_an_error_that_names_them(self, options):
        with pytest.raises(ValueError, match=r"(?s)(?=.*top_left)(?=.*bottom_right)(?=.*q_offset)"):
            self.run(2, 4, **options)


class TestCausalAndMaskTogether:
    """Every mask kind composes with every other: all of them at once equal their intersection as one mask."""

    @each_activation
    @each_dtype
    def test_all_kinds_at_once_equal_one_mask(self, dtype, activation):
        q, k, v = problem(dtype, q_len=9, kv_len=17)
        rng = np.random.default_rng(0)
        mask = rng.random((4, 9, 17)) < 0.7
        bias_allows = rng.random((9, 17)) < 0.8
        bias_allows[4] = False
        i, j = np.arange(9)[:, None], np.arange(17)
        seen = mask & bias_allows & (j <= i + 8) & (j >= i + 8 - 5) & (j < 14)
        together = foveate.attention(
            q,
            k,
            v,
            activation=activation,
            causal="bottom_right",
            window=(5, None),
            mask=mask,
            bias=np.where(bias_allows, np.float32(0.0), -np.inf),
            kv_lengths=14,
        )
        one = foveate.attention(q, k, v, activation=activation, mask=seen)
        assert seen.any(axis=-1).sum() == 4 * 8  # row 4 attends nothing
        bound = bounds(q, k, v, activation=activation, mask=seen).output
        assert worst_ratio(together, one, 2 * bound) <= 1.0

    @pytest.mark.parametrize("length", [1, 2, 5])
    def test_causal_and_mask(self, length):
        value = np.arange(1.0, length + 1.0, dtype=np.float32)[:, None]
        zeros = np.zeros((length, 1), np.float32)
        mask = np.arange(length) != 0  # nobody sees key 0
        output = foveate.attention(zeros, zeros, value, causal=True, mask=mask)[:, 0]
        expected = [0.0] + [(2 + n + 1) / 2 for n in range(1, length)]  # mean of 2 .. n + 1
        assert output.tolist() == pytest.approx(expected, rel=1e-6)


class TestBoolMask:
    """True = attend."""

    def test_true_attends(self):
        value = np.array([[1.0], [2.0], [4.0]], np.float32)
        zeros = np.zeros((1, 1), np.float32), np.zeros((3, 1), np.float32)
        assert foveate.attention(*zeros, value, mask=np.array([True, False, False])).tolist() == [[1.0]]
        assert foveate.attention(*zeros, value, mask=np.array([True, False, True])).tolist() == [[2.5]]

    def test_float_mask_points_to_bias(self):
        q, k, v = problem()
        with pytest.raises(TypeError, match="bias"):
            foveate.attention(q, k, v, mask=np.zeros((5, 5), np.float32))


class TestFullyMaskedRow:
    """Output 0, weights 0, lse -inf."""

    @pytest.mark.parametrize("how", ["mask", "bias", "kv_lengths", "causal", "window"])
    @each_activation
    @each_dtype
    def test_zero(self, dtype, activation, how):
        q, k, v = problem(dtype, q_len=3, kv_len=4)
        options, rows = {
            "mask": ({"mask": np.array([[True], [False], [True]])}, [1]),
            "bias": ({"bias": np.array([[0.0], [-np.inf], [0.0]], np.float32)}, [1]),
            "kv_lengths": ({"kv_lengths": 0}, [0, 1, 2]),
            "causal": ({"causal": True, "q_offset": -2}, [0, 1]),
            "window": ({"window": (0, 0), "q_offset": 2}, [2]),
        }[how]
        softmax = activation == "softmax"
        result = foveate.attention(
            q, k, v, activation=activation, **options, return_weights=True, return_lse=softmax
        )
        others = [i for i in range(3) if i not in rows]
        assert bits(result.output[:, rows]) == bits(np.zeros((4, len(rows), 3), dtype))
        assert bits(result.weights[:, rows]) == bits(np.zeros((4, len(rows), 4), dtype))
        assert np.isfinite(result.output.astype(np.float32)).all()
        assert (result.output[:, others] != 0).all()
        if softmax:
            assert np.isneginf(result.lse[:, rows]).all()
            assert np.isfinite(result.lse[:, others]).all()

    @each_other
    @each_dtype
    def test_zero_of_the_other_activations(self, dtype, activation):
        q, k, v = problem(dtype, q_len=3, kv_len=4)
        k, v = abs(k), abs(v) + dtype(1)
        mask = np.array([[True], [False], [True]])
        result = foveate.attention(abs(q), k, v, activation=activation, mask=mask, return_weights=True)
        assert bits(result.output[:, 1]) == bits(np.zeros((4, 3), dtype))
        assert bits(result.weights[:, 1]) == bits(np.zeros((4, 4), dtype))
        assert (result.output[:, [0, 2]] > 0).all()  # all logits are positive: every activation gives weight

    @each_dtype
    def test_no_keys_at_all(self, dtype):
        q, k, v = problem(dtype, q_len=3, kv_len=0)
        result = foveate.attention(q, k, v, return_lse=True, return_weights=True)
        assert bits(result.output) == bits(np.zeros((4, 3, 3), dtype))
        assert np.isneginf(result.lse).all()
        assert result.weights.shape == (4, 3, 0)

    def test_with_sinks_the_sink_remains(self):
        q, k, v = problem(q_len=3, kv_len=4)
        sinks = np.array([0.5, -3.0, 80.0, 0.0], np.float32)
        result = foveate.attention(q, k, v, mask=np.array(False), sinks=sinks, return_lse=True)
        assert bits(result.output) == bits(np.zeros((4, 3, 3), np.float32))
        assert np.allclose(result.lse, np.repeat(sinks[:, None], 3, axis=1), rtol=2**-22, atol=0)


class TestNanOrInfWhereNobodyLooks:
    """NaN, Inf and the largest numbers in keys and values that no query attends change no bit."""

    # lengths around the tile and chunk sizes; 1 query row takes the path for few rows
    SHAPES = ((1, 5), (1, 300), (5, 5), (17, 33), (70, 150))

    def hidden(self, how, q_len, kv_len):
        """Options and the keys that they hide from every row."""
        j = np.arange(kv_len)
        some = (j % 3 == 1) | (j >= kv_len - 2)
        end = j >= kv_len // 2
        return {
            "mask": ({"mask": ~some}, some),
            "mask_rows": ({"mask": np.repeat(~some[None], q_len, axis=0)}, some),
            "bias": ({"bias": np.where(some, -np.inf, 0.25).astype(np.float32)}, some),
            "bias_rows": ({"bias": np.tile(np.where(some, -np.inf, 0.25), (q_len, 1))}, some),
            "kv_lengths": ({"kv_lengths": kv_len // 2}, end),
            "causal": ({"causal": True, "q_offset": kv_len // 2 - q_len}, end),
            "window": ({"window": (1, 1), "q_offset": 1}, j > q_len + 1),
        }[how]

    @pytest.mark.parametrize(
        "how", ["mask", "mask_rows", "bias", "bias_rows", "kv_lengths", "causal", "window"]
    )
    @each_bad
    @each_activation
    @each_dtype
    def test_bitwise_unchanged(self, dtype, activation, bad, how):
        softmax = activation == "softmax"
        for q_len, kv_len in self.SHAPES:
            q, k, v = problem(dtype, q_len=q_len, kv_len=kv_len)
            options, keys = self.hidden(how, q_len, kv_len)
            options |= {"activation": activation, "return_weights": True, "return_lse": softmax}
            clean = foveate.attention(q, k, v, **options)
            assert np.isfinite(clean.output.astype(np.float64)).all()
            for array in (k, v):  # keys alone, then both
                array[:, keys] = filled(array, bad)
                dirty = foveate.attention(q, k, v, **options)
                assert bits(dirty.output) == bits(clean.output), (q_len, kv_len)
                assert bits(dirty.weights) == bits(clean.weights), (q_len, kv_len)
                assert not softmax or bits(dirty.lse) == bits(clean.lse), (q_len, kv_len)

    @each_bad
    @each_activation
    def test_padding_of_one_batch_element(self, activation, bad):
        """kv_lengths per batch element: the padding of one is no concern of the others."""
        q = np.stack([problem(q_len=9, kv_len=40)[0]] * 3)
        k = np.stack([problem(q_len=9, kv_len=40)[1]] * 3)
        v = np.stack([problem(q_len=9, kv_len=40)[2]] * 3)
        lengths = np.array([40, 7, 0])
        clean = foveate.attention(q, k, v, kv_lengths=lengths, activation=activation)
        for b, length in enumerate(lengths):
            k[b, :, length:], v[b, :, length:] = filled(k, bad), filled(v, bad)
        dirty = foveate.attention(q, k, v, kv_lengths=lengths, activation=activation)
        assert bits(dirty) == bits(clean)
        assert bits(dirty[2]) == bits(np.zeros_like(dirty[2]))

    @each_bad
    @each_activation
    @each_dtype
    def test_seen_by_some_rows_only(self, dtype, activation, bad):
        """Under causal, key 20 is seen from row 20 on: what it holds stays out of the rows before."""
        for options, first in (
            ({"causal": True}, 20),
            ({"mask": np.tri(40, dtype=bool)}, 20),
            ({"bias": np.where(np.tri(40, dtype=bool), 0.0, -np.inf)}, 20),
            ({"window": (None, 2)}, 18),
        ):
            q, k, v = problem(dtype, q_len=40, kv_len=40)
            clean = foveate.attention(q, k, v, activation=activation, **options)
            v[:, 20] = filled(v, bad)
            dirty = foveate.attention(q, k, v, activation=activation, **options)
            assert bits(dirty[:, :first]) == bits(clean[:, :first])
            assert (dirty[:, first:] != clean[:, first:]).all()
            k[:, 20] = filled(k, bad)
            dirty = foveate.attention(q, k, v, activation=activation, **options)
            assert bits(dirty[:, :first]) == bits(clean[:, :first])


class TestAttendedNan:
    """NaN in exactly the rows that attend it."""

    @pytest.mark.parametrize("where", ["query", "key", "value"])
    @each_activation
    @each_dtype
    def test_exactly_those_rows(self, dtype, activation, where):
        for length in (1, 7, 33, 130):
            q, k, v = problem(dtype, q_len=length, kv_len=length)
            clean = foveate.attention(q, k, v, activation=activation, causal=True)
            middle = length // 2
            hit = np.zeros((4, length), bool)
            if where == "query":
                q[2, middle, 1] = np.nan
                hit[2, middle] = True
            else:  # kv head 1 serves query heads 2 and 3
                (k if where == "key" else v)[1, middle, 1] = np.nan
                hit[2:, middle:] = True
            output = foveate.attention(q, k, v, activation=activation, causal=True)
            columns = np.ones(3, bool) if where != "value" else np.arange(3) == 1
            assert np.isnan(output[hit][:, columns]).all()
            assert bits(output[hit][:, ~columns]) == bits(clean[hit][:, ~columns])
            assert bits(output[~hit]) == bits(clean[~hit])

    @each_dtype
    def test_lse_and_weights(self, dtype):
        q, k, v = problem(dtype, q_len=9, kv_len=9)
        k[0, 4, 0] = np.nan
        result = foveate.attention(q, k, v, causal=True, return_lse=True, return_weights=True)
        assert np.isnan(result.lse[:2, 4:]).all()
        assert np.isfinite(result.lse[:2, :4]).all()
        assert np.isfinite(result.lse[2:]).all()
        seen = np.tri(9, dtype=bool)
        assert np.isnan(result.weights[:2, 4:][:, seen[4:]]).all()
        assert not np.isnan(result.weights[:2, 4:][:, ~seen[4:]]).any()


class TestSoftcap:
    """c tanh(x / c), after scale, before bias and mask: read off as the difference of two logits."""

    def ratio(self, **options):
        """log(w_0 / w_1) of two keys whose scores are 3 and 0."""
        q, k = np.ones((1, 1), np.float64), np.array([[3.0], [0.0]])
        weights = foveate.attention(q, k, np.ones((2, 1)), return_weights=True, **options).weights[0]
        return math.log(weights[0] / weights[1])

    def test_tanh(self):
        assert self.ratio(softcap=2.0) == pytest.approx(2.0 * math.tanh(1.5), rel=1e-14)

    def test_after_scale(self):
        assert self.ratio(softcap=2.0, scale=4.0) == pytest.approx(2.0 * math.tanh(6.0), rel=1e-14)

    def test_before_bias(self):
        expected = 2.0 * math.tanh(1.5) + 5.0
        assert self.ratio(softcap=2.0, bias=np.array([5.0, 0.0])) == pytest.approx(expected, rel=1e-14)

    @each_activation
    def test_before_mask(self, activation):
        zeros, value = np.zeros((1, 1), np.float32), np.array([[1.0], [100.0]], np.float32)
        mask = np.array([True, False])
        options = {"softcap": 2.0, "mask": mask, "activation": activation}
        output = foveate.attention(zeros, np.zeros((2, 1), np.float32), value, **options)
        assert output.tolist() == [[1.0 if activation == "softmax" else 0.5]]


class TestLse:
    """Natural log."""

    @pytest.mark.parametrize("n_keys", [1, 2, 64, 1000])
    def test_equal_logits(self, n_keys):
        q, k = np.full((1, 1), 2.0), np.full((n_keys, 1), 1.5)
        result = foveate.attention(q, k, np.ones((n_keys, 1)), return_lse=True)
        assert result.lse.dtype == np.float64
        assert result.lse[0] == pytest.approx(3.0 + math.log(n_keys), rel=1e-14)

    @pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
    def test_is_f32_for_narrower_types(self, dtype):
        one = np.ones((1, 1), DTYPES[dtype])
        result = foveate.attention(one, one, one, return_lse=True)
        assert result.lse.dtype == np.float32
        assert result.lse[0] == pytest.approx(1.0, rel=2**-22)

    def test_sinks_count(self):
        zero = np.zeros((1, 1))
        result = foveate.attention(zero, zero, np.ones((1, 1)), sinks=np.array([0.0]), return_lse=True)
        assert result.lse[0] == pytest.approx(math.log(2.0), rel=1e-14)
        assert result.output[0, 0] == pytest.approx(0.5, rel=1e-14)


class TestWindow:
    """(left, right) inclusive, None = open."""

    @pytest.mark.parametrize(
        ("window", "expected"),
        [
            ((0, 0), [[0], [1], [2], [3], [4]]),
            ((1, 0), [[0], [0, 1], [1, 2], [2, 3], [3, 4]]),
            ((0, 2), [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4], [4]]),
            ((2, 1), [[0, 1], [0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4]]),
            ((None, 0), [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]]),
            ((1, None), [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4], [3, 4]]),
            ((None, None), [[0, 1, 2, 3, 4]] * 5),
        ],
    )
    @each_activation
    def test_keys_attended(self, activation, window, expected):
        q, k, v = problem()
        result = foveate.attention(q, k, v, activation=activation, window=window, return_weights=True)
        for head in result.weights:
            assert [np.flatnonzero(row).tolist() for row in head] == expected

    def test_offset_moves_it(self):
        q, k, v = problem(q_len=2, kv_len=6)
        weights = foveate.attention(q, k, v, window=(1, 1), q_offset=3, return_weights=True).weights
        assert [np.flatnonzero(row).tolist() for row in weights[0]] == [[2, 3, 4], [3, 4, 5]]


class TestGroupedQueryHeads:
    """Query head h reads kv head h // group_size."""

    @pytest.mark.parametrize(("n_q_heads", "n_kv_heads"), [(4, 2), (6, 2), (6, 3), (8, 1), (5, 5)])
    def test_integer_division(self, n_q_heads, n_kv_heads):
        q, k, v = problem(n_q_heads=n_q_heads, n_kv_heads=n_kv_heads)
        v[...] = np.arange(n_kv_heads, dtype=np.float32)[:, None, None]
        output = foveate.attention(q, k, v)
        expected = [h // (n_q_heads // n_kv_heads) for h in range(n_q_heads)]
        for h in range(n_q_heads):
            assert np.allclose(output[h], expected[h], rtol=2**-20, atol=0)


class TestElementwiseActivationAndMask:
    """A masked weight is 0 exactly, and an unmasked one is not normalised."""

    @each_dtype
    def test_sigmoid(self, dtype):
        zeros = np.zeros((2, 1), dtype), np.zeros((3, 1), dtype)
        value = np.array([[1.0], [2.0], [4.0]], dtype)
        mask = np.array([[True, False, True], [False, False, True]])
        result = foveate.attention(*zeros, value, activation="sigmoid", mask=mask, return_weights=True)
        assert result.weights.tolist() == [[0.5, 0.0, 0.5], [0.0, 0.0, 0.5]]
        assert result.output.tolist() == [[2.5], [2.0]]

    @pytest.mark.parametrize("activation", ["relu", "relu2", "tanh", "identity"])
    def test_not_the_activation_of_minus_inf(self, activation):
        """tanh(-inf) is -1 and identity keeps -inf: neither is what a masked key weighs."""
        two, value = np.full((1, 1), 2.0), np.array([[1.0], [100.0]])
        options = {"activation": activation, "scale": 1.0, "return_weights": True}
        expected = {"relu": 2.0, "relu2": 4.0, "tanh": math.tanh(2.0), "identity": 2.0}[activation]
        for hidden in ({"mask": np.array([True, False])}, {"bias": np.array([0.0, -np.inf])}):
            result = foveate.attention(two, np.ones((2, 1)), value, **hidden, **options)
            assert result.weights[0] == pytest.approx([expected, 0.0], rel=1e-14, abs=0)
            assert result.weights[0, 1] == 0
            assert result.output[0, 0] == pytest.approx(expected, rel=1e-14)

    def test_minus_inf_from_arithmetic(self):
        q, k = np.array([[1.0]], np.float32), np.array([[-np.inf], [0.0]], np.float32)
        value = np.array([[np.nan], [3.0]], np.float32)
        for activation, expected in (("sigmoid", 1.5), ("softmax", 3.0)):
            assert foveate.attention(q, k, value, activation=activation).tolist() == [[expected]]


class TestAdditive:
    """`Additive()` is Keras', without projections; with v, w_q and w_k it is Bahdanau's."""

    QUERY, KEY = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    VALUE = np.array([[1.0, 2.0], [3.0, 4.0]])

    @pytest.mark.parametrize("score", ["additive", foveate.Additive()], ids=str)
    def test_keras_example(self, score):
        near, far = 2 * math.tanh(1.0), math.tanh(2.0)  # scores of the two keys, in turn for the two queries
        w = 1 / (1 + math.exp(far - near))
        expected = [[w + 3 * (1 - w), 2 * w + 4 * (1 - w)], [1 - w + 3 * w, 2 * (1 - w) + 4 * w]]
        assert expected[0] == pytest.approx([1.727, 2.727], abs=1e-3)  # as Keras publishes it
        output = foveate.attention(self.QUERY, self.KEY, self.VALUE, score=score)
        assert output == pytest.approx(np.array(expected), rel=1e-13)

    def test_bahdanau(self):
        v, w_q, w_k = np.array([0.5, -2.0, 1.0]), np.arange(6.0).reshape(2, 3) / 4, -np.ones((2, 3)) / 3
        scores = foveate.scores(self.QUERY, self.KEY, score=foveate.Additive(v, w_q=w_q, w_k=w_k))
        for i in range(2):
            for j in range(2):
                terms = (v[d] * math.tanh(w_q[i, d] + w_k[1 - j, d]) for d in range(3))
                assert scores[i, j] == pytest.approx(sum(terms), rel=1e-13)


class TestTies:
    """Of equal logits `TopK` and `Select` take the lowest index; elsewhere equal logits weigh the same."""

    @pytest.mark.parametrize("n_keys", [3, 17, 64, 300])
    @pytest.mark.parametrize("how", ["topk", "select"])
    @each_dtype
    def test_lowest_index(self, dtype, how, n_keys):
        value = np.arange(1, n_keys + 1, dtype=dtype)[:, None]
        mask = np.arange(n_keys) != 0  # the lowest attended ones are 1 and 2: values 2 and 3
        options = {"activation": foveate.TopK(2)} if how == "topk" else {"combine": foveate.Select(2)}
        zeros = np.zeros((1, 1), dtype), np.zeros((n_keys, 1), dtype)
        assert foveate.attention(*zeros, value, mask=mask, **options).tolist() == [[2.5]]

    @pytest.mark.parametrize("activation", ["sparsemax", "entmax15", foveate.Entmax(1.3)], ids=str)
    def test_equal_logits_weigh_the_same(self, activation):
        logits = np.array([1.0, -9.0, 1.0, 1.0, -9.0, 1.0])
        weights = foveate.attention(
            np.ones((1, 1)),
            logits[:, None],
            np.ones((6, 1)),
            scale=1.0,
            activation=activation,
            return_weights=True,
        ).weights[0]
        assert weights[logits < 0].tolist() == [0.0, 0.0]
        assert set(weights[logits > 0]) == {weights[0]}
        assert weights[0] == pytest.approx(0.25, rel=1e-14)


class TestSinks:
    """One more logit of the row, without a key and without a value; softmax only."""

    def test_takes_weight_and_adds_nothing(self):
        zero, value = np.zeros((1, 1)), np.array([[6.0], [12.0]])
        sinks = np.array([math.log(2.0)])
        result = foveate.attention(
            zero, np.zeros((2, 1)), value, sinks=sinks, return_weights=True, return_lse=True
        )
        assert result.weights[0] == pytest.approx([0.25, 0.25], rel=1e-14)  # 1 / (1 + 1 + 2)
        assert result.output[0, 0] == pytest.approx(4.5, rel=1e-14)
        assert result.lse[0] == pytest.approx(math.log(4.0), rel=1e-14)

    @pytest.mark.parametrize("activation", ["sigmoid", *OTHERS], ids=str)
    def test_softmax_only(self, activation):
        one = np.ones((1, 1))
        with pytest.raises(ValueError, match="sinks must come with activation 'softmax'"):
            foveate.attention(one, one, one, sinks=np.zeros(1), activation=activation)
