"""The desk in a real Chromium: it shows where listeners are and changes the test."""

import csv
import sqlite3
import time
from contextlib import closing

import pytest

DEVICE = {
    "sample_rate_hz": 48000, "max_channels": 2, "output_map": "identity", "transducer": "loudspeakers",
    "browser": "Chromium 156", "native": False,
}  # fmt: skip


class Walk:
    """A listener who goes through his pages without a browser."""

    def __init__(self, test, listener):
        self.test, self.listener, self.seq, self.ms = test, listener, 0, int(time.time() * 1000)
        test.open_window(listener, "w", True)
        self.pages = test.session(listener)["pages"]

    def events(self, number, *events):
        numbered = []
        for event in ({"type": "page"}, *events):
            self.seq, self.ms = self.seq + 1, self.ms + 1000
            numbered.append({"seq": self.seq, "at_ms": self.ms, "page": number, **event})
        outcome = self.test.append(self.listener, "w", numbered)
        assert outcome.stored == self.seq, outcome

    def to(self, end, underruns=0):
        """Finish all pages before page `end`."""
        for number in range(self.test.overview()[int(self.listener[1:]) - 1]["page"], end):
            page, did = self.pages[number], []
            if page["kind"] == "consent":
                did = [{"type": "consent", "given": True}]
            elif page["kind"] == "device":
                did = [{"type": "device", **DEVICE}]
            elif page["kind"] == "channels":
                did = [{"type": "confirm", "what": "channels"}]
            elif page["kind"] == "trial":
                for slot in range(1, len(page["stimuli"]) + 1):
                    did += [{"type": "play", "slot": slot, "position": 0}]
                    did += [{"type": "rate", "slot": slot, "score": 20 * slot}]
                did += [{"type": "underruns", "events": underruns, "duration_s": 0.01 * underruns}]
            self.events(number, *did, {"type": "done"})


@pytest.fixture
def desk(launch, client, served):
    """The desk's page of a test with four listeners, opened; and what went wrong in it."""
    browser = launch()
    page = browser.new_context(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    ).new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(f"http://127.0.0.1:{client.port}/d/{served.test.desk_token}/")
    page.get_by_role("row", name="L04").wait_for()
    yield page
    assert not [
        one for one in wrong if "net::ERR_FAILED" not in one and "status of 422" not in one
    ]  # what a test keeps from being answered
    browser.close()


def cells(page, listener):
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=listener, exact=True))
    return [text.strip() for text in row.get_by_role("cell").all_inner_texts()]


