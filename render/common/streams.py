"""Standard input, output and error as every command finds them: open or closed, in any encoding, on a terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TextIO

# C0 and C1 controls without tab and line feed; line and paragraph separators; the marks of the bidirectional
# algorithm (Unicode Standard Annex 9), which let a name read as another one
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Text in which nothing moves the cursor, colours a terminal or turns the direction of writing.

    Such characters become escapes that are valid in JSON, too.

    Examples
    --------
    >>> printable("\x1b[2Jsafe.wav")
    '\\u001b[2Jsafe.wav'
    """
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class PrintableStream:
    """A text stream that writes `printable` text, and whose errors say which stream it is.

    Names of files, items and listeners come from others, and all of them are printed here.

    Parameters
    ----------
    stream : TextIO
    name : str
        As messages call it.
    """

    def __init__(self, stream: TextIO, name: str):
        self.unfiltered, self._name = stream, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.unfiltered, attribute)

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        try:
            self.unfiltered.write(printable(text))
        except OSError as error:
            raise self._named(error) from None
        return len(text)

    def flush(self) -> None:
        """Hand to the system what has been written."""
        try:
            self.unfiltered.flush()
        except OSError as error:
            raise self._named(error) from None

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, self._name)  # a BrokenPipeError stays one, by its number


def prepare_streams() -> None:
    """Make the standard streams safe to use.

    - A stream that is closed takes up its number all the same: otherwise the next file that is opened would get
      it, and what a library prints would be written into that file. Text for a closed standard error goes nowhere;
      `print` would send it to standard output. Standard input and output stay None, as Python has them.
    - A character that the encoding lacks (``LANG=C``, cp1252) is written as an escape instead of raising an error.
    - What is written is `printable`.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest free number, which is this one; programs that are started inherit it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 lives as long as the process
    sys.stdout = _prepared(sys.stdout, "standard output")
    sys.stderr = _prepared(sys.stderr, "standard error")


def _prepared(stream: Any, name: str) -> Any:
    if stream is None or isinstance(stream, PrintableStream):
        return stream
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return PrintableStream(stream, name)


def discard_output() -> None:
    """Let what standard output could not take go nowhere, so that Python does not report it once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
