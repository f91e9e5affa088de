"""Names that come back unchanged from spreadsheets, JSON and statistics programs, and what becomes of others.

A spreadsheet opens the name 06820837 as a number and saves 6820837. A program that casts 4e073329 gets ``inf``.
Such programs also take words for truth values, and MAR1 for a date (Ziemann, Eren and El-Osta, Gene name errors
are widespread in the scientific literature, Genome Biology 17:177, 2016). A name is portable if none of them takes
it for anything but text.
"""

from __future__ import annotations

import math
import re

_WORDS = {
    "inf",
    "infinity",
    "nan",
    "na",
    "null",
    "nil",
    "none",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
}
"""What YAML, JSON and statistics programs take for a number, nothing or a truth value, whatever the case."""

_MONTH = (
    r"(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?"
    r"|dec(ember)?)"
)
_DATE = re.compile(rf"{_MONTH}[-_ ]?\d.*|\d{{1,4}}[-_ ]?{_MONTH}([-_ ]?\d+)?|\d{{1,4}}-\d{{1,2}}(-\d{{1,4}})?")


def is_portable(name: str) -> bool:
    """Whether a name begins with a letter A-Z and no program takes it for anything but text.

    Examples
    --------
    >>> [is_portable(name) for name in ("e4073329", "4e073329", "inf", "Beach", "dec01ab2")]
    [True, False, False, True, False]
    """
    return re.match("[A-Za-z]", name) is not None and not may_change(name)


def may_change(name: str) -> bool:
    """Whether a program may take a name for a number, a date or a truth value.

    Examples
    --------
    >>> [may_change(name) for name in ("06820837", "3fa286c9", "3dec2012", "1-2", "NaN")]
    [True, False, True, True, True]
    """
    plain = name.lower()
    return plain in _WORDS or _DATE.fullmatch(plain) is not None or not isinstance(as_read(name), str)


def as_read(name: str) -> float | bool | str:
    """Number or truth value for which a program may take a name; the name itself if for neither.

    Examples
    --------
    >>> as_read("06820837") == as_read("6820837"), as_read("4e073329") == as_read("inf")
    (True, True)
    >>> as_read("12e00034") == as_read("1,2E+35"), as_read("true") == as_read("TRUE"), as_read("e4073329")
    (True, True, 'e4073329')
    """
    plain = name.lower()
    if plain in ("true", "false"):
        return plain == "true"
    try:
        value = float(plain.replace(",", ".", 1))  # some spreadsheets write decimal commas
    except ValueError:
        return name
    return name if math.isnan(value) else value
