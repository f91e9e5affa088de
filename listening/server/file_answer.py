"""An answer that is sent from a file block by block: no file is in memory, and all go at the same pace."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_BLOCK = 128 * 1024  # bytes in memory for each download


@dataclass(frozen=True)
class Part:
    """Bytes of an open file, from `start` up to `end`."""

    file: int
    start: int
    end: int


class FileAnswer(Response):
    """Answer that reads a block when the one before has been handed to the network, and closes its file.

    Parameters
    ----------
    part
        What is sent.
    status
        200 or 206.
    headers
        Content type and others, without the length.
    goes_on
        Asked after each block. When it says no, the answer ends early, and the browser notices that.
    fault
        Is told why the file cannot be read to its end.
    """

    def __init__(
        self,
        part: Part,
        status: int,
        headers: Mapping[str, str],
        goes_on: Callable[[], bool],
        fault: Callable[[str], None],
    ):
        super().__init__(status_code=status, headers={**headers, "content-length": str(part.end - part.start)})
        self._part, self._goes_on, self._fault = part, goes_on, fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer (ASGI)."""
        file, position, end = self._part.file, self._part.start, self._part.end
        client = Request(scope, receive)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while scope["method"] != "HEAD" and position < end:
                block = await to_thread.run_sync(os.pread, file, min(_BLOCK, end - position), position)
                if not block:
                    raise OSError(None, "became shorter while it was sent")
                await send({"type": "http.response.body", "body": block, "more_body": True})
                position += len(block)
                if not self._goes_on() or await client.is_disconnected():
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError as error:
            self._fault(f"{error.strerror}, at byte {position}")
        finally:
            os.close(file)
