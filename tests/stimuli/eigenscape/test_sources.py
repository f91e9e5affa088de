"""Recordings are found in folders and zip files."""

import lzma
import os
import signal
import struct
import subprocess
import sys
import zipfile

import pytest

from render.common.errors import InputError
from stimuli.eigenscape.corpus import find_recordings
from stimuli.eigenscape.sources import Source, as_file, find_sources, first_bytes, member_record


def test_one_recording_in_two_places_is_refused(tmp_path):
    (tmp_path / "Beach.1.wav").touch()
    with zipfile.ZipFile(tmp_path / "Beach.zip", "w") as archive:
        archive.writestr("Beach-01.wav", b"")
    with pytest.raises(InputError, match="the same recording as"):
        find_sources(tmp_path)


def test_recordings_of_the_corpus_stand_alone_and_other_files_are_found_without_them(tmp_path):
    for name in ("hall.flac", "deep/yard.w64", ".hidden.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [source.name for source in find_sources(tmp_path)] == ["hall.wav", "yard.wav"]
    (tmp_path / "Park-02.wav").touch()
    assert [source.name for source in find_sources(tmp_path)] == ["Park.2.wav"]


def zipped(path, content, method=zipfile.ZIP_DEFLATED):
    """A zip file of one recording; returns its bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("Beach.1.wav", content)
    return bytearray(path.read_bytes())


def read_everything(path):
    for source in find_sources(path):
        member_record(source)
        with first_bytes(source, path.parent / "out"):
            pass
        with as_file(source, path.parent / "out") as unpacked:
            unpacked.read_bytes()


def central(data):
    """Place of the entry in the central directory."""
    return data.index(b"PK\x01\x02")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("damage", ["ff", "00", "flip", "cut"])
def test_damaged_content_is_one_error(tmp_path, method, damage):
    path = tmp_path / "x.zip"
    data = zipped(path, b"RIFF" + bytes(range(256)) * 400, method)
    begin, end = 30 + len("Beach.1.wav"), central(data)
    refused = 0
    for place in range(begin, min(end, begin + 60)):
        bad = data.copy()
        if damage == "cut":
            del bad[place : place + 8]
        else:
            bad[place] = {"ff": 0xFF, "00": 0, "flip": data[place] ^ 0x55}[damage]
        path.write_bytes(bad)
        try:
            read_everything(path)
        except InputError as error:
            assert "x.zip" in str(error)  # noqa: PT017 a bit that a decoder ignores may be changed
            refused += 1
    assert refused > 10
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (42, b"\xff\xff\xff\x7f"),  # where the member begins: behind the file
        (46, b"\xff"),  # its name is no UTF-8
        (46, b"X"),  # another name than at the member
        (10, b"\x63\x00"),  # an unknown method
        (8, b"\x01\x00"),  # encrypted
        (24, b"\xff\xff\xff\x7f"),  # larger than it is
    ],
)
def test_a_damaged_directory_is_one_error(tmp_path, offset, value):
    path = tmp_path / "x.zip"
    data = zipped(path, b"RIFF" + bytes(5000))
    place = central(data) + offset
    data[place : place + len(value)] = value
    if value == b"\xff":
        struct.pack_into("<H", data, central(data) + 8, 0x800)  # flag: the name is UTF-8
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x\.zip"):
        read_everything(path)


@pytest.mark.parametrize(
    "error", [lzma.LZMAError("x"), OSError("Invalid data stream"), OSError(22, "Invalid argument")]
)
def test_an_error_of_a_decompressor_is_damage_and_one_of_the_disk_is_not(tmp_path, monkeypatch, error):
    path = tmp_path / "x.zip"
    zipped(path, b"RIFF")
    source = Source(path, "Beach.1.wav")

    def fails(*_):
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "open", fails)
    with pytest.raises(InputError, match=r"x\.zip: the zip file is damaged"), as_file(source, tmp_path / "out"):
        pass
    error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left") as caught, as_file(source, tmp_path / "out"):
        pass
    assert caught.value.filename == str(tmp_path / "out")


def test_what_is_done_with_a_member_is_no_damage_of_the_zip_file(tmp_path):
    path = tmp_path / "x.zip"
    zipped(path, b"RIFF")
    with pytest.raises(KeyError), as_file(Source(path, "Beach.1.wav"), tmp_path):
        raise KeyError("a defect of ours")


def test_a_missing_member_is_one_error(tmp_path):
    zipped(tmp_path / "x.zip", b"RIFF")
    with pytest.raises(InputError, match=r"x\.zip.*Park"):
        member_record(Source(tmp_path / "x.zip", "Park.1.wav"))


@pytest.mark.parametrize("content", [b"", b"<html>" + bytes(1 << 20), bytes(100)])
def test_a_member_that_is_no_audio_is_refused_by_its_first_bytes(tmp_path, content):
    zipped(tmp_path / "x.zip", content)
    source = Source(tmp_path / "x.zip", "Beach.1.wav")
    with pytest.raises(InputError, match=r"x\.zip:Beach\.1\.wav: .* not an audio file"):
        first_bytes(source, tmp_path).__enter__()


def test_the_first_bytes_have_the_size_of_the_whole_and_take_no_room(tmp_path):
    zipped(tmp_path / "x.zip", b"RIFF" + bytes(30_000_000))
    with first_bytes(Source(tmp_path / "x.zip", "Beach.1.wav"), tmp_path) as path:
        assert path.stat().st_size == 30_000_004
        assert path.stat().st_blocks * 512 < 1 << 20


def test_what_a_kill_leaves_of_a_member_is_no_recording_and_is_swept(tmp_path):
    zipped(tmp_path / "x.zip", b"RIFF" + bytes(1000))
    killed = """
import os, signal, sys
from pathlib import Path
from stimuli.eigenscape.sources import Source, as_file
with as_file(Source(Path(sys.argv[1]), "Beach.1.wav"), Path(sys.argv[2])) as path:
    assert path.name == "Beach.1.wav" and path.stat().st_size == 1004
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", killed, tmp_path / "x.zip", tmp_path / "out"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [name for *_, names in os.walk(tmp_path / "out") for name in names] == ["Beach.1.wav"]
    with pytest.raises(InputError, match="no recordings"):
        find_recordings(tmp_path / "out")
    with as_file(Source(tmp_path / "x.zip", "Beach.1.wav"), tmp_path / "out"):
        assert len(list((tmp_path / "out").iterdir())) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_a_member_without_a_name_is_one_error_or_left_out(tmp_path):
    """Python 3.11's zipfile fails with an IndexError at it."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"RIFF")
    data = path.read_bytes()
    place = data.index(b"PK\x01\x02")
    named = data[place : place + 28] + b"\0\0" + data[place + 30 : place + 46] + data[place + 47 :]
    end = bytearray(data[:place] + named)
    end[-10:-6] = struct.pack("<I", 46)  # the size of the directory
    path.write_bytes(end)
    with pytest.raises(InputError, match=r"x\.zip"):
        find_sources(path)


def test_parts_of_a_scene_in_a_zip_file_are_joined_as_the_refusal_says(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for part in ("deep/hall_01-08ch.wav", "deep/hall_09-16ch.wav", "yard.wav"):
            archive.writestr(part, b"")
    with pytest.raises(InputError, match=r"x\.zip: deep/hall_01-08ch\.wav is a part .* into a folder of its own"):
        find_sources(tmp_path)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        archive.extractall(tmp_path / "own")
    assert [source.name for source in find_sources(tmp_path / "own")] == ["hall.wav", "yard.wav"]
