"""The server as a process: what it refuses to start with, how it ends, and that nothing acknowledged is lost."""

import contextlib
import http.client
import json
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from listening.server import serving
from render.common.errors import InputError

ROOT = Path(__file__).parents[3]


class Process:
    """``python -m listening.serve``, started and ready."""

    def __init__(self, background, package, results, *arguments):
        self.process = background(
            "listening.serve", "--package", package, "--results", results, "--port", 0, *arguments
        )
        *addresses, last = self.process.lines(4)
        assert last == "Ctrl-C ends the server\n"
        said = dict(line.split(maxsplit=1) for line in addresses)
        self.listener, self.desk = (urlsplit(said[name].strip()) for name in ("listener", "desk"))

    def ask(self, path, body=None, desk=False):
        """Status and JSON of the listener's address, or the desk's."""
        where = self.desk if desk else self.listener
        connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET" if body is None else "POST", where.path + path, body and json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def send(self, *events):
        return self.ask("api/events", {"window": "w", "events": list(events)})

    def end(self, number):
        """Send a signal; exit status and what was said."""
        self.process.send_signal(number)
        status, out, err = self.process.wait(20)
        return status, "".join(out.decode().splitlines(keepends=True)[4:]), err


@pytest.fixture
def start(package, tmp_path, background):
    started = []

    def start(*arguments):
        started.append(Process(background, package, tmp_path / "results.sqlite", *arguments))
        assert started[-1].ask("api/open", {"window": "w", "take_over": True})[0] == 200
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def event(seq):
    return {"seq": seq, "at_ms": seq, "type": "page", "page": 0}


