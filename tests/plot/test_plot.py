"""`foveate.plot`: what the pictures hold and say, not their pixels."""

import io
import sys
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import foveate
from foveate import _core, plot

Q = np.random.default_rng(1).standard_normal((4, 8))
K = np.random.default_rng(2).standard_normal((6, 8))
CAUSAL = np.tri(4, 6, dtype=bool)


def drawn(figure):
    """The panels (no colour bar) of a figure."""
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def values(ax):
    (image,) = ax.images
    return image.get_array().filled(np.nan)


@pytest.fixture(autouse=True)
def no_global_state():
    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    yield
    assert dict(mpl.rcParams) == settings
    assert plt.get_fignums() == figures


# ----- heatmap


def test_one_head_is_one_panel():
    weights = np.array([[0.25, 0.75, np.nan], [1.0, 0.0, 0.0]], np.float32)
    figure = plot.heatmap(weights, key_labels=["x", "$y$", "z"], title="T", label="share")
    (ax,) = drawn(figure)
    np.testing.assert_array_equal(values(ax), weights)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["x", "$y$", "z"]
    assert figure.get_suptitle() == "T"
    assert figure.axes[1].get_ylabel() == "share (white: exactly 0, grey: not finite)"
    assert [t.get_text() for t in ax.texts] == ["0.25", "0.75", "1.00", "0", "0"]


@pytest.mark.parametrize("n_heads", [1, 3, 5, 8])
def test_heads_share_a_scale(n_heads):
    weights = foveate.activate(np.random.default_rng(0).standard_normal((n_heads, 4, 5)))
    figure = plot.heatmap(weights)
    panels = drawn(figure)
    assert [ax.get_title(loc="left") for ax in panels] == [f"head {h}" for h in range(n_heads)]
    for ax, head in zip(panels, weights, strict=True):
        np.testing.assert_array_equal(values(ax), head)
        assert ax.images[0].get_clim() == (0, weights.max())
    assert len(figure.axes) == n_heads + 1


@pytest.mark.parametrize("dtype", ["float16", "float64", "bool", "int8"])
def test_dtypes(dtype):
    weights = np.eye(3).astype(dtype)
    np.testing.assert_array_equal(values(drawn(plot.heatmap(weights))[0]), np.eye(3))


def test_signed_weights_are_centred_and_zeros_stand_apart():
    weights = np.array([[-0.5, 0.0, 1e-9, 0.25, -1e-9, np.inf]])
    image = drawn(plot.heatmap(weights))[0].images[0]
    assert image.get_clim() == (-0.5, 0.5)
    low, zero, blue, _, orange, bad = image.to_rgba(image.get_array())[0]
    assert tuple(zero) == to_rgba("white")
    assert tuple(bad) == to_rgba("0.85")
    assert blue[2] - blue[0] > 0.05 < orange[0] - orange[2]
    assert low[0] - low[2] > 0.3


def test_a_small_weight_is_visibly_no_zero():
    image = drawn(plot.heatmap([[0.0, 1e-30, 1.0]]))[0].images[0]
    zero, tiny, _ = image.to_rgba(image.get_array())[0]
    assert tuple(zero) == to_rgba("white")
    assert np.abs(zero - tiny).max() > 0.1


def test_all_zero_and_nothing_finite():
    assert drawn(plot.heatmap(np.zeros((2, 2))))[0].images[0].get_clim() == (0, 1)
    assert np.isnan(values(drawn(plot.heatmap(np.full((2, 2), np.nan)))[0])).all()


def test_many_labels_are_thinned():
    names = [f"token{i}" for i in range(200)]
    figure = plot.heatmap(np.ones((200, 200)), query_labels=names, key_labels=names)
    ax = drawn(figure)[0]
    figure.savefig(io.BytesIO())
    assert not ax.texts
    for axis in (ax.xaxis, ax.yaxis):
        shown = [t.get_text() for t in axis.get_ticklabels()]
        at = axis.get_ticklocs()
        assert shown == [names[int(i)] for i in at]
        assert 10 < len(shown) < 70
    boxes = [t.get_window_extent() for t in ax.get_yticklabels()]
    assert all(a.y0 >= b.y1 for a, b in pairwise(boxes))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (2, 300)])
