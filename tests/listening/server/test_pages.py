"""The listener's pages in a real browser: sessions by mouse and keyboard, interruptions, windows, languages."""

import csv
import hashlib
import json
import os
import re
import signal
import sqlite3
import threading
import time
import tomllib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
import uvicorn

from listening.server import serving
from listening.sessions.texts import TEXTS
from listening.test_design.presentation_orders import orders
from render.hoa.layout import layout

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "listening" / "server" / "static"
NASTY = "A & B + 50 % \"quoted\" 'single' <img src=x onerror=alert(1)> 😀\nsecond line; æøå ‮x"
HTML = "<img src=x onerror=alert(1)> & “name”"
EVERY_PAGE = f"""
title = '{HTML}'
transducer = "headphones"
screening = true
break_after = 2
require_100 = true
training = ["Beach"]
attributes = ["basic_audio_quality"]
[[questionnaire]]
id = "name"
label = '{HTML}'
required = true
[[questionnaire]]
id = "age"
label = "Age"
kind = "number"
minimum = 16
maximum = 99
[[questionnaire]]
id = "experience"
label = "Experience"
kind = "choice"
choices = ["none & <b>nothing</b>", "some", "much"]
[[questionnaire]]
id = "loss"
label = "Hearing loss?"
kind = "yes_no"
"""
SHORT = "training = []\nconsent = false\nlevel_range_db = 4.0\n"
RATE_HZ = 44100  # of the browser's clock without a device
CONDITIONS = ("href", "la", "opus3_160", "prop")
ARGUMENTS = ["--disable-audio-output"]  # two channels, and no sound


def write_package(folder: Path, items=("Beach", "Park", "Street", "Woods"), seconds=1.5, layout_name="0+2+0",
                  conditions=CONDITIONS) -> Path:  # fmt: skip
    """Write ``package-small`` and ``key-small.json`` into a folder; return the package."""
    package, rng = folder / "package-small", np.random.default_rng(23)
    speakers = layout(layout_name).loudspeakers
    frames, names, entries = round(seconds * RATE_HZ), {}, []
    for item in items:
        (package / "audio" / item).mkdir(parents=True)
        blind = sorted(hashlib.sha256(f"{item} {c}".encode()).hexdigest()[:8] for c in conditions)
        names[item] = dict(zip(blind, rng.permutation(conditions).tolist(), strict=True))
        digests = {}
        for name in ("reference", *blind):
            file = package / "audio" / item / f"{name}.wav"
            swell = np.abs(np.sin(np.linspace(0, 6, frames)))[:, None]
            noise = 0.1 * swell * rng.standard_normal((frames, len(speakers)))
            soundfile.write(file, noise, RATE_HZ, "PCM_24", format="WAVEX")
            digests[file.name] = hashlib.sha256(
                f"{item}/{file.name}".encode() + b"\0" + file.read_bytes()
            ).hexdigest()
        entries.append({
            "id": item, "material": "noise", "frames": frames, "loudness_gated": True,
            "reference": f"audio/{item}/reference.wav",
            "stimuli": {name: f"audio/{item}/{name}.wav" for name in blind}, "digests": digests,
        })  # fmt: skip
    (package / "signals").mkdir()
    for kind, length in (("identification", 30000 * len(speakers)), ("level", 48000), ("tone", 14400)):
        noise = 0.05 * rng.standard_normal((length, len(speakers)))
        soundfile.write(package / "signals" / f"{kind}.wav", noise, RATE_HZ, "PCM_24", format="WAVEX")
    channels = [
        {"label": s.label, "azimuth_deg": s.azimuth_deg, "elevation_deg": s.elevation_deg, "is_lfe": s.is_lfe}
        for s in speakers
    ]
    session = {
        "title": "Listening test", "instruction": "-",
        "training": {"instruction": "-", "items": [items[0]]},
        "scale": {"Bad": [0, 20], "Poor": [20, 40], "Fair": [40, 60], "Good": [60, 80], "Excellent": [80, 100]},
        "layout": {"name": layout_name, "channel_order": "bs2051", "channels": channels},
        "audio": {"sample_rate_hz": RATE_HZ, "format": "24-bit WAV", "lfe": "silent", "digest": "-"},
        "signals": [f"signals/{kind}.wav" for kind in ("identification", "level", "tone")],
        "target_lufs": -26.0, "items": entries,
        "orders": orders(8, {item: list(stimuli) for item, stimuli in names.items()}, b"seed", 1),
    }  # fmt: skip
    beside = {"name": "binaural", "channel_order": "bs2051", "channels": [
        {"label": label, "azimuth_deg": azimuth, "elevation_deg": 0.0, "is_lfe": False}
        for label, azimuth in (("left", 90.0), ("right", -90.0))
    ]}  # fmt: skip
    if layout_name == "0+2+0":
        session["headphones"] = {"layout": beside, "items": entries, "signals": session["signals"]}
    (package / "session.json").write_text(json.dumps(session))
    key = {"layout": "small", "manifest_sha256": "00", "items": names, "orders_seed": 1}
    (folder / "key-small.json").write_text(json.dumps(key))
    return package


@pytest.fixture(scope="module")
def playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(headless_path):
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {"executable_path": headless_path, "args": [*ARGUMENTS, *root]}


