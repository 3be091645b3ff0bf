"""Arrays in .npy files: inputs are mapped, outputs appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def open_input(path: Path, name: str) -> Array:
    """The array of a .npy file, mapped read-only; a click error names the argument and what is wrong."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise click.ClickException(f"{name}: cannot open {path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged header can raise anything, from SyntaxError to OverflowError
        raise click.ClickException(f"{name}: {path} is not a readable .npy file: {error}") from None
    if array.dtype.kind == "V":
        raise click.ClickException(
            f"{name}: {path} has dtype {array.dtype}; .npy cannot tell bfloat16, store float16 or float32"
        )
    return array


class NpyWriter:
    """Writes a .npy file through a temporary file beside it, which replaces the target on success.

    Use as a context manager; ``array`` is the mapped result. On an exception the temporary file goes.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path = path
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        self._temporary = Path(name)
        try:
            self.array: Array = np.lib.format.open_memmap(name, mode="w+", dtype=dtype, shape=shape)
            with open(name, "r+b") as file:
                # reserve the blocks now: a full disk is an error here and a SIGBUS in a mapped page
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(name))
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # mkstemp makes files private
        except BaseException:
            self._temporary.unlink(missing_ok=True)
            raise

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._temporary.unlink(missing_ok=True)
            return
        try:
            self._commit()
        except BaseException:
            self._temporary.unlink(missing_ok=True)
            raise

    def _commit(self) -> None:
        flush = getattr(self.array, "flush", None)
        if flush is not None:
            flush()
        with open(self._temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(self._temporary, self.path)
        with suppress(OSError):  # not every file system lets a directory be synced
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def create_output(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NpyWriter:
    """An `NpyWriter`; a click error names the option where the file cannot be made."""
    try:
        return NpyWriter(path, shape, dtype)
    except OSError as error:
        raise click.ClickException(f"{name}: cannot write {path}: {error.strerror or error}") from None


def check_output(path: Path, name: str, force: bool) -> None:
    """Refuse what could not be written at the end, before any work is done."""
    if not path.parent.is_dir():
        raise click.ClickException(f"{name}: directory {path.parent} does not exist")
    if path.is_dir():
        raise click.ClickException(f"{name}: {path} is a directory")
    if path.exists() and not force:
        raise click.ClickException(f"{name}: {path} exists; --force overwrites it")
