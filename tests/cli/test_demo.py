"""``foveate demo`` and `foveate.plot`: right numbers, sane neighbours, pictures that are pictures."""

import json
import sys
from importlib import resources

import numpy as np
import pytest
from click.testing import CliRunner

from foveate.cli import demo, demo_picture, demo_rows
from foveate.cli.app import app
from foveate.cli.text_features import features, sentences


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*args):
    return CliRunner().invoke(app, ["demo", *map(str, args)])


def test_the_worked_example():
    example = demo.worked_example()
    assert example["features"] == [3, 5, 7]
    assert example["weights"] == pytest.approx([0.952574, 0.993307, 0.999089], abs=1e-6)
    assert example["output"] == pytest.approx([5.936455, 8.881425], abs=1e-6)


def test_demo_prints_numbers_and_writes_a_picture(here):
    pytest.importorskip("matplotlib")
    result = invoke()
    assert result.exit_code == 0, result.output
    for number in ("0.952574", "0.993307", "0.999089", "5.936455", "8.881425", "6.92", "11.48"):
        assert number in result.stdout
    assert "Heat map: foveate-demo.png" in result.stdout
    assert (here / "foveate-demo.png").read_bytes().startswith(b"\x89PNG")
    assert "foveate-demo-1.png" in invoke().stdout  # numbered, not overwritten


def test_times_fit_into_80_columns(here, monkeypatch):
    """Also without threadpoolctl, when what is said about NumPy's threads is longer than a line."""
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setenv("COLUMNS", "80")
    lines = invoke().stdout.splitlines()
    for name in ("foveate", "numpy"):
        cells = next(line.split() for line in lines if line.startswith(f"\u2502 {name} "))
        assert len(cells) == 9, cells  # four bars, the name, two figures with their units
        assert {cells[4], cells[7]} <= {"s", "ms", "us"}
    assert "NumPy on as many threads as its BLAS takes" in " ".join(lines)


