"""Addresses of a listener: page, session, events, sound."""

from __future__ import annotations

import math

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from listening.server.request_json import json_object
from listening.server.served import answer_with, for_listener, in_thread, served
from listening.sessions.outcomes import (
    Elsewhere,
    Gap,
    NotStored,
    Opened,
    Outcome,
    Refused,
    Stored,
    TooMuch,
    Withdrawn,
)

_ID_LENGTH = 64  # of a window
_LONGEST_WAIT_S = 25.0  # shorter than reverse proxies wait for an answer


@for_listener
async def _with_slash(request: Request, listener: str) -> Response:
    """Addresses on a page are relative to one that ends with a slash."""
    return RedirectResponse(f"{request.path_params['token']}/", status_code=308)


@for_listener
async def _page(request: Request, listener: str) -> Response:
    return answer_with(served(request), "index.html")


@for_listener
async def _static(request: Request, listener: str) -> Response:
    return answer_with(served(request), request.path_params["name"])


@for_listener
async def _session(request: Request, listener: str) -> Response:
    test = served(request).test
    return JSONResponse(await in_thread(test.session, listener, request.query_params.get("language")))


@for_listener
async def _open(request: Request, listener: str) -> Response:
    asked = await json_object(request, window=str, take_over=bool)
    window = _window(asked["window"])
    test, writer = served(request).test, served(request).writer
    outcome = await writer.change(test.open_window, listener, window, asked["take_over"])
    if isinstance(outcome, Opened):
        return JSONResponse({"window": outcome.window, "stored": outcome.stored})
    return _answer(request, listener, outcome)


@for_listener
async def _events(request: Request, listener: str) -> Response:
    asked = await json_object(request, window=str, events=list)
    window = _window(asked["window"])
    return _answer(request, listener, await served(request).writer.append(listener, window, asked["events"]))


def _answer(request: Request, listener: str, outcome: Outcome) -> Response:
    match outcome:
        case Stored(stored):
            return JSONResponse({"stored": stored})
        case Gap(stored):
            return JSONResponse({"error": "gap", "stored": stored}, 409)
        case Refused(why, stored):
            return JSONResponse({"error": "refused", "why": why, "stored": stored}, 422)
        case Elsewhere(last_seen_s):
            ago = round(last_seen_s, 1) if math.isfinite(last_seen_s) else None  # not since the server's start
            return JSONResponse({"error": "elsewhere", "last_seen_s": ago}, 409)
        case Withdrawn():
            return JSONResponse({"error": "withdrawn"}, 410)
        case NotStored(why):
            what = (
                f"nothing can be stored ({why}), what listeners do waits in their browsers; make room on the disk"
            )
            served(request).problems.add("storage", None, what)
            return JSONResponse({"error": "storage", "why": why}, 503)
        case TooMuch(why):
            what = f"{why}; nothing more is stored of this listener: withdraw, add a listener, give that link"
            served(request).problems.add("storage", listener, what)
            return JSONResponse({"error": "storage", "why": why}, 503)


@for_listener
async def _poll(request: Request, listener: str) -> Response:
    window = _window(request.query_params.get("window", ""))
    return JSONResponse(await in_thread(served(request).test.poll, listener, window))


@for_listener
async def _audio(request: Request, listener: str) -> Response:
    test = served(request)
    if test.test.is_withdrawn(listener):
        return JSONResponse({"error": "withdrawn"}, 410)
    path = await in_thread(test.test.audio_file, listener, request.path_params["file"])
    if path is None:
        raise HTTPException(404)
    return await test.audio.answer(request, path, listener, lambda: not test.ending)


@for_listener
async def _native_state(request: Request, listener: str) -> Response:
    return JSONResponse(await served(request).relays[listener].state(*_after_and_wait(request)))


@for_listener
async def _native_commands(request: Request, listener: str) -> Response:
    asked = await json_object(request, commands=list)
    if not all(isinstance(command, dict) for command in asked["commands"]):
        raise HTTPException(400, "a command is an object")
    number = served(request).relays[listener].send(asked["commands"])
    return JSONResponse({"error": "no player"}, 409) if number is None else JSONResponse({"number": number})


@for_listener
async def _native_player_state(request: Request, listener: str) -> Response:
    asked = await json_object(request, player=str, state=dict)
    number = served(request).relays[listener].report(_window(asked["player"]), asked["state"])
    return JSONResponse({"error": "replaced"}, 409) if number is None else JSONResponse({"number": number})


@for_listener
async def _native_player_commands(request: Request, listener: str) -> Response:
    player = request.query_params.get("player", "")
    commands = await served(request).relays[listener].commands(player, *_after_and_wait(request))
    return JSONResponse({"error": "replaced"}, 409) if commands is None else JSONResponse({"commands": commands})


def _after_and_wait(request: Request) -> tuple[int, float]:
    """Number of the last command or revision that is known, and how many seconds to wait for a newer one."""
    try:
        after, wait_s = (float(request.query_params.get(*default)) for default in (("after", "-1"), ("wait", "0")))
        return int(after), min(max(0.0, wait_s), _LONGEST_WAIT_S)  # NaN is not more than 0
    except (ValueError, OverflowError):
        raise HTTPException(400, "'after' and 'wait' are numbers") from None


def _window(name: str) -> str:
    if not 0 < len(name) <= _ID_LENGTH:
        raise HTTPException(400, f"'window' has 1 to {_ID_LENGTH} characters")
    return name


ROUTES = [
    Route("/t/{token}", _with_slash),
    Route("/t/{token}/", _page),
    Route("/t/{token}/static/{name:path}", _static),
    Route("/t/{token}/api/session", _session),
    Route("/t/{token}/api/open", _open, methods=["POST"]),
    Route("/t/{token}/api/events", _events, methods=["POST"]),
    Route("/t/{token}/api/poll", _poll),
    Route("/t/{token}/audio/{file}", _audio),
    Route("/t/{token}/api/native", _native_state),
    Route("/t/{token}/api/native", _native_commands, methods=["POST"]),
    Route("/t/{token}/api/native/player", _native_player_commands),
    Route("/t/{token}/api/native/player", _native_player_state, methods=["POST"]),
]
