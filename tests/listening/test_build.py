"""Items and the build of their conditions, without a codec: what is kept, made again and refused."""

import json
import sys

import numpy as np
import pytest
import soundfile

from analysis.metrics.built_test import read_built_test
from listening import build
from listening.stimulus_build import item_builder, quality_gate
from listening.stimulus_build.plan_builder import training_overlaps
from listening.test_design.items import named_files
from listening.test_design.test_plan import Plan, plan_of
from render.common.errors import InputError
from render.common.files import read_json, record_path, sha256
from render.fileio.audio_file import read, writer
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import sn3d_to_n3d
from stimuli.excerpts.window import FADE_S

PLAN = 'conditions = ["href", "la", "order_0"]\nseconds = 1.0\n'


def written(path, channels=16, frames=22050, rate=44100, seed=0):
    samples = 0.1 * np.random.default_rng(seed).standard_normal((channels, frames))
    samples /= sn3d_to_n3d(order_of(channels))[:, None]  # white noise from everywhere
    path.parent.mkdir(parents=True, exist_ok=True)
    with writer(path, channels, rate, "PCM_16", force=True) as file:
        file.write(samples.astype(np.float32))
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)

    def run(*arguments, out=tmp_path / "out"):
        arguments = ["build", "--plan", plan, "-o", out, "--engine", "inline", *arguments]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        build.main()
        return out

    return run


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_scenes_of_a_users_own_files(tmp_path, run):
    long, short = written(tmp_path / "take 1 (a).wav", frames=66150), written(tmp_path / "b.wav", seed=1)
    out = run("--input", long, short)
    test = read_built_test(out)
    plan, items = plan_of(test), test.items
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
    assert read_built_test(out).items["a"]["sha256"] != json.loads(before["manifest.json"])["items"]["a"]["sha256"]
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
    items = read_built_test(run("--material", tmp_path / "prepared")).items
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


def test_items_are_called_as_the_user_says(tmp_path, run):
    """A word that is a file is one although it has an equals sign."""
    recorded = written(tmp_path / "rec 0031 (final).wav")
    odd = written(tmp_path / "x=y.wav")
    assert named_files([f"Tram={recorded}", str(odd)[: -len("x=y.wav")] + "plain.wav"]) == [
        ("Tram", recorded),
        ("plain", tmp_path / "plain.wav"),
    ]
    assert named_files([str(recorded)]) == [("rec_0031_final", recorded)]
    with pytest.raises(InputError, match="cannot become an item name"):
        named_files([str(odd)])
    with pytest.raises(InputError, match=r"'a b' cannot be the name of an item; 'a_b' could"):
        named_files([f"a b={recorded}"])
    out = run("--input", f"Tram={recorded}")
    assert list(read_json(out / "manifest.json")["items"]) == ["Tram"]


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


