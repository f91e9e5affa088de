"""Whole answers of the server, over sockets."""


def test_a_listener_opens_a_window_and_his_events_are_stored(client, served):
    link = served.test.overview()[0]["link"]
    session = client.get(f"/{link}api/session").json()
    assert session["listener"] == "L01"
    assert client.post(f"/{link}api/open", {"window": "w", "take_over": False}).json() == {
        "window": "w",
        "stored": 0,
    }
    events = [{"seq": 1, "at_ms": 1, "type": "page", "page": 0}, {"seq": 2, "at_ms": 2, "type": "done", "page": 0}]
    for _ in range(2):
        answer = client.post(f"/{link}api/events", {"window": "w", "events": events})
        assert (answer.status, answer.json()) == (200, {"stored": 2})
    assert client.get(f"/{link}api/session").json()["state"]["page"] == 1
