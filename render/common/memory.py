"""Memory of the process."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # malloc.h of glibc
_KEPT_BYTES = 2**20


def return_freed_arrays() -> None:
    """Return arrays of 1 MB and more to the system as soon as they are freed; for a command, at its start.

    glibc otherwise keeps up to 64 MB of freed memory, and more between arrays that are in use. Other systems are
    left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
