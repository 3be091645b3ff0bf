"""The three pictures of benchmark records: what they hold and say, and that no label covers another."""

import itertools
import struct

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from foveate import plot
from foveate.plot._records import apart
from plot.made_up_records import PEERS, SHAPES, record

PICTURES = {
    "roofline": lambda: plot.roofline(record()),
    "lengths": lambda: plot.lengths(record()),
    "history": lambda: plot.history([record(), record("b" * 40, "2026-02-01T00:00:00+00:00", 1.5)]),
}


def texts(ax):
    return [text for text in ax.texts if text.get_text()]


def lines(ax):
    """Drawn data by colour; two points or more, no roofs."""
    return {line.get_color(): line for line in ax.lines if line.get_marker() not in ("None", None, "")}


@pytest.mark.parametrize("name", PICTURES)
def test_png_of_a_sensible_size(name, tmp_path):
    figure = PICTURES[name]()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "picture.png", dpi=110)
    data = (tmp_path / "picture.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert 700 <= width <= 1500
    assert 400 <= height <= 900


@pytest.mark.parametrize("name", PICTURES)
def test_no_label_covers_another(name):
    figure = PICTURES[name]()
    figure.draw_without_rendering()
    upright = [text for ax in figure.axes for text in texts(ax) if text.get_rotation() == 0]
    # the annotation's own extent includes its line
    boxes = {text.get_text(): super(type(text), text).get_window_extent() for text in upright}
    assert len(boxes) > 1 or name == "roofline"
    for (first, a), (second, b) in itertools.combinations(boxes.items(), 2):
        assert not a.overlaps(b), f"{first} and {second}"
    for text, box in boxes.items():
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width + 1, text


@pytest.mark.parametrize("name", PICTURES)
def test_the_machine_and_the_threads_are_named(name):
    figure = PICTURES[name]()
    (below,) = (text.get_text() for text in figure.texts if "Made-up CPU" in text.get_text())
    assert "Made-up CPU, 1 thread, avx2, float32" in below
    assert "\n" not in below


def test_roofline_has_every_workload_and_every_roof():
    made = record()
    figure = plot.roofline(made)
    (ax,) = figure.axes
    drawn = {(x, y) for line in ax.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    assert {(row["intensity"], row["gflops"]) for row in made["workloads"]} <= drawn
    said = " ".join(text.get_text() for text in texts(ax))
    for word in ("200 GFLOP/s", "L1 400 GB/s", "L2 100 GB/s", "L3 22 GB/s", "DRAM 20 GB/s"):
        assert word in said
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"{SHAPES[1]}  50 %" in legend
    assert f"{SHAPES[0]}  0.01 %" in legend


def test_roofline_without_the_roofs_that_could_not_be_measured():
    roofs = record()["roofs"] | {"read_l3": None, "read_dram": None}
    said = " ".join(text.get_text() for text in plot.roofline(record(roofs=roofs)).axes[0].texts)
    assert "L2" in said
    assert "L3" not in said
    with pytest.raises(ValueError, match="no limit"):
        plot.roofline(record(roofs=dict.fromkeys(roofs)))


def test_lengths_are_shortest_times_and_their_ratios():
    made = record()
    above, below = plot.lengths(made).axes
    rows = [row for row in made["workloads"] if row["kind"] == "length"]
    assert [text.get_text() for text in above.texts]
    assert above.get_xscale() == above.get_yscale() == "log"
    drawn = list(lines(above).values())
    assert len(drawn) == 1 + len(PEERS)
    for line, name in zip(drawn, ["foveate", *PEERS], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [16, 64, 256, 1024])
        np.testing.assert_array_equal(line.get_ydata(), [row["seconds"][name]["min"] for row in rows])
    for line, n in zip(lines(below).values(), range(3), strict=True):
        np.testing.assert_allclose(line.get_ydata(), 1.2 + 0.01 * n)


def test_lengths_without_a_peer():
    made = record()
    for row in made["workloads"]:
        row["seconds"] = {"foveate": row["seconds"]["foveate"]}
    (ax,) = plot.lengths(made).axes
    assert [text.get_text() for text in ax.texts] == ["foveate"]


def test_lengths_need_lengths():
    grid = [row for row in record()["workloads"] if row["kind"] == "grid"]
    with pytest.raises(ValueError, match="0 workloads of the kind 'length'"):
        plot.lengths(record(workloads=grid))


def test_history_is_in_the_order_of_commits_and_relative_to_the_limit():
    new, old = record("b" * 40, "2026-02-01T00:00:00+00:00", 1.5), record()
    far, near = plot.history([new, old]).axes
    assert [tick.get_text() for tick in near.get_xticklabels()] == [
        "aaaaaaa\n2026-01-01",
        "bbbbbbb\n2026-02-01",
    ]
    (tiny,) = lines(far).values()
    np.testing.assert_allclose(tiny.get_ydata(), [1e4, 1e4 / 1.5])
    assert [line.get_ydata()[0] for line in lines(near).values()] == pytest.approx([2, 1 / 0.51, 1 / 0.3])


def test_history_takes_the_best_of_a_revision_and_tells_machines_apart():
    other = {"name": "other", "cpu": "Other CPU", "cpus": 8}
    slow, fast = record(faster=0.5), record()
    far, near = plot.history([slow, fast, record(machine=other, faster=1.2)]).axes
    by_style = {line.get_linestyle(): line.get_ydata()[0] for line in far.lines if len(line.get_xdata()) == 1}
    assert by_style == pytest.approx({"-": 1e4, "--": 1e4 / 1.2})
    below = near.figure.get_supxlabel()
    assert below == "solid: Made-up CPU, 1 thread, avx2, float32\ndashed: Other CPU, 1 thread, avx2, float32"


def test_history_of_many_revisions_shows_some_of_their_names():
    many = [record(f"{n:040x}"[::-1], f"2026-01-{n + 1:02}T00:00:00+00:00") for n in range(30)]
    near = plot.history(many).axes[-1]
    shown = [tick.get_text() for tick in near.get_xticklabels()]
    assert len(shown) <= 16
    assert many[-1]["revision"]["commit"][:7] in shown


def test_history_marks_changed_files_and_no_revision():
    dirty = record(revision=record()["revision"] | {"dirty": True})
    near = plot.history([record(revision=None), dirty]).axes[-1]
    assert [tick.get_text() for tick in near.get_xticklabels()] == [
        "aaaaaaa+\n2026-01-01",
        "version 0.1.0\n2026-01-02",
    ]


def test_history_needs_a_record():
    with pytest.raises(ValueError, match="got 0 "):
        plot.history([])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], []),
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.1, 0.1, 0.1], [0.0, 0.1, 0.2]),
        ([0.0, 0.05, 0.12], [-0.043333333333, 0.056666666667, 0.156666666667]),
    ],
)
def test_labels_move_apart_and_no_further(wanted, expected):
    assert apart(wanted, 0.1) == pytest.approx(expected)
