"""Text of spreadsheets, in and out: encodings, delimiters, line numbers and formula injection."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
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


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""A decimal number in ASCII; float() also takes 1_0, nan and the digits of other scripts."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d{1,3})?", re.ASCII)

# The first line by which Excel is told the delimiter; saving the file again may quote the line or lengthen it
_SEP_LINE = re.compile(r'\s*("?)sep=(\t|[^\w\s"])\1[,;\t ]*(?=[\r\n]|$)', re.IGNORECASE)

_SAMPLED_ROWS = 20
"""Number of rows by which the delimiter is found."""


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


class _Cleaned(dict[str, str]):
    """Cell of a file -> its text; most cells of a rating file repeat."""

    def __missing__(self, cell: str) -> str:
        text = self[cell] = restore(cell.strip(" "))
        return text


@dataclass(frozen=True)
class CsvTable:
    r"""A CSV file of which the header has been read.

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
    delimiter
        What separates cells.
    php_lines
        Lines with a quote that PHP's fputcsv wrote as the two characters \".
    columns
        Cells of a row that stand under `header`; None if it is all of them.
    """

    path: Path
    line: int
    header: list[str]
    reader: Any
    delimiter: str
    php_lines: frozenset[int]
    columns: tuple[int, ...] | None = None

    def rows(self, ragged: bool = False) -> Iterator[Row]:
        """Yield the remaining rows that are not blank, stripped of spaces and of neutralising apostrophes.

        Raises
        ------
        InputError
            With file and line: a quote is never closed, a cell is longer than `FIELD_LIMIT`, the header comes
            again, or, if not `ragged`, a row does not have as many cells as the header.
        """
        cleaned, names = _Cleaned(), {name.lower() for name in self.header}
        width, columns = len(self.header), self.columns
        line = self.reader.line_num
        while True:
            before = line
            try:
                row = next(self.reader, None)
            except csv.Error as error:
                line = self.reader.line_num
                raise self._unreadable(line, f"not a readable CSV row ({error})", before) from error
            if row is None:
                return
            line = self.reader.line_num
            if not any(row):
                continue
            if columns is not None:
                row = self._under_the_header(row, columns, before)
            elif len(row) != width and width and (not ragged or self._php_quotes(before, line)):
                if len(row) < width or any(cell.strip() for cell in row[width:]):
                    raise self._unreadable(line, f"has {len(row)} cells, the header has {width}", before, row)
                row = row[:width]
            cells = [cleaned[cell] for cell in row]
            if cells[0].lower() in names and any(cells) and names.issuperset(cell.lower() for cell in cells):
                raise InputError(f"{self.path}:{line}: is a header again; if two files were joined here, "
                                 "give them one by one")  # fmt: skip
            yield line, cells

    def named(self) -> CsvTable:
        """Leave out columns without a heading, which spreadsheets leave behind; they must be empty in every row.

        Raises
        ------
        InputError
            If two columns have one heading, or, while rows are read, a cell without a heading holds text.
        """
        names = Counter(name.lower() for name in self.header if name)
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise InputError(
                f"{self.path}:{self.line}: a column is named twice: {', '.join(twice)}; rename one of them"
            )
        if len(names) == len(self.header):
            return self
        columns = tuple(i for i, name in enumerate(self.header) if name)
        return replace(self, header=[self.header[i] for i in columns], columns=columns)

    def number(self, cell: str) -> str:
        """Return a number with a decimal point: European spreadsheets write 87,5 and separate cells otherwise."""
        if self.delimiter != "," and _DECIMAL_COMMA.fullmatch(cell):
            return cell.replace(",", ".")
        return cell

    def _under_the_header(self, row: list[str], columns: tuple[int, ...], before: int) -> list[str]:
        line = self.reader.line_num
        if len(row) <= columns[-1]:
            what = f"has {len(row)} cells, the header has {len(self.header)}"
            raise self._unreadable(line, what, before, row)
        headed = set(columns)
        for i, cell in enumerate(row):
            if cell.strip() and i not in headed:
                what = f"cell {i + 1} ('{cell[:40]}') has no heading; give its column one, or empty the cell"
                raise self._unreadable(line, what, before, row)
        return [row[i] for i in columns]

    def _php_quotes(self, before: int, line: int) -> bool:
        return any(n in self.php_lines for n in range(before + 1, line + 1))

    def _unreadable(self, line: int, what: str, before: int, row: Sequence[str] = ()) -> InputError:
        if self._php_quotes(before, line):
            what += r'; PHP writes \" where CSV has "": replace \" by "" inside the quoted cell'
        elif len(row) > len(self.header) and self.delimiter == "," and re.search(r"[0-9],[0-9]", ",".join(row)):
            what += "; if 87,5 is one number here, write 87.5, or separate the cells by semicolons"
        return InputError(f"{self.path}:{line}: {what}")


def read_table(path: Path, text: str) -> CsvTable:
    """Read the header of a CSV text.

    Parameters
    ----------
    path
        Where the text comes from, for error messages.
    text
        Text as `read_text` returns it. The delimiter is the one that a first line ``sep=;`` names, else the
        semicolon, tab or comma by which most rows have as many cells as the header, and of these the one that
        makes the most cells.

    Raises
    ------
    InputError
        With file and line, as `CsvTable.rows`.
    """
    told = _SEP_LINE.match(text)
    delimiter = told[2] if told else _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    if told:
        next(row for row in reader if any(row))  # counted as a line, but no row of the table
    lines = enumerate(io.StringIO(text, newline=""), start=1) if '\\"' in text else ()
    php_lines = frozenset(line for line, content in lines if '\\"' in content)
    table = CsvTable(path, 1, [], reader, delimiter, php_lines)
    line, header = next(table.rows(ragged=True), (1, []))
    return replace(table, line=line, header=header)


def _delimiter(text: str) -> str:
    sample = text[:FIELD_LIMIT]
    if len(text) > FIELD_LIMIT:
        sample = sample[: sample.rfind("\n") + 1] or sample

    def fit(delimiter: str) -> tuple[int, int]:
        rows = filter(any, csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter))
        counts = [len(row) for row in islice(rows, _SAMPLED_ROWS)]
        return (counts.count(counts[0]), counts[0]) if counts and counts[0] > 1 else (0, 0)

    return max(";\t,", key=fit)


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
