"""Recordings are found in folders and zip files."""

import zipfile

import pytest

from render.common.errors import InputError
from stimuli.eigenscape.sources import find_sources


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
