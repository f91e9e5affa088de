"""Memory of the process."""

from __future__ import annotations

import ctypes
import sys


def return_freed_memory() -> None:
    """Return what was freed to the system, after work that leaves much of it.

    glibc otherwise keeps up to 64 MB, and more between arrays that are in use. Other systems are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
