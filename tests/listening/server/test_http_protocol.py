"""Slow and broken clients, over real sockets: they are dropped in time, and nobody waits for them."""

import contextlib
import socket
import threading
import time

import pytest
import uvicorn

from listening.server import http_protocol
from listening.server.headers import SECURITY_HEADERS
from listening.server.http_protocol import ListeningProtocol

BLOCK = bytes(1 << 18)


async def answer(scope, receive, send):
    """64 MiB for /long; elsewhere the length of what was sent."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(256 if scope["path"] == "/long" else 0):
        await send({"type": "http.response.body", "body": BLOCK, "more_body": True})
    await send({"type": "http.response.body", "body": str(length).encode(), "more_body": False})


@pytest.fixture
def server():
    config = uvicorn.Config(answer, http=ListeningProtocol, ws="none", lifespan="off", log_config=None,
                            log_level="critical", access_log=False, timeout_graceful_shutdown=1)  # fmt: skip
    return uvicorn.Server(config)


@pytest.fixture
def port(monkeypatch, server):
    monkeypatch.setattr(http_protocol, "_ARRIVAL_S", 0.4)
    monkeypatch.setattr(http_protocol, "_STALL_S", 0.4)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def read_all(connection):
    """What comes until the server closes; a reset is an end, too."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def is_answered(port):
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return read_all(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
     b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"],
)  # fmt: skip
def test_a_request_that_does_not_arrive_ends_its_connection(port, begun):
    with connect(port) as connection:
        connection.sendall(begun)
        before = time.monotonic()
        assert read_all(connection) == b""
        assert 0.2 < time.monotonic() - before < 4


def test_dripping_does_not_prolong_the_time(port):
    with connect(port) as connection:
        before = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for letter in b"GET / HTTP/1.1\r\nHost: x\r\n" + 100 * b"X-Drip: 1\r\n":
                connection.sendall(bytes([letter]))
                time.sleep(0.05)
        assert time.monotonic() - before < 4


def test_an_answer_that_nobody_reads_ends_its_connection(port):
    with connect(port) as connection:
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1.2)
        connection.settimeout(5)
        found = read_all(connection)
        assert found.startswith(b"HTTP/1.1 200")
        assert len(found) < 32 << 20  # what lay in the buffers of the system
        assert is_answered(port)


def test_a_connection_that_waits_between_requests_is_kept(port):
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde")
            answered = b""
            while not answered.endswith(b"5\r\n0\r\n\r\n"):
                answered += connection.recv(65536)
            time.sleep(0.6)


def test_a_body_does_not_wait_for_the_acknowledgement_of_its_head(port, server):
    with connect(port):
        end = time.monotonic() + 5
        while not server.server_state.connections:
            assert time.monotonic() < end
        [connection] = server.server_state.connections
        option = connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert option != 0


def test_two_hundred_slow_clients_hold_up_nobody(port, monkeypatch):
    monkeypatch.setattr(http_protocol, "_ARRIVAL_S", 30)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(port)).sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le")
        before = time.monotonic()
        assert is_answered(port)
        assert time.monotonic() - before < 2


@pytest.mark.parametrize(
    "nonsense",
    [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"HELLO\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
     b"GET /\xe4 HTTP/1.1\r\nHost: x\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + 5000 * b"9" + b"\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: x\r\nX: " + 70000 * b"a"],
)  # fmt: skip
def test_what_is_no_request_is_400_with_the_headers_of_every_answer(port, nonsense):
    with connect(port) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(nonsense)
        found = read_all(connection)
    assert found.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    for name, value in SECURITY_HEADERS:
        assert name + b": " + value in found
