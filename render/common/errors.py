"""The one exception whose text is meant for a user, and the suggestion for a misspelt name."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message says what is wrong, where (file, channel, sample, byte offset, line) and what to do.
    Command lines print it as one line and exit with status 2; no traceback reaches the user.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` with the known name that is most like `name`, or nothing if none is.

    Examples
    --------
    >>> did_you_mean("opus3_16", ["href", "opus3_160"])
    '; did you mean opus3_160?'
    """
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
