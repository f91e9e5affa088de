"""The application: a listener's addresses, the desk's, the welcome page, and 404 for everything else.

A token in the path says who asks. A wrong token, a path that there is not and a method that a path does not have
get the same answer. All addresses in pages are relative; a reverse proxy may put them under any path.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from listening.server import desk_api, listener_api
from listening.server.headers import Front
from listening.server.served import Served, served

_WELCOME = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Listening test</title>
<h1>Listening test</h1>
<p>Everybody who takes part has a link of his or her own. Please ask the person who invited you for yours.</p>
"""


async def _welcome(request: Request) -> Response:
    return HTMLResponse(_WELCOME)


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 413:  # the connection ends: the rest of the body would have to be read
        return JSONResponse({"error": "too large"}, 413, headers={"connection": "close"})
    if error.status_code == 400:
        return JSONResponse({"error": "malformed", "why": error.detail}, 400)
    return PlainTextResponse("There is nothing here. Please check your link, or ask for it again.\n", 404)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # to a client that has gone before its request was complete


async def _defect(request: Request, error: Exception) -> Response:
    served(request).problems.add("defect", None, f"{type(error).__name__}: {error}; the log has more of it")
    return JSONResponse({"error": "defect"}, 500)


def application(test: Served, hosts: Collection[str] | None) -> Front:
    """Return the ASGI application that serves a test.

    Parameters
    ----------
    test
        Closed with its writer when the server ends.
    hosts
        Names by which the server may be addressed (`listening.server.headers.Front`).
    """

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(test.writer.close)
        test.test.close()

    inner = Starlette(
        routes=[Route("/", _welcome), *listener_api.ROUTES, *desk_api.ROUTES],
        exception_handlers={HTTPException: _refusal, ClientDisconnect: _gone, Exception: _defect},
        lifespan=lifespan,
    )
    inner.router.redirect_slashes = False
    inner.state.served = test
    return Front(inner, hosts, urlsplit(test.public_url).path.rstrip("/"))
