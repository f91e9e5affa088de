"""The command stimuli.prepare: corpora as users have them, zip files, other ambiX, locations, folds."""

import shutil
import sys
import zipfile

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import writer
from render.hoa.spherical_harmonics import spherical_harmonics
from stimuli import prepare
from stimuli.eigenscape.sources import find_sources
from stimuli.preparation.conversion import PreparationSettings, prepare_source


def field(path, order=4, seconds=0.3, seed=0, waves=40):
    """Many plane waves from everywhere, as a diffuse but real field."""
    random = np.random.default_rng(seed)
    azimuth, elevation = random.uniform(-np.pi, np.pi, waves), np.arcsin(random.uniform(-1, 1, waves))
    gains = spherical_harmonics(order, azimuth, elevation)
    samples = 0.01 * gains.T @ random.standard_normal((waves, round(seconds * 48_000)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with writer(path, len(samples), 48_000, "PCM_24", force=True) as file:
        file.write(samples.astype(np.float32))
    return path


def packed(path, *members, method=zipfile.ZIP_DEFLATED):
    """A zip file of (name in it, file)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, file in members:
            archive.write(file, name)
    return path


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def command(monkeypatch):
    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["prepare", *map(str, arguments), "--workers", "1"])
        prepare.main()

    return command


def test_zipped_flat_and_foldered_corpora_give_the_same_files(tmp_path, command):
    beach, park = field(tmp_path / "x/Beach.1.wav"), field(tmp_path / "x/Park.2.wav", seed=1)
    packed(tmp_path / "zips/Beach.zip", ("Beach/Beach.1.wav", beach), ("__MACOSX/._Beach.1.wav", beach))
    packed(tmp_path / "zips/Park.zip", ("Park-02.wav", park), method=zipfile.ZIP_STORED)
    command(tmp_path / "x", "-o", tmp_path / "a")
    command(tmp_path / "zips", "-o", tmp_path / "b")
    wavs = [{p.name: p.read_bytes() for p in (tmp_path / folder).glob("*.wav")} for folder in "ab"]
    assert set(wavs[0]) == {"Beach.1.wav", "Park.2.wav"}
    assert wavs[0] == wavs[1]
    assert not list((tmp_path / "b").glob(".*"))


def test_what_is_made_from_a_zip_file_is_not_unpacked_again(tmp_path, command, monkeypatch):
    packed(tmp_path / "Beach.zip", ("Beach.1.wav", field(tmp_path / "x/Beach.1.wav")))
    command(tmp_path / "Beach.zip", "-o", tmp_path / "out")
    before = content(tmp_path / "out")
    opened = []
    original = zipfile.ZipFile.open
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *a, **k: opened.append(a) or original(*a, **k))
    source = find_sources(tmp_path / "Beach.zip")[0]
    prepare_source(source, tmp_path / "out/Beach.1.wav", PreparationSettings(), verify=False)
    assert opened == []
    packed(tmp_path / "Beach.zip", ("Beach.1.wav", field(tmp_path / "x/Beach.1.wav", seed=5)))
    command(tmp_path / "Beach.zip", "-o", tmp_path / "out")
    assert content(tmp_path / "out")["Beach.1.wav"] != before["Beach.1.wav"]


def test_hostile_and_damaged_zip_files(tmp_path, command):
    beach = field(tmp_path / "x/Beach.1.wav")
    packed(tmp_path / "evil.zip", ("../../Beach.1.wav", beach))
    command(tmp_path / "evil.zip", "-o", tmp_path / "deep/er/out")
    outside = set(tmp_path.rglob("*.wav")) - {beach, tmp_path / "deep/er/out/Beach.1.wav"}
    assert outside == set()
    data = bytearray(packed(tmp_path / "bad.zip", ("Beach.1.wav", beach)).read_bytes())
    data[2000] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"bad\.zip.*damaged"):
        command(tmp_path / "bad.zip", "-o", tmp_path / "no")
    (tmp_path / "cut.zip").write_bytes(data[:1000])
    with pytest.raises(InputError, match=r"cut\.zip: the zip file is damaged"):
        command(tmp_path / "cut.zip", "-o", tmp_path / "no")
    assert not list(tmp_path.glob("no/*.wav"))


def test_any_other_folder_of_third_order_or_higher(tmp_path, command, capsys):
    field(tmp_path / "my/hall one.wav", order=3)
    field(tmp_path / "my/deep/yard.w64", order=5, seed=1)
    field(tmp_path / "my/first.wav", order=1)
    (tmp_path / "my/notes.txt").write_text("x")
    command(tmp_path / "my", "-o", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").glob("*.wav")) == ["hall one.wav", "yard.wav"]
    assert "skipped" in (told := capsys.readouterr().err)
    assert "order 1" in told
    field(tmp_path / "low/a.wav", order=1)
    with pytest.raises(InputError, match="is ambiX of third order"):
        command(tmp_path / "low", "-o", tmp_path / "out2")


def test_the_defective_files_of_the_first_release_are_recognised(tmp_path, command):
    samples = 0.01 * np.random.default_rng(0).standard_normal((32, 4800)).astype(np.float32)
    with writer(tmp_path / "Park.6.wav", 32, 48_000) as file:
        file.write(samples)
    packed(tmp_path / "z/Park.zip", ("Park.6.wav", tmp_path / "Park.6.wav"))
    for root in (tmp_path / "Park.6.wav", tmp_path / "z"):
        with pytest.raises(InputError, match=r"Park\.6\.wav: 32 channels.*record 2628463"):
            command(root, "-o", tmp_path / "out")


def test_verified_recordings_have_the_published_md5(tmp_path, command):
    beach = field(tmp_path / "Beach.1.wav")
    with pytest.raises(InputError, match=r"its MD5 is \w{32}, EigenScape's Beach\.1 has b199ddd2350c0516"):
        command(beach, "-o", tmp_path / "out", "--verify")


METADATA = """Filename,Class,Location,Time,Date,Additional Information
Beach-01.wav,Beach,"Bridlington  Beach",10:00,1/5/17,
Beach-08.wav,Beach,bridlington beach,11:00,1/5/17,
Park-08.wav,Park,Rowntree Park,11:00,1/5/17,
"""


def test_equal_locations_on_both_sides_of_a_split_are_reported(tmp_path, command, capsys):
    for name in ("Beach.1", "Beach.8", "Park.1", "Park.8"):
        field(tmp_path / f"c/{name}.wav", seconds=0.1)
    command(tmp_path / "c", "-o", tmp_path / "out", "--split", "recording")
    assert "no Metadata-EigenScape.csv" in capsys.readouterr().err
    (tmp_path / "c/Metadata-EigenScape.csv").write_text(METADATA)
    command(tmp_path / "c", "-o", tmp_path / "out", "--split", "recording")
    told = capsys.readouterr()
    assert "warning: Beach.8 was recorded at the same place as Beach.1 (bridlington beach)" in told.err
    assert "Park" not in told.err
    assert "2 recordings to training, 2 to held-out (fold 8)" in told.out
    names = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.wav"))
    assert names == ["held-out/Beach.8.wav", "held-out/Park.8.wav", "training/Beach.1.wav", "training/Park.1.wav"]
    command(tmp_path / "c", "-o", tmp_path / "scene", "--split", "scene", "--fold", "Park")
    assert sorted(p.name for p in (tmp_path / "scene/held-out").glob("*.wav")) == ["Park.1.wav", "Park.8.wav"]
    for wrong in (["--fold", "3"], ["--split", "scene"], ["--split", "scene", "--fold", "3"],
                  ["--split", "recording", "--fold", "9"]):  # fmt: skip
        with pytest.raises(InputError, match="--fold"):
            command(tmp_path / "c", "-o", tmp_path / "no", *wrong)


def test_a_folder_is_prepared_under_the_names_of_the_corpus(tmp_path, command, capsys):
    for name in ("deep/Busy Street-08.wav", "Beach.1.wav"):
        field(tmp_path / "in" / name, seconds=0.1)
    out = tmp_path / "out"
    command(tmp_path / "in", "-o", out, "--recordings", "8")
    assert sorted(p.name for p in out.iterdir()) == ["BusyStreet.8.wav", "BusyStreet.8.wav.json"]
    command(tmp_path / "in", "-o", out, "--workers", "2")
    assert sorted(p.name for p in out.glob("*.wav")) == ["Beach.1.wav", "BusyStreet.8.wav"]
    assert "2 recordings" in capsys.readouterr().out
    for wrong, says in (("5", "none of its recordings"), ("x", "need numbers")):
        with pytest.raises(InputError, match=says):
            command(tmp_path / "in", "-o", out, "--recordings", wrong)


@pytest.mark.parametrize("channels", [2, 32])
def test_a_member_of_other_channels_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, channels):
    with writer(tmp_path / "Park.1.wav", channels, 48_000, "PCM_16") as file:
        file.write(np.full((channels, 48_000), 0.25, np.float32))
    packed(tmp_path / "x.zip", ("Park.1.wav", tmp_path / "Park.1.wav"))
    (source,) = find_sources(tmp_path / "x.zip")
    monkeypatch.setattr(shutil, "copyfileobj", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(InputError, match=rf"x\.zip:Park\.1\.wav: {channels} channels"):
        prepare_source(source, tmp_path / "out" / "Park.1.wav", PreparationSettings(), verify=False)
    assert list((tmp_path / "out").iterdir()) == []