def test_png_is_not_overwritten(here):
    pytest.importorskip("matplotlib")
    (here / "a.png").write_text("precious")
    result = invoke("--png", "a.png")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert (here / "a.png").read_text() == "precious"
    assert invoke("--png", "a.png", "--force").exit_code == 0
    assert (here / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_picture_of_blocks(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = invoke()
    assert result.exit_code == 0, result.output
    assert "foveate[plot]" in result.stdout
    assert "Dinah was the cat" in result.stdout
    assert not list(here.iterdir())


def test_json(here):
    found = json.loads(invoke("--json").stdout)
    assert found["sentences"] == 369
    assert found["article"]["article_output"] == [6.92, 11.48]
    assert found["timing"]["max_abs_difference"] < 1e-5
    assert len(found["attention"]) == demo.N_SHOWN
    for row in found["attention"]:
        weights = [other["weight"] for other in row["softmax"]]
        assert weights == sorted(weights, reverse=True)
        assert 0.05 < weights[0] < demo_rows.ONE_HOT  # neither flat nor one-hot
        assert row["index"] not in [other["index"] for other in row["softmax"] + row["sigmoid"]]
    assert not list(here.iterdir())


def test_weights_are_attention():
    found = sentences("The cat sat down. The cats sat down here. A dog ran very far. Dogs run far away.")
    result = demo.attend_sentences(found)
    cosines = result["features"].astype(float) @ result["features"].T.astype(float)
    logits = np.where(np.eye(4, dtype=bool), -np.inf, demo.SCALE * cosines)
    exps = np.exp(logits)
    np.testing.assert_allclose(result["softmax"], exps / exps.sum(axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(result["sigmoid"], 1 / (1 + 4 * np.exp(-logits)), atol=1e-5)
    assert result["softmax"].argmax(axis=1).tolist() == [1, 0, 3, 2]


def test_a_file_of_the_user(here):
    text = "Wer reitet so sp\u00e4t durch Nacht und Wind? Es ist der Vater mit seinem Kind. " * 2
    (here / "text.txt").write_text(
        text + "Not [bold]markup[/bold] but words $x^2$. \x1b[31mAnd no colour here.", "utf-8"
    )
    result = invoke("text.txt", "--png", "a.png")
    assert result.exit_code == 0, result.output
    assert "text.txt: 6 sentences" in result.stdout
    assert "\x1b" not in result.stdout


def test_letters_that_the_font_lacks(here):
    lines = "\u4eca\u65e5 \u306f \u3068\u3066\u3082 \u3044\u3044 \u5929\u6c17 \u3067\u3059\u3002 " * 5
    (here / "text.txt").write_text(lines, "utf-8")
    result = invoke("text.txt", "--png", "a.png")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\xfa bytes", "not UTF-8"),
        (b"", "0 sentences"),
        (b"One sentence of words.", "1 sentences"),
        (None, "cannot open"),
    ],
)
def test_a_file_that_will_not_do(here, content, words):
    if content is not None:
        (here / "text.txt").write_bytes(content)
    result = invoke("text.txt")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_a_picture_that_cannot_be_written(here):
    pytest.importorskip("matplotlib")
    result = invoke("--png", "nowhere/a.png")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_number_of_sentences(here):
    assert json.loads(invoke("--json", "--sentences", "50").stdout)["sentences"] == 50


# ----- the text and its features


def test_the_shipped_text():
    data = resources.files("foveate") / "data"
    text = (data / "alice.txt").read_text("ascii")
    assert text.startswith("Alice was beginning to get very tired of sitting by her sister\n")
    assert 150 <= len(sentences(text)) <= 400
    notice = (data / "NOTICE.txt").read_text("ascii")
    for word in ("Lewis Carroll", "1865", "public domain"):
        assert word in notice


def test_features_are_stable_and_of_length_one():
    vectors = features(["a white rabbit ran close by", "the rabbit was white", "nothing alike whatsoever"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.3 > cosines[0, 2]
    # crc32("cat") is 0x9e5e43a8, half of it mod 256 is 212; not hash(), so the same in every process
    np.testing.assert_array_equal(np.nonzero(features(["cat"]))[1], [31, 44, 76, 110, 212, 236])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three four. Five six seven eight!", ["One two three four.", "Five six seven eight!"]),
        ("He said 'go away now!' loudly to me.", ["He said 'go away now!' loudly to me."]),
        (
            "No end here at all\n\nnext paragraph has four words",
            ["No end here at all", "next paragraph has four words"],
        ),
        ("Too short. Also short.", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize("width", [8, 20, 40])
def test_starts_are_short(width):
    for sentence in ("word", "'Curiouser and curiouser!' cried Alice", "x" * 100):
        assert 0 < len(demo_picture.starts(sentence, width)) <= width


# ----- foveate.plot


@pytest.fixture
def axes():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    return figure.add_subplot()


def test_heatmap_shows_the_weights(axes):
    from foveate.plot import heatmap

    weights = np.array([[0.25, 0.75, np.nan], [1.0, 0.0, 0.0]], np.float32)
    drawn = heatmap(weights, query_labels=["a", "b"], key_labels=["x", "$y$", "z"], title="T", ax=axes)
    assert drawn is axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array().filled(-1), [[0.25, 0.75, -1], [1, 0, 0]])
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["x", "$y$", "z"]
    assert axes.get_title(loc="left") == "T"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("key", "query")
    assert len(axes.figure.axes) == 2  # with the colour bar


def test_heatmap_refuses(axes):
    from foveate.plot import heatmap

    with pytest.raises(ValueError, match=r"weights: got shape \(2, 3, 4\)"):
        heatmap(np.ones((2, 3, 4)), ax=axes)
    with pytest.raises(ValueError, match="query_labels: got 1 labels, expected 2"):
        heatmap(np.ones((2, 3)), query_labels=["a"], ax=axes)


def test_heatmap_without_matplotlib(monkeypatch):
    from foveate.plot import heatmap

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'foveate\[plot\]'"):
        heatmap(np.ones((2, 2)))
