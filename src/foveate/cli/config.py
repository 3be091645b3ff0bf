"""``foveate config``: listed here for the help text; `_embedding.main` does it, with or without click."""

from __future__ import annotations

import click

from foveate import _embedding


@click.command(
    "config",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def command(ctx: click.Context) -> int:
    """Print compiler and linker options for embedding foveate."""
    return _embedding.main(ctx.args)
