"""The one exception that speaks to a user."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message says what is wrong, where (file, channel, sample, byte offset, line) and what to do.
    Command lines print it as one line and exit with status 2; no traceback reaches the user.
    """
