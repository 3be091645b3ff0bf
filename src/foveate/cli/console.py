"""Tables, JSON and progress bars, alike in every command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")


def console(stderr: bool = False) -> Console:
    """A console that follows NO_COLOR and plain pipes, and takes brackets in texts for what they are."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=True))


def table(title: str, columns: Sequence[str], *, left: int = 1) -> Table:
    """An empty table whose first ``left`` columns are text and whose others are numbers."""
    result = Table(title=Text(title, style="bold"), title_justify="left", header_style="bold")
    for i, name in enumerate(columns):
        is_text = i < left
        result.add_column(
            Text(name), justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text
        )
    return result


def add_row(to: Table, *cells: object) -> None:
    """Append a row; texts of the user are shown as they are, without markup."""
    to.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells))


def progress() -> Progress:
    """A progress bar on stderr, gone when done, and silent where stderr is no terminal."""
    where = console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=where,
        transient=True,
        disable=not where.is_terminal,
    )


def seconds(value: float) -> str:
    """A duration in the unit that reads best.

    >>> seconds(0.00123), seconds(0.0000012), seconds(12.0)
    ('1.23 ms', '1.20 us', '12.0 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value / size >= 100 else f"{value / size:#.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
