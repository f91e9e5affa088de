"""Functions that Numba compiles, kept on the disk where there is a place for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import numba

_BLAS = "scipy.linalg.cython_blas"


def _leave_blas_out() -> None:
    """Import what Numba needs without SciPy's linear algebra, which takes 17 MB and 0.2 s.

    Numba tries to import it when it first compiles, but uses it for `np.dot` and the like in compiled functions
    only. Ours have none, and it is imported for those of others when they are compiled. A Numba that has no such
    module takes the memory.
    """
    if _BLAS in sys.modules:
        return
    sys.modules[_BLAS] = None  # pyrefly: ignore; an import of it then fails
    try:
        with suppress(ImportError):
            import_module("numba.np.arraymath").__dict__["_HAVE_BLAS"] = True
    finally:
        del sys.modules[_BLAS]


_leave_blas_out()


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
