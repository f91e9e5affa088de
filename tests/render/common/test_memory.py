"""Freed arrays go back to the system."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np
from pathlib import Path
from render.common.memory import return_freed_memory
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
np.ones(2**18)  # from now on glibc keeps freed arrays of this size
before = resident()
arrays = [np.ones(2**18) for _ in range(50)]
held = resident() - before
last = arrays.pop()  # at the top of the heap
arrays.clear()
return_freed_memory()
print(held, resident() - before)
"""


@pytest.mark.skipif(
    not (Path("/proc/self/statm").exists() and hasattr(ctypes.CDLL(None), "malloc_trim")),
    reason="needs Linux, which says how much memory a process has, and glibc, which keeps what is freed",
)
def test_what_lies_below_an_array_in_use_is_returned_too():
    """In a process of its own, whose memory is known."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    held, left = map(int, done.stdout.split())
    assert held > 100e6
    assert left < 10e6
