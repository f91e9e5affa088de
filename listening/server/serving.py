"""The server's process: socket, names by which it is addressed, signals."""

from __future__ import annotations

import ipaddress
import logging
import os
import resource
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import uvicorn

from listening.server.app import application
from listening.server.audio import AudioFiles
from listening.server.http_protocol import ListeningProtocol
from listening.server.problems import Problems
from listening.server.served import Served
from listening.server.static_files import static_files
from listening.server.writer import Writer
from listening.sessions.listening_test import ListeningTest
from render.common.errors import InputError

_HEAD_BYTES = 16 * 1024  # of a request: its line and headers
_KEEP_ALIVE_S = 130  # longer than reverse proxies keep a connection for the next request (Caddy: 120 s)
_LAST_ANSWERS_S = 3  # for answers that are under way when the server is told to end


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections; port 0 takes a free one.

    Raises
    ------
    InputError
        If the port is in use, or the address is none of this machine.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}: is none of 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{host}, port {port}: {why}; choose others with --host and --port") from None


def public_address(url: str | None, host: str, port: int) -> str:
    """Return the address of the welcome page, with a slash at its end.

    Parameters
    ----------
    url
        As the user gives it, where a reverse proxy stands in front; may have a path.
    host, port
        Where the server listens.
    """
    if url is None:
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/"
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
    except ValueError:
        right = False
    if not right:
        raise InputError(f"--url {url}: is no address like https://lab.example/listening/")
    return url.rstrip("/") + "/"


def served_hosts(host: str, url: str) -> set[str] | None:
    """Return the names that the header Host may have; None for any, when other machines reach the server."""
    if not is_loopback(host):
        return None
    own = f"[{host}]" if ":" in host else host
    return {"localhost", "127.0.0.1", "[::1]", own, (urlsplit(url).hostname or "").lower()}


def open_test(package: Path, database: Path, plan: Path | None, key: Path | None, public_url: str) -> Served:
    """Check the package and open the database; InputError if anything is not as it should be."""
    problems = Problems()
    audio = AudioFiles(package, problems)
    test = ListeningTest.open(package, database, plan, key)
    if not test.overview():
        for _ in test.package.orders:  # one listener for each prepared order; the desk adds more
            test.add_listener()
    static = static_files(Path(__file__).with_name("static"))
    return Served(test, database, Writer(test.append_many), audio, static, public_url, problems)


def links(test: Served) -> tuple[str, str]:
    """Return the link of the first listener who has not finished, and that of the desk."""
    rows = test.test.overview()
    going = [row for row in rows if not row["finished"] and row["withdrawn"] is None]
    return test.public_url + (going or rows)[0]["link"], f"{test.public_url}d/{test.test.desk_token}/"


def open_browser(url: str) -> None:
    """Open a page in the browser, unless this machine has no screen."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)


def configuration(test: Served, host: str) -> uvicorn.Config:
    """Return uvicorn's settings for a test that is reached at an address of this machine."""
    return uvicorn.Config(
        application(test, served_hosts(host, test.public_url)),
        http=ListeningProtocol, ws="none", loop="asyncio", lifespan="on", log_config=None, log_level="error",
        access_log=False, server_header=False, proxy_headers=False, h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_S, timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )  # fmt: skip


def run(test: Served, accepting: socket.socket, host: str) -> None:
    """Serve until the process is told to end (SIGTERM, Ctrl-C); then close the test."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each connection is a file
    with closing(accepting):
        _Server(configuration(test, host), test).run(sockets=[accepting])


class _Server(uvicorn.Server):
    """Server that ends on a signal as if it had nothing more to do, and tells the test first."""

    def __init__(self, config: uvicorn.Config, test: Served):
        super().__init__(config)
        self._test = test

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal; uvicorn would raise it again after the end."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Send no more sound; what is cut off now is no error."""
        self._test.ending = True
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)
