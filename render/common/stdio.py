"""The file name ``-``: standard input and output, by way of a temporary file where a file is read twice."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from render.common.errors import InputError
from render.common.files import errors_name, reads, whole_file


def standard_input() -> BinaryIO:
    """Bytes of standard input as they arrive; `InputError` if it is closed."""
    if sys.stdin is None:
        raise InputError("standard input is closed; pipe a file into it, or name the file instead of -")
    return sys.stdin.buffer


def standard_output() -> BinaryIO:
    """Standard output for bytes; `InputError` if it is closed."""
    if sys.stdout is None:
        raise InputError("standard output is closed; redirect it to a file, or name the file instead of -")
    return sys.stdout.buffer


@contextmanager
def input_path(path: Path) -> Iterator[Path]:
    """Yield the path of the input; for ``-`` that of a temporary copy of standard input."""
    if str(path) != "-":
        reads(path)
        with errors_name(path):
            yield path
        return
    stdin = standard_input()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin"
        with errors_name(f"standard input, copied to {copy}"), open(copy, "wb") as file:
            shutil.copyfileobj(stdin, file)
        try:
            yield copy
        except InputError as error:  # which names a file that nobody knows
            raise type(error)(str(error).replace(str(copy), "standard input")) from None


@contextmanager
def output_path(path: Path, suffix: str, force: bool) -> Iterator[Path]:
    """Yield a path to write to; the finished file becomes `path` or goes to standard output."""
    if str(path) != "-":
        with whole_file(path, force=force) as temporary:
            yield temporary
        return
    stdout = standard_output()
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / f"stdout{suffix}"
        with errors_name(temporary):
            yield temporary
        with errors_name("standard output"), open(temporary, "rb") as file:
            shutil.copyfileobj(file, stdout)
            stdout.flush()