@pytest.fixture(scope="module")
def browser(playwright, chromium):
    started = playwright.chromium.launch(**chromium)
    yield started
    started.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="en")
    context.set_default_timeout(8000)
    page = context.new_page()
    page.failures = []
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.on("dialog", lambda dialog: page.failures.append(dialog.message))
    yield page
    context.close()
    assert page.failures == []


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("small"))


class InThread:
    """A server in this process, whose test can be looked into."""

    def __init__(self, package, folder, plan):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plan.toml").write_text(plan, encoding="utf-8")
        accepting = serving.listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{accepting.getsockname()[1]}/"
        self.served = serving.open_test(package, folder / "results.sqlite", folder / "plan.toml", None, self.url)
        self.test = self.served.test
        self._server = uvicorn.Server(serving.configuration(self.served, "127.0.0.1"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [accepting]})
        self._thread.start()

    def link(self, listener="L01"):
        return self.url + next(row["link"] for row in self.test.overview() if row["listener"] == listener)

    def state(self, listener="L01"):
        return self.test.session(listener)["state"]

    def close(self):
        self.served.ending = self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def server(package, tmp_path):
    """Function that serves the package by a plan."""
    started = []

    def start(plan=SHORT, of=package):
        started.append(InThread(of, tmp_path / f"server{len(started)}", plan))
        return started[-1]

    yield start
    for each in started:
        each.close()


class Process:
    """``python -m listening.serve`` as a process that can be killed and started again at its port."""

    def __init__(self, background, package, folder, plan):
        (folder / "plan.toml").write_text(plan, encoding="utf-8")
        self.results = folder / "results.sqlite"
        self._background = background
        self._command = ["listening.serve", "--package", package, "--plan", folder / "plan.toml",
                         "--results", self.results, "--port"]  # fmt: skip
        self.port = 0
        self.start()

    def start(self):
        self.process = self._background(*self._command, self.port)
        lines = self.process.lines(2)
        self.link = lines[0].split()[-1]
        self.port = int(re.search(r":(\d+)/", self.link)[1])

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(20)


@pytest.fixture
def process(package, tmp_path, background):
    started = []

    def start(plan=SHORT):
        started.append(Process(background, package, tmp_path, plan))
        return started[-1]

    yield start
    for each in started:
        if each.process.runs():
            each.kill(signal.SIGTERM)


def advance(test, kind, listener="L01"):
    """Do what is before the first page of a kind, as another window did it long ago."""
    session = test.session(listener)
    number = next(i for i, page in enumerate(session["pages"]) if page["kind"] == kind)
    events = []
    for i, page in enumerate(session["pages"][:number]):
        extra = {
            "consent": [{"type": "consent", "given": True}],
            "questionnaire": [{"type": "answer", "field": "name", "value": "x"}],
            "device": [{"type": "device", "transducer": session["plan"]["transducer"]}],
            "channels": [{"type": "confirm", "what": "channels"}],
            "screening": [{"type": "screening", "passed": True, "details": {}}],
        }.get(page["kind"], [])
        events += [{"page": i, **event} for event in [*extra, {"type": "done"}]]
    events = [{"seq": seq, "at_ms": 1_790_000_000_000, **event} for seq, event in enumerate(events, 1)]
    test.open_window(listener, "before", True)
    assert type(test.append(listener, "before", events)).__name__ == "Stored"
    test._raters[listener].seen = None  # long ago
    return number


def kind_of(page):
    page.locator("main h1").wait_for()
    return page.evaluate("document.getElementById('main').className").removeprefix("page-")


def wait_for(condition, seconds=8.0):
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return value


def on_page(page, kind):
    page.locator(f"main.page-{kind}").wait_for()


def in_trial(page, kind="trial", number=None):
    on_page(page, kind)
    if number is not None:
        page.locator("header .where span", has_text=f" {number} of ").first.wait_for()
    page.locator(".transport.loaded").wait_for()


def resumed(page, kind="trial"):
    on_page(page, "message")
    page.click("#go")
    in_trial(page, kind)


def next_page(page):
    page.click("#next")


def scores(page):
    return page.evaluate("[...document.querySelectorAll('.column .number')].map(each => each.textContent)")


def play(page, slot):
    page.click(f".play[data-slot='{slot}']")


def drag(page, slot, score):
    """Move the slider of a stimulus by the mouse, over the whole way."""
    box = page.locator(f"input[data-slot='{slot}']").bounding_box()
    thumb = 24
    middle, travel = box["x"] + box["width"] / 2, box["height"] - thumb
    page.mouse.move(middle, box["y"] + box["height"] - thumb / 2)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + thumb / 2 + travel * (1 - score / 100), steps=4)
    page.mouse.up()


def shown_score(page, slot):
    return int(page.locator(f".column[data-slot='{slot}'] .number").inner_text())


# ------------------------------------------------------------------------------------------------ whole sessions


