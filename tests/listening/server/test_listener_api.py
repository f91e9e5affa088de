"""A listener's addresses: every answer of the contract, over sockets."""

import socket

import pytest

from listening.sessions import listening_test

OPEN = {"window": "w", "take_over": False}


def event(seq, kind="page", page=0, **own):
    return {"seq": seq, "at_ms": 1790000000000 + seq, "type": kind, "page": page, **own}


@pytest.fixture
def send(client, link):
    """Send events of the window w; status and answer."""
    assert client.post(f"{link}api/open", OPEN).status == 200

    def send(*events, window="w"):
        answer = client.post(f"{link}api/events", {"window": window, "events": list(events)})
        return answer.status, answer.json()

    return send


def test_events_are_acknowledged_by_number_and_those_sent_again_are_ignored(client, link, send):
    assert send(event(1), event(2, "done")) == (200, {"stored": 2})
    assert send(event(1), event(2, "done"), event(3, page=1)) == (200, {"stored": 3})
    assert send() == (200, {"stored": 3})
    assert client.post(f"{link}api/open", OPEN).json() == {"window": "w", "stored": 3}
    assert client.get(f"{link}api/session").json()["state"]["page"] == 1


def test_a_gap_and_what_cannot_be_are_refused_after_what_can(send):
    assert send(event(2)) == (409, {"error": "gap", "stored": 0})
    status, answer = send(event(1), event(2, "dance"), event(3))
    assert status == 422
    assert answer.keys() == {"error", "why", "stored"}
    assert (answer["error"], answer["stored"]) == ("refused", 1)
    assert "dance" in answer["why"]


def test_a_second_window_is_told_and_takes_over_when_it_asks_to(client, link, send):
    second = client.post(f"{link}api/open", {"window": "v", "take_over": False})
    assert second.status == 409
    assert second.json().keys() == {"error", "last_seen_s"}
    assert 0 <= second.json()["last_seen_s"] < 15
    assert client.get(f"{link}api/poll?window=v").json()["elsewhere"] is True
    assert client.post(f"{link}api/open", {"window": "v", "take_over": True}).json() == {
        "window": "v",
        "stored": 0,
    }
    status, answer = send(event(1))
    assert (status, answer["error"]) == (409, "elsewhere")
    assert client.get(f"{link}api/poll?window=w").json() == {
        "paused": False,
        "withdrawn": False,
        "elsewhere": True,
    }
    assert send(event(1), window="v") == (200, {"stored": 1})


def test_a_window_that_was_not_heard_of_since_the_start_is_told_so(client, link):
    status = client.post(f"{link}api/events", {"window": "never opened", "events": [event(1)]})
    assert (status.status, status.json()) == (409, {"error": "elsewhere", "last_seen_s": None})


def test_a_withdrawn_listener_is_told(client, served, link, send):
    served.test.withdraw("L01")
    assert send(event(1)) == (410, {"error": "withdrawn"})
    assert client.get(f"{link}api/poll?window=w").json()["withdrawn"] is True


def test_a_withdrawn_listener_hears_nothing_more(client, served, link):
    session = client.get(f"{link}api/session").json()
    file = f"{link}audio/{session['signals']['level']}"
    assert client.get(file).status == 200
    served.test.withdraw("L01")
    refused = client.get(file)
    assert (refused.status, refused.json()) == (410, {"error": "withdrawn"})


def test_who_sends_too_much_is_refused_and_named_on_the_desk(client, served, link, send, monkeypatch):
    monkeypatch.setattr(listening_test, "MAX_CHARACTERS", 100)
    status, answer = send(event(1), event(2))
    assert (status, answer["error"]) == (503, "storage")
    assert "100 characters" in answer["why"]
    problems = client.get(f"/d/{served.test.desk_token}/api/problems").json()
    assert [(each["kind"], each["listener"]) for each in problems] == [("storage", "L01")]
    assert "withdraw, add a listener" in problems[0]["what"]
    assert send(event(1)) == (200, {"stored": 1})


