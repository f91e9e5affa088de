"""Text of spreadsheets, in and out: encodings, delimiters, line numbers and formula injection."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from render.common.errors import InputError
from render.common.files import whole_file

FIELD_LIMIT = 65536
"""Longest cell that is accepted, in characters; the longest in practice is a listener's comment."""

csv.field_size_limit(FIELD_LIMIT)

Row = tuple[int, list[str]]
"""Line number (from 1, of the row's last line) and cells of one row."""

# A spreadsheet evaluates a cell that begins with one of these (OWASP, CSV Injection; the full-width forms too).
# Leading apostrophes are part of the pattern, so that `neutralise` and `restore` are inverses for every text.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def neutralise(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would evaluate as a formula."""
    return "'" + cell if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """Remove the apostrophe that `neutralise` added; its inverse for every text."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Raises
    ------
    InputError
        If the file does not exist or is a folder; with the line, if it is UTF-16, binary or in another encoding.
    """
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder; name the files in it") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: is UTF-16 text; save it as 'CSV UTF-8'")
    if (nul := data.find(b"\0")) >= 0:
        raise InputError(
            f"{path}:{_line(data, nul)}: NUL byte (byte {nul}); the file is damaged, or it is not a text file"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{_line(data, error.start)}: not UTF-8 text (byte {error.start}); save it as 'CSV UTF-8'"
        ) from error


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


@dataclass(frozen=True)
class CsvTable:
    """A CSV file of which the header has been read.

    Attributes
    ----------
    path
        The file, for error messages.
    line
        Line number of the header.
    header
        Cells of the header; empty if the file is.
    reader
        Reader of the remaining rows, which can be iterated once (a ``csv.reader``).
    decimal_comma
        Whether 87,5 is a number.
    """

    path: Path
    line: int
    header: list[str]
    reader: Any
    decimal_comma: bool

    def rows(self, ragged: bool = False) -> Iterator[Row]:
        """Yield the remaining rows that are not blank, stripped of spaces and of neutralising apostrophes.

        Raises
        ------
        InputError
            With file and line: a quote is never closed, a cell is longer than `FIELD_LIMIT`, or, if not `ragged`,
            a row does not have as many cells as the header.
        """
        cleaned: dict[str, str] = {}  # most cells of a rating file repeat
        while True:
            try:
                row = next(self.reader, None)
            except csv.Error as error:
                line = self.reader.line_num
                raise InputError(f"{self.path}:{line}: not a readable CSV row ({error})") from error
            if row is None:
                return
            if not any(row):
                continue
            line = self.reader.line_num
            if not ragged and len(row) != len(self.header):
                raise InputError(f"{self.path}:{line}: has {len(row)} cells, the header has {len(self.header)}")
            for cell in row:
                if cell not in cleaned:
                    text = restore(cell.strip(" "))
                    is_number = self.decimal_comma and text.replace(",", "", 1).isdecimal()
                    cleaned[cell] = text.replace(",", ".") if is_number else text
            yield line, [cleaned[cell] for cell in row]


def read_table(path: Path, text: str, decimal_comma: bool = False) -> CsvTable:
    """Read the header of a CSV text.

    Parameters
    ----------
    path
        Where the text comes from, for error messages.
    text
        Text as `read_text` returns it. The delimiter is the comma, semicolon or tab that splits the first row
        into the most cells.
    decimal_comma
        Turn 87,5 into 87.5 if the delimiter is not the comma, as European spreadsheets write it.

    Raises
    ------
    InputError
        With file and line, as `CsvTable.rows`.
    """
    start = io.StringIO(text[:FIELD_LIMIT], newline=None)
    first = next((line for line in start if line.strip()), "")
    delimiter = max(",;\t", key=lambda d: len(next(csv.reader([first], delimiter=d), [])))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table = CsvTable(path, 1, [], reader, decimal_comma and delimiter != ",")
    line, header = next(table.rows(ragged=True), (1, []))
    return replace(table, line=line, header=header)


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence], force: bool = False) -> None:
    """Write a CSV file atomically (UTF-8, comma, LF).

    Texts are neutralised (`neutralise`), numbers are written as they are and NaN as an empty cell.

    Raises
    ------
    InputError
        If a file with other content exists and `force` is not set.
    """

    def written(cell: object) -> object:
        if isinstance(cell, str):
            return neutralise(cell)
        return None if cell != cell else cell

    with (
        whole_file(path, force=force) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([neutralise(cell) for cell in header])
        writer.writerows([written(cell) for cell in row] for row in rows)
