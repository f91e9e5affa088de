"""Without a token there is the welcome page and nothing else, whatever the path or method."""

import socket

import pytest

STRANGERS = ["/t/", "/t", "/d/", "/d/x/", "/t/x/", "/t/x", "/t/x/api/session", "/t/x/static/app.js",
             "/d/x/api/overview",
             "/t//", "/static/app.js", "/index.html", "/favicon.ico", "/robots.txt", "/api/session", "/docs",
             "/openapi.json", "/.env", "/results.sqlite", "//", "/%20", "/T/x/", "/t/x/audio/" + 32 * "0",
             "/d/x/api/results.sqlite", "/t/%C3%A4/", "/t/%00/"]  # fmt: skip

# What would lead out of the folder of static files if a path were ever joined, in every spelling
UP = [
    "..",
    "%2e%2e",
    "%2E.",
    "..%00",
    "%252e%252e",
    "....",
    "..;",
    "%c0%ae%c0%ae",
    ".%2e",
    "..%5c",
    "..\\",
    "%uff0e%uff0e",
]
TARGETS = ["app.py", "etc/passwd", "%2fetc%2fpasswd", "../../server/app.py", "static/../app.py"]
TRAVERSALS = [f"static/{up}/{target}" for up in UP for target in TARGETS] + [
    "static//etc/passwd", "static/%2fetc/passwd", "static/C:%5cwindows%5cwin.ini", "static/file:///etc/passwd",
    "static/index.html%00.js", "static/%00", "static/", "static/.", "static/./wav.js", "static//wav.js",
    "static/wav.js/", "static/wav.js%20", "static/WAV.JS", "static/wav.js::$DATA", "static/pages/../wav.js",
    "static/__pycache__", "static/~root", "static/" + 200 * "../" + "etc/passwd",
    "audio/../static/wav.js", "audio/reference.wav", "audio/..%2f..%2fsession.json", "audio/%2e%2e",
    "audio/audio/Beach/reference.wav", "audio/", "api/../static/wav.js", "api/session/", "api", "api/",
]  # fmt: skip


@pytest.fixture
def desk(served):
    return f"/d/{served.test.desk_token}/"


def same(answer, other):
    """Whether two answers are alike but for the date."""
    kept = [[pair for pair in one.headers if pair[0] != "date"] for one in (answer, other)]
    return answer.status == other.status and kept[0] == kept[1] and answer.body == other.body


def test_the_welcome_page_names_nobody_and_loads_nothing(client):
    answer = client.get("/")
    assert (answer.status, answer["content-type"]) == (200, "text/html; charset=utf-8")
    assert not {b"src=", b"href=", b"script", b"style", b"MUSHRA", b"L01"} & set(answer.body.split())
    assert b"link of his or her own" in answer.body


def test_every_other_path_is_the_same_404(client):
    nothing = client.get("/nothing")
    assert nothing.status == 404
    for path in STRANGERS:
        assert same(client.get(path), nothing), path


def test_methods_tell_nothing_of_what_there_is(client, link, desk):
    nothing = client.get("/nothing")
    paths = ("/", "/t/x/", "/t/x/api/events", "/t/x/api/session", f"{link}api/session", f"{desk}api/overview")
    for path in paths:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"):
            assert same(client.ask(method, path), nothing), (method, path)


def test_tokens_open_their_own_doors_only(client, served, link, desk):
    nothing = client.get("/nothing")
    token, desk_token = link.split("/")[2], served.test.desk_token
    wrong = [f"/d/{token}/api/overview", f"/t/{desk_token}/api/session", f"/t/{token[:-1]}/api/session",
             f"/t/{token}x/api/session", f"/t/{token.swapcase()}/api/session", f"/t/%20{token}/api/session",
             f"/t/{token}%00/api/session", f"/x{link}api/session", f"/t/x/../{token}/api/session"]  # fmt: skip
    for path in wrong:
        assert same(client.get(path), nothing), path
    assert client.get(f"{link}api/session").status == 200
    assert client.get(f"{desk}api/overview").status == 200


def test_tokens_cannot_be_guessed(served):
    tokens = [row["link"].split("/")[1] for row in served.test.overview()] + [served.test.desk_token]
    assert len(set(tokens)) == 5
    assert all(len(token) >= 22 for token in tokens)  # 128 bits in base 64


def test_no_spelling_of_a_path_leads_out_of_the_static_files(client, link, desk):
    assert len(TRAVERSALS) >= 60
    assert client.get(link + "static/wav.js").status == 200
    nothing = client.get("/nothing")
    for door in (link, desk):
        for path in TRAVERSALS:
            assert same(client.get(door + path), nothing), path


def test_absolute_addresses_and_odd_request_lines_lead_nowhere(client, link):
    for path in ("http://evil.example/", f"http://evil.example{link}"):
        assert client.get(path).status == 421
    for path in ("*", f"http://localhost{link}", "localhost"):
        assert client.get(path).status == 404
    assert client.ask("OPTIONS", "*").status == 404


def test_a_wrong_host_is_told_nothing(client, link):
    for host in ("evil.example", f"evil.example:{client.port}", ""):
        refused = raw(client, f"GET {link}api/session HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 421")
        assert b"title" not in refused


def raw(client, request):
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(request.encode())
        got = b""
        while part := connection.recv(65536):
            got += part
    return got