def test_ticks_of_a_few_rows_are_whole_numbers(shape):
    (ax,) = drawn(plot.heatmap(np.ones(shape)))
    for axis, n in ((ax.xaxis, shape[1]), (ax.yaxis, shape[0])):
        at = [t for t in axis.get_ticklocs() if -0.5 <= t <= n - 0.5]
        assert at
        assert all(t == int(t) for t in at)


@pytest.mark.parametrize(
    "draw", [lambda w, **o: plot.heatmap([w] * 3, **o), lambda w, **o: plot.modes(w, w, row=0, **o)]
)
def test_long_labels_leave_the_panels_their_size(draw):
    """The figure grows instead."""

    def sizes(labels):
        figure = draw(np.eye(9), key_labels=labels)
        figure.savefig(io.BytesIO())
        return [ax.get_window_extent() for ax in drawn(figure)]

    short, long = sizes(list("abcdefghi")), sizes([f"antidisestablishment{i}" for i in range(9)])
    for before, after in zip(short, long, strict=True):
        assert after.width > 0.8 * before.width
        assert after.height > 0.8 * before.height


def test_into_axes_given():
    ax = Figure().add_subplot()
    assert plot.heatmap(np.eye(2), ax=ax, title="T", annotate=False) is ax
    assert (ax.get_title(loc="left"), len(ax.texts), len(ax.figure.axes)) == ("T", 0, 2)


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (np.ones(3), {}, r"weights: got shape \(3,\), expected \(Lq, Lk\) or \(H, Lq, Lk\)"),
        (np.ones((1, 2, 3, 4)), {}, r"weights: got shape \(1, 2, 3, 4\)"),
        (np.ones((0, 3)), {}, r"weights: got shape \(0, 3\), expected no axis of length 0"),
        (np.ones((2, 3)), {"query_labels": ["a"]}, "query_labels: got 1 labels, expected 2"),
        (np.ones((2, 3)), {"key_labels": ["a"]}, "key_labels: got 1 labels, expected 3"),
        (np.ones((2, 2, 3)), {"head_labels": ["a"]}, "head_labels: got 1 labels, expected 2"),
    ],
)
def test_heatmap_refuses(weights, options, message):
    with pytest.raises(ValueError, match=message):
        plot.heatmap(weights, **options)


def test_heatmap_refuses_heads_for_one_axes_and_complex_weights():
    with pytest.raises(ValueError, match=r"got shape \(2, 3, 4\), expected \(Lq, Lk\), one head"):
        plot.heatmap(np.ones((2, 3, 4)), ax=Figure().add_subplot())
    with pytest.raises(TypeError, match="got dtype complex128, expected real"):
        plot.heatmap(np.ones((2, 2), complex))


# ----- modes


def bar_heights(ax):
    return [bar.get_height() for bar in ax.patches]


def marks(ax, marker):
    return [int(x) for line in ax.lines if line.get_marker() == marker for x in line.get_xdata()]


def test_modes_shows_every_registered_activation():
    titles = [ax.get_title(loc="left") for ax in drawn(plot.modes(Q, K, row=1))]
    kernels = [title.split("(")[0].lower() for title in titles]
    assert kernels == ["logits", *_core.activation_names]


