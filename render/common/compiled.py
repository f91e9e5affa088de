"""Functions that Numba compiles, kept on the disk where there is a place for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(*signatures: str, **options: Any) -> Callable[[Callable], Any]:
    """Compile a function as `numba.njit` does, and keep the result for the next process where that is possible.

    Numba keeps it beside the module, below the home folder, or in NUMBA_CACHE_DIR. In a container all of them may
    be read-only: then every process compiles anew, which takes seconds, and gives the same results.
    """

    def decorate(function: Callable) -> Any:
        try:
            return numba.njit(*signatures, cache=True, **options)(function)
        except (RuntimeError, OSError) as error:
            if isinstance(error, RuntimeError) and "cannot cache" not in str(error):
                raise
            return numba.njit(*signatures, **options)(function)

    return decorate
