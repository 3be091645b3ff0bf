"""The parameters of scores, activations and combines as options, each for the one stage that has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

import foveate
from foveate.stages import NEED_PARAMETERS

from .npy import open_input

FILE = click.Path(path_type=Path)


class Parameter(NamedTuple):
    """One option: the parameter ``name`` of a stage."""

    option: str
    kind: str
    stage: str
    name: str
    type: Any
    help: str


PARAMETERS = (  # of a stage that needs one, that one comes first
    Parameter("--score-v", "score", "additive", "v", FILE, "additive: weights of the sum, (Da,)."),
    Parameter("--score-w-q", "score", "additive", "w_q", FILE, "additive: projects the query, (D, Da)."),
    Parameter("--score-w-k", "score", "additive", "w_k", FILE, "additive: projects the key, (Dk, Da)."),
    Parameter("--score-w", "score", "bilinear", "w", FILE, "bilinear: its matrix, (D, Dk)."),
    Parameter("--cosine-temperature", "score", "cosine", "temperature", float, "cosine: divides it."),
    Parameter("--sigmoid-bias", "activation", "sigmoid", "bias", float, "sigmoid: added to the logits."),
    Parameter("--alpha", "activation", "entmax", "alpha", float, "entmax: above 1."),
    Parameter("--top-k", "activation", "topk", "k", int, "topk: how many keys a row keeps."),
    Parameter("--select-k", "combine", "select", "k", int, "select: how many keys a row keeps."),
    Parameter("--select-temperature", "combine", "select", "temperature", float, "select: towards 0, one."),
)
CLASSES: dict[str, Callable[..., Any]] = {
    "additive": foveate.Additive,
    "bilinear": foveate.Bilinear,
    "cosine": foveate.Cosine,
    "sigmoid": foveate.Sigmoid,
    "entmax": foveate.Entmax,
    "topk": foveate.TopK,
    "select": foveate.Select,
}


def _key(p: Parameter) -> str:
    return p.option.strip("-").replace("-", "_")


def stage_parameters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator that adds the options of `PARAMETERS`."""
    for p in reversed(PARAMETERS):
        command = click.option(p.option, p.option.strip("-").replace("-", "_"), type=p.type, help=p.help)(
            command
        )
    return command


def take_stages(options: dict[str, Any]) -> None:
    """Replace the names under "score", "activation" and "combine" by objects where parameters came along."""
    given: dict[str, dict[str, Any]] = {}
    for p in PARAMETERS:
        value = options.pop(_key(p))
        if value is None:
            continue
        if options[p.kind] != p.stage:
            raise click.ClickException(
                f"{p.option}: only with --{p.kind} {p.stage}, got --{p.kind} {options[p.kind]}"
            )
        if isinstance(value, Path):
            value = open_input(value, p.option)
        given.setdefault(p.kind, {})[p.name] = value
    for kind in ("score", "activation", "combine"):
        stage = options[kind]
        own = [p for p in PARAMETERS if p.stage == stage]
        if stage in NEED_PARAMETERS and own[0].name not in given.get(kind, {}):
            raise click.ClickException(f"--{kind} {stage}: needs {own[0].option}")
        if kind in given:
            options[kind] = CLASSES[stage](**given[kind])
