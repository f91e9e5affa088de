"""Compiled functions where their result can be kept on the disk, and where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULE = """
from render.common.compiled import compiled

@compiled("float64(float64)", nogil=True)
def at_once(x):
    return 2 * x

@compiled()
def at_first_call(x):
    return at_once(x) + 1

import sys
print(at_first_call(3.0), at_once.stats.cache_path, "scipy.linalg" in sys.modules)
"""
# a function of somebody else's, which needs the linear algebra that is left out
PRODUCT = """
import numba, numpy
square = numba.njit("float64[:, ::1](float64[:, ::1])")(lambda a: a @ a)
print(square(numpy.array([[1.0, 2.0], [3.0, 4.0]])).tolist(), "scipy.linalg" in sys.modules)
"""


@pytest.mark.parametrize("writable", [True, False])
def test_where_nothing_can_be_kept_it_is_compiled_anew(tmp_path, writable):
    """As root no permission binds: a file stands where Numba's folder would be, and the home folder below one."""
    (tmp_path / "doubled.py").write_text(MODULE + PRODUCT * writable)
    if not writable:
        (tmp_path / "__pycache__").touch()
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"HOME": "/dev/null/home", "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": "/dev/null/cache"}
    done = subprocess.run(
        [sys.executable, tmp_path / "doubled.py"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    first, *product = done.stdout.splitlines()
    assert first.split() == ["7.0", str(tmp_path / "__pycache__") if writable else "None", "False"]
    assert product == ["[[7.0, 10.0], [15.0, 22.0]] True"] * writable
