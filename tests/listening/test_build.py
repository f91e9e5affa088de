"""Items and the build of their conditions, without a codec: what is kept, made again and refused."""

import json
import sys

import numpy as np
import pytest
import soundfile

from listening import build
from listening.manifest import read_manifest
from render.artefact import record_path, sha256
from render.audio_file import read, writer
from render.errors import InputError
from stimuli.excerpt import FADE_S

PLAN = 'conditions = ["href", "la", "order_0"]\nseconds = 1.0\n'


def written(path, channels=16, frames=22050, rate=44100, seed=0):
    samples = 0.1 * np.random.default_rng(seed).standard_normal((channels, frames))
    path.parent.mkdir(parents=True, exist_ok=True)
    with writer(path, channels, rate, "PCM_16", force=True) as file:
        file.write(samples.astype(np.float32))
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)

    def run(*arguments, out=tmp_path / "out"):
        arguments = ["build", "--plan", plan, "-o", out, "--workers", "1", *arguments]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        build.main()
        return out

    return run


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_scenes_of_a_users_own_files(tmp_path, run):
    long, short = written(tmp_path / "take 1 (a).wav", frames=66150), written(tmp_path / "b.wav", seed=1)
    out = run("--input", long, short)
    plan, items = read_manifest(out)
    assert list(items) == ["take_1_a", "b"]
    assert items["b"]["window"]["frames"] == 22050
    assert items["take_1_a"]["window"]["frames"] == 44100
    for item, entry in items.items():
        scenes = {}
        for name in plan.conditions:
            made = entry["conditions"][name]
            assert sha256(out / made["file"]) == made["sha256"]
            scenes[name], rate = read(out / made["file"])
            assert rate == 44100
        start, frames = entry["window"]["start"], entry["window"]["frames"]
        prepared, _ = read(out / "prepared" / f"{item}.wav", start, frames)
        fade = round(FADE_S * 44100)
        assert np.array_equal(scenes["href"][:, fade:-fade], prepared[:, fade:-fade])
        assert np.array_equal(scenes["order_0"][0], scenes["href"][0])
        assert not scenes["order_0"][1:].any()
        assert scenes["la"].shape == scenes["href"].shape


def test_repeating_changes_nothing_and_makes_only_what_is_missing(tmp_path, run):
    out = run("--input", written(tmp_path / "a.wav"))
    before = content(out)
    times = {p: p.stat().st_mtime_ns for p in (out / "scenes").rglob("*") if p.is_file()}
    run("--input", tmp_path / "a.wav")
    assert content(out) == before
    assert all(p.stat().st_mtime_ns == time for p, time in times.items())
    lost = out / "scenes" / "a" / "la.w64"
    lost.unlink()
    (out / "manifest.json").unlink()
    run("--input", tmp_path / "a.wav")
    assert content(out) == before
    assert {p.name for p in times if p.stat().st_mtime_ns != times[p]} == {"la.w64", "la.w64.json"}


def test_a_changed_source_a_changed_plan_and_a_damaged_record_are_noticed(tmp_path, run):
    out = run("--input", written(tmp_path / "a.wav"))
    before = content(out)
    record_path(out / "scenes/a/la.w64").write_text("{}")
    run("--input", tmp_path / "a.wav")
    assert content(out) == before
    run("--input", written(tmp_path / "a.wav", seed=9))
    assert read_manifest(out)[1]["a"]["sha256"] != json.loads(before["manifest.json"])["items"]["a"]["sha256"]
    assert (out / "scenes/a/la.w64").read_bytes() != before["scenes/a/la.w64"]


def test_a_scene_that_was_changed_afterwards_is_refused(tmp_path, run):
    out = run("--input", written(tmp_path / "a.wav"))
    scene = out / "scenes/a/la.w64"
    data = bytearray(scene.read_bytes())
    data[-1] ^= 1
    scene.write_bytes(data)
    with pytest.raises(InputError, match=r"la\.w64: was changed after it was built; remove it"):
        run("--input", tmp_path / "a.wav")
    scene.unlink()
    run("--input", tmp_path / "a.wav")


def test_items_of_a_corpus_are_its_held_out_recordings_with_their_label(tmp_path, run):
    for name in ("Beach.7.wav", "Beach.8.wav", "Park.8.wav"):
        written(tmp_path / "prepared" / name)
    record_path(tmp_path / "prepared/Park.8.wav").write_text('{"material": "synthetic scene"}')
    _, items = read_manifest(run("--material", tmp_path / "prepared"))
    assert {item: entry["material"] for item, entry in items.items()} == {
        "Beach": "recording", "Park": "synthetic scene",
    }  # fmt: skip
    assert [entry["source"] for entry in items.values()] == ["Beach.8.wav", "Park.8.wav"]


def test_material_that_cannot_be_used_is_refused_before_the_work(tmp_path, run):
    written(tmp_path / "none" / "Beach.1.wav")
    with pytest.raises(InputError, match="no recording number 8"):
        run("--material", tmp_path / "none")
    written(tmp_path / "raw" / "Beach.8.wav", channels=25, rate=48000)
    with pytest.raises(InputError, match=r"25 channels at 48000 Hz.*stimuli\.prepare"):
        run("--material", tmp_path / "raw")
    assert not (tmp_path / "out").exists()


def test_two_items_of_one_name_are_refused_also_where_only_their_case_differs(tmp_path, run):
    first = written(tmp_path / "1" / "a.wav")
    for twin in ("2/a.wav", "2/A.wav"):
        with pytest.raises(InputError, match="a second item"):
            run("--input", first, written(tmp_path / twin))


@pytest.mark.parametrize("name", ["naïve.wav", "a;b.wav", "%s.wav", "..wav", "x" * 80 + ".wav"])
def test_odd_file_names_are_refused_and_nothing_is_written(tmp_path, run, name):
    with pytest.raises(InputError, match="rename the file"):
        run("--input", written(tmp_path / name))
    assert not (tmp_path / "out").exists()


def test_first_order_and_nan_are_refused_with_the_reason(tmp_path, run):
    with pytest.raises(InputError, match=r"foa\.wav: 4 channels are order 1.*third-order"):
        run("--input", written(tmp_path / "foa.wav", channels=4))
    samples = np.zeros((4410, 16), np.float32)
    samples[77, 2] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 44100, subtype="FLOAT")
    with pytest.raises(InputError, match=r"nan\.wav: nan in channel 2 at sample 77"):
        run("--input", tmp_path / "nan.wav")
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_the_key_of_a_rendition_depends_on_all_that_it_is_made_from():
    from listening.conditions import condition

    keys = {
        build._key(condition(name), {"sha256": source})
        for name in ("href", "la", "ma", "order_1", "opus3_160", "opus3_161")
        for source in ("0", "1")
    }
    assert len(keys) == 12
