"""What the addresses of a listening test work on, and who asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from listening.server.audio import AudioFiles
from listening.server.native_relay import NativeRelay
from listening.server.problems import Problems
from listening.server.static_files import StaticFile
from listening.server.writer import Writer
from listening.sessions.listening_test import ListeningTest


@dataclass
class Served:
    """A test that is being served.

    Attributes
    ----------
    test : ListeningTest
    database : Path
        Its file.
    writer : Writer
        Makes every change of `test`.
    audio : AudioFiles
    static : dict
        Files of the pages.
    public_url : str
        Address of the welcome page for listeners and for the desk, with a slash at its end.
    problems : Problems
    relays : dict
        Listener -> what goes between his page and a player outside the browser.
    ending : bool
        Whether the server has been told to end.
    """

    test: ListeningTest
    database: Path
    writer: Writer
    audio: AudioFiles
    static: dict[str, StaticFile]
    public_url: str
    problems: Problems
    relays: defaultdict[str, NativeRelay] = field(default_factory=lambda: defaultdict(NativeRelay))
    ending: bool = False


def served(request: Request) -> Served:
    """Return the test that a request is about."""
    return request.app.state.served


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what reads from the disk, while others are answered."""
    return await to_thread.run_sync(function, *arguments)


def for_listener(endpoint: Callable[[Request, str], Awaitable[Response]]) -> Callable[[Request], Any]:
    """Let a listener's token in, and give his name to `endpoint`; 404 for every other token."""

    @wraps(endpoint)
    async def let_in(request: Request) -> Response:
        listener = served(request).test.listener_of(request.path_params["token"])
        if listener is None:
            raise HTTPException(404)
        return await endpoint(request, listener)

    return let_in


def for_desk(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Any]:
    """Let the desk's token in; 404 for every other token."""

    @wraps(endpoint)
    async def let_in(request: Request) -> Response:
        if not served(request).test.is_desk(request.path_params["token"]):
            raise HTTPException(404)
        return await endpoint(request)

    return let_in


def answer_with(test: Served, name: str) -> Response:
    """Return a file of the pages; 404 for a name that there is not."""
    found = test.static.get(name)
    if found is None:
        raise HTTPException(404)
    return Response(found.content, headers={"content-type": found.media_type})
