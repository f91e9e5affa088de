"""Take the pictures of the listener's pages and of the desk that the documentation shows, from a running test.

    python docs/pictures/take.py --package out/demo/package-7.1.4

The sound device is a null sink of PulseAudio with 12 channels; the browser is Debian's Chromium. What is clicked
and rated is made up.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
COLOURS = 48
WIDTH, HEIGHT = 1366, 768
MAP = (
    "front-left,front-right,front-center,lfe,rear-left,rear-right,side-left,side-right,"
    "top-front-left,top-front-right,top-rear-left,top-rear-right"
)
PLAN = """
title = "Codecs for Ambisonics"
training = []
[[questionnaire]]
id = "experience"
label = "How many listening tests have you taken part in?"
kind = "choice"
choices = ["none", "1 to 5", "more than 5"]
required = true
[[questionnaire]]
id = "age"
label = "Age"
kind = "number"
minimum = 16
maximum = 99
"""


@contextmanager
def sound_device(folder: Path) -> Iterator[dict[str, str]]:
    """A PulseAudio daemon with a null sink of 12 channels; yields the environment of its clients."""
    of_client = {
        "PULSE_SERVER": f"unix:{folder}/native",
        "PULSE_RUNTIME_PATH": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
    }
    environment = os.environ | of_client | {"PULSE_CONFIG": str(folder / "daemon.conf")}
    (folder / "daemon.conf").write_text(
        f"default-sample-rate = 48000\ndefault-sample-channels = 12\ndefault-channel-map = {MAP}\n"
    )
    daemon = subprocess.Popen(
        ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-level=error",
         f"--load=module-native-protocol-unix auth-anonymous=1 socket={folder}/native",
         f"--load=module-null-sink sink_name=room rate=48000 channels=12 channel_map={MAP}"],
        env=environment,
    )  # fmt: skip
    while subprocess.run(["pactl", "info"], env=environment, capture_output=True).returncode:
        time.sleep(0.1)
    try:
        yield environment
    finally:
        daemon.terminate()
        daemon.wait()


@contextmanager
def served(package: Path, plan: str, folder: Path) -> Iterator[tuple[str, str]]:
    """A server of the package with a plan; yields the links of the first listener and of the desk."""
    (folder / "plan.toml").write_text(plan)
    results = folder / f"results-{time.monotonic_ns()}.sqlite"
    command = [sys.executable, "-m", "listening.serve", "--package", package, "--plan", folder / "plan.toml",
               "--results", results, "--port", "0"]  # fmt: skip
    server = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    listener, desk = (server.stdout.readline().split()[-1] for _ in range(2))
    try:
        yield listener, desk
    finally:
        server.terminate()
        server.communicate()


def picture(page: Page, name: str) -> None:
    """Take one picture, with few colours."""
    page.mouse.move(0, HEIGHT - 1)
    page.wait_for_timeout(250)
    path = HERE / f"{name}.png"
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def shown(page: Page, kind: str) -> None:
    """Wait for a page of a kind."""
    page.locator(f"main.page-{kind}").wait_for()
    if kind == "trial":
        page.locator(".transport.loaded").wait_for()


def set_up(page: Page, pictures: bool, questionnaire: bool) -> None:
    """Go from the welcome page to the first trial, over the questionnaire if the plan has one."""
    asked = ("questionnaire",) if questionnaire else ()
    for kind in ("welcome", "consent", *asked, "device", "channels", "level", "instruction"):
        shown(page, kind)
        if kind == "consent":
            page.check("#consent")
        if kind == "questionnaire":
            page.locator(".option input").nth(1).check()
            page.fill("input[type=number]", "34")
        if kind == "device":
            page.click("#check")
            page.locator(".good-mark").wait_for()
            page.locator("details.map summary").click()
        if kind == "channels":
            total = page.locator(".speaker-button").count()
            for count in range(1, total + 1):
                page.click("#play-next")
                page.locator(".speaker-button.played").nth(count - 1).wait_for()
                if pictures and count == 9:
                    picture(page, "listener-channels")
            page.check("#confirm")
        if kind == "level":
            page.locator(".plays button").first.click()
            page.locator(".plays button[aria-pressed=true]").wait_for()
        if pictures and kind != "channels":
            picture(page, f"listener-{kind}")
        page.click("#next")
    shown(page, "trial")


def rate(page: Page, scores: list[int]) -> None:
    """Give the stimuli these scores, in units of ten."""
    page.keyboard.press("0")
    for slot, score in enumerate(scores, 1):
        page.keyboard.press(str(slot))
        for _ in range(score):
            page.keyboard.press("PageUp")


def main() -> None:
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--package", type=Path, default=Path("out/demo/package-7.1.4"))
    package = command.parse_args().package
    with (
        tempfile.TemporaryDirectory() as name,
        sound_device(Path(name)) as environment,
        sync_playwright() as playwright,
    ):
        folder = Path(name)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), ignore_default_args=["--mute-audio"], env=environment,
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )  # fmt: skip

        def opened(link: str) -> Page:
            page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="en").new_page()
            page.set_default_timeout(60_000)
            page.goto(link)
            return page

        with served(package, PLAN, folder) as (link, desk):
            page = opened(link)
            set_up(page, pictures=True, questionnaire=True)
            rate(page, [10, 3])
            picture(page, "listener-trial")
            page.keyboard.press("?")
            picture(page, "listener-keys")
            page.keyboard.press("Escape")
            second = page.context.new_page()
            second.goto(link)
            second.locator("#go").wait_for()
            picture(second, "listener-elsewhere")
            third = opened(desk)
            third.get_by_role("row", name="L08").wait_for()
            picture(third, "desk")
        with served(package, 'method = "bs1116"\ntitle = "Codecs for Ambisonics"\ntraining = []\n', folder) as (
            link,
            _,
        ):
            page = opened(link)
            set_up(page, pictures=False, questionnaire=False)
            for key, press in (("a", "Home"), ("b", "End"), ("c", "PageUp")):
                page.keyboard.press(key)
                page.keyboard.press(press)
            picture(page, "listener-bs1116")
        browser.close()


if __name__ == "__main__":
    main()