def test_another_gate_measures_the_same_audio_again(tmp_path, run, monkeypatch):
    out = run("--input", written(tmp_path / "a.wav"))
    before = content(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.w64")}
    measured = []

    def examine(reference, test, expected, *arguments, **options):
        measured.append(expected)
        return quality_gate.examine(reference, test, expected, *arguments, **options)

    monkeypatch.setattr(item_builder, "quality_key", lambda: "another gate")
    monkeypatch.setattr(item_builder, "examine", examine)
    run("--input", tmp_path / "a.wav")
    run("--input", tmp_path / "a.wav")
    assert len(measured) == 3  # once for each condition
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.w64")} == times
    changed = {name for name, data in content(out).items() if data != before[name]}
    assert changed == {f"scenes/a/{name}.w64.json" for name in ("href", "la", "order_0")}
    records = {name: (json.loads(before[name]), json.loads(content(out)[name])) for name in changed}
    for old, new in records.values():
        assert {key for key in old if old[key] != new[key]} == {"quality_key"}


def test_the_gate_stops_the_build_and_names_the_stimulus(tmp_path, run, monkeypatch):
    from listening.conditions import anchors

    monkeypatch.setattr(anchors, "low_pass_taps", lambda cutoff_hz, rate_hz: np.ones(9) / 9)
    with pytest.raises(InputError, match=r"la\.w64: la of a .*has a ripple of .*; is attenuated by"):
        run("--input", written(tmp_path / "a.wav"))
    assert not (tmp_path / "out/manifest.json").exists()
    monkeypatch.undo()


def test_the_gates_measures_and_a_contact_sheet_stand_in_the_build(tmp_path, run):
    out = run("--input", written(tmp_path / "a.wav"))
    made = read_built_test(out).items["a"]["conditions"]
    assert made["la"]["quality"]["mask"]["attenuation_db_from_4500_hz"] > 70
    assert made["order_0"]["quality"]["order_db"] == [0.0, None, None, None]
    sheet = out / "scenes/a/contact_sheet.png"
    assert sheet.read_bytes().startswith(b"\x89PNG")
    before = sheet.stat().st_mtime_ns
    run("--input", tmp_path / "a.wav")
    assert sheet.stat().st_mtime_ns == before


def plan_file(tmp_path, text):
    (tmp_path / "other.toml").write_text(text)
    return tmp_path / "other.toml"


def test_conditions_can_be_left_out(tmp_path, run, monkeypatch):
    plan = plan_file(tmp_path, 'conditions = ["href", "opus3_160", "pca_opus_16", "la"]\nseconds = 1.0\n')
    monkeypatch.setenv("HOA_OPUS_LIB", "/nowhere/libopus.so")
    from listening.opus_codec import libopus

    libopus.library.cache_clear()
    source = written(tmp_path / "a.wav")
    with pytest.raises(InputError, match=r"HOA_OPUS_LIB=/nowhere"):
        run("--input", source, "--plan", plan)
    out = run("--input", source, "--plan", plan, "--skip", "opus", "--skip", "la")
    assert plan_of(read_built_test(out)).conditions == ("href",)
    with pytest.raises(InputError, match="--skip prop: not a condition of the plan"):
        run("--input", source, "--plan", plan, "--skip", "prop")
    libopus.library.cache_clear()


def test_objects_are_in_every_condition_alike_and_the_anchor_is_of_the_mixture(tmp_path, run):
    voice = 0.1 * np.random.default_rng(9).standard_normal((1, 44100))
    with writer(tmp_path / "voice.wav", 1, 44100, "FLOAT") as file:
        file.write(voice.astype(np.float32))
    text = 'conditions = ["href", "la", "order_0"]\nseconds = 1.0\n'
    scene = '[[objects]]\nfile = "voice.wav"\nazimuth_deg = 90\nlevel_db = 12\n'
    source = written(tmp_path / "a.wav", frames=44100)
    plain = run("--input", source, "--plan", plan_file(tmp_path, text), out=tmp_path / "plain")
    out = run("--input", source, "--plan", plan_file(tmp_path, text + scene), out=tmp_path / "objects")
    difference = {}
    for name in ("href", "order_0", "la"):
        with_object, _ = read(out / f"scenes/a/{name}.w64")
        without, _ = read(plain / f"scenes/a/{name}.w64")
        difference[name] = with_object - without
    assert np.abs(difference["href"][1]).max() > 0.1  # Y hears a voice from the left
    np.testing.assert_allclose(difference["order_0"], difference["href"], atol=1e-6)
    spectrum = np.abs(np.fft.rfft(difference["la"][0]))
    assert spectrum[4500:].max() < 1e-3 * spectrum[:3500].max()  # 1 s: one bin is 1 Hz


def test_a_plans_commands_run_only_when_they_are_allowed(tmp_path, run):
    text = 'conditions = ["href", "copy"]\nseconds = 1.0\n[parameters.copy]\ncommand = "cp {input} {output}"\n'
    plan, source = plan_file(tmp_path, text), written(tmp_path / "a.wav")
    with pytest.raises(InputError, match=r"copy would run 'cp \{input\} \{output\}'.*--allow-commands"):
        run("--input", source, "--plan", plan)
    assert not (tmp_path / "out").exists()
    out = run("--input", source, "--plan", plan, "--allow-commands")
    made = read_built_test(out).items["a"]["conditions"]
    assert made["copy"]["sha256"] == made["href"]["sha256"]
    assert "kbps" not in made["copy"]


def test_frozen_excerpts_are_taken_and_others_refused(tmp_path, run):
    written(tmp_path / "prepared/Beach.8.wav", frames=4 * 44100)
    digest = sha256(tmp_path / "prepared/Beach.8.wav")
    text = f'{PLAN}[excerpts.Beach]\nsha256 = "{digest}"\nstart = 44100\nframes = 44100\n'
    out = run("--material", tmp_path / "prepared", "--plan", plan_file(tmp_path, text))
    assert read_built_test(out).items["Beach"]["window"]["start"] == 44100
    for old, new, message in (
        (digest, "0" * 64, "is not the recording"),
        ("start = 44100", "start = 170000", "is not in it"),
        ("excerpts.Beach", "excerpts.Park", r"Park are frozen|no frozen excerpt"),
    ):
        with pytest.raises(InputError, match=message):
            run("--material", tmp_path / "prepared", "--plan", plan_file(tmp_path, text.replace(old, new)))


def test_a_holdout_that_the_model_was_trained_with_is_reported():
    assert list(training_overlaps(Plan(conditions=("href", "la"), holdout=3), None)) == []
    assert list(training_overlaps(Plan(holdout=8), None)) == []
    (sentence,) = training_overlaps(Plan(holdout=3), None)
    assert sentence.startswith("prop: the plan's excerpts come from 3")


def test_whole_classes_may_be_held_out(tmp_path, run):
    for name in ("Beach.1.wav", "Beach.2.wav", "Park.1.wav"):
        written(tmp_path / "prepared" / name, seed=int(name[-5]))
    plan = plan_file(tmp_path, PLAN + 'holdout = "Beach"\n')
    items = read_built_test(run("--material", tmp_path / "prepared", "--plan", plan)).items
    assert list(items) == ["Beach_1", "Beach_2"]
