"""HTTP/1.1 of uvicorn, with limits for clients that send or read slowly.

Each connection costs little, but nothing that one client does or leaves undone may hold up the others for ever.
"""

from __future__ import annotations

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from listening.server.headers import SECURITY_HEADERS

_ARRIVAL_S = 60.0  # for a whole request, from the first byte of the connection or request to its last
_STALL_S = 60.0  # for what is sent to leave this machine: 64 KiB


class ListeningProtocol(H11Protocol):
    """Connection that is dropped when a request does not arrive, or an answer is not read, in time."""

    _arrival: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyrefly: ignore
        """Give the first request its time; send short answers at once."""
        super().connection_made(transport)
        # A body that follows its head would wait 40 ms for the head's acknowledgement (Nagle, RFC 1122, 4.2.3.2);
        # asyncio prevents that only where the listening socket was made with IPPROTO_TCP
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._arrival = self.loop.call_later(_ARRIVAL_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take the time of a request until its last byte is there."""
        if self._arrival is None:
            self._arrival = self.loop.call_later(_ARRIVAL_S, self.transport.abort)
        super().data_received(data)
        state = self.conn.their_state
        between_requests = state is h11.IDLE and not self.conn.trailing_data[0]
        if between_requests or state not in (h11.IDLE, h11.SEND_BODY):
            self._arrival = _cancelled(self._arrival)

    def pause_writing(self) -> None:
        """Give the client its time to read."""
        super().pause_writing()
        self._stall = self.loop.call_later(_STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client reads on."""
        super().resume_writing()
        self._stall = _cancelled(self._stall)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._arrival, self._stall = _cancelled(self._arrival), _cancelled(self._stall)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, with the headers of every answer."""
        headers = [*SECURITY_HEADERS, (b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=msg.encode("ascii")),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
