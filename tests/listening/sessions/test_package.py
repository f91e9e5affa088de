"""Packages as a running test reads them: what they hold, and every way in which they may be damaged."""

import hashlib
import json

import pytest
import soundfile

from listening.sessions.package import read_package
from render.common.errors import InputError

ITEMS, RATE_HZ, FRAMES = ("Beach", "Park", "Street", "Woodland"), 48_000, 4800


def edited(folder, change):
    session = json.loads((folder / "session.json").read_text())
    change(session)
    (folder / "session.json").write_text(json.dumps(session))


def test_what_a_package_holds(package, names):
    read = read_package(package)
    assert (read.title, read.training, list(read.renditions)) == ("MUSHRA, 0+2+0", ITEMS[:2], ["loudspeakers"])
    rendition = read.renditions["loudspeakers"]
    assert (rendition.sample_rate_hz, len(rendition.layout["channels"])) == (RATE_HZ, 2)
    assert set(rendition.signals) == {"identification", "level", "tone"}
    assert {item: set(files.stimuli) for item, files in read.items.items()} == {
        item: set(stimuli) for item, stimuli in names.items()
    }
    beach = read.items["Beach"]
    assert beach.frames == FRAMES
    for stimulus in (beach.reference, *beach.stimuli.values()):
        assert stimulus.sha256 == hashlib.sha256(stimulus.path.read_bytes()).hexdigest()
    assert read.sha256 == hashlib.sha256((package / "session.json").read_bytes()).hexdigest()
    assert read.session_name("headphones") == "0+2+0-headphones"


def test_the_headphone_rendition_has_the_same_names_and_other_files(both):
    read = read_package(both)
    speakers, phones = read.renditions["loudspeakers"], read.renditions["headphones"]
    assert phones.layout["name"] == "binaural"
    for item in ITEMS:
        assert set(speakers.items[item].stimuli) == set(phones.items[item].stimuli)
        assert speakers.items[item].reference.sha256 != phones.items[item].reference.sha256
    assert phones.signals["tone"] == both / "signals/headphones/tone.wav"


def test_a_package_for_headphones_alone(tmp_path, write_package):
    read = read_package(write_package(tmp_path / "package", layout="binaural"))
    assert list(read.renditions) == ["headphones"]
    assert read.session_name("headphones") == "binaural-headphones"


def first_file(folder):
    return sorted((folder / "audio" / "Park").glob("*a.wav"))[0]


def flip(path, offset=-1):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: first_file(p).unlink(), "is missing, but session.json names it"),
        (lambda p: flip(first_file(p)), "the audio was changed after the export"),
        (lambda p: flip(first_file(p), 5000), "the audio was changed after the export"),
        (lambda p: first_file(p).write_bytes(b"RIFF"), "is no sound file that can be read"),
        (lambda p: soundfile.write(first_file(p), [[0.0, 0.0]] * 100, RATE_HZ), "frames: 100 found"),
        (lambda p: soundfile.write(first_file(p), [[0.0, 0.0]] * FRAMES, 44100), "sample rate in Hz: 44100"),
        (lambda p: soundfile.write(first_file(p), [[0.0] * 3] * FRAMES, RATE_HZ), "channels: 3 found"),
        (lambda p: soundfile.write(first_file(p), [[0.0, 0.0]] * FRAMES, RATE_HZ, format="FLAC"), "is FLAC"),
        (lambda p: (p / "signals/tone.wav").unlink(), "tone.wav: is missing"),
        (lambda p: soundfile.write(p / "signals/tone.wav", [0.0] * 10, RATE_HZ), "channels: 1 found"),
        (lambda p: (p / "session.json").unlink(), "there is no such file"),
        (lambda p: (p / "session.json").write_text("{"), "not JSON"),
        (lambda p: (p / "session.json").write_text("[]"), "is not the session.json of a package"),
        (lambda p: edited(p, lambda s: s.pop("items")), "is not the session.json of a package"),
        (lambda p: edited(p, lambda s: s.update(version=2)), "is of version 2, this program reads version 1"),
        (lambda p: edited(p, lambda s: s["orders"].clear()), "do not name the same items"),
        (lambda p: edited(p, lambda s: s["orders"][3]["items"].pop()), "do not name the same items"),
        (lambda p: edited(p, lambda s: s["orders"][3]["stimuli"]["Park"].pop()), "do not name the same items"),
        (lambda p: edited(p, lambda s: s["training"].update(items=["Moon"])), "do not name the same items"),
        (lambda p: edited(p, lambda s: s["items"][0].update(id="../x")), "has no valid name"),
        (lambda p: edited(p, lambda s: s["signals"].append("../key.json")), "lies outside the package"),
        (lambda p: edited(p, lambda s: s["signals"].append("/etc/passwd")), "lies outside the package"),
    ],
)
def test_a_damaged_package_is_one_clear_error(package, damage, message):
    damage(package)
    with pytest.raises(InputError) as raised:
        read_package(package)
    assert message in str(raised.value)
    assert str(package) in str(raised.value)


def test_orders_of_equally_many_of_the_items_are_a_partial_design(package):
    edited(package, lambda s: [order["items"].pop() for order in s["orders"]])
    assert {len(order["items"]) for order in read_package(package).orders} == {3}
    edited(package, lambda s: [order["items"].append(order["items"][0]) for order in s["orders"]])
    with pytest.raises(InputError, match="do not name the same items"):
        read_package(package)


def test_a_link_out_of_the_package_is_refused(package, tmp_path):
    path = first_file(package)
    outside = tmp_path / "outside.wav"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(InputError, match="lies outside the package"):
        read_package(package)


def test_a_headphone_rendition_with_other_stimuli_is_refused(both):
    edited(both, lambda s: s["headphones"]["items"].pop())
    with pytest.raises(InputError, match="do not name the same items"):
        read_package(both)
