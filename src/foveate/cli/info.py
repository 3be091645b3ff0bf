"""``foveate info``: what this build holds and what it chose on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import foveate

from .console import add_row, console, json_option, print_json, table

if TYPE_CHECKING:
    from foveate.limits import Limits


@click.command("info")
@click.option("--limits", is_flag=True, help="Measure what this machine can do at most.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.0, min_open=True),
    help="With --limits: time for measuring  [default: 2]",
)
@json_option
def command(limits: bool, seconds: float | None, as_json: bool) -> None:
    """Show version, instruction sets, threads and why they were chosen."""
    if seconds is not None and not limits:
        raise click.UsageError("--seconds: expected together with --limits")
    facts = foveate.info()
    found = _measure(2.0 if seconds is None else seconds) if limits else None
    if as_json:
        print_json(facts if found is None else facts | {"limits": found.to_dict()})
        return
    shown = table(f"foveate {facts['version']}", ["", "this machine"], left=2)
    for name, text in rows(facts):
        add_row(shown, name, text)
    console().print(shown)
    if found is not None:
        from .info_limits import show

        show(found)


def _measure(seconds: float) -> Limits:
    from foveate.limits import measure  # loads ctypes, which no other command needs

    return measure(seconds)


def rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of every line."""
    isa, threads = facts["isa"], facts["threads"]
    forced_by = isa["forced_by"]
    return [
        ("compiler", str(facts["compiler"])),
        ("numpy", str(facts["numpy"])),
        ("ISAs compiled", ", ".join(isa["compiled"])),
        ("ISAs of this machine", ", ".join(isa["available"])),
        (
            "ISA chosen",
            f"{isa['chosen']} ({f'forced by {forced_by}' if forced_by else 'automatic: the best one'})",
        ),
        ("CPU features", _words(facts["cpu_features"])),
        ("AMX", str(facts["amx"])),
        ("threads", f"{threads['default']} of {threads['available']} ({threads['reason']})"),
        ("threading layer", str(threads["layer"])),
    ]


def _words(features: Any) -> str:
    return features if isinstance(features, str) else " ".join(map(str, features))