def until(condition, seconds=8):
    """Wait for what the next update shows."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_the_desk_shows_where_everybody_is(desk, served):
    test = served.test
    trials = [number for number, page in enumerate(test.session("L01")["pages"]) if page["kind"] == "trial"]
    Walk(test, "L01").to(trials[1], underruns=3)
    Walk(test, "L02").to(len(test.session("L02")["pages"]) - 1)
    Walk(test, "L03")
    until(lambda: cells(desk, "L02")[0] == "finished")
    where, count, left, underruns, seen, device, _ = cells(desk, "L01")
    assert (where, count, underruns, seen) == ("trial 2 of 2", "1 of 2", "3", "now")
    assert left == f"{round(test.overview()[0]['time_left_s'])} s"
    assert device.split("\n") == ["loudspeakers", "2 channels · 48 kHz · map identity · Chromium 156"]
    assert cells(desk, "L02")[1] == "2 of 2"
    assert cells(desk, "L03")[0] == "welcome, page 1 of 11"
    assert cells(desk, "L04")[:5] == ["to come", "0 of 2", "", "0", ""]
    assert desk.locator("#summary").inner_text() == "2 under way, 1 to come, 1 finished"
    assert desk.locator("#problems").is_hidden()


def test_a_link_is_copied_shown_as_qr_code_and_printed_for_those_to_come(desk, served):
    Walk(served.test, "L01")
    until(lambda: cells(desk, "L01")[0].startswith("welcome"))
    links = {row["listener"]: served.public_url + row["link"] for row in served.test.overview()}
    desk.get_by_role("button", name="Copy the link of L02").click()
    until(lambda: desk.evaluate("navigator.clipboard.readText()") == links["L02"])
    desk.get_by_role("button", name="Show the QR code of L03").click()
    assert desk.get_by_role("textbox", name="Link of L03").input_value() == links["L03"]
    code = desk.get_by_role("img", name="QR code with the link of L03")
    until(lambda: code.evaluate("image => image.complete && image.naturalWidth > 100"))
    desk.keyboard.press("Escape")
    assert not desk.get_by_role("dialog").count()
    desk.evaluate("window.print = () => { window.printed = true; }")
    desk.get_by_role("button", name="Print the links to come").click()
    until(lambda: desk.evaluate("window.printed === true"))
    desk.emulate_media(media="print")
    shown = desk.locator("body").inner_text()
    assert [name for name in links if name in shown] == ["L02", "L03", "L04"]
    assert [name for name, link in links.items() if link in shown] == ["L02", "L03", "L04"]
    assert "Withdraw" not in shown


def test_the_test_is_paused_and_goes_on(desk, served):
    test = served.test
    desk.get_by_role("button", name="Pause the test").click()
    until(lambda: desk.locator("#running").inner_text() == "paused")
    assert test.poll("L01", "w")["paused"]
    desk.get_by_role("button", name="Go on with the test").click()
    until(lambda: desk.locator("#running").inner_text() == "running")
    assert not test.poll("L01", "w")["paused"]


def test_a_listener_is_withdrawn_only_when_it_is_confirmed_and_one_is_added(desk, served):
    test = served.test
    pressed = desk.get_by_role("button", name="Withdraw L02", exact=True)
    pressed.focus()
    desk.keyboard.press("Enter")
    dialog = desk.get_by_role("dialog", name="Withdraw L02?")
    assert dialog.get_by_role("button", name="Keep").evaluate("it => it === document.activeElement")
    desk.keyboard.press("Enter")
    assert not dialog.count()
    assert test.overview()[1]["withdrawn"] is None
    assert pressed.evaluate("it => it === document.activeElement")
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    until(lambda: cells(desk, "L02")[0] == "withdrawn")
    assert test.overview()[1]["withdrawn"] is not None
    assert desk.locator("#announcement").inner_text() == "L02 is withdrawn."
    desk.get_by_role("button", name="Add a listener").click()
    until(lambda: desk.get_by_role("rowheader", name="L05").count() == 1)
    assert [row["listener"] for row in test.overview()] == ["L01", "L02", "L03", "L04", "L05"]


def test_ratings_events_and_the_database_are_saved_at_any_time(desk, served, tmp_path):
    test = served.test
    desk.get_by_role("link", name="Ratings (CSV)").click()
    dialog = desk.get_by_role("dialog", name="results.csv could not be made")
    dialog.wait_for()
    assert "holds no finished trial yet" in dialog.inner_text()
    desk.keyboard.press("Escape")
    Walk(test, "L01").to(len(test.session("L01")["pages"]) - 1)
    Walk(test, "L02")
    for name, file in (
        ("Ratings (CSV)", "results.csv"),
        ("Events (CSV)", "events.csv"),
        ("Database (SQLite)", "results.sqlite"),
    ):
        with desk.expect_download() as saved:
            desk.get_by_role("link", name=name).click()
        assert saved.value.suggested_filename == file
        saved.value.save_as(tmp_path / "saved" / file)
    with open(tmp_path / "saved/results.csv", encoding="utf-8", newline="") as file:
        rated = list(csv.DictReader(file))
    assert [row["listener"] for row in rated] == ["L01"] * 6
    assert sorted(float(row["score"]) for row in rated) == [20, 20, 40, 40, 60, 60]
    assert "condition" not in rated[0]
    with open(tmp_path / "saved/events.csv", encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    with closing(sqlite3.connect(tmp_path / "saved/results.sqlite")) as database:
        stored = database.execute("SELECT listener, seq, type FROM event ORDER BY id").fetchall()
    assert [(row["listener"], int(row["seq"]), row["type"]) for row in told] == stored
    assert len(stored) > 30


def test_problems_and_a_server_that_does_not_answer_cannot_be_overlooked(desk, served):
    served.problems.add("storage", None, "the disk is full; <b>free</b> space & wait")
    served.problems.add("audio", "L03", "a.wav: changed since the start")
    for _ in range(2):
        served.problems.add("storage", None, "the disk is full; <b>free</b> space & wait")
    until(lambda: desk.locator("#problems li").count() == 2)
    shown = desk.locator("#problems").inner_text()
    assert "Storage: the disk is full; <b>free</b> space & wait" in shown
    assert "3 times" in shown
    assert "Audio (L03): a.wav: changed since the start" in shown
    assert desk.locator("#problems").bounding_box()["y"] < 120
    assert desk.title() == "⚠ 2 problems – Desk"
    assert "the disk is full" in desk.get_by_role("alert").filter(has_text="disk").inner_text()
    desk.route("**/api/overview", lambda route: route.abort())
    until(lambda: desk.locator("#unreachable").is_visible())
    assert "The server does not answer since" in desk.locator("#unreachable").inner_text()
    assert desk.title() == "⚠ No answer – Desk"
    desk.unroute("**/api/overview")
    until(lambda: desk.locator("#unreachable").is_hidden())
