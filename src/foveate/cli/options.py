"""Option values that are more than a word: windows, and small arrays given in place or as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from .npy import Array, open_input


def window(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[int | None, int | None] | None:
    """L,R with 'none' for an open side."""
    if value is None:
        return None
    try:
        left, right = (None if part.strip() == "none" else int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"got {value!r}, expected L,R, for example 128,0 or 128,none") from None
    return left, right


def small_array(
    number: type[int] | type[float],
) -> Callable[[click.Context, click.Parameter, str | None], Array | None]:
    """Callback for numbers separated by commas, or the path of a .npy file; one number is 0-d."""

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> Array | None:
        if value is None:
            return None
        try:
            numbers = [number(part) for part in value.split(",")]
            dtype = np.int64 if number is int else np.float64
            return np.array(numbers if len(numbers) > 1 else numbers[0], dtype)
        except OverflowError:
            raise click.BadParameter(f"got {value!r}, expected integers of at most 63 bits") from None
        except ValueError:
            pass
        if not value.endswith(".npy") and not Path(value).exists():
            raise click.BadParameter(f"got {value!r}, expected numbers separated by commas or a .npy file")
        return np.array(open_input(Path(value), param.name or "array"))

    return convert


numbers = small_array(float)
integers = small_array(int)
