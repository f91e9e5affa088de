"""A small package, its key, and listeners who do what a test tells them."""

import hashlib
import json

import numpy as np
import pytest
import soundfile

from listening.sessions.listening_test import ListeningTest
from listening.sessions.outcomes import Stored
from listening.test_design.presentation_orders import orders

RATE_HZ, FRAMES = 48_000, 4800
ITEMS = ("Beach", "Park", "Street", "Woodland")
CONDITIONS = ("href", "la", "opus", "prop")
START_MS = 1_790_000_000_000

CHANNELS = [
    {"label": "M+030", "azimuth_deg": 30.0, "elevation_deg": 0.0, "is_lfe": False},
    {"label": "M-030", "azimuth_deg": -30.0, "elevation_deg": 0.0, "is_lfe": False},
]


def blind_names(items=ITEMS):
    """Item -> blind name -> condition."""
    return {
        item: {hashlib.sha256(f"{item}/{c}".encode()).hexdigest()[:7] + "a": c for c in CONDITIONS}
        for item in items
    }


def _items(folder, place, names, seed):
    random = np.random.default_rng(seed)
    result = []
    for item, stimuli in names.items():
        sound = random.normal(0, 0.1, (FRAMES, len(CHANNELS)))
        (folder / place / item).mkdir(parents=True)
        digests = {}
        for name, condition in {"reference": "href", **stimuli}.items():
            path = folder / place / item / f"{name}.wav"
            soundfile.write(path, sound if condition == "href" else 0.9 * sound, RATE_HZ, "PCM_24")
            digests[path.name] = hashlib.sha256(f"{item}/{path.name}\0".encode() + path.read_bytes()).hexdigest()
        result.append(
            {
                "id": item, "frames": FRAMES, "reference": f"{place}/{item}/reference.wav",
                "stimuli": {name: f"{place}/{item}/{name}.wav" for name in stimuli}, "digests": digests,
            }
        )  # fmt: skip
    return result


def _signals(folder, place):
    (folder / place).mkdir(parents=True)
    names = [f"{place}/{name}.wav" for name in ("identification", "level", "tone")]
    for name in names:
        soundfile.write(folder / name, np.zeros((480, len(CHANNELS))), RATE_HZ, "PCM_24")
    return names


def write_package(folder, listeners=8, headphones=False, layout="0+2+0"):
    """A package as listening.export writes it, and its key beside it."""
    names = blind_names()
    session = {
        "title": "MUSHRA, 0+2+0",
        "training": {"instruction": "Listen.", "items": list(ITEMS[:2])},
        "layout": {"name": layout, "channel_order": "bs2051", "channels": CHANNELS},
        "audio": {"sample_rate_hz": RATE_HZ, "format": "24-bit WAV"},
        "signals": _signals(folder, "signals"),
        "items": _items(folder, "audio", names, 1),
        "orders": orders(listeners, {item: list(stimuli) for item, stimuli in names.items()}, b"secret", 1),
    }
    if headphones:
        session["headphones"] = {
            "layout": {"name": "binaural", "channel_order": "bs2051", "channels": CHANNELS},
            "signals": _signals(folder, "signals/headphones"),
            "items": _items(folder, "headphones", names, 2),
        }
    (folder / "session.json").write_text(json.dumps(session))
    folder.with_name("key.json").write_text(json.dumps({"items": names}))
    return folder


@pytest.fixture(name="write_package")
def _write_package():
    return write_package


@pytest.fixture
def names():
    """Item -> blind name -> condition."""
    return blind_names()


@pytest.fixture
def package(tmp_path):
    return write_package(tmp_path / "package")


@pytest.fixture
def both(tmp_path):
    """A package with a headphone rendition."""
    return write_package(tmp_path / "package", headphones=True)


@pytest.fixture
def opened(package, tmp_path):
    """Function that opens the test, with a plan as TOML; all are closed at the end."""
    tests = []

    def open_test(plan="", key=False, database="results.sqlite"):
        path = None
        if plan:
            path = tmp_path / "plan.toml"
            path.write_text(plan, encoding="utf-8")
        test = ListeningTest.open(package, tmp_path / database, path, tmp_path / "key.json" if key else None)
        tests.append(test)
        return test

    yield open_test
    for test in tests:
        test.close()


class Listener:
    """One listener at one window; a second passes between his events."""

    def __init__(self, test, name=None, window="w"):
        self.test, self.name, self.window = test, name or test.add_listener(), window
        self.pages = test.session(self.name)["pages"]
        self.seq = test.open_window(self.name, window, True).stored
        self.clock_ms = START_MS + 1000 * self.seq

    def event(self, kind, page, after_ms=1000, **fields):
        self.seq += 1
        self.clock_ms += after_ms
        return {"seq": self.seq, "at_ms": self.clock_ms, "type": kind, "page": page, **fields}

    def send(self, events):
        outcome = self.test.append(self.name, self.window, events)
        assert outcome == Stored(self.seq), outcome
        return outcome

    def page_events(self, number, scores=None, choice="a", transducer="loudspeakers", comment=None, answers=None):
        """Everything that finishes a page."""
        page = self.pages[number]
        method = self.test.plan.method
        yield self.event("page", number)
        if page["kind"] == "consent":
            yield self.event("consent", number, given=True)
        if page["kind"] == "questionnaire":
            for field, value in (answers or {}).items():
                yield self.event("answer", number, field=field, value=value)
        if page["kind"] == "device":
            yield self.event(
                "device", number, transducer=transducer, max_channels=2, output_map=[0, 1], browser="Chromium 156"
            )
        if page["kind"] == "channels":
            yield self.event("confirm", number, what="channels")
        if page["kind"] == "screening":
            yield self.event("screening", number, passed=True, details={"right": 5})
        if page["kind"] == "trial":
            for slot in range(0 if page["reference"] else 1, len(page["stimuli"]) + 1):
                yield self.event("play", number, slot=slot, position=0)
            yield self.event("stop", number, position=100)
            for slot, score in enumerate(scores or [90.0, 20.0, 50.0, 80.0], start=1):
                if method == "mushra":
                    yield self.event("rate", number, slot=slot, score=score)
                if method == "bs1116" and slot <= 2:
                    yield self.event("grade", number, slot=slot, score=score if scores else [5.0, 3.5][slot - 1])
            if method in ("ab", "abx"):
                yield self.event("choose", number, value=choice)
            if comment is not None:
                yield self.event("comment", number, text=comment)
        yield self.event("done", number)

    def finish(self, until="end", **what):
        """Do everything up to the first page of a kind."""
        state = self.test.session(self.name)["state"]
        events = []
        for number in range(state["page"], len(self.pages)):
            if self.pages[number]["kind"] == until:
                break
            if number not in state["done"]:
                events += self.page_events(number, **what)
        self.send(events)
        return events


@pytest.fixture
def listen():
    """Function that makes a listener of a test: ``listen(test)``, or ``listen(test, name, window)``."""
    return Listener


@pytest.fixture
def listener(opened):
    return Listener(opened())