def test_bars_are_the_weights_of_the_row():
    choice = ["softmax", "relu", "tanh", foveate.TopK(2), "sparsemax"]
    figure = plot.modes(Q, K, row=2, activations=choice, mask=CAUSAL, key_labels=list("abcdef"))
    logits = foveate.scores(Q, K)
    first, *panels = drawn(figure)
    np.testing.assert_array_equal(bar_heights(first), np.where(CAUSAL[2], logits[2], 0))
    for ax, activation in zip(panels, choice, strict=True):
        weights = foveate.activate(logits[2:3], activation, mask=CAUSAL[2:3])[0]
        np.testing.assert_array_equal(bar_heights(ax), weights)
        assert marks(ax, "x") == [3, 4, 5]
        assert marks(ax, "o") == np.flatnonzero((weights == 0) & CAUSAL[2]).tolist()
        assert ax.get_title(loc="right") == f"sum {weights.sum():.2f}"
        low, high = ax.get_ylim()
        assert low <= min(0, weights.min()) <= max(0, weights.max()) < high
    assert marks(panels[3], "o")  # TopK(2) of 3 leaves one out
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "weight > 0", "weight < 0", "exactly 0", "masked",
    ]  # fmt: skip
    normalised = [panels[i].get_ylim() for i in (0, 3, 4)]
    assert len(set(normalised)) == 1


def test_numbers_of_objects_are_short():
    figure = plot.modes(Q, K, row=0, activations=[foveate.Entmax(4 / 3), foveate.Sigmoid(-2.5)])
    titles = [ax.get_title(loc="left") for ax in drawn(figure)]
    assert titles == ["logits", "Entmax(1.333)", "Sigmoid(-2.5)"]


def test_rows_are_heat_maps():
    choice = ["softmax", "identity"]
    figure = plot.modes(Q, K, row=[1, -1], activations=choice, mask=CAUSAL, query_labels=list("abcd"))
    panels = drawn(figure)
    logits, rows = foveate.scores(Q, K), [1, 3]
    np.testing.assert_array_equal(values(panels[0]), np.where(CAUSAL, logits, np.nan)[rows])
    for ax, activation in zip(panels[1:], choice, strict=True):
        weights = foveate.activate(logits[rows], activation, mask=CAUSAL[rows])
        np.testing.assert_array_equal(values(ax), weights)
    assert [t.get_text() for t in panels[0].get_yticklabels()] == ["b", "d"]
    assert panels[1].get_title(loc="right") == "row sums 1.00"
    top = np.abs(values(panels[2])).max()
    assert panels[2].images[0].get_clim() == (-top, top)
    assert len(figure.axes) == 2 * len(panels)


def test_modes_takes_scores_and_narrow_dtypes():
    figure = plot.modes(
        Q[:1].astype(np.float16), K.astype(np.float16), score=foveate.Cosine(0.5), activations=["relu"]
    )
    logits = foveate.scores(Q[:1].astype(np.float16), K.astype(np.float16), score=foveate.Cosine(0.5))
    np.testing.assert_array_equal(bar_heights(drawn(figure)[0]), logits[0])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"row": 4}, IndexError, r"row: got 4, expected -4\.\.3"),
        ({"row": 1.0}, TypeError, r"row: got 1\.0, expected an int"),
        ({"row": []}, ValueError, "row: got no row"),
        ({"activations": []}, ValueError, r"activations: got \[\]"),
        ({"activations": "softmax"}, ValueError, "expected a sequence"),
        ({"activations": ["sofmax"]}, ValueError, "sofmax"),
        ({"mask": np.ones((4, 6))}, TypeError, "mask: got dtype float64, expected bool"),
        ({"mask": np.ones(5, bool)}, ValueError, r"mask: got shape \(5,\)"),
        ({"key_labels": ["a"]}, ValueError, "key_labels: got 1 labels, expected 6"),
    ],
)
def test_modes_refuses(options, error, message):
    with pytest.raises(error, match=message):
        plot.modes(Q, K, **options)


def test_modes_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"q: got shape \(8,\), expected \(Lq, D\)"):
        plot.modes(Q[0], K)
    with pytest.raises(ValueError, match="got 4 queries and 0 keys"):
        plot.modes(Q, K[:0])


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (lambda: plot.heatmap(np.eye(2)), lambda: plot.modes(Q, K)):
        with pytest.raises(ImportError, match=r"pip install 'foveate\[plot\]'"):
            draw()
