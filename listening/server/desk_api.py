"""Addresses of the desk: who is where, links, pause, withdrawal, results."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import segno
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from listening.server.file_answer import FileAnswer, Part
from listening.server.request_json import json_object
from listening.server.served import answer_with, for_desk, in_thread, served
from listening.sessions.result_files import read_results, write_csv, write_events
from listening.sessions.store import StorageError
from render.common.errors import InputError
from render.common.files import temporary_folder

_CSV = "text/csv; charset=utf-8"


@for_desk
async def _with_slash(request: Request) -> Response:
    return RedirectResponse(f"{request.path_params['token']}/", status_code=308)


@for_desk
async def _page(request: Request) -> Response:
    return answer_with(served(request), "desk.html")


@for_desk
async def _static(request: Request) -> Response:
    return answer_with(served(request), request.path_params["name"])


@for_desk
async def _overview(request: Request) -> Response:
    rows = await in_thread(served(request).test.overview)
    return JSONResponse([row | {"link": served(request).public_url + row["link"]} for row in rows])


@for_desk
async def _problems(request: Request) -> Response:
    test = served(request).test
    rows = await in_thread(test.overview)
    stated = [
        _stated("underruns", row["listener"], f"{row['underruns']} underruns") for row in rows if row["underruns"]
    ]
    stated += [_stated("note", None, note) for note in test.notes]
    return JSONResponse([*served(request).problems.newest_first(), *stated])


def _stated(kind: str, listener: str | None, what: str) -> dict[str, Any]:
    """Describe a state of the test like a problem, which also has times."""
    return {"kind": kind, "listener": listener, "what": what, "first": None, "last": None, "times": 1}


@for_desk
async def _pause(request: Request) -> Response:
    asked = await json_object(request, on=bool)
    return await _changed(request, served(request).test.pause, asked["on"])


@for_desk
async def _withdraw(request: Request) -> Response:
    asked = await json_object(request, listener=str)
    await _link_of(request, asked["listener"])
    return await _changed(request, served(request).test.withdraw, asked["listener"])


@for_desk
async def _add_listener(request: Request) -> Response:
    return await _changed(request, served(request).test.add_listener)


async def _changed(request: Request, change: Callable[..., Any], *arguments: object) -> Response:
    """Make a change in the writer's thread; tell its result, or that it could not be stored."""
    try:
        added = await served(request).writer.change(change, *arguments)
    except StorageError as error:
        return JSONResponse({"error": "storage", "why": str(error)}, 503)
    except InputError as error:
        return JSONResponse({"error": "refused", "why": str(error)}, 422)
    return JSONResponse({} if added is None else {"listener": added})


@for_desk
async def _qr(request: Request) -> Response:
    drawing = io.BytesIO()
    segno.make_qr(await _link_of(request, request.path_params["listener"])).save(drawing, kind="svg", scale=4)
    return Response(drawing.getvalue(), headers={"content-type": "image/svg+xml"})


async def _link_of(request: Request, listener: str) -> str:
    """Link of a listener; 404 if there is no such listener."""
    for row in await in_thread(served(request).test.overview):
        if row["listener"] == listener:
            return served(request).public_url + row["link"]
    raise HTTPException(404)


@for_desk
async def _database(request: Request) -> Response:
    return await _download(request, "results.sqlite", "application/vnd.sqlite3", _back_up)


@for_desk
async def _ratings(request: Request) -> Response:
    return await _download(request, "results.csv", _CSV, _ratings_of)


@for_desk
async def _events(request: Request) -> Response:
    return await _download(request, "events.csv", _CSV, _events_of)


def _ratings_of(database: Path, target: Path) -> None:
    """Write the ratings of all who are not withdrawn; the desk has no key, so under blind names."""
    write_csv(target, read_results(database), None)


def _events_of(database: Path, target: Path) -> None:
    write_events(target, read_results(database))


def _back_up(database: Path, target: Path) -> None:
    """Copy a database as it is at one moment, while others write it."""
    with (
        closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


async def _download(request: Request, name: str, media_type: str, write: Callable[[Path, Path], None]) -> Response:
    """Send a file that `write` makes of the database; it is on the disk as long as it is being sent."""
    database = served(request).database

    def made() -> int:
        with temporary_folder(database.with_name(name)) as folder:
            write(database, folder / name)
            return os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)

    try:
        file = await in_thread(made)
    except (OSError, sqlite3.Error) as error:
        return JSONResponse({"error": "storage", "why": str(error)}, 503)
    except InputError as error:  # no trial is finished yet
        return JSONResponse({"error": "refused", "why": str(error)}, 422)
    headers = {"content-type": media_type, "content-disposition": f'attachment; filename="{name}"'}

    def fault(why: str) -> None:
        served(request).problems.add("storage", None, f"{name}: {why}")

    part = Part(file, 0, os.fstat(file).st_size)
    return FileAnswer(part, 200, headers, lambda: not served(request).ending, fault)


ROUTES = [
    Route("/d/{token}", _with_slash),
    Route("/d/{token}/", _page),
    Route("/d/{token}/static/{name:path}", _static),
    Route("/d/{token}/api/overview", _overview),
    Route("/d/{token}/api/problems", _problems),
    Route("/d/{token}/api/pause", _pause, methods=["POST"]),
    Route("/d/{token}/api/withdraw", _withdraw, methods=["POST"]),
    Route("/d/{token}/api/listeners", _add_listener, methods=["POST"]),
    Route("/d/{token}/api/qr/{listener}.svg", _qr),
    Route("/d/{token}/api/results.sqlite", _database),
    Route("/d/{token}/api/results.csv", _ratings),
    Route("/d/{token}/api/events.csv", _events),
]
