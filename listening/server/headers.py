"""Headers that every answer has, and the names under which the server may be addressed.

No answer has a validator (ETag, Last-Modified), a cookie or the server's name: two files of an item differ in
nothing but their sound.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "media-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; worker-src 'self'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Front:
    """What a request meets first: the check of the host's name, the path prefix, the headers of its answer.

    Parameters
    ----------
    application
        The ASGI application behind it, which knows paths without prefix.
    hosts
        Names in the header Host that are answered, without port and in lower case; None for any. A page of another
        site that lets its own name point to this machine (DNS rebinding) is answered with 421.
    prefix
        Path prefix of the public address, like ``/listening``; a reverse proxy may strip it or keep it.
    """

    def __init__(self, application: ASGIApp, hosts: Collection[str] | None, prefix: str):
        self._application = application
        self._hosts = hosts
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*SECURITY_HEADERS, *message.get("headers", [])]}
            await send(message)

        if self._hosts is not None and _host(scope) not in self._hosts:
            refusal = PlainTextResponse("This server is not known by that name.\n", status_code=421)
            await refusal(scope, receive, send_with_headers)
            return
        path: str = scope["path"]
        if self._prefix and path.startswith(self._prefix + "/"):
            scope = {**scope, "path": path.removeprefix(self._prefix)}
        await self._application(scope, receive, send_with_headers)


def _host(scope: Scope) -> str:
    """Name in the header Host, without the port, in lower case; empty if it is not there exactly once."""
    named = [value for name, value in scope["headers"] if name == b"host"]
    if len(named) != 1:
        return ""
    name = named[0].decode("latin-1").lower()
    head, colon, port = name.rpartition(":")
    return head if colon and port.isdecimal() else name
