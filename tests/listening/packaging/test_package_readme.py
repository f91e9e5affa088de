"""The README of a package."""

import re
from pathlib import Path

import pytest

from listening.packaging.feeds import EARS
from listening.packaging.package_readme import readme
from render.hoa.layout import layout


def written(kind, name, beside=False):
    speakers = EARS if name == "binaural" else layout(name)
    channels = [{"label": speaker.label} for speaker in speakers.loudspeakers]
    record = {"name": name, "channels": channels}
    label = "webmushra-7.1.4" if kind == "webmushra" else name
    folder = Path(f"out/package-{name}")
    return readme(folder, kind, "MUSHRA", record, f"key-{label}.json", 4, "test_7_1_4", beside)


PACKAGES = {
    "loudspeakers": (
        ("wav", "7.1.4"),
        ["12 channels at 48 kHz, 24 bit", "1 M+030, 2 M-030, 3 M+000, 4 LFE1", "the 4 stimuli",
         "listening.serve --package package-7.1.4", "plays on loudspeakers",
         "analysis.mushra results-7.1.4.sqlite --key key-7.1.4.json"],
    ),
    "headphones": (("bundle", "binaural"), ["2 channels", "1 left, 2 right", "plays on headphones"]),
    "both": (("wav", "stereo", True), ["1 M+030, 2 M-030.", "`headphones/ITEM/`"]),
    "webMUSHRA": (
        ("webmushra", "7.1.4"),
        ["?config=test_7_1_4_training.yaml", "12 channels at 48 kHz, 32-bit float",
         "results/test_7_1_4/mushra.csv", "mushra.csv --key key-webmushra-7.1.4.json"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PACKAGES)
def test_it_tells_channels_player_and_the_way_back_and_no_condition(kind):
    arguments, said = PACKAGES[kind]
    text = written(*arguments)
    assert "$" not in text
    assert not re.search(r"(?i)href|prop\b|opus|hidden|anchor|3\.5 kHz", text)
    for words in said:
        assert words in text
    assert ("`headphones/ITEM/`" in text) == (kind == "both")
