"""``foveate demo``: attention on real text, next to what the project's first article printed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import foveate

from .console import add_row, console, json_option, print_json, seconds, table
from .demo_picture import picture
from .demo_rows import N_KEYS, choose
from .text_features import features, sentences
from .timing import blas_threads, interleaved, numpy_attention, summary

SCALE = 12.0  # cosines of related sentences are 0.3 to 0.9: softmax is then neither flat nor one-hot
MAX_SENTENCES = 2000
N_SHOWN = 5
ARTICLE_WEIGHTS, ARTICLE_OUTPUT = (0.95, 0.86, 0.75), (6.92, 11.48)


@click.command("demo")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--png", type=click.Path(path_type=Path), help="The heat map  [default: foveate-demo.png]")
@click.option("--sentences", "n_sentences", type=click.IntRange(min=4), help="Use the first N.")
@click.option("--force", is_flag=True, help="Overwrite the picture if it exists.")
@json_option
def command(file: Path | None, png: Path | None, n_sentences: int | None, force: bool, as_json: bool) -> None:
    """Let the sentences of FILE (UTF-8), or of Alice in Wonderland, attend to each other."""
    if png is not None and png.exists() and not force:
        raise click.ClickException(f"--png: {png} exists; --force overwrites it")
    name, text = _read(file)
    found = sentences(text)[: n_sentences or MAX_SENTENCES]
    if len(found) < 4:
        raise click.ClickException(f"{name}: {len(found)} sentences of four words or more, not at least 4")

    example = worked_example()
    result = attend_sentences(found)
    timed = against_numpy(result["features"])
    if as_json:
        shown = [_as_dict(found, result, i) for i in result["shown"]]
        print_json(
            {
                "text": name,
                "sentences": len(found),
                "article": example,
                "attention": shown,
                "timing": timed,
            }
        )
        return
    out = console()
    _print_example(out, example)
    _print_sentences(out, name, found, result)
    _print_timing(out, timed, len(found))
    out.print(picture(found, result, png, force, title=f"{name}: which sentence attends to which", out=out))


def worked_example() -> dict[str, Any]:
    """The article's section 4.3: features of f(x) = 2x + 1, scored by dot product against the query 1."""
    items = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    item_features = 2 * items[:, :1] + 1
    query = np.ones((1, 1))
    result: Any = foveate.attention(
        query, item_features, items, score="dot", activation="sigmoid", return_weights=True
    )
    return {
        "features": item_features[:, 0].tolist(),
        "weights": result.weights[0].tolist(),
        "output": result.output[0].tolist(),
        "article_weights": list(ARTICLE_WEIGHTS),
        "article_output": list(ARTICLE_OUTPUT),
    }


def attend_sentences(found: list[str]) -> dict[str, Any]:
    """Weights of every sentence over all others, under softmax and under sigmoid, and which ones to show."""
    vectors = features(found)
    others = ~np.eye(len(found), dtype=bool)
    softmax: Any = foveate.attention(
        vectors, vectors, vectors, score="dot", scale=SCALE, mask=others, return_weights=True
    )
    # sigmoid weights do not compete; -log(n) makes a sentence attend to about one other, as softmax does
    bias = np.full((1, 1), -np.log(len(found)), np.float32)
    sigmoid: Any = foveate.attention(
        vectors, vectors, vectors, score="dot", activation="sigmoid", scale=SCALE, mask=others, bias=bias,
        return_weights=True,
    )  # fmt: skip
    return {
        "features": vectors,
        "softmax": softmax.weights,
        "sigmoid": sigmoid.weights,
        "shown": choose(found, softmax.weights, N_SHOWN),
    }