def test_a_pause_is_told_by_the_poll_and_refuses_nothing(client, served, link, send):
    served.test.pause(True)
    assert client.get(f"{link}api/poll?window=w").json() == {
        "paused": True,
        "withdrawn": False,
        "elsewhere": False,
    }
    assert send(event(1)) == (200, {"stored": 1})


def test_texts_come_in_the_language_that_is_asked_for(client, link):
    session = client.get(f"{link}api/session?language=en").json()
    assert session["language"] == "en"
    assert client.get(f"{link}api/session?language=%00").json()["language"] == session["language"]


NO_REQUEST = [
    b"", b"{", b"[]", b"1", b'{"window": "w"}', b'{"window": 1, "events": []}', b'{"window": "w", "events": {}}',
    b'{"window": "", "events": []}', b'{"window": "w", "events": [NaN]}', b'{"window": "w", "events": [1e999]}',
    b'{"window": "w", "events": ["\\ud800"]}', b'{"window": "\xff", "events": []}', 100000 * b"[",
    b'{"window": "w", "events": [' + 5000 * b"9" + b"]}", b'{"window": "' + 65 * b"w" + b'", "events": []}',
]  # fmt: skip


def test_what_is_no_request_is_400(client, link):
    for body in NO_REQUEST:
        answer = client.ask("POST", f"{link}api/events", body)
        assert (answer.status, answer.json()["error"]) == (400, "malformed"), body[:60]


def test_what_is_no_event_is_refused_or_a_gap(send):
    for not_event in (None, 1, [], {}, {"seq": True}, {"seq": "1"}, {"seq": 1}, {"seq": 10**30}):
        assert send(not_event)[0] in (409, 422), not_event
    assert send(event(1)) == (200, {"stored": 1})


def test_bodies_are_limited_with_a_stated_length_and_without(client, link):
    address = f"{link}api/events"
    assert client.ask("POST", address, (1 << 20) * b" ").status == 400
    answer = client.ask("POST", address, ((1 << 20) + 1) * b" ")
    assert (answer.status, answer.json(), answer["connection"]) == (413, {"error": "too large"}, "close")
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        head = f"POST {address} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(17):
            connection.sendall(b"10000\r\n" + 65536 * b" " + b"\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_the_page_and_its_files(client, link):
    for path, kind in (("static/switching.js", "text/javascript; charset=utf-8"),):
        answer = client.get(link + path)
        assert (answer.status, answer["content-type"]) == (200, kind)
    assert client.get(link + "static/nothing.js").status == 404


def test_a_link_without_its_last_slash_leads_to_the_page(client, link):
    answer = client.get(link.rstrip("/"))
    assert answer.status == 308
    assert answer["location"] == link.rsplit("/", 2)[1] + "/"  # relative: right under every prefix


def test_commands_for_a_player_outside_the_browser(client, served, link):
    address = f"{link}api/native"
    assert client.post(address, {"commands": [{"type": "stop"}]}).status == 409
    assert client.get(f"{address}?after=-1&wait=0").json()["connected"] is False
    assert client.get(f"{address}?after=x").status == 400
    assert client.get(f"{address}?wait=nan").status == 200
    assert client.post(address, {"commands": ["stop"]}).status == 400
    player = f"{address}/player"
    assert client.get(f"{player}?player=p&after=0&wait=0").status == 409
    assert client.post(player, {"player": "p", "state": {"status": "starting"}}).json() == {"number": 0}
    assert client.post(address, {"commands": [{"type": "stop"}, {"type": "use"}]}).json() == {"number": 2}
    commands = client.get(f"{player}?player=p&after=1&wait=0").json()["commands"]
    assert commands == [{"type": "use", "number": 2}]
    assert client.post(player, {"player": "p", "state": {"status": "ready"}}).json() == {"number": 2}
    state = client.get(f"{address}?after=-1&wait=0").json()
    assert (state["connected"], state["player"], state["state"]) == (True, "p", {"status": "ready"})
    other = "/" + served.test.overview()[1]["link"]
    assert client.get(f"{other}api/native?after=-1&wait=0").json()["connected"] is False
