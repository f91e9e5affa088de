"""The desk's addresses: overview, problems, links, changes, results."""

import csv
import io
import re
import sqlite3

import pytest


@pytest.fixture
def desk(served):
    return f"/d/{served.test.desk_token}/"


def test_the_overview_has_a_row_for_each_listener_with_a_link_that_works(client, desk):
    rows = client.get(f"{desk}api/overview").json()
    assert [row["listener"] for row in rows] == ["L01", "L02", "L03", "L04"]
    for row in rows:
        path = row["link"].removeprefix("http://127.0.0.1:8714")
        assert client.get(f"{path}api/session").json()["listener"] == row["listener"]
        assert (row["page"], row["kind"], row["trials_done"], row["trials"]) == (0, "welcome", 0, 2)


def test_the_test_is_paused_and_goes_on(client, served, desk):
    link = "/" + served.test.overview()[0]["link"]
    for on in (True, False):
        answer = client.post(f"{desk}api/pause", {"on": on})
        assert (answer.status, answer.json()) == (200, {})
        assert client.get(f"{link}api/poll?window=w").json()["paused"] is on
        assert client.get(f"{desk}api/overview").json()[0]["paused"] is on


def test_a_listener_is_withdrawn(client, desk):
    assert client.post(f"{desk}api/withdraw", {"listener": "L02"}).status == 200
    rows = {row["listener"]: row["withdrawn"] for row in client.get(f"{desk}api/overview").json()}
    assert rows.pop("L02") > 1.6e12
    assert set(rows.values()) == {None}
    assert client.post(f"{desk}api/withdraw", {"listener": "L99"}).status == 404


def test_a_listener_is_added_and_told_that_orders_are_used_again(client, desk):
    answer = client.post(f"{desk}api/listeners", {})
    assert (answer.status, answer.json()) == (200, {"listener": "L05"})
    [link] = [row["link"] for row in client.get(f"{desk}api/overview").json() if row["listener"] == "L05"]
    assert client.get(link.removeprefix("http://127.0.0.1:8714") + "api/session").json()["listener"] == "L05"
    [note] = client.get(f"{desk}api/problems").json()
    assert (note["kind"], note["listener"]) == ("note", None)
    assert "4 listeners" in note["what"]


def test_what_is_no_request_is_400_and_changes_nothing(client, desk):
    before = client.get(f"{desk}api/overview").json()
    for path, body in (("pause", {}), ("pause", {"on": 1}), ("pause", []), ("withdraw", {"listener": 1})):
        assert client.post(f"{desk}api/{path}", body).status == 400
    assert client.get(f"{desk}api/overview").json() == before


def test_the_code_of_a_link_is_an_svg_of_its_modules(client, desk):
    import segno

    answer = client.get(f"{desk}api/qr/L01.svg")
    assert (answer.status, answer["content-type"]) == (200, "image/svg+xml")
    link = client.get(f"{desk}api/overview").json()[0]["link"]
    code = segno.make_qr(link)
    [drawn] = re.findall(r'<path[^>]* d="([^"]*)"', answer.body.decode())
    assert dark_modules(drawn, code.default_border_size) == {
        (x, y) for y, row in enumerate(code.matrix) for x, dark in enumerate(row) if dark
    }
    assert client.get(f"{desk}api/qr/L99.svg").status == 404


def dark_modules(path, border):
    """Modules that a path of horizontal strokes covers (SVG 1.1, clause 8.3): M, m and h only."""
    covered, x, y = set(), 0.0, 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]*)", path):
        values = [float(value) for value in re.findall(r"-?\d*\.?\d+", numbers)]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            covered |= {(round(x) + step - border, int(y) - border) for step in range(round(values[0]))}
            x += values[0]
    return covered


def rate_first_trial(client, link, underruns):
    """Send what a listener does from the welcome to the end of the first trial."""
    client.post(f"{link}api/open", {"window": "w", "take_over": False})
    pages = client.get(f"{link}api/session").json()["pages"]
    does = {
        "consent": [{"type": "consent", "given": True}],
        "device": [{"type": "device", "transducer": "loudspeakers"}],
        "channels": [{"type": "confirm", "what": "channels"}],
        "trial": [
            {"type": kind, "slot": slot} | own
            for slot in (1, 2, 3)
            for kind, own in (("play", {"position": 0}), ("rate", {"score": 30.5 * slot}))
        ] + [{"type": "underruns", "events": underruns, "duration_s": 0.2}],
    }  # fmt: skip
    trial = next(number for number, page in enumerate(pages) if page["kind"] == "trial")
    through = []
    for number, page in enumerate(pages[: trial + 1]):
        through += [one | {"page": number} for one in (*does.get(page["kind"], []), {"type": "done"})]
    events = [{"seq": seq, "at_ms": 1000 * seq} | one for seq, one in enumerate(through, start=1)]
    assert client.post(f"{link}api/events", {"window": "w", "events": events}).json() == {"stored": len(events)}
    return events


def test_underruns_and_ratings_are_told(client, served, desk):
    assert client.get(f"{desk}api/results.csv").status == 422  # there is none yet
    link = "/" + served.test.overview()[0]["link"]
    events = rate_first_trial(client, link, underruns=3)
    [problem] = client.get(f"{desk}api/problems").json()
    assert (problem["kind"], problem["listener"], problem["what"]) == ("underruns", "L01", "3 underruns")
    row = client.get(f"{desk}api/overview").json()[0]
    assert (row["trials_done"], row["underruns"]) == (1, 3)
    ratings = client.get(f"{desk}api/results.csv")
    assert ratings["content-disposition"] == 'attachment; filename="results.csv"'
    read = list(csv.DictReader(io.StringIO(ratings.body.decode())))
    assert sorted(float(one["score"]) for one in read) == [30.5, 61.0, 91.5]
    stored = list(csv.DictReader(io.StringIO(client.get(f"{desk}api/events.csv").body.decode())))
    assert [(int(one["seq"]), one["type"]) for one in stored] == [(one["seq"], one["type"]) for one in events]


def test_the_database_is_a_whole_copy_at_one_moment(client, served, desk, tmp_path):
    link = "/" + served.test.overview()[0]["link"]
    client.post(f"{link}api/open", {"window": "w", "take_over": False})
    client.post(
        f"{link}api/events", {"window": "w", "events": [{"seq": 1, "at_ms": 1, "type": "page", "page": 0}]}
    )
    answer = client.get(f"{desk}api/results.sqlite")
    assert (answer.status, answer["content-type"]) == (200, "application/vnd.sqlite3")
    assert answer["content-disposition"] == 'attachment; filename="results.sqlite"'
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(answer.body)
    with sqlite3.connect(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT listener, window, seq, type FROM event").fetchall() == [
            ("L01", "w", 1, "page")
        ]
    left = [path.name for path in served.database.parent.iterdir() if path.name.startswith(".")]
    assert left == []