def against_numpy(vectors: NDArray[np.float32]) -> dict[str, Any]:
    """The same attention by foveate and by naive NumPy, timed in turns, and how far they are apart."""
    n_threads = foveate.get_num_threads()
    mode = foveate.Mode(score="dot", scale=SCALE)
    with blas_threads(n_threads) as numpy_threads:
        calls: dict[str, Callable[[], Any]] = {
            "foveate": lambda: mode(vectors, vectors, vectors),
            "numpy": lambda: numpy_attention(vectors, vectors, vectors, scale=SCALE),
        }
        difference = float(np.abs(calls["foveate"]() - calls["numpy"]()).max())
        times = interleaved(calls, budget=0.5, min_repeats=7)
    return {
        "threads": n_threads,
        "numpy_threads": numpy_threads,
        "max_abs_difference": difference,
        **{name: summary(samples) for name, samples in times.items()},
    }


def _read(file: Path | None) -> tuple[str, str]:
    if file is None:
        book = resources.files("foveate") / "data" / "alice.txt"
        return "Alice's Adventures in Wonderland", book.read_text("utf-8")
    try:
        return file.name, file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise click.ClickException(f"cannot open {file}: {error.strerror or error}") from None


def _as_dict(found: list[str], result: dict[str, Any], i: int) -> dict[str, Any]:
    def strongest(weights: NDArray[Any]) -> list[dict[str, Any]]:
        best = np.argsort(-weights[i], kind="stable")[: min(N_KEYS, len(found) - 1)]
        return [{"sentence": found[j], "index": int(j), "weight": float(weights[i, j])} for j in best]

    return {
        "sentence": found[i],
        "index": i,
        **{activation: strongest(result[activation]) for activation in ("softmax", "sigmoid")},
    }


def _print_example(out: Any, example: dict[str, Any]) -> None:
    title = "The article's worked example: f(x) = 2x + 1, dot, sigmoid, weighted sum"
    shown = table(title, ["", "foveate", "article"])
    for i, (x, w, printed) in enumerate(
        zip(example["features"], example["weights"], example["article_weights"], strict=True), 1
    ):
        add_row(shown, f"weight of item {i} (feature {x:g})", f"{w:.6f}", f"{printed:.2f}")
    for i, (o, printed) in enumerate(zip(example["output"], example["article_output"], strict=True), 1):
        add_row(shown, f"output, component {i}", f"{o:.6f}", f"{printed:.2f}")
    out.print(shown)
    out.print(
        "The article's weights are not the sigmoids of its features, and its output is not their sum.\n"
    )


def _print_sentences(out: Any, name: str, found: list[str], result: dict[str, Any]) -> None:
    title = f"{name}: {len(found)} sentences, each attending to all others"
    shown = table(title, ["sentence", "attends to", "softmax", "sigmoid"], left=2)
    shown.show_lines = False
    for i in result["shown"]:
        for k, other in enumerate(_as_dict(found, result, i)["softmax"]):
            add_row(
                shown,
                _shorten(found[i], 90) if k == 0 else "",
                _shorten(other["sentence"], 90),
                f"{other['weight']:.3f}",
                f"{result['sigmoid'][i, other['index']]:.3f}",
            )
        shown.add_section()
    out.print(shown)
    out.print(
        f"Features: hashed character n-grams. Logits: {SCALE:g} times the cosine; softmax weights of a row "
        "sum to 1, sigmoid weights (bias -log n) stand alone.\n"
    )


def _print_timing(out: Any, timed: dict[str, Any], n: int) -> None:
    title = f"The same softmax attention, {n} x {n} sentences, in turns"
    shown = table(title, ["", "min", "median"])
    for name in ("foveate", "numpy"):
        add_row(shown, name, seconds(timed[name]["min"]), seconds(timed[name]["median"]))
    out.print(shown)
    # a sentence, not a column: it can be longer than a terminal is wide, and would squeeze the times out
    threads = f"{timed['threads']} thread{'s' if timed['threads'] != 1 else ''}"
    out.print(f"foveate ran on {threads}, NumPy on {timed['numpy_threads']}.")
    ratio = timed["numpy"]["median"] / timed["foveate"]["median"]
    out.print(f"NumPy's median time is {ratio:.2f} times foveate's; largest difference ", end="")
    out.print(f"{timed['max_abs_difference']:.1e}.\n")


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."