def stored(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT window, seq FROM event ORDER BY id").fetchall()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_everything_on_the_disk(start, tmp_path, number):
    running = start()
    assert running.send(event(1), event(2)) == (200, {"stored": 2})
    with socket.create_connection(("127.0.0.1", running.listener.port)) as idle:
        status, out, err = running.end(number)
        assert idle.recv(10) == b""
    assert (status, err) == (0, "")
    assert out == f"ended; everything that was acknowledged lies in {tmp_path / 'results.sqlite'}\n"
    assert stored(tmp_path / "results.sqlite") == [("w", 1), ("w", 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.json", "package-2.0", "results.sqlite"]
    assert (tmp_path / "results.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_signal_ends_it_while_sound_is_being_sent_to_a_client_that_does_not_read(start, package, tmp_path):
    running = start()
    session = running.ask("api/session")[1]
    page = next(page for page in session["pages"] if page["kind"] == "trial")
    with socket.create_connection(("127.0.0.1", running.listener.port)) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(50):
            path = f"{running.listener.path}audio/{page['reference']}"
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(0.3)
        begin = time.monotonic()
        status, _, err = running.end(signal.SIGTERM)
    assert (status, err) == (0, "")
    assert time.monotonic() - begin < 10


def test_a_killed_server_loses_no_acknowledged_event(start, tmp_path):
    """Three kills at random moments; bench/listening_server.py does it 200 times."""
    acknowledged, seq, moments = 0, 0, random.Random(7)
    for _ in range(3):
        running = start()
        known = running.ask("api/open", {"window": "w", "take_over": True})[1]["stored"]
        assert known >= acknowledged
        seq = known
        threading.Timer(moments.uniform(0.05, 0.4), running.process.kill).start()
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                seq += 1
                status, answer = running.send(event(seq))
                assert (status, answer) == (200, {"stored": seq})
                acknowledged = seq
        running.process.wait()
    found = stored(tmp_path / "results.sqlite")
    assert found == [("w", number) for number in range(1, len(found) + 1)]
    assert acknowledged <= len(found) <= seq
    assert acknowledged > 10


def test_a_full_disk_is_said_and_nothing_is_lost_or_touched_and_it_goes_on_when_there_is_room(start, tmp_path):
    """A limit for files stands in for a disk that is full: the system refuses to write more (EFBIG)."""
    running = start()
    assert running.send(event(1))[0] == 200
    soft, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    status, answer = running.send(event(2), event(3))
    assert (status, answer["error"]) == (503, "storage")
    assert running.ask("api/session")[0] == 200
    assert running.ask("api/pause", {"on": True}, desk=True)[0] == 503
    assert running.ask("api/poll?window=w")[1]["paused"] is False
    assert any(one["kind"] == "storage" for one in running.ask("api/problems", desk=True)[1])
    assert stored(tmp_path / "results.sqlite") == [("w", 1)]
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert running.send(event(2), event(3)) == (200, {"stored": 3})
    status, _, err = running.end(signal.SIGTERM)
    assert status == 0
    assert "storage" in err
    assert stored(tmp_path / "results.sqlite") == [("w", 1), ("w", 2), ("w", 3)]


def refusal(package, results, *arguments):
    """What the command says when it does not start."""
    answer = subprocess.run(
        [sys.executable, "-m", "listening.serve", "--package", package, "--results", results, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert answer.returncode == 2, answer.stderr
    assert answer.stdout == ""
    [line] = answer.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_bad_input_is_one_line_and_status_2(package, tmp_path):
    """By the command here, as functions below; every message names what is wrong."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refusal(package, tmp_path / "r.sqlite", "--port", port)
    assert port in line
    assert "in use" in line
    assert not (tmp_path / "r.sqlite").exists()
    next(package.glob("audio/*/*.wav")).unlink()
    assert "is missing" in refusal(package, tmp_path / "r.sqlite", "--port", "0")


def opening(package, results, plan=None):
    serving.open_test(package, results, plan, None, "http://127.0.0.1/")


def test_a_package_that_is_not_as_it_was_exported_does_not_start(package, tmp_path):
    results = tmp_path / "r.sqlite"
    with pytest.raises(InputError, match="no such file"):
        opening(tmp_path / "nothing", results)
    session = (package / "session.json").read_text()
    (package / "session.json").write_text(json.dumps(json.loads(session) | {"version": 99}))
    with pytest.raises(InputError, match="version 99"):
        opening(package, results)
    (package / "session.json").write_text(session)
    sound = next(package.glob("audio/*/*.wav"))
    content = sound.read_bytes()
    sound.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="changed after the export"):
        opening(package, results)
    plan = tmp_path / "plan.toml"
    plan.write_text('metod = "mushra"\n')
    sound.write_bytes(content)
    with pytest.raises(InputError, match="did you mean method"):
        opening(package, results, plan)
    assert not results.exists()


def test_a_database_that_is_in_use_or_of_another_test_is_refused_and_not_touched(package, served, tmp_path):
    with pytest.raises(InputError, match="another server is running"):
        opening(package, served.database)
    served.writer.close()
    served.test.close()
    before = served.database.read_bytes()
    plan = tmp_path / "plan.toml"
    plan.write_text("require_100 = true\n")
    with pytest.raises(InputError, match="another test"):
        opening(package, served.database, plan)
    assert served.database.read_bytes() == before


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("127.0.0.1", 70000, "70000"),
        ("203.0.113.1", 0, "203.0.113.1"),
        ("no such host", 0, "no such host"),
    ],
)
def test_an_address_that_cannot_be_listened_at_is_refused(host, port, why):
    with pytest.raises(InputError, match=why):
        serving.listen(host, port)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ((None, "127.0.0.1", 8714), "http://127.0.0.1:8714/"),
        ((None, "::1", 80), "http://[::1]:80/"),
        ((None, "0.0.0.0", 80), f"http://{socket.gethostname()}:80/"),  # noqa: S104
        (("https://lab.example", "127.0.0.1", 80), "https://lab.example/"),
        (("https://lab.example/listening//", "127.0.0.1", 80), "https://lab.example/listening/"),
    ],
)  # fmt: skip
def test_the_public_address(given, address):
    assert serving.public_address(*given) == address


@pytest.mark.parametrize(
    "url", ["lab.example", "ftp://lab.example/", "https://", "https://lab.example/?x", "http://[", ""]
)
def test_what_is_no_public_address_is_refused(url):
    with pytest.raises(InputError, match="--url"):
        serving.public_address(url, "127.0.0.1", 80)


def test_names_by_which_a_loopback_address_is_known_and_that_others_are_known_by_any():
    assert serving.served_hosts("127.0.0.2", "https://Lab.example/x/") == {
        "localhost", "127.0.0.1", "[::1]", "127.0.0.2", "lab.example",
    }  # fmt: skip
    assert serving.served_hosts("::1", "http://[::1]:80/") >= {"[::1]"}
    assert serving.served_hosts("192.0.2.1", "http://x/") is None


def test_an_open_address_without_tls_is_warned_of(package, tmp_path, background):
    for url, warned in (("http://lab.example/", True), ("https://lab.example/", False)):
        running = Process(background, package, tmp_path / "r.sqlite", "--host", "0.0.0.0", "--url", url)  # noqa: S104
        assert running.listener.geturl().startswith(f"{url}t/")
        status, _, err = running.end(signal.SIGKILL)
        assert status == -signal.SIGKILL
        assert err.startswith("warning: 0.0.0.0 is reached without TLS") is warned
