"""The audio files of a package: the same lines of code, headers and pace for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from listening.server.byte_ranges import Unsatisfiable, byte_range
from listening.server.file_answer import FileAnswer, Part
from listening.server.problems import Problems


class AudioFiles:
    """The audio files of a package, as they were when it was checked.

    Parameters
    ----------
    package
        Folder. Its files are noted now: make this object before the digests are compared, and a change during the
        comparison is noticed, too.
    problems
        Where a file is reported that has vanished or has been changed.
    """

    def __init__(self, package: Path, problems: Problems):
        self._stamps = {path: _stamp(os.stat(path)) for path in package.rglob("*.wav")}
        self._problems = problems

    async def answer(self, request: Request, path: Path, listener: str, goes_on: Callable[[], bool]) -> Response:
        """Return the file, or the range of it that is asked for; 503 if it is not the package's any more.

        Parameters
        ----------
        request
            GET or HEAD.
        path
            A file of the package.
        listener
            For the report of a problem.
        goes_on
            As of `FileAnswer`.
        """

        def fault(why: str) -> None:
            self._problems.add("audio", listener, f"{path}: {why}")

        try:
            file = await to_thread.run_sync(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            fault(f"{error.strerror}; put the package's file back")
            return JSONResponse({"error": "audio"}, 503)
        status = os.fstat(file)
        if _stamp(status) != self._stamps.get(path):
            os.close(file)
            fault("changed since the start and not played; put the package's file back and start the server again")
            return JSONResponse({"error": "audio"}, 503)
        headers = {"content-type": "audio/wav", "accept-ranges": "bytes"}
        # No answer has a validator, thus none fits the one in If-Range (RFC 9110, clause 13.1.5)
        asked = None if "if-range" in request.headers else request.headers.get("range")
        try:
            part = byte_range(asked, status.st_size)
        except Unsatisfiable:
            os.close(file)
            return Response(status_code=416, headers=headers | {"content-range": f"bytes */{status.st_size}"})
        if part is None:
            return FileAnswer(Part(file, 0, status.st_size), 200, headers, goes_on, fault)
        start, end = part
        headers["content-range"] = f"bytes {start}-{end - 1}/{status.st_size}"
        return FileAnswer(Part(file, start, end), 206, headers, goes_on, fault)


class _Stamp(NamedTuple):
    """What tells, without reading a file, that it has been changed."""

    inode: int
    size: int
    modified_ns: int


def _stamp(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns)
