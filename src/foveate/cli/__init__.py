"""The command line: ``foveate info | attend | demo | selftest | bench | config``.

All but ``config`` need the extra ``cli``.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(prog_name: str | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a check failed, 2 wrong use or input.

    Parameters
    ----------
    prog_name : str, optional
        The name in messages; that of the script where left out.

    Examples
    --------
    >>> import foveate.cli
    >>> foveate.cli.main()  # doctest: +SKIP
    """
    if sys.argv[1:2] == ["config"]:  # build systems call it, where nothing but foveate may be installed
        from foveate import _embedding

        raise SystemExit(_embedding.main(sys.argv[2:]))
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        print("foveate: the command line needs click and rich: pip install 'foveate[cli]'", file=sys.stderr)
        raise SystemExit(2) from None
    for stream in (sys.stdout, sys.stderr):
        # a terminal that cannot show a letter of the user's text gets a question mark, not a traceback
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")

    from .app import app

    app(prog_name=prog_name)
