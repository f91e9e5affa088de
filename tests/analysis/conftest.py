import importlib
import io
import os
import sys
from collections import namedtuple
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import settings

from render.common.cli import run

settings.register_profile("loaded machine", deadline=None, max_examples=40)
settings.load_profile("loaded machine")


@pytest.fixture(scope="session")
def reference_ratings() -> Path:
    """Folder of real rating data and of R's results for it."""
    root = os.environ.get("HOA_REFERENCE_DATA")
    if not root:
        pytest.skip("HOA_REFERENCE_DATA is not set")
    return Path(root) / "ratings"


@pytest.fixture(scope="session")
def cube(reference_ratings):
    """The 22 x 13 x 8 cells of the published test that R analysed."""
    from analysis.ratings.cells import cells
    from analysis.ratings.table import read

    return cells(read(reference_ratings / "expected" / "A.csv").table)


Done = namedtuple("Done", "returncode stdout stderr")


def _command(verb, *arguments):
    """Run a command line in this process, as ``python -m verb`` does: status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    module = importlib.import_module(verb)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [verb, *map(str, arguments)])
        try:
            run(module.main)
            status = 0
        except SystemExit as leave:
            status = leave.code
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def command():
    """Function that runs a command line in this process."""
    return _command
