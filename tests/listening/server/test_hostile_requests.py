"""Requests of somebody who has a listener's link and means harm: each is answered, in time, with no defect."""

import time

import pytest


def no_defects(served):
    return [problem for problem in served.problems.newest_first() if problem["kind"] == "defect"] == []


@pytest.mark.parametrize(
    "asked",
    ["wait=nan&after=0", "wait=-nan&after=0", "wait=-1&after=0", "wait=inf", "wait=x", "after=" + "9" * 5000],
)
def test_a_wait_that_is_no_time_does_not_keep_the_server_busy(client, served, link, asked):
    """NaN is neither more nor less than any time: a wait for it would never end."""
    begun = time.monotonic()
    assert client.get(f"{link}api/native?{asked}").status in (200, 400)
    assert time.monotonic() - begun < 5
    assert no_defects(served)


@pytest.mark.parametrize(
    "path",
    [
        "static/../../app.py", "static/%2e%2e/%2e%2e/app.py", "static/..%2fapp.py", "static//etc/passwd",
        "static/app.js%00.html", "static/", "audio/../../session.json", "audio/%2e%2e%2fsession.json", "audio/",
        "audio/" + "0" * 32, "audio/Beach/reference.wav", "../../d/x/", "%ff%fe/", "api/session/", "api",
    ],
)  # fmt: skip
def test_no_path_leads_to_another_file(client, served, link, path):
    answer = client.get(link + path)
    assert (answer.status, answer.body) == (404, client.get("/nothing").body)
    assert no_defects(served)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b'"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"window": "w", "events": ' + b"[" * 900,
        b'{"window": "w", "events": [NaN]}', b'{"window": "w", "events": [1e999]}', b'{"window": "w"}',
        b'{"window": "w", "events": {"0": 1}}', b'{"window": "", "events": []}', b'{"window": 1, "events": []}',
        b'{"window": "w", "events": ["\\ud800"]}', b'{"window": "w", "events": [' + b"9" * 5000 + b"]}",
        b'{"window": "' + b"w" * 65 + b'", "events": []}',
    ],
)  # fmt: skip
def test_a_body_that_is_not_what_a_page_sends_is_refused(client, served, link, body):
    assert client.post(f"{link}api/events", body).status == 400
    assert no_defects(served)


def test_a_body_is_read_to_one_mebibyte_only(client, served, link):
    client.post(f"{link}api/open", {"window": "w", "take_over": False})
    body = b'{"window": "w", "events": []}'
    assert client.post(f"{link}api/events", body.ljust(1 << 20)).status == 200
    assert client.post(f"{link}api/events", body.ljust((1 << 20) + 1)).status == 413
    assert no_defects(served)


@pytest.mark.parametrize(
    "event",
    [
        None, 3, "done", [], {}, {"seq": 1}, {"seq": True}, {"seq": 1.0}, {"seq": 1, "type": []},
        {"seq": 1, "type": "done", "page": 0, "at_ms": 10**400},
        {"seq": 1, "type": "done", "page": 2**70, "at_ms": 1},
        {"seq": 1, "type": "language", "page": 0, "at_ms": 1, "language": ["en"]},
        {"seq": 1, "type": "page", "page": 0, "at_ms": 1, "x" * 100_000: 1},
    ],
)  # fmt: skip
def test_an_impossible_event_is_refused_and_the_next_one_is_stored(client, served, link, event):
    client.post(f"{link}api/open", {"window": "w", "take_over": False})
    answer = client.post(f"{link}api/events", {"window": "w", "events": [event]})
    assert (answer.status, answer.json()["stored"]) == (422, 0)
    assert len(answer.json()["why"]) < 300
    right = {"seq": 1, "at_ms": 1, "type": "page", "page": 0}
    assert client.post(f"{link}api/events", {"window": "w", "events": [right]}).json() == {"stored": 1}
    assert no_defects(served)


def test_a_flood_of_events_is_stored_while_others_are_answered(client, served, link):
    """A request of the largest size; the state of a listener does not grow with what he sends."""
    client.post(f"{link}api/open", {"window": "w", "take_over": False})
    events = [{"seq": seq, "at_ms": seq, "type": "page", "page": 0} for seq in range(1, 15_001)]
    begun = time.monotonic()
    assert client.post(f"{link}api/events", {"window": "w", "events": events}).json() == {"stored": 15_000}
    assert time.monotonic() - begun < 10
    assert len(client.get(f"{link}api/session").body) < 200_000