def test_a_session_by_mouse_and_keyboard_gives_the_ratings_that_were_made(
    page, process, package, tmp_path, command
):
    started = process(EVERY_PAGE.replace('transducer = "headphones"\nscreening = true', ""))
    page.goto(started.link)
    on_page(page, "welcome")
    next_page(page)
    on_page(page, "consent")
    next_page(page)
    page.get_by_text("please agree").wait_for()
    page.check("#consent")
    page.uncheck("#consent")
    next_page(page)
    on_page(page, "consent")
    page.check("#consent")
    next_page(page)
    on_page(page, "questionnaire")
    assert HTML in page.inner_text(".form")
    next_page(page)
    page.locator(".message", has_text="Please answer").wait_for()
    page.fill("textarea", NASTY)
    page.fill("input[type=number]", "33")
    page.get_by_text("none & <b>nothing</b>").click()
    page.get_by_text("Yes", exact=True).click()
    next_page(page)
    on_page(page, "device")
    page.click("#check")
    page.locator(".good-mark").wait_for()
    next_page(page)
    on_page(page, "channels")
    next_page(page)
    page.get_by_text("Not played yet: 1, 2").wait_for()
    for count in (1, 2):
        page.click("#play-next")
        page.get_by_text(f"{count} of 2 played").wait_for()
    page.check("#confirm")
    next_page(page)
    on_page(page, "level")
    page.locator(".plays button").first.click()
    page.locator("#level").press("ArrowRight")
    next_page(page)
    on_page(page, "instruction")
    next_page(page)
    made = {}
    for kind, numbers in (("training", [1]), ("trial", [1, 2, 3, 4])):
        for number in numbers:
            in_trial(page, kind, number)
            if kind == "trial" and number == 1:
                next_page(page)
                page.get_by_text("Not heard yet: Reference, 1, 2, 3, 4 · Not rated yet: 1, 2, 3, 4").wait_for()
            play(page, 0)
            for slot in (1, 2, 3, 4):
                play(page, slot)
                drag(page, slot, 100 if slot == number and kind == "trial" else 10 + 20 * slot)
                if slot == 2:
                    page.keyboard.press("ArrowUp")
            if kind == "trial":
                page.click("#comment-toggle")
                page.fill(".comment textarea", f"{number}: {NASTY}")
                made[number] = [shown_score(page, slot) for slot in (1, 2, 3, 4)]
            next_page(page)
            if kind == "training":
                page.locator(".message", has_text="100").wait_for()  # asked for before anything counts
                page.keyboard.press("End")
                next_page(page)
            if kind == "trial" and number == 2:
                on_page(page, "break")
                next_page(page)
    on_page(page, "comments")
    page.fill("textarea", NASTY)
    next_page(page)
    page.get_by_text("All your ratings are stored").wait_for()
    assert made[1][0] == 100
    assert all(max(row) == 100 and 49 <= row[1] <= 53 for row in made.values() if row[1] != 100)
    started.kill(signal.SIGTERM)

    table = tmp_path / "results.csv"
    done = command("listening.results", started.results, "-o", table, "--events", tmp_path / "events.csv")
    assert done.returncode == 0, done.stderr
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        found.setdefault(int(row["trial"]), {})[int(row["slot"])] = row
    assert {n: [float(found[n][slot]["score"]) for slot in (1, 2, 3, 4)] for n in found} == made
    for number, of_slot in found.items():
        for row in of_slot.values():
            assert row["comment"] == f"{number}: {NASTY}"
            assert row["questionnaire_name"] == NASTY
            assert float(row["level_db"]) == 0.5
            assert int(row["plays"]) == 1
    assert rows[0]["questionnaire_experience"] == "none & <b>nothing</b>"
    assert rows[0]["questionnaire_age"] in ("33", "33.0")
    key = package.parent / "key-small.json"
    done = command("analysis.mushra", started.results, "--key", key, "--screening", "none", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "opus3_160" in done.stdout
    assert (tmp_path / "out" / "summary.json").exists()


def test_a_session_by_keyboard_alone(page, server):
    served = server(SHORT)
    page.goto(served.link())
    on_page(page, "welcome")
    page.keyboard.press("Enter")
    on_page(page, "device")
    page.keyboard.press("Enter")  # checks first
    on_page(page, "channels")
    for count in (1, 2):
        page.keyboard.press("Tab")
        page.locator("#play-next").focus()
        page.keyboard.press("Enter")
        page.get_by_text(f"{count} of 2 played").wait_for()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "confirm":
            break
    page.keyboard.press("Space")
    page.keyboard.press("Enter" if page.evaluate("document.activeElement.id") != "confirm" else "Tab")
    if kind_of(page) == "channels":
        page.locator("#next").focus()
        page.keyboard.press("Enter")
    on_page(page, "level")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    on_page(page, "instruction")
    page.keyboard.press("Enter")
    in_trial(page)
    page.keyboard.press("?")
    page.locator("dialog.help").wait_for()
    page.keyboard.press("Escape")
    for key, presses, expected in (
        ("1", ["Home"], "0"),
        ("2", ["End", "PageDown", "ArrowDown"], "89"),
        ("3", ["PageUp", "PageUp", "ArrowUp", "ArrowRight", "ArrowLeft"], "21"),
        ("4", ["End"], "100"),
    ):
        page.keyboard.press(key)
        for press in presses:
            page.keyboard.press(press)
        assert page.locator(f".column[data-slot='{key}'] .number").inner_text() == expected
        others = page.locator(".column input:not([disabled])")
        assert others.count() == 1
        assert others.get_attribute("data-slot") == key
    page.keyboard.press("0")
    assert page.locator(".column input:not([disabled])").count() == 0
    page.keyboard.press("End")  # of the reference there is no slider
    assert scores(page) == ["0", "89", "21", "100"]
    page.keyboard.press("l")
    assert page.locator("#loop").get_attribute("aria-pressed") == "false"
    page.keyboard.press("l")
    page.keyboard.press("Shift+ArrowRight")
    page.locator("#comment-toggle").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("1 2 l ? 0")  # is written, not obeyed
    assert page.locator(".comment textarea").input_value() == "1 2 l ? 0"
    assert scores(page) == ["0", "89", "21", "100"]
    page.locator("#loop").focus()
    page.keyboard.press("Space")
    assert page.locator("#loop").get_attribute("aria-pressed") == "false"
    page.locator("main h1").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    in_trial(page, number=2)
    state = served.state()["pages"][str(served.state()["page"] - 1)]
    assert state["scores"] == {"1": 0, "2": 89, "3": 21, "4": 100}
    assert state["comment"] == "1 2 l ? 0"


def test_100_is_asked_for_and_only_asked_where_the_plan_does_not_require_it(page, server):
    served = server(SHORT)
    advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    for key in "01234":
        page.keyboard.press(key)
        page.keyboard.press("PageUp")
    page.keyboard.press("Enter")
    page.locator("dialog").wait_for()
    page.keyboard.press("Escape")
    in_trial(page, number=1)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Go on without").click()
    in_trial(page, number=2)


# -------------------------------------------------------------------------------------------- other methods


@pytest.mark.parametrize("method", ["bs1116", "ab", "abx"])
def test_other_methods(page, server, method):
    served = server(f'{SHORT}method = "{method}"\n')
    number = advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    next_page(page)
    page.locator(".message", has_text="Not heard yet").wait_for()
    if method == "bs1116":
        for key, press in (("a", "End"), ("b", "End"), ("c", "PageUp")):
            page.keyboard.press(key)
            page.keyboard.press(press)
        page.keyboard.press("ArrowUp")
        assert [each.replace(",", ".") for each in scores(page)] == ["5.0", "2.1"]
    else:
        if page.locator(".play[data-slot='0']").count():
            play(page, 0)
        for key in "abx" if method == "abx" else "ab":
            page.keyboard.press(key)
        next_page(page)
        page.get_by_text("Please choose first").wait_for()
        page.locator(".answers input[value=b]").check()
    next_page(page)
    in_trial(page, number=2)
    state = served.state()["pages"][str(number)]
    assert state["scores"] == ({"1": 5.0, "2": 2.1} if method == "bs1116" else {})
    assert state["choice"] == (None if method == "bs1116" else "b")


def test_the_headphone_rendition_is_taken_on_request_and_screened(page, server):
    served = server('training = []\ntransducer = "either"\nscreening = true\n')
    number = advance(served.test, "device")
    loudspeakers = served.test.session("L01")["layout"]["name"]
    page.clock.install()
    page.goto(served.link())
    on_page(page, "device")
    page.get_by_text("Headphones", exact=True).click()
    page.locator("input[value=headphones]:checked").wait_for()
    page.click("#check")
    page.locator(".good-mark").wait_for()
    next_page(page)
    on_page(page, "channels")
    assert served.test.session("L01")["layout"]["name"] == "binaural" != loudspeakers
    assert page.locator("svg.room").count() == 0
    for ear in ("Left ear", "Right ear"):
        page.get_by_role("button", name=ear).click()
        page.locator(".speaker-button.played", has_text=ear).wait_for()
    page.check("#confirm")
    next_page(page)
    on_page(page, "level")
    next_page(page)
    on_page(page, "screening")
    next_page(page)
    page.get_by_text("do the check first").wait_for()
    page.click("#screening-start")
    for answer in [*4 * ["both"], "set", *6 * ["1"]]:
        option = page.locator(f"[data-answer='{answer}']")
        assert option.is_disabled()  # first it is heard
        page.click(".play-tones")
        page.wait_for_timeout(60)
        page.clock.fast_forward(6000)
        option.click()
    page.get_by_text("The check is not passed").wait_for()
    next_page(page)
    on_page(page, "instruction")
    state = served.state()
    assert state["device"]["transducer"] == "headphones"
    assert state["pages"][str(number)]["confirmed"] == []
    assert state["pages"][str(number + 1)]["confirmed"] == ["headphones"]
    assert state["pages"][str(number + 3)]["screened"] is False


def test_a_device_that_does_not_fit_is_refused_with_what_was_found(page, server):
    served = server('training = []\ntransducer = "either"\n')
    advance(served.test, "device")
    device = "Object.defineProperty(AudioDestinationNode.prototype, 'maxChannelCount', "
    channels = device + "{{configurable: true, value: {}}})"
    page.add_init_script(channels.format(1))
    page.goto(served.link())
    on_page(page, "device")
    next_page(page)  # checks first
    page.get_by_text("The output has 1 channels; the test needs 2").wait_for()
    assert page.locator("#headphones").is_visible()
    assert next_is_in_sight(page)
    assert kind_of(page) == "device"
    assert served.state()["device"] is None
    advance(served.test, "trial", "L02")
    page.goto(served.link("L02"))
    on_page(page, "message")
    page.click("#go")
    on_page(page, "trial")
    page.get_by_role("button", name="Sound output").click()  # the way back, when another computer is taken
    on_page(page, "device")
    page.click("#check")
    page.locator(".warning-box").wait_for()
    page.evaluate(channels.format(2))
    page.click("#check")
    page.locator(".good-mark").wait_for()
    next_page(page)
    in_trial(page)
    page.keyboard.press("1")
    page.keyboard.press("PageUp")
    wait_for(lambda: "10" in scores(page))


def test_touch(browser, server):
    served = server(SHORT)
    advance(served.test, "trial")
    context = browser.new_context(viewport={"width": 1024, "height": 768}, has_touch=True, locale="en")
    page = context.new_page()
    page.goto(served.link())
    on_page(page, "message")
    page.tap("#go")
    in_trial(page)
    page.tap(".play[data-slot='2']")
    box = page.locator("input[data-slot='2']").bounding_box()
    page.touchscreen.tap(box["x"] + 22, box["y"] + 12)
    wait_for(lambda: scores(page)[1] in ("99", "100"))
    context.close()


# ------------------------------------------------------------------------------------------------ nothing lost


def rate_three(page):
    for slot, score in ((1, 80), (2, 35), (3, 60)):
        play(page, slot)
        drag(page, slot, score)
    shown = scores(page)
    assert shown[3] == "–"
    assert "–" not in shown[:3]
    return shown


def last_score(results):
    """Score of the last move of a slider that is on the disk."""
    with closing(sqlite3.connect(results)) as database:
        found = database.execute("SELECT body FROM event WHERE type = 'rate' ORDER BY id DESC LIMIT 1").fetchone()
    return json.loads(found[0])["score"]


def kill_browser(profile):
    """``kill -9`` of the browser that uses a profile."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"--user-data-dir={profile}".encode() in words and not any(
            word.startswith(b"--type=") for word in words
        ):
            os.kill(int(command.parent.name), signal.SIGKILL)
            wait_for(lambda: not command.exists() or not command.read_bytes())  # noqa: B023
    (profile / "SingletonLock").unlink(missing_ok=True)


def test_nothing_is_lost_by_reload_killed_server_and_killed_browser(
    playwright, chromium, process, package, tmp_path
):
    (tmp_path / "plan.toml").write_text(SHORT)
    before = serving.open_test(package, tmp_path / "results.sqlite", tmp_path / "plan.toml", None, "http://x/")
    advance(before.test, "trial")
    before.writer.close()
    before.test.close()
    started = process(SHORT)

    def browser():
        context = playwright.chromium.launch_persistent_context(tmp_path / "profile", locale="en", **chromium)
        context.set_default_timeout(10_000)
        return context, context.pages[0]

    context, page = browser()
    page.goto(started.link)
    resumed(page)
    shown = rate_three(page)
    page.keyboard.press("i")
    loop = page.locator(".loop-end.in").get_attribute("aria-valuenow")
    page.wait_for_timeout(300)
    page.reload()
    resumed(page)
    assert scores(page) == shown
    assert page.locator(".loop-end.in").get_attribute("aria-valuenow") == loop

    started.kill()
    play(page, 3)
    page.keyboard.press("End")
    page.get_by_text("The connection is interrupted").wait_for()
    shown[2] = "100"
    play(page, 4)
    page.keyboard.press("PageUp")
    shown[3] = "10"
    assert scores(page) == shown
    started.start()
    page.get_by_text("The connection is back").wait_for()

    play(page, 1)
    page.keyboard.press("ArrowUp")
    shown[0] = str(int(shown[0]) + 1)
    assert scores(page) == shown
    wait_for(lambda: last_score(started.results) == int(shown[0]))
    started.kill()  # nor what could not be sent
    page.keyboard.press("ArrowDown")
    shown[0] = str(int(shown[0]) - 1)
    page.wait_for_timeout(400)
    kill_browser(tmp_path / "profile")
    started.start()
    context, page = browser()
    page.goto(started.link)
    resumed(page)  # the window that was killed a moment ago is known to be gone: nothing is asked
    assert scores(page) == shown
    context.close()


def test_what_a_closed_window_could_not_send_is_sent_by_the_next_one(page, server):
    served = server(SHORT)
    number = advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    play(page, 1)
    page.route("**/api/events", lambda route: route.abort())
    drag(page, 1, 70)
    score = shown_score(page, 1)
    assert str(number) in served.state()["pages"]
    assert served.state()["pages"][str(number)]["scores"] == {}
    other = page.context.new_page()
    page.close()
    served.test._raters["L01"].seen = None  # some time later
    other.goto(served.link())
    resumed(other)
    assert shown_score(other, 1) == score
    assert served.state()["pages"][str(number)]["scores"] == {"1": score}


def test_a_full_disk_is_said_and_waited_for(page, server):
    served = server(SHORT)
    number = advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    page.route("**/api/events", lambda route: route.fulfill(status=503, json={"error": "storage", "why": "full"}))
    page.keyboard.press("1")
    page.keyboard.press("PageUp")
    page.get_by_text("The server cannot store anything").wait_for()
    page.unroute("**/api/events")
    page.get_by_text("Everything is saved").wait_for()
    assert served.state()["pages"][str(number)]["scores"] == {"1": 10}


def test_a_refused_event_shows_what_the_server_has(page, server):
    served = server(SHORT)
    advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    page.keyboard.press("1")
    page.keyboard.press("PageUp")
    wait_for(lambda: "10" in str(served.state()["pages"]))

    def spoil(route):
        body = json.loads(route.request.post_data)
        body["events"] = [
            event | {"score": 1000} if event["type"] == "rate" else event for event in body["events"]
        ]
        route.continue_(post_data=json.dumps(body))

    page.route("**/api/events", spoil)
    page.keyboard.press("PageUp")
    page.get_by_text("did not accept").wait_for()
    page.unroute("**/api/events")
    in_trial(page)
    assert scores(page) == ["10", "–", "–", "–"]
    page.keyboard.press("2")
    page.keyboard.press("PageUp")
    wait_for(lambda: '"2": 10' in json.dumps(served.state()["pages"]))


# ------------------------------------------------------------------------------------------- windows, pause, end


def test_a_second_window_is_told_and_can_take_over(page, server):
    served = server(SHORT)
    advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    shown = rate_three(page)
    with page.expect_popup() as opened:  # inherits sessionStorage, as a duplicated tab does
        page.evaluate("void open(location.href)")
    second = opened.value
    second.get_by_text("already open in another window").wait_for()
    second.click("#go")
    second.wait_for_timeout(200)
    if kind_of(second) == "message":
        second.click("#go")
    in_trial(second)
    assert scores(second) == shown
    page.bring_to_front()
    page.keyboard.press("1")
    page.get_by_text("goes on in another window").wait_for()
    page.click("#go")
    page.wait_for_timeout(200)
    if page.locator("#go").count():
        page.click("#go")
    in_trial(page)
    assert scores(page) == shown


# Contexts that are made later find a device of 8 channels; those that are there are kept.
ANOTHER_DEVICE = """() => {
  const Context = AudioContext;
  globalThis.AudioContext = class extends Context {
    constructor(...options) {
      super(...options);
      Object.defineProperty(this.destination, "maxChannelCount", {value: 8});
    }
  };
  navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
}"""
KEEP_CONTEXTS = """globalThis.contexts = [];
globalThis.AudioContext = class extends AudioContext {
  constructor(...options) { super(...options); contexts.push(this); }
};"""


def test_another_sound_device_is_checked_before_the_test_goes_on(page, server):
    served = server(SHORT)
    advance(served.test, "trial")
    page.add_init_script(KEEP_CONTEXTS)
    page.goto(served.link())
    resumed(page)
    shown = rate_three(page)
    assert page.evaluate("contexts.filter((one) => one.state === 'running').length") == 1
    page.evaluate(ANOTHER_DEVICE)
    on_page(page, "device")
    page.get_by_text("now 8 at").wait_for()
    wait_for(lambda: page.evaluate("contexts.every((one) => one.state === 'closed')"))  # nothing plays on
    next_page(page)
    next_page(page)
    in_trial(page)
    assert scores(page) == shown


def test_pause_and_withdrawal(page, server):
    served = server(SHORT)
    advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    shown = rate_three(page)
    served.test.pause(True)
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.get_by_text("The test is paused").wait_for()
    served.test.pause(False)
    page.evaluate("dispatchEvent(new Event('focus'))")
    in_trial(page)
    assert scores(page) == shown
    served.test.withdraw("L01")
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.get_by_text("Your participation has ended").wait_for()
    page.reload()
    page.get_by_text("Your participation has ended").wait_for()


def test_a_window_that_is_opened_in_a_pause_goes_on_after_it(page, server):
    served = server(SHORT)
    advance(served.test, "trial")
    served.test.pause(True)
    page.goto(served.link())
    on_page(page, "message")
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.get_by_text("The test is paused").wait_for()
    served.test.pause(False)
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.get_by_text("Welcome back").wait_for()
    resumed(page)


# ------------------------------------------------------------------------------------------ languages and sizes


def texts():
    return {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted(TEXTS.glob("*.toml"))}


def test_all_languages_have_the_same_texts_with_the_same_placeholders():
    found = texts()
    assert set(found) == {"en", "de", "fr", "fi", "es", "zh", "ja"}
    for language, held in found.items():
        for key, text in found["en"].items():
            assert set(re.findall(r"\{\w+\}", held[key])) == set(re.findall(r"\{\w+\}", text)), (language, key)


def test_every_text_is_used_and_there_is_every_text_that_is_used():
    code = "".join(path.read_text("utf-8") for path in STATIC.rglob("*.js"))
    keys = set(texts()["en"]) - {"language"}
    names = re.findall(r"`([a-z]+_\$\{\w[^}]*\}(?:_text)?|\$\{\w+\}_(?:title|text))`", code)
    built = [re.compile(re.sub(r"\$\{[^}]*\}", "[a-z0-9_]+", name)) for name in names]
    for key in keys:
        assert f'"{key}"' in code or any(each.fullmatch(key) for each in built), key
    for key in re.findall(r'\bt\("(\w+)"', code):
        assert key in keys, key


# Elements that stick out of the page, or whose text does not fit into them
OVERFLOW = """() => {
  const found = [];
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) found.push(`page ${document.documentElement.scrollWidth}`);
  for (const each of document.querySelectorAll("body *")) {
    if (each.closest("svg, .visually-hidden, .wave") || !each.getClientRects().length) continue;
    const box = each.getBoundingClientRect();
    const out = box.right > width + 1 || box.left < -1;
    const cut = each.matches("button, label, p, h1, th, td, .label") && each.scrollWidth > each.clientWidth + 1
      && each.clientWidth > 0;
    if (out || cut) found.push(`${each.tagName}.${each.className} ${each.textContent.slice(0, 30)}`);
  }
  return found;
}"""

# What is operated and is smaller than 44 pixels, without what lies in a label that is large enough
SMALL_TARGETS = """() => [...document.querySelectorAll("*")]
  .filter((each) => each.matches("button, select, summary, input, textarea, [role=slider]"))
  .filter((each) => each.getClientRects().length)
  .map((each) => each.closest("label.option, label.check, label.chip") ?? each)
  .filter((each) => {
    const {width, height} = each.getBoundingClientRect();
    return width < 43.9 || height < 43.9;
  }).map((each) => each.outerHTML.slice(0, 90))"""

# The server's answers, with any page and language: loading the page anew for each of them is dear
ANSWERS = """(sessions) => {
  globalThis.shown = {page: 0, language: "en", elsewhere: false};
  const answers = {
    session: (url) => {
      const session = structuredClone(sessions[url.searchParams.get("language") ?? shown.language]);
      session.state.page = shown.page;
      return session;
    },
    events: (_, {events}) => ({stored: events.at(-1)?.seq ?? 0}),
    open: () => ({stored: 0}),
    poll: () => ({withdrawn: false, elsewhere: shown.elsewhere, paused: false}),
  };
  const {fetch} = globalThis;
  globalThis.fetch = async (address, options) => {
    const url = new URL(address), answer = answers[url.pathname.split("/api/")[1]];
    return answer ? Response.json(answer(url, JSON.parse(options?.body ?? "null"))) : fetch(address, options);
  };
}"""

# Show a page in all languages and list what is wrong with it. Another page, and a language where the page offers
# no choice of it, comes by taking the window over from another one.
VISIT = """async ({page, kind, languages, overflow, smallTargets}) => {
  const appears = async (selector) => {
    const end = performance.now() + 8000;
    while (!document.querySelector(selector)) {
      if (performance.now() > end) throw new Error(`there is no ${selector}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return document.querySelector(selector);
  };
  const takeOver = async () => {
    shown.elsewhere = true;
    dispatchEvent(new Event("focus"));
    const go = await appears("main.page-message #go");
    shown.elsewhere = false;
    go.click();
    await appears(`main.page-${kind}`);
  };
  const wrong = [];
  shown.page = page;
  await takeOver();
  for (const language of languages) {
    shown.language = language;
    const select = document.getElementById("language");
    const chip = document.querySelector(`.languages input[value=${language}]`);
    if (select) {
      select.value = language;
      select.dispatchEvent(new Event("change"));
    } else if (chip) chip.click();
    else await takeOver();
    await appears(`:root[lang=${language}] main.page-${kind}`);
    for (const each of document.querySelectorAll("details")) each.open = true;
    wrong.push(...overflow().map((each) => [language, each]));
    const checked = ["en", "de"].includes(language) && ["training", "device", "questionnaire"].includes(kind);
    if (checked) wrong.push(...smallTargets().map((each) => [language, each]));
    if (kind === "training") {
      document.getElementById("help").click();
      await appears("dialog.help");
      wrong.push(...overflow().map((each) => [language, "help", each]));
      document.querySelector("dialog.help").close();
    }
  }
  return wrong;
}"""


@pytest.mark.parametrize("method", ["mushra", "bs1116", "ab", "abx"])
def test_every_page_in_every_language_fits(page, server, method):
    plan = EVERY_PAGE if method == "mushra" else f'method = "{method}"\ntraining = ["Beach"]\n'
    served = server(plan)
    complaints = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    sessions = {language: served.test.session("L01", language) for language in texts()}
    page.add_init_script(f"({ANSWERS})({json.dumps(sessions)})")
    page.goto(served.link())
    on_page(page, "welcome")
    kinds = [each["kind"] for each in sessions["en"]["pages"]]
    wanted = set(kinds) - {"trial"} if method == "mushra" else {"instruction", "training"}
    for width, height in ((1366, 768), (683, 384)):
        page.set_viewport_size({"width": width, "height": height})
        for number in sorted(map(kinds.index, wanted)):
            visit = f"(of) => ({VISIT})({{...of, overflow: {OVERFLOW}, smallTargets: {SMALL_TARGETS}}})"
            wrong = page.evaluate(visit, {"page": number, "kind": kinds[number], "languages": list(sessions)})
            assert wrong == [], (kinds[number], width)
    assert complaints == []


def overflow(page):
    return page.evaluate(OVERFLOW)


def next_is_in_sight(page):
    box = page.locator("#next").bounding_box()
    return 0 <= box["y"] <= page.viewport_size["height"] - box["height"]


def small_targets(page):
    return page.evaluate(SMALL_TARGETS)


def test_twelve_stimuli_fit_on_a_small_screen(page, server, tmp_path):
    conditions = ("href", "la", "ma", *(f"opus3_{kbps}" for kbps in range(32, 320, 32)))[:12]
    served = server(SHORT, of=write_package(tmp_path, items=("A",), conditions=conditions, seconds=0.6))
    advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    assert overflow(page) == []
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    for key in ("9", "Shift+Digit0", "Shift+Digit2"):
        page.keyboard.press(key)
        page.keyboard.press("End")
    assert [slot for slot, score in enumerate(scores(page), 1) if score == "100"] == [9, 10, 12]
    page.click("#comment-toggle")
    assert next_is_in_sight(page)
    page.set_viewport_size({"width": 683, "height": 384})
    assert overflow(page) == []
    assert small_targets(page) == []


def test_next_is_in_sight_below_twelve_loudspeakers(page, server, tmp_path):
    served = server(SHORT, of=write_package(tmp_path, items=("A",), seconds=0.1, layout_name="4+7+0"))
    number = advance(served.test, "channels")
    page.route("**/api/session*", lambda route: route.fulfill(json=served.test.session("L01", shown)))
    for shown in texts():
        page.goto(served.link())
        page.click("#go")
        page.locator(f":root[lang={shown}] main.page-channels").wait_for()
        next_page(page)
        page.locator("#message", has_text="12").wait_for()
        for width, height in ((1366, 768), (1366, 640), (1024, 600)):
            page.set_viewport_size({"width": width, "height": height})
            assert next_is_in_sight(page), (shown, width, height)
    assert served.state()["page"] == number


def test_the_scale_is_ten_centimetres_by_the_bank_card(page, server):
    served = server(SHORT)
    advance(served.test, "device")
    page.goto(served.link())
    on_page(page, "device")
    page.locator("summary").last.click()
    page.locator("#card").fill("430")
    assert page.locator(".card").bounding_box()["width"] == pytest.approx(430, abs=1)
    page.keyboard.press("Enter")
    advance_to_trial = advance(served.test, "trial", "L02")
    assert advance_to_trial
    page.goto(served.link("L02"))
    resumed(page)
    track, thumb = page.locator(".track").first.bounding_box()["height"], 24
    assert (track - thumb) / 430 * 85.6 >= 100
    assert (track - thumb) / 430 * 85.6 <= 105


def test_only_the_slider_of_what_sounds_moves(page, server):
    served = server(SHORT)
    number = advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    drag(page, 2, 50)
    assert scores(page) == ["–"] * 4
    page.get_by_text("Version 2 is not sounding").wait_for()
    play(page, 2)
    drag(page, 3, 50)
    drag(page, 2, 50)
    assert scores(page)[2] == "–"
    assert abs(shown_score(page, 2) - 50) <= 1
    page.keyboard.press("Space")
    drag(page, 2, 90)
    page.keyboard.press("ArrowUp")
    assert abs(shown_score(page, 2) - 50) <= 1
    assert list(served.state()["pages"][str(number)]["scores"]) == ["2"]


def test_a_loop_is_dragged_on_the_waveform_and_is_half_a_second_at_least(page, server):
    served = server(SHORT)
    number = advance(served.test, "trial")
    page.goto(served.link())
    resumed(page)
    wave = page.locator(".wave").bounding_box()
    for end, share in ((".loop-end.out", 0.8), (".loop-end.in", 0.75)):
        box = page.locator(end).bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
        page.mouse.down()
        page.mouse.move(wave["x"] + share * wave["width"], box["y"] + 30, steps=3)
        page.mouse.up()
    loop = wait_for(lambda: served.state()["pages"][str(number)]["loop"])
    frames = 1.5 * 44100
    assert loop[1] == pytest.approx(0.8 * frames, abs=0.02 * frames)
    wait_for(lambda: served.state()["pages"][str(number)]["loop"][0] > 0)
    loop = served.state()["pages"][str(number)]["loop"]
    assert loop[1] - loop[0] == 22050
    page.locator(".loop-end.in").focus()
    page.keyboard.press("ArrowLeft")
    wait_for(lambda: served.state()["pages"][str(number)]["loop"][0] == loop[0] - 4410)


def test_contrast_of_the_colours():
    """WCAG 2.2, 1.4.3 and 1.4.11: text at least 4.5 : 1, what is operated at least 3 : 1."""
    style = (STATIC / "style.css").read_text()
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", style))

    def luminance(name):
        parts = [int(colours[name][i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one, other):
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for text in ("text", "quiet", "accent", "good", "warn"):
        for ground in ("ground", "surface", "raised"):
            assert contrast(text, ground) >= 4.5, (text, ground)
    assert contrast("on-accent", "accent") >= 4.5
    assert contrast("edge", "ground") >= 3
    assert contrast("edge", "surface") >= 3


def test_no_module_reaches_another_host_or_makes_html_of_texts():
    for path in [*STATIC.rglob("*.js"), *STATIC.rglob("*.css"), *STATIC.rglob("*.html")]:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1", "")
        assert not re.search(r"(?<!begins with )https?://(?! pages)\w", text), path
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
        ), path
