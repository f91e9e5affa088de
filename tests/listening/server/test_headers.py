"""What a request meets first: the host's name, the prefix of a reverse proxy, the headers of every answer."""

import asyncio

import pytest

from listening.server.headers import SECURITY_HEADERS, Front

POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
    "connect-src": "'self'", "media-src": "'none'", "base-uri": "'none'", "form-action": "'none'",
    "frame-ancestors": "'none'", "worker-src": "'self'",
}  # fmt: skip


async def say_path(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def asked(front, path="/", hosts=(b"localhost",)):
    """Status, headers and body of an answer."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"host", host) for host in hosts]
    asyncio.run(front({"type": "http", "method": "GET", "path": path, "headers": headers}, receive, send))
    return sent[0]["status"], sent[0]["headers"], b"".join(message.get("body", b"") for message in sent[1:])


def test_every_answer_has_the_headers_of_the_policy():
    for front in (Front(say_path, None, ""), Front(say_path, {"lab.example"}, "")):
        _, headers, _ = asked(front)
        assert headers[: len(SECURITY_HEADERS)] == SECURITY_HEADERS
    named = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
    policy = dict(part.strip().split(" ", 1) for part in named.pop("content-security-policy").split(";"))
    assert policy == POLICY
    assert named == {
        "referrer-policy": "no-referrer", "x-content-type-options": "nosniff", "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp",
        "cross-origin-resource-policy": "same-origin",
    }  # fmt: skip


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:80", b"127.0.0.1:8714", b"[::1]", b"[::1]:8714"])
def test_own_names_are_answered(host):
    status, _, body = asked(Front(say_path, {"localhost", "127.0.0.1", "[::1]"}, ""), hosts=[host])
    assert (status, body) == (200, b"/")


@pytest.mark.parametrize(
    "hosts",
    [[b"evil.example"], [b"evil.example:8714"], [b"localhost.evil.example"], [b"localhost@evil.example"], [b""],
     [], [b"localhost", b"evil.example"], [b"127.0.0.1.nip.io"], [b"localhost:x"], [b"localhost:1:2"], [b"::1"]],
)  # fmt: skip
def test_other_names_are_refused(hosts):
    status, _, body = asked(Front(say_path, {"localhost", "127.0.0.1", "[::1]"}, ""), hosts=hosts)
    assert status == 421
    assert b"/" not in body


def test_any_name_is_answered_where_other_machines_reach_the_server():
    assert asked(Front(say_path, None, ""), hosts=[b"room-2"])[0] == 200


@pytest.mark.parametrize(
    ("path", "seen"),
    [("/listening/t/x/", "/t/x/"), ("/t/x/", "/t/x/"), ("/listening/", "/"), ("/", "/"),
     ("/listening", "/listening"), ("/listeningroom/", "/listeningroom/"),
     ("/listening/listening/t/", "/listening/t/")],
)  # fmt: skip
def test_the_prefix_may_be_stripped_or_kept_by_the_proxy(path, seen):
    assert asked(Front(say_path, None, "/listening"), path)[2].decode() == seen


def test_without_a_prefix_paths_are_as_they_are():
    assert asked(Front(say_path, None, ""), "//t/x")[2] == b"//t/x"
