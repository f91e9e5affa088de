"""What all tests share: command lines in this process, or in others that import nothing anew."""

import os

# Commands in the background are forked from here: threads of a library would be missing there, and waited for.
os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}

import gc
import importlib
import io
import itertools
import multiprocessing
import runpy
import signal
import sys
import time
from collections import namedtuple
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing import forkserver, resource_tracker, util

import pytest

from render.common.cli import run

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background of a shell, and so in all started here
    signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # until all tests are collected: what they import and are stays to the end

Done = namedtuple("Done", "returncode stdout stderr")
ROOT = os.path.dirname(os.path.dirname(__file__))


def pytest_collection_finish():
    """Leave what is there to the end out of every search for garbage, half a second each.

    Worker processes, and commands in the background, are forked from what is there now and has no threads yet.
    They have imported more than those of users, which tests with processes of their own look at.
    """
    gc.freeze()
    gc.enable()
    resource_tracker.ensure_running()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(util, "spawnv_passfds", _fork)
        forkserver.ensure_running()


def pytest_sessionfinish():
    """Search for garbage again where the collection of tests failed."""
    gc.enable()


def _fork(_program, arguments, kept):
    """What multiprocessing runs in a new Python is run in a process forked from this one."""
    if process := os.fork():
        return process
    try:
        last = max(map(int, os.listdir("/dev/fd")))
        for low, high in itertools.pairwise((2, *sorted(kept), last + 1)):
            os.closerange(low + 1, high)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", 1, closefd=False)  # noqa: SIM115
        forkserver._forkserver.__init__()  # whose lock is held
        exec(arguments[-1])  # noqa: S102
    finally:
        os._exit(0)


def _run(words, folder, streams, environment):
    """Run a command line in the process that has been forked for it, as in a terminal of its own."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    for number, path in enumerate(streams):
        opened = os.open(path, os.O_RDWR if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    resource_tracker._resource_tracker.__init__()  # another, which ends with this process
    util.spawnv_passfds = _fork
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    sys.argv = words
    if words[0].endswith(".py"):
        sys.path.insert(0, os.path.dirname(words[0]))
        runpy.run_path(words[0], run_name="__main__")
    else:
        run(importlib.import_module(words[0]).main)


class Background:
    """A command line or a script in a process of its own, the first of a group; `pid` is its number."""

    def __init__(self, outputs, words, stdin, environment):
        self._outputs = [outputs / "stdout", outputs / "stderr"]
        for path in self._outputs:
            path.touch()
        environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": ROOT} | environment  # for those that it starts
        given = list(map(str, words)), os.getcwd(), [stdin, *self._outputs], environment
        self._process = multiprocessing.get_context("forkserver").Process(target=_run, args=given)
        self._process.start()
        self.pid = self._process.pid
        with suppress(ProcessLookupError):  # it has ended
            while os.getpgid(self.pid) != self.pid:
                time.sleep(0.001)

    def runs(self):
        return self._process.is_alive()

    def send_signal(self, number):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(self.pid, number)

    def kill(self):
        """Kill it and those that it has started."""
        if self.runs():
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self.pid, signal.SIGKILL)

    def lines(self, count, seconds=60):
        """The first lines on standard output, as soon as they are there."""
        end = time.monotonic() + seconds
        while len(said := self._outputs[0].read_text().splitlines(keepends=True)) < count:
            assert self.runs(), self._outputs[1].read_text()
            assert time.monotonic() < end
            time.sleep(0.002)
        return said[:count]

    def wait(self, seconds=240):
        """Status, bytes on standard output, text on standard error; status None if it takes longer."""
        self._process.join(seconds)
        out, err = (path.read_bytes() for path in self._outputs)
        return Done(self._process.exitcode, out, err.decode())


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


@pytest.fixture(scope="session")
def background(tmp_path_factory):
    """Function that starts a command line or a script in the background: its words, a file as input, variables."""

    started = []

    def start(*words, stdin=os.devnull, **environment):
        started.append(Background(tmp_path_factory.mktemp("background"), words, stdin, environment))
        return started[-1]

    yield start
    for each in started:  # what a failed test has left; pytest would wait for it
        each.kill()
