"""Sound over HTTP: whole, in ranges, and when the file is not the package's any more."""

import os
import socket
import time
from pathlib import Path

import pytest

from listening.server import file_answer


@pytest.fixture
def sound(client, served, link):
    """Address of the first trial's first stimulus, and the file."""
    page = next(page for page in client.get(f"{link}api/session").json()["pages"] if page["kind"] == "trial")
    identity = page["stimuli"][0]
    return f"{link}audio/{identity}", served.test.audio_file("L01", identity)


def test_the_whole_file_is_the_file(client, sound):
    address, path = sound
    answer = client.get(address)
    assert (answer.status, answer.body) == (200, path.read_bytes())
    assert answer["content-length"] == str(path.stat().st_size)
    assert answer["content-type"] == "audio/wav"
    assert {name for name, _ in answer.headers}.isdisjoint({"etag", "last-modified", "server", "set-cookie"})


def test_every_file_of_a_session_can_be_had(client, served, link):
    session = client.get(f"{link}api/session").json()
    found = [*session["signals"].values()]
    for page in session["pages"]:
        found += [page["reference"], *page["stimuli"]] if "stimuli" in page else []
    assert len(found) == len(set(found)) == 3 + 3 * 4
    for identity in found:
        assert client.get(f"{link}audio/{identity}").body == served.test.audio_file("L01", identity).read_bytes()


def test_ranges_are_the_slices_that_they_name(client, sound):
    address, path = sound
    content = path.read_bytes()
    size = len(content)
    for header, part in (
        ("bytes=0-43", slice(0, 44)),
        ("bytes=100000-", slice(100000, None)),
        ("bytes=-7", slice(-7, None)),
        (f"bytes=131071-{size + 5}", slice(131071, None)),  # over the end of a block, and of the file
    ):
        answer = client.get(address, {"Range": header})
        assert (answer.status, answer.body) == (206, content[part])
        start, end, _ = part.indices(size)
        assert answer["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer["content-length"] == str(end - start)


def test_ranges_that_cannot_be_are_416_and_what_is_none_is_ignored(client, sound):
    address, path = sound
    size = path.stat().st_size
    for header in (f"bytes={size}-", "bytes=0-1,4-5", "bytes=-0"):
        answer = client.get(address, {"Range": header})
        assert (answer.status, answer["content-range"], answer.body) == (416, f"bytes */{size}", b"")
    for headers in ({"Range": "lines=0-3"}, {"Range": "bytes=0-3", "If-Range": '"x"'}):
        assert len(client.get(address, headers).body) == size


def test_head_tells_the_length_alone(client, sound):
    address, path = sound
    answer = client.ask("HEAD", address)
    assert (answer.status, answer["content-length"], answer.body) == (200, str(path.stat().st_size), b"")


def test_ids_of_others_and_other_words_are_404(client, served, sound):
    identity = sound[0].rsplit("/", 1)[1]
    other = "/" + served.test.overview()[1]["link"]
    for address in (f"{other}audio/{identity}", f"{sound[0]}0", sound[0][:-1], f"{other}audio/reference.wav"):
        assert client.get(address).status == 404


def test_a_file_that_vanishes_or_changes_is_not_played_and_the_desk_knows_while_all_else_goes_on(
    client, served, sound
):
    address, path = sound
    before = path.read_bytes()
    path.unlink()
    assert (client.get(address).status, client.get(address).json()) == (503, {"error": "audio"})
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert client.get(address).status == 503
    vanished, changed = served.problems.newest_first()
    assert "No such file" in vanished["what"] + changed["what"]
    assert "changed since the start" in vanished["what"] + changed["what"]
    assert {vanished["kind"], changed["kind"]} == {"audio"}
    assert {vanished["times"], changed["times"]} == {1, 2}
    assert all(problem["listener"] == "L01" and str(path) in problem["what"] for problem in (vanished, changed))
    other = next(one for one in client.get(address.split("audio/")[0] + "api/session").json()["signals"].values())
    assert client.get(address.rsplit("/", 1)[0] + "/" + other).status == 200


def test_a_file_that_becomes_shorter_while_it_is_sent_ends_the_answer_early(client, served, sound, monkeypatch):
    address, path = sound
    size = path.stat().st_size
    read = os.pread

    def pread(file, count, position):
        if position:
            os.truncate(path, 131072)
        return read(file, count, position)

    monkeypatch.setattr(os, "pread", pread)
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        got = b""
        while part := connection.recv(65536):
            got += part
    assert f"content-length: {size}".encode() in got
    assert len(got.partition(b"\r\n\r\n")[2]) == 131072
    [problem] = served.problems.newest_first()
    assert "shorter" in problem["what"]


def test_no_more_than_a_block_is_read_at_once_and_the_file_is_closed(client, sound, monkeypatch):
    address, path = sound
    sizes = []
    read = os.pread

    def pread(file, count, position):
        sizes.append(count)
        return read(file, count, position)

    monkeypatch.setattr(os, "pread", pread)
    for _ in range(3):
        assert client.get(address).body == path.read_bytes()
        assert client.get(address, {"Range": "bytes=9999999-"}).status == 416
        client.ask("HEAD", address)
    size = path.stat().st_size
    assert sizes == 3 * [131072, size - 131072]
    assert file_answer._BLOCK == 131072
    end = time.monotonic() + 5
    while str(path) in opened_files():  # the last answer may be closing it
        assert time.monotonic() < end


def opened_files():
    files = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return {os.readlink(file) for file in files if file.is_symlink()}
