"""The file name ``-``: standard input and output, by way of a temporary file, since files are read twice."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from render.common.files import whole_file


@contextmanager
def input_path(path: Path) -> Iterator[Path]:
    """Yield the path of the input; for ``-`` that of a temporary copy of standard input."""
    if str(path) != "-":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin"
        with open(copy, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield copy


@contextmanager
def output_path(path: Path, suffix: str, force: bool) -> Iterator[Path]:
    """Yield a path to write to; the finished file becomes `path` or goes to standard output."""
    if str(path) != "-":
        with whole_file(path, force=force) as temporary:
            yield temporary
        return
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / f"stdout{suffix}"
        yield temporary
        with open(temporary, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
