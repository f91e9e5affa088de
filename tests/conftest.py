"""What all tests share: a command line without a process of its own, which would import PyTorch anew."""

import gc
import importlib
import io
import signal
import sys
from collections import namedtuple
from contextlib import redirect_stderr, redirect_stdout

import pytest

from render.common.cli import run

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background of a shell, and so in all started here
    signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # until all tests are collected: what they import and are stays to the end

Done = namedtuple("Done", "returncode stdout stderr")


def pytest_collection_finish():
    """Leave what is there to the end out of every search for garbage, half a second each."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish():
    """Search for garbage again where the collection of tests failed."""
    gc.enable()


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
