"""The exception whose message is meant for the user, and the suggestion for a misspelt name."""

from collections.abc import Iterable


class InputError(ValueError):
    """Input by the user that cannot be used.

    The message says what is wrong, where (file, channel, sample, byte offset, line) and what to do about it.
    Commands print it as one line and exit with status 2; the user sees no traceback.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` with the known name closest to `name`, or an empty string if none is close.

    Examples
    --------
    >>> did_you_mean("opus3_16", ["href", "opus3_160"])
    '; did you mean opus3_160?'
    """
    from difflib import get_close_matches  # which a command without a misspelt name saves

    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
