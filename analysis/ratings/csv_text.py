"""Spreadsheet text, in and out: decoding, delimiters, line numbers and formula injection."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from render.common.errors import InputError
from render.common.files import whole_file

FIELD_LIMIT = 65536
"""Longest cell that is read, in characters; a rating sheet's longest is a comment."""

csv.field_size_limit(FIELD_LIMIT)

# A spreadsheet runs a cell that begins with one of these (OWASP, CSV injection; the full-width forms too).
# Quotes before it are counted in, so that neutralising and restoring are each other's inverse for every text.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def neutralise(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would take for a formula."""
    return "'" + cell if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """Take away the apostrophe that `neutralise` put there; the inverse of `neutralise` for every text."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without byte order mark, or say at which line it is something else."""
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder; name the rating files in it") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: is UTF-16 text; save it as 'CSV UTF-8'")
    if (nul := data.find(b"\0")) >= 0:
        raise InputError(
            f"{path}:{_line(data, nul)}: NUL byte (byte {nul}); this is no text file, or a damaged one"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{_line(data, error.start)}: not UTF-8 text (byte {error.start}); save it as 'CSV UTF-8'"
        ) from error


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every row that is not blank; cells are stripped and restored.

    The delimiter is the one of comma, semicolon and tab that makes the most cells of the first row.

    Raises
    ------
    InputError
        With file and line: a quote that never closes, a cell longer than `FIELD_LIMIT`.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
    cells: dict[str, str] = {}
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: not a readable CSV row ({error})") from error
        if any(row):
            yield reader.line_num, [cells.get(c) or cells.setdefault(c, restore(c.strip(" "))) for c in row]


def delimiter_of(text: str) -> str:
    """Comma, semicolon or tab: whichever splits the first row that is not blank into the most cells."""
    head = io.StringIO(text[:FIELD_LIMIT], newline=None)
    first = next((line for line in head if line.strip()), "")
    return max(",;\t", key=lambda d: len(next(csv.reader([first], delimiter=d), [])))


def write_rows(path: Path, header: Sequence[str], body: Iterable[Sequence], force: bool = False) -> None:
    """Write a CSV file atomically (UTF-8, comma, LF), every text neutralised, numbers as they are, NaN empty."""

    def plain(cell: object) -> object:
        if isinstance(cell, str):
            return neutralise(cell)
        return None if cell != cell else cell

    with (
        whole_file(path, force=force) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([neutralise(cell) for cell in header])
        writer.writerows([plain(cell) for cell in row] for row in body)
