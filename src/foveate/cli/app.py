"""The group of commands, and the one place where an exception becomes a line on stderr and an exit code."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from foveate import __version__

COMMANDS = ("info", "attend", "demo", "selftest", "bench", "config")


class App(click.Group):
    """Imports a command when it is asked for, and reports every error of the user in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, or None."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"foveate.cli.{name}").command
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run and exit; what click would print as three lines of usage is one line here."""
        kwargs["standalone_mode"] = False
        try:
            status = super().main(*args, **kwargs)
        except (click.Abort, KeyboardInterrupt):  # before RuntimeError, of which Abort is one
            _fail("foveate", "interrupted", 130)
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            _fail(context.command_path if context else "foveate", error.format_message(), 2)
        except (ValueError, TypeError, OSError, MemoryError, RuntimeError, ImportError) as error:
            _fail("foveate", str(error) or type(error).__name__, 2)
        sys.exit(status if isinstance(status, int) else 0)


def _fail(who: str, message: str, status: int) -> None:
    click.echo(f"{who}: {' '.join(message.split())}", err=True)
    sys.exit(status)


@click.group(
    cls=App,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="foveate %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Attention on CPUs: any score, activation and combine, fused, on NumPy arrays.

    Exit codes: 0 done, 1 a check failed, 2 wrong use or input.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(2)
