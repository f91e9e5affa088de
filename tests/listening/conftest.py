"""Debian's Chromium, a folder that a page can load from, and a room of twelve loudspeakers in PulseAudio.

Tests that need one of them skip where it is missing and say how to install it.
"""

import functools
import http.server
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import listening.stimulus_build.code_of_keys  # noqa: F401, for all worker processes

STATIC = Path(__file__).parents[2] / "listening" / "server" / "static"


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript"}

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def chromium_path():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is missing: sudo apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def headless_path(chromium_path):
    """Chromium without a window system, for pages that nobody hears, at half the processor time."""
    return shutil.which("chromium-headless-shell") or chromium_path


@pytest.fixture(scope="module")
def launch(chromium_path, headless_path):
    """Function that starts a Chromium which may play without a click, into a room whose environment is given.

    They all end with the module.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:

        def start(environment=None):
            arguments = ["--autoplay-policy=no-user-gesture-required", "--enable-precise-memory-info"]
            arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
            return playwright.chromium.launch(
                executable_path=chromium_path if environment else headless_path,
                ignore_default_args=["--mute-audio"], args=arguments, env=os.environ | (environment or {}),
            )  # fmt: skip

        yield start


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder and the address under which it is served; ``static/`` in it is that of the package."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "static").symlink_to(STATIC)
    (folder / "index.html").write_text('<!doctype html><link rel="icon" href="data:,"><title>player</title>')
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page(launch, site):
    """A page without a sound device in use."""
    browser = launch()
    page = browser.new_page()
    page.goto(site[1])
    yield page
    browser.close()


CHANNEL_MAP = (
    "front-left,front-right,front-center,lfe,rear-left,rear-right,side-left,side-right,"
    "top-front-left,top-front-right,top-rear-left,top-rear-right"
)


def descendants(process):
    """Numbers of the processes that a process has started, and those that they have."""
    for children in Path("/proc").glob(f"{process}/task/*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield int(child)
                yield from descendants(int(child))


@pytest.fixture(scope="session")
def processes_of():
    return descendants


class Room:
    """A PulseAudio daemon of our own with a null sink of 12 channels, float32 at 48 kHz."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = folder / "native"
        self.environment = {"PULSE_SERVER": f"unix:{self.socket}", "PULSE_RUNTIME_PATH": str(folder),
                            "XDG_RUNTIME_DIR": str(folder), "PULSE_CONFIG_PATH": str(folder)}  # fmt: skip

    def start(self):
        (self.folder / "daemon.conf").write_text(
            "default-sample-format = float32le\ndefault-sample-rate = 48000\navoid-resampling = yes\n"
            f"default-sample-channels = 12\ndefault-channel-map = {CHANNEL_MAP}\n"
        )
        sink = f"sink_name=room rate=48000 channels=12 format=float32le channel_map={CHANNEL_MAP}"
        self.daemon = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--system=no", "--exit-idle-time=-1", "--use-pid-file=no",
             "--disable-shm=yes", "--log-level=error",
             f"--load=module-native-protocol-unix auth-anonymous=1 socket={self.socket}",
             f"--load=module-null-sink {sink}"],
            env=os.environ | self.environment | {"PULSE_CONFIG": str(self.folder / "daemon.conf")},
        )  # fmt: skip
        end = time.monotonic() + 20
        while subprocess.run(["pactl", "info"], env=os.environ | self.environment, capture_output=True).returncode:
            assert self.daemon.poll() is None, "pulseaudio has ended"
            assert time.monotonic() < end, "pulseaudio does not answer"
            time.sleep(0.1)

    @contextmanager
    def recording(self, path):
        """Record what the loudspeakers are sent: raw float32 frames of 12 channels.

        The recorder has PulseAudio's own priority where it may have it (nice only warns where it may not).
        """
        with open(path, "wb") as file:
            recorder = subprocess.Popen(
                ["nice", "-n", "-11", "parec", "--device=room.monitor", "--raw", "--format=float32le",
                 "--channels=12", "--rate=48000", f"--channel-map={CHANNEL_MAP}", "--latency-msec=500"],
                env=os.environ | self.environment, stdout=file,
            )  # fmt: skip
            try:
                end = time.monotonic() + 20
                while not path.stat().st_size:
                    assert time.monotonic() < end, "parec records nothing"
                    time.sleep(0.05)
                yield
                time.sleep(1.5)  # for what is on its way
            finally:
                recorder.terminate()
                recorder.wait(10)

    def prefer_sound(self):
        """Give PulseAudio's client in Chromium the priority that Chromium gives its own audio threads.

        On a desktop RealtimeKit does so for all threads of the sound system; here only root may.
        """
        for process in descendants(os.getpid()):
            with suppress(OSError):  # it has ended, or we may not
                if b"AudioService" in Path(f"/proc/{process}/cmdline").read_bytes():
                    for thread in Path(f"/proc/{process}/task").iterdir():
                        os.setpriority(os.PRIO_PROCESS, int(thread.name), -11)

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait(10)


def _room(folder):
    for program in ("pulseaudio", "pactl", "parec"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: sudo apt-get install pulseaudio pulseaudio-utils")
    room = Room(folder)
    room.start()
    yield room
    room.stop()


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    yield from _room(tmp_path_factory.mktemp("room"))


@pytest.fixture
def another_room(tmp_path_factory):
    """A room that a test may end."""
    yield from _room(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="session")
def places():
    """Function that finds where a part (device, time) lies in a recording, every sample within a tolerance.

    Recordings of a busy machine have gaps: tests look for one of many parts of what was played.
    """

    def find(recorded, part, tolerance=1e-7):
        length = part.shape[1]
        first = recorded[0, : recorded.shape[1] - length + 1]
        starts = np.flatnonzero(np.abs(first - part[0, 0]) <= tolerance)
        return [at for at in starts if np.abs(recorded[:, at : at + length] - part).max() <= tolerance]

    return find
