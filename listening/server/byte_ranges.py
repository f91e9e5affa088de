"""Range requests for one range of bytes (RFC 9110, clause 14)."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.ASCII)


class Unsatisfiable(Exception):
    """The range lies outside of the file, or several ranges are asked for: status 416."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last that a header ``Range`` asks for.

    Parameters
    ----------
    header
        Value of the header; None if there is none.
    size
        Bytes of the whole file.

    Returns
    -------
    (start, end) with ``0 <= start < end <= size``, or None for the whole file: without the header, and where it
    is not valid or of another unit, which a server ignores (clause 14.2).

    Raises
    ------
    Unsatisfiable
        If no byte of the file is in the range; several ranges are refused (clause 14.2 allows it).

    Examples
    --------
    >>> byte_range("bytes=2-5", 10), byte_range("bytes=-3", 10), byte_range("bytes=8-99", 10)
    ((2, 6), (7, 10), (8, 10))
    """
    if header is None or not header.startswith("bytes="):
        return None
    if "," in header:
        raise Unsatisfiable
    found = _RANGE.fullmatch(header)
    if not found or len(header) > 60 or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise Unsatisfiable
    return start, end
