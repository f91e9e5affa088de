"""Debian's Chromium, and a folder that a page can load from. Tests that need Chromium skip without it."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "listening" / "server" / "static"


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


@pytest.fixture(scope="module")
def launch(chromium_path):
    """Function that starts a Chromium which may play without a click; they all end with the module."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:

        def start(environment=None):
            arguments = ["--autoplay-policy=no-user-gesture-required", "--enable-precise-memory-info"]
            arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
            return playwright.chromium.launch(
                executable_path=chromium_path, ignore_default_args=["--mute-audio"], args=arguments,
                env=os.environ | (environment or {}),
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
