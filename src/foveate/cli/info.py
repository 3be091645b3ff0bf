"""``foveate info``: what this build holds and what it chose on this machine."""

from __future__ import annotations

from typing import Any

import click

import foveate

from .console import add_row, console, json_option, print_json, table


@click.command("info")
@json_option
def command(as_json: bool) -> None:
    """Show version, instruction sets, threads and why they were chosen."""
    facts = foveate.info()
    if as_json:
        print_json(facts)
        return
    shown = table(f"foveate {facts['version']}", ["", "this machine"], left=2)
    for name, text in rows(facts):
        add_row(shown, name, text)
    console().print(shown)


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
