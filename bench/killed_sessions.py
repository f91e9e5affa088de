"""Kill server and browser of a rated session at random moments, and count what is lost.

    python bench/killed_sessions.py --package out/demo/package-binaural --kills 200

``python -m listening.export --layout binaural`` makes such a package. A simulated listener moves the sliders of
a trial in Chromium. In turn the server (SIGKILL, started again), the browser (SIGKILL, started again with its
profile) or both are killed 0 to 2 s after a burst of moves began, in the middle of it or after it. Afterwards
the page must show, and the server must hold, every move that the listener saw acknowledged; of those that the
browser had not sent it may lack what was made within the last 0.1 s before its kill. The moves are made by a
script, not by a person.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from playwright.sync_api import BrowserContext, Error, Page, Playwright, sync_playwright

from listening.sessions.listening_test import ListeningTest

LISTENER = "L01"
MOVE_S = 0.03  # between two moves


class Server:
    """``python -m listening.serve`` as a process."""

    def __init__(self, package: Path, folder: Path):
        self.results, self._port = folder / "results.sqlite", 0
        plan = folder / "plan.toml"
        self._command = [sys.executable, "-m", "listening.serve", "--package", package, "--plan", plan,
                         "--results", self.results, "--port"]  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start, or start again at the same port."""
        command = [*map(str, self._command), str(self._port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.link = re.findall(r"http\S+", self.process.stdout.readline())[0]
        self._port = int(re.findall(r":(\d+)/", self.link)[0])

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.communicate()

    def moves(self) -> list[tuple[int, float]]:
        """Slot and score of every move on the disk."""
        with closing(sqlite3.connect(self.results)) as database:
            rows = database.execute("SELECT body FROM event WHERE type = 'rate' ORDER BY id").fetchall()
        return [(body["slot"], body["score"]) for (text,) in rows for body in [json.loads(text)]]


class Browser:
    """Chromium with a profile that survives it."""

    def __init__(self, playwright: Playwright, profile: Path, link: str):
        self._playwright, self._profile, self._link = playwright, profile, link
        self.start()

    def start(self) -> None:
        """Start, and go on with the trial."""
        (self._profile / "SingletonLock").unlink(missing_ok=True)
        self._context: BrowserContext = self._playwright.chromium.launch_persistent_context(
            self._profile, executable_path=shutil.which("chromium"), locale="en",
            args=["--disable-audio-output", *(["--no-sandbox"] if os.geteuid() == 0 else [])],
        )  # fmt: skip
        self.page: Page = self._context.pages[0]
        self.page.set_default_timeout(30_000)
        self.page.goto(self._link)
        self.page.locator("#go").click()
        self.page.locator("main.page-trial .transport.loaded").wait_for()

    def kill(self) -> None:
        """SIGKILL of the browser's process, and with it of all others."""
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = command.read_bytes().split(b"\0")
            except OSError:
                continue
            own = f"--user-data-dir={self._profile}".encode() in words
            if own and not any(word.startswith(b"--type=") for word in words):
                os.kill(int(command.parent.name), signal.SIGKILL)
        end(self._context.close)


def end(close: Callable[[], None]) -> None:
    """Tell the driver that what it drives has ended."""
    with suppress(Error):
        close()


def to_the_trial(package: Path, folder: Path) -> None:
    """Do the pages before the first trial."""
    (folder / "plan.toml").write_text("training = []\nconsent = false\n")
    test = ListeningTest.open(package, folder / "results.sqlite", folder / "plan.toml")
    test.add_listener()
    kinds = [page["kind"] for page in test.session(LISTENER)["pages"]]
    events = []
    for number, kind in enumerate(kinds[: kinds.index("trial")]):
        extra = {"device": {"type": "device", "transducer": "loudspeakers"},
                 "channels": {"type": "confirm", "what": "channels"}}.get(kind)  # fmt: skip
        events += [{"page": number, **event} for event in (extra, {"type": "done"}) if event]
    numbered = [{"seq": seq, "at_ms": 1_790_000_000_000, **event} for seq, event in enumerate(events, 1)]
    test.open_window(LISTENER, "before")
    print(test.append(LISTENER, "before", numbered))
    test.close()


def burst(page: Page, rng: random.Random, seconds: float) -> list[tuple[float, int, int]]:
    """Move sliders for a time; the moment, slot and new score of every move, as the page shows them."""
    made, until, before = [], time.monotonic() + seconds, shown(page)
    while time.monotonic() < until:
        slot = rng.randint(1, 3)
        page.keyboard.press(str(slot))
        page.keyboard.press(rng.choice(["PageUp", "PageDown", "ArrowUp", "ArrowDown"]))
        score = page.locator(f".column[data-slot='{slot}'] .number").inner_text()
        if score != before[slot - 1]:  # at the ends of the scale nothing moves
            made.append((time.monotonic(), slot, int(score)))
            before[slot - 1] = score
        time.sleep(MOVE_S)
    return made


def shown(page: Page) -> list[str]:
    """Scores on the page."""
    return page.locator(".column .number").all_inner_texts()


def main() -> None:
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--package", type=Path, default=Path("out/demo/package-binaural"),
                         help="of two channels, at the rate of this machine's sound output")  # fmt: skip
    command.add_argument("--kills", type=int, default=200)
    command.add_argument("--seed", type=int, default=1)
    given = command.parse_args()
    rng = random.Random(given.seed)
    wrong, acknowledged, late = 0, 0, 0
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        to_the_trial(given.package, folder)
        server = Server(given.package, folder)
        browser = Browser(playwright, folder / "profile", server.link)
        for kill in range(given.kills):
            what = ("server", "browser", "both")[kill % 3]
            before = len(server.moves())
            made = burst(browser.page, rng, rng.uniform(0.05, 1.0))
            time.sleep(rng.choice([0.0, rng.uniform(0, 1)]))
            if what != "browser":
                server.kill()
            if what == "both":
                made += burst(browser.page, rng, rng.uniform(0.0, 0.5))
            on_disk, at = server.moves(), time.monotonic()
            acknowledged += len(on_disk) - before
            expected = shown(browser.page)
            if what != "server":
                browser.kill()
            if what != "browser":
                server.start()
            if what != "server":
                browser.start()
            until = time.monotonic() + 20
            while what == "server" and time.monotonic() < until and len(server.moves()) < before + len(made):
                time.sleep(0.05)
            found = server.moves()[before:]
            lost = [(slot, score) for _, slot, score in made][len(found) :]
            young = [move for moment, *move in made if at - moment < 0.1]
            if found != [(slot, score) for _, slot, score in made][: len(found)] or len(lost) > len(young):
                wrong += 1
                print(f"kill {kill} of {what}: {len(lost)} of {len(made)} moves lost", flush=True)
            late += len(lost)
            if not lost and shown(browser.page) != expected:
                wrong += 1
                print(f"kill {kill} of {what}: the page shows {shown(browser.page)}, not {expected}", flush=True)
        browser.kill()
        server.kill()
    print(
        f"{given.kills} kills: {acknowledged} moves were on the disk before; {wrong} kills lost what they may "
        f"not lose; {late} moves of the last 0.1 s before a kill were lost"
    )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
