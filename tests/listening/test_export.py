"""The blinded package: what is measured, named and refused on the way to it."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import fftconvolve

from analysis.reporting.checklist import is_given, read_facts
from listening import export
from listening.packaging import feeds
from listening.packaging.blinding import blind_names, key_path
from listening.packaging.feeds import FeedFormat, digest, feed_blocks, render
from listening.sessions.package import read_package
from listening.test_design.test_plan import Plan
from render.common.errors import InputError
from render.common.files import sha256, write_json
from render.dsp.loudness import integrated_loudness_lufs, true_peak_dbtp
from render.fileio.audio_file import info, read, write_scene
from render.headphones.hrir import rigid_sphere
from render.headphones.renderer import binaural
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics
from render.loudspeakers.renderer import decode

PLAN = Plan(conditions=("href", "order_0"), seconds=1.0)
ATMOS = layout("7.1.4")
ADM = FeedFormat(ATMOS, "adm", "bs2051")
ROOT = Path(__file__).parents[2]


def plane_wave(azimuth_deg, frames=22050, level=0.05, seed=0):
    gains = spherical_harmonics(3, np.radians([azimuth_deg]), np.radians([0.0]))[0]
    noise = level * np.random.default_rng(seed).standard_normal(frames)
    return Scene((gains[:, None] * noise).astype(np.float32), 44100)


def make_build(folder, items=("a", "b")):
    """A build as listening.build leaves it, without its work."""
    entries = {}
    for number, item in enumerate(items):
        reference = plane_wave(90 * number, seed=number)
        w_alone = Scene(reference.samples * (np.arange(16) == 0)[:, None].astype(np.float32), 44100)
        conditions = {}
        for name, scene in (("href", reference), ("order_0", w_alone)):
            path = folder / "scenes" / item / f"{name}.w64"
            write_scene(path, scene, force=True)
            conditions[name] = {"file": f"scenes/{item}/{name}.w64", "sha256": sha256(path)}
        entries[item] = {"material": "synthetic", "conditions": conditions}
    plan = json.loads(json.dumps(dataclasses.asdict(PLAN)))
    write_json(folder / "manifest.json", {"plan": plan, "items": entries}, force=True)
    return folder


@pytest.fixture
def run(monkeypatch):
    def run(build, *arguments):
        monkeypatch.setattr(sys, "argv", ["export", "--build", str(build), "--workers", "1", *map(str, arguments)])
        # In this process: starting others takes longer than the work
        monkeypatch.setattr(
            "listening.packaging.package.in_parallel",
            lambda f, jobs, *_, **__: ((k, f(*a)) for k, a in jobs.items()),
        )
        monkeypatch.setattr("listening.packaging.room_signals._LEVEL_S", 0.1)  # 2 MB instead of 100 each time
        export.main()
        return json.loads((build / "key-7.1.4.json").read_text()) if not arguments else None

    return run


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_rendering_block_by_block_equals_rendering_at_once(tmp_path):
    import soxr

    scene = plane_wave(30, frames=40000)
    write_scene(tmp_path / "a.w64", scene)
    frames = round(40000 * 48000 / 44100)
    found = np.concatenate(list(feed_blocks(tmp_path / "a.w64", ADM, frames)), axis=1)
    expected = soxr.resample(decode(scene, ATMOS).samples.T, 44100, 48000, quality="VHQ").T
    assert found.shape == (12, frames)
    assert np.abs(found[:, : expected.shape[1]] - expected[:, :frames]).max() < 1e-6
    assert not found[3].any()


def measure(paths, folder, frames):
    return render(paths, {name: folder / f"{name}.w64" for name in paths}, ADM, frames, PLAN)


def test_loudness_is_the_references_and_the_peak_that_of_all_conditions(tmp_path):
    paths, feeds = {}, {}
    for name, azimuth_deg, level in (("href", 0, 0.05), ("loud", 60, 0.2)):
        paths[name] = tmp_path / f"{name}.w64"
        write_scene(paths[name], plane_wave(azimuth_deg, 44100, level))
        blocks = list(feed_blocks(paths[name], ADM, 48000))
        feeds[name] = Feed(np.concatenate(blocks, axis=1), 48000, ATMOS)
    found = measure(paths, tmp_path / "rendered", 48000)
    assert found.loudness_lufs == pytest.approx(integrated_loudness_lufs(feeds["href"]), abs=1e-9)
    assert found.true_peak_dbtp == pytest.approx(max(true_peak_dbtp(f.samples) for f in feeds.values()), abs=1e-6)
    assert found.gain_db == pytest.approx(min(-26 - found.loudness_lufs, -1 - found.true_peak_dbtp))


def test_a_reference_shorter_than_a_gating_block_is_measured_ungated_and_silence_is_refused(tmp_path):
    write_scene(tmp_path / "short.w64", plane_wave(0, frames=13230))
    assert not measure({"href": tmp_path / "short.w64"}, tmp_path / "rendered", 14400).gated
    write_scene(tmp_path / "silent.w64", Scene(np.zeros((16, 44100), np.float32), 44100))
    with pytest.raises(InputError, match="silent"):
        measure({"href": tmp_path / "silent.w64"}, tmp_path / "again", 48000)


def test_blind_names_are_hexadecimal_in_an_order_that_tells_nothing():
    conditions = ["href", "la", "opus3_160", "prop"]
    first = blind_names(b"1", "Beach", conditions)
    assert all(re.fullmatch(r"[a-f][0-9a-f]{7}", name) for name in first)
    assert list(first) == sorted(first)
    assert sorted(first.values()) == conditions
    assert first == blind_names(b"1", "Beach", conditions[::-1])
    assert set(first).isdisjoint(blind_names(b"2", "Beach", conditions))
    assert set(first).isdisjoint(blind_names(b"1", "Park", conditions))
    # Over many tests every condition comes at every place equally often: 100 ± 4 standard deviations
    places = [
        list(blind_names(bytes([n % 256, n // 256]), "x", conditions).values()).index("href") for n in range(400)
    ]
    assert np.all(np.abs(np.bincount(places, minlength=4) - 100) < 4 * np.sqrt(400 * 3 / 16))


def test_repeating_an_export_changes_nothing(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build)
    before = content(build)
    times = {p: p.stat().st_mtime_ns for p in build.rglob("*.wav")}
    run(build)
    assert content(build) == before
    assert {p: p.stat().st_mtime_ns for p in times} == times
    assert len(set(times.values())) == 1  # the order of making is not told by the time stamps


def test_a_plane_wave_is_loudest_where_it_comes_from_in_both_channel_orders(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build)
    run(build, "--order", "wav", "-o", tmp_path / "wav")
    bs2051, _ = read(build / "package-7.1.4/audio/b/reference.wav")  # azimuth 90 degrees
    wav, _ = read(tmp_path / "wav/audio/b/reference.wav")
    assert ATMOS.labels[np.argmax(np.square(bs2051).sum(1))] == "M+090"
    assert np.array_equal(wav, bs2051[[0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11]])
    assert info(tmp_path / "wav/audio/b/reference.wav").channel_mask == 0x2D63F
    assert info(build / "package-7.1.4/audio/b/reference.wav").channel_mask == 0
    session = json.loads((tmp_path / "wav/session.json").read_text())
    assert [c["label"] for c in session["layout"]["channels"]][4:8] == ["M+135", "M-135", "M+090", "M-090"]


def test_a_differing_file_is_refused_and_replaced_by_force_alone(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build)
    before = content(build)
    target = build / "package-7.1.4/audio/a/reference.wav"
    target.write_bytes(b"edited by hand")
    with pytest.raises(InputError, match=r"reference\.wav: exists and differs.*--force"):
        run(build)
    assert target.read_bytes() == b"edited by hand"
    run(build, "--force")
    assert content(build) == before


def test_the_audio_of_two_builds_is_never_mixed(tmp_path, run):
    build = make_build(tmp_path / "out", ("a", "c"))
    run(build)
    make_build(build, ("a", "b"))
    before = content(build)
    with pytest.raises(
        InputError, match="export of another build or of an earlier version, whose ratings need its key"
    ):
        run(build)
    assert content(build) == before
    run(build, "--force")
    assert sorted(path.name for path in (build / "package-7.1.4/audio").iterdir()) == ["a", "b"]
    session = json.loads((build / "package-7.1.4/session.json").read_text())
    told = {path for item in session["items"] for path in (item["reference"], *item["stimuli"].values())}
    assert told == {p for p in content(build / "package-7.1.4") if p.startswith("audio/")}


def test_a_scene_that_is_not_what_the_manifest_says_is_refused(tmp_path, run):
    build = make_build(tmp_path / "out")
    scene = build / "scenes/a/order_0.w64"
    write_scene(scene, plane_wave(10), force=True)
    with pytest.raises(InputError, match=r"order_0\.w64: is missing or not what the manifest says"):
        run(build)
    scene.unlink()
    with pytest.raises(InputError, match="missing"):
        run(build)
    assert list((build / "package-7.1.4/audio").glob("a/*")) == []


def test_conditions_of_unequal_length_are_refused(tmp_path, run):
    build = make_build(tmp_path / "out", ("a",))
    write_scene(build / "scenes/a/order_0.w64", plane_wave(0, frames=20000), force=True)
    manifest = json.loads((build / "manifest.json").read_text())
    manifest["items"]["a"]["conditions"]["order_0"]["sha256"] = sha256(build / "scenes/a/order_0.w64")
    write_json(build / "manifest.json", manifest, force=True)
    with pytest.raises(InputError, match="channels, rate and length"):
        run(build)


def test_the_key_lies_beside_the_package_and_never_in_it(tmp_path, monkeypatch):
    build = tmp_path / "out" / "demo"
    build.mkdir(parents=True)
    assert key_path(build, build / "package-7.1.4") == build / "key-7.1.4.json"
    assert key_path(build, tmp_path / "mine") == tmp_path / "key-mine.json"
    monkeypatch.chdir(tmp_path / "out")
    for package in (".", "..", build, "demo"):
        with pytest.raises(InputError, match="would hold the build"):
            key_path(build, type(build)(package))
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert key_path(build, type(build)(".")) == tmp_path / "key-else.json"


def test_an_export_without_a_build_and_an_unknown_layout_are_refused(tmp_path, run):
    with pytest.raises(InputError, match=r"run listening\.build first"):
        run(tmp_path)
    with pytest.raises(InputError, match="known are"):
        run(make_build(tmp_path / "out"), "--layout", "9.9.9")


def test_measured_loudspeakers_give_the_package_the_name_of_their_file(tmp_path, run):
    (tmp_path / "lab.toml").write_text('layout = "7.1.4"\n[loudspeakers]\n"M+030" = { azimuth = 32 }\n')
    build = make_build(tmp_path / "out", ("a",))
    run(build, "--layout", tmp_path / "lab.toml")
    assert (build / "key-lab.json").is_file()
    session = json.loads((build / "package-lab/session.json").read_text())
    assert session["layout"]["channels"][0]["azimuth_deg"] == 32


def test_digests_prove_the_files_and_do_not_tell_which_are_equal(tmp_path, run):
    build = make_build(tmp_path / "out")
    key = run(build)
    package = build / "package-7.1.4"
    session = json.loads((package / "session.json").read_text())
    for item in session["items"]:
        names = {name: made for name, made in key["items"][item["id"]].items() if made == "href"}
        hidden, opened = (package / f"audio/{item['id']}/{name}.wav" for name in (*names, "reference"))
        assert hidden.read_bytes() == opened.read_bytes()
        assert len(set(item["digests"].values())) == len(item["digests"]) == 3
        for name, told in item["digests"].items():
            assert digest(package / f"audio/{item['id']}/{name}", f"{item['id']}/{name}") == told
    # No plain hash of any file stands anywhere in the package
    text = b"".join(path.read_bytes() for path in package.rglob("*") if path.suffix in (".json", ".csv"))
    assert not any(sha256(path).encode() in text for path in package.rglob("*.wav"))


def test_sizes_headers_and_times_are_equal(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build)
    package = build / "package-7.1.4"
    for item in ("a", "b"):
        files = list((package / "audio" / item).glob("*.wav"))
        assert len({path.stat().st_size for path in files}) == 1
        assert len({path.read_bytes()[:80] for path in files}) == 1
    assert len({path.stat().st_mtime_ns for path in package.rglob("*")}) == 1


def test_orders_for_every_listener_stand_in_the_session(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build, "--listeners", 6, "--seed", 3)
    session = json.loads((build / "package-7.1.4/session.json").read_text())
    assert [order["listener"] for order in session["orders"]] == [f"L{n:02d}" for n in range(1, 7)]
    for order in session["orders"]:
        assert sorted(order["items"]) == ["a", "b"]
        for item in session["items"]:
            assert sorted(order["stimuli"][item["id"]]) == sorted(item["stimuli"])
    assert json.loads((build / "key-7.1.4.json").read_text())["orders_seed"] == 3
    assert session["training"]["items"] == ["a", "b"]


def test_a_partial_design_gives_each_listener_some_of_the_items(tmp_path, run):
    build = make_build(tmp_path / "out")
    for each, what in ((3, "the build has 2 items"), (0, "the build has 2 items")):
        with pytest.raises(InputError, match=what):
            run(build, "--items-per-listener", each)
    with pytest.raises(InputError, match="webMUSHRA draws its own orders"):
        run(build, "--items-per-listener", 1, "--format", "webmushra")
    assert not (build / "package-7.1.4").exists()
    run(build, "--listeners", 4, "--items-per-listener", 1)
    written = json.loads((build / "package-7.1.4/session.json").read_text())["orders"]
    assert sorted(item for order in written for item in order["items"]) == ["a", "a", "b", "b"]
    assert {len(order["items"]) for order in read_package(build / "package-7.1.4").orders} == {1}
    assert "Each listener rates 1 of the 2 items" in (build / "test-plan-7.1.4.md").read_text()


def test_a_bundle_is_the_package_uncompressed_and_the_same_again(tmp_path, run):

    build = make_build(tmp_path / "out")
    run(build, "--format", "bundle")
    bundle = build / "package-7.1.4.zip"
    with zipfile.ZipFile(bundle) as archive:
        entries = archive.infolist()
        assert {e.filename for e in entries} == {f"package-7.1.4/{n}" for n in content(build / "package-7.1.4")}
        assert {e.date_time for e in entries} == {(2000, 1, 1, 0, 0, 0)}
        assert all(e.compress_type == zipfile.ZIP_STORED and not e.extra for e in entries)
        assert archive.testzip() is None
    before = bundle.read_bytes()
    run(build, "--format", "bundle")
    assert bundle.read_bytes() == before


def test_what_is_rendered_on_the_way_never_lies_in_the_package(tmp_path, run, monkeypatch):
    build = make_build(tmp_path / "out")
    seen = []
    rendering = feeds.render

    def watched(paths, rendered, *rest):
        levels = rendering(paths, rendered, *rest)
        seen.extend(path.name for path in (build / "package-7.1.4").rglob("*"))
        assert all(path.is_file() and build / "package-7.1.4" not in path.parents for path in rendered.values())
        return levels

    monkeypatch.setattr(feeds, "render", watched)
    run(build, "--binaural")
    assert seen
    assert not [name for name in seen if "href" in name or "order_0" in name]
    assert sorted(path.name for path in build.iterdir()) == [
        "facts-7.1.4.toml", "key-7.1.4.json", "manifest.json", "package-7.1.4", "scenes",
        "test-plan-7.1.4.md"]  # fmt: skip


def test_what_killed_exports_of_earlier_versions_left_is_removed_and_strangers_are_not_packed(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build, "--format", "bundle")
    whole = content(build)
    left = build / "package-7.1.4/audio/.rendering-abc"
    left.mkdir()
    (left / "href.w64").write_bytes(b"half")
    (build / "package-7.1.4/audio/a/href.wav").write_bytes(b"a stranger")
    (build / "package-7.1.4/notes.txt").write_text("href sounds best")
    run(build, "--format", "bundle")
    assert (build / "package-7.1.4.zip").read_bytes() == whole["package-7.1.4.zip"]
    assert set(content(build)) - set(whole) == {"package-7.1.4/audio/a/href.wav", "package-7.1.4/notes.txt"}


BUNDLE = ("--format", "bundle", "--binaural", "--layout", "2.0", "--workers", 2)


@pytest.fixture(scope="module")
def four_items(tmp_path_factory):
    return make_build(tmp_path_factory.mktemp("four"), tuple("abcd"))


@pytest.fixture(scope="module")
def whole(four_items, tmp_path_factory):
    """Content of a build with its export as it is typed, which nothing has interrupted."""
    build = shutil.copytree(four_items, tmp_path_factory.mktemp("whole") / "out")
    words = [sys.executable, "-m", "listening.export", "--build", build, *BUNDLE]
    subprocess.run(list(map(str, words)), cwd=ROOT, check=True, capture_output=True)
    return content(build)


def is_there(build, name):
    """Whether the export has begun a file of this name, while folders come and go."""
    with contextlib.suppress(FileNotFoundError):
        return any(any(place.rglob(name)) for place in (build / "package-2.0", *build.glob(".key-*")))
    return False


@pytest.fixture
def killed(background):
    """Function that starts an export with its real process pool and sends a signal as soon as a file is there."""

    def kill(build, sent, moment):
        export = background("listening.export", "--build", build, *BUNDLE)
        while export.runs() and not is_there(build, moment):
            time.sleep(0.002)
        # A terminal sends Ctrl-C to the whole group, workers too
        os.killpg(export.pid, sent) if sent == signal.SIGINT else export.send_signal(sent)
        return export.wait(60).returncode

    return kill


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_export_tells_no_condition_and_the_next_one_completes_it(
    tmp_path, four_items, whole, command, killed, sent
):
    build = shutil.copytree(four_items, tmp_path / "out")
    assert killed(build, sent, "order_0.w64") != 0  # while rendering
    assert killed(build, sent, "reference.wav") != 0  # while writing the package
    assert killed(build, sent, "headphones") != 0  # while rendering for headphones
    names = [path.name for path in (build / "package-2.0").rglob("*")]
    assert not [name for name in names if "href" in name or "order_0" in name]
    assert not (build / "package-2.0.zip").exists()
    assert command("listening.export", "--build", build, *BUNDLE).returncode == 0
    assert content(build) == whole
    assert any(name.startswith("package-2.0/headphones/") for name in content(build))


def test_a_webmushra_package_has_no_hidden_reference_no_own_anchors_and_float_files(tmp_path, run):
    from analysis.ratings.table import read, read_key

    build = make_build(tmp_path / "out")
    run(build, "--format", "webmushra")
    package = build / "webmushra-7.1.4"
    key = read_key(build / "key-webmushra-7.1.4.json")
    files = sorted(str(p.relative_to(package)) for p in package.rglob("*.wav"))
    text = (package / "configs/test_7_1_4.yaml").read_text()
    for item in ("a", "b"):
        (hidden,) = (name for name, made in key[item].items() if made == "href")
        assert hidden not in text
        (other,) = set(key[item]) - {hidden}
        assert f'"{other}": "configs/resources/test_7_1_4/{item}/{other}.wav"' in text
        assert f"configs/resources/test_7_1_4/{item}/{other}.wav" in files
        assert info(package / f"configs/resources/test_7_1_4/{item}/reference.wav").subtype == "FLOAT"
    assert text.count("createAnchor35: false") == text.count("createAnchor70: false") == 2
    assert not set("&+%") & set(text)
    assert "showResults: false" in text
    named = re.findall(r'"(configs/resources/[^"]+)"', text)
    assert set(named) <= set(files)
    training = (package / "configs/test_7_1_4_training.yaml").read_text()
    assert "writeResults: false" in training
    assert "writeResults: true" in text
    # What webMUSHRA writes comes back as the conditions
    header = (
        "session_test_id,listener,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment"
    )
    rows = [f"t,x,u,{item},{name},{score},1," for item in key for name, score in [("reference", 100), *(
        (n, 50) for n, made in key[item].items() if made != "href")]]  # fmt: skip
    (tmp_path / "mushra.csv").write_text("\n".join([header, *rows]) + "\n")
    table = read(tmp_path / "mushra.csv", key).table
    assert set(table["condition"]) == {"href", "order_0"}
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    parsed = yaml.safe_load(text)
    assert [page["type"] for page in parsed["pages"] if isinstance(page, dict)] == ["generic", "volume", "finish"]
    random = next(page for page in parsed["pages"] if isinstance(page, list))
    assert random[0] == "random"
    assert set(random[1]["stimuli"]) < set(key[random[1]["id"]])


def write_sofa(path, scale=1.0):
    """Responses of the rigid sphere from 80 directions."""
    h5py = pytest.importorskip("h5py")
    azimuth, elevation = fibonacci_sphere(80)
    with h5py.File(path, "w") as file:
        file.attrs["DataType"] = "FIR"
        file["Data.IR"] = scale * rigid_sphere(azimuth, elevation, 48000).impulses
        file["SourcePosition"] = np.stack([np.degrees(azimuth), np.degrees(elevation), np.ones(80)], axis=1)
        file["ReceiverPosition"] = np.array([[0, 0.09, 0], [0, -0.09, 0]])[..., None]
        file["Data.SamplingRate"] = [48000.0]
    return path


def levelled(ears, level):
    """Ear signals at 48 kHz, with an item's gain."""
    import soxr

    return soxr.resample(ears.T, 44100, 48000, quality="VHQ").T * 10 ** (level["gain_db"] / 20)


def test_a_package_for_headphones_is_the_headphone_rendering_with_one_gain(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build, "--layout", "binaural")
    key = json.loads((build / "key-binaural.json").read_text())
    assert (key["layout"], key["decoder"], key["head"]) == ("binaural", "magnitude least squares", "rigid sphere")
    session = json.loads((build / "package-binaural/session.json").read_text())
    assert (session["layout"]["name"], session["head"]) == ("binaural", "rigid sphere")
    ears = [(c["label"], c["azimuth_deg"]) for c in session["layout"]["channels"]]
    assert ears == [("left", 90), ("right", -90)]
    assert "lfe" not in session["audio"]
    for item in ("a", "b"):
        level, stereo = key["levels"][item], layout("stereo")
        rendered = {}
        for name, made in key["items"][item].items():
            scene, rate = read(build / f"scenes/{item}/{made}.w64")
            rendered[made] = levelled(binaural(Scene(scene, rate)), {"gain_db": 0.0})
            expected = levelled(binaural(Scene(scene, rate)), level)
            found, rate = read(build / f"package-binaural/audio/{item}/{name}.wav")
            assert (found.shape, rate) == ((2, 24000), 48000)
            assert np.abs(found - expected).max() < 2e-6
        feed = Feed(rendered["href"].astype(np.float32), 48000, stereo)
        assert level["loudness_lufs"] == pytest.approx(integrated_loudness_lufs(feed), abs=1e-3)
        highest = max(true_peak_dbtp(ears.astype(np.float32)) for ears in rendered.values())
        assert level["true_peak_dbtp"] == pytest.approx(highest, abs=1e-3)
        assert level["gain_db"] == pytest.approx(min(-26 - level["loudness_lufs"], -1 - highest), abs=1e-3)
    left, right = np.square(read(build / "package-binaural/audio/b/reference.wav")[0]).sum(1)  # from 90 degrees
    assert left > 2 * right
    identification, _ = read(build / "package-binaural/signals/identification.wav")
    first = [np.flatnonzero(channel)[0] for channel in identification]
    assert first[0] < first[1]
    assert np.count_nonzero(np.abs(identification).min(axis=0)) == 0  # one ear at a time


def test_headphones_beside_loudspeakers_are_what_a_head_hears_of_them_under_the_same_names(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build)
    plain = content(build)
    run(build, "--binaural", "-o", tmp_path / "both/package-both")
    package = tmp_path / "both/package-both"
    key = json.loads((tmp_path / "both/key-both.json").read_text())
    session = json.loads((package / "session.json").read_text())
    told = session.pop("headphones")
    assert session == json.loads(plain["package-7.1.4/session.json"])
    ears = key.pop("headphones")
    assert {**key, "layout": "7.1.4"} == json.loads(plain["key-7.1.4.json"])
    assert (ears["decoder"], ears["head"]) == ("loudspeakers of 4+7+0, decoder adm", "rigid sphere")
    for name, bytes_ in content(package).items():
        if not name.startswith(("headphones/", "signals/headphones/", "session.json", "README.md")):
            assert bytes_ == plain[f"package-7.1.4/{name}"]
    azimuth, elevation = (angles[ATMOS.full_range] for angles in ATMOS.directions_rad())
    head = rigid_sphere(azimuth, elevation, 44100)
    for item, spoken in zip(told["items"], session["items"], strict=True):
        assert item["id"] == spoken["id"]
        assert list(item["stimuli"]) == list(spoken["stimuli"])
        assert (item["frames"], item["levels"]) == (spoken["frames"], ears["levels"][item["id"]])
        sizes = {(package / path).stat().st_size for path in (item["reference"], *item["stimuli"].values())}
        assert len(sizes) == 1
        for name, path in item["stimuli"].items():
            scene, rate = read(build / f"scenes/{item['id']}/{key['items'][item['id']][name]}.w64")
            feed = decode(Scene(scene, rate), ATMOS).samples[ATMOS.full_range]
            heard = sum(fftconvolve(feed[n][None], head.impulses[n], axes=1) for n in range(11))
            found, _ = read(package / path)
            # The level tells whether it is the same signal; the delay is that of the head's responses
            power = np.square(levelled(heard, item["levels"])).sum(1)
            np.testing.assert_allclose(np.square(found).sum(1), power, rtol=0.01)
            assert digest(package / path, f"{item['id']}/{name}.wav") == item["digests"][f"{name}.wav"]
    assert sorted(told["signals"]) == sorted(n for n in content(package) if n.startswith("signals/headphones/"))
    assert len({path.stat().st_mtime_ns for path in package.rglob("*")}) == 1
    text = (tmp_path / "both/test-plan-both.md").read_text()
    assert "never pooled" in text
    assert "| 1 | M+030 | 30 | 0 |" in text


def test_the_head_is_told_by_its_digest_and_is_the_one_that_is_heard(tmp_path, run):
    build = make_build(tmp_path / "out", ("a",))
    sofa = write_sofa(tmp_path / "head.sofa")
    run(build, "--layout", "binaural", "--sofa", sofa)
    record = {"sofa": "head.sofa", "sha256": sha256(sofa)}
    assert json.loads((build / "key-binaural.json").read_text())["head"] == record
    assert json.loads((build / "package-binaural/session.json").read_text())["head"] == record
    text = (build / "test-plan-binaural.md").read_text()
    assert f"head-related responses: head.sofa (SHA-256 {record['sha256']})" in text
    assert "loudspeakers: its shelving filter stands for the head" in text
    assert "$" not in text
    # A head that hears half as much has 6 dB less loudness, and the gain makes up for it
    before = content(build / "package-binaural/audio")
    write_sofa(sofa, scale=0.5)
    run(build, "--layout", "binaural", "--sofa", sofa, "-o", tmp_path / "half/package-half")
    quiet = json.loads((tmp_path / "half/key-half.json").read_text())["levels"]["a"]["loudness_lufs"]
    loud = json.loads((build / "key-binaural.json").read_text())["levels"]["a"]["loudness_lufs"]
    assert loud - quiet == pytest.approx(20 * np.log10(2), abs=1e-4)
    for name, bytes_ in content(tmp_path / "half/package-half/audio").items():
        assert abs(len(bytes_) - len(before[name])) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sofa", "head.sofa"], "--sofa head.sofa: only headphones need it"),
        (["--binaural", "--layout", "binaural"], "--layout binaural is for them alone"),
        (["--binaural", "--format", "webmushra"], "webMUSHRA's package holds one kind of feeds"),
        (["--layout", "binaural", "--decoder", "pareto"], "--decoder pareto: layout binaural decodes to no"),
        (["--layout", "binaural", "--sofa", "none.sofa"], r"none\.sofa: no such file"),
        (["--binaural", "--sofa", "none.sofa"], r"none\.sofa: no such file"),
    ],
)
def test_headphones_that_cannot_be_are_refused_before_anything_is_written(tmp_path, run, arguments, message):
    build = make_build(tmp_path / "out", ("a",))
    with pytest.raises(InputError, match=message):
        run(build, *arguments)
    assert sorted(path.name for path in build.iterdir()) == ["manifest.json", "scenes"]


def test_webmushra_gets_two_channels_for_headphones(tmp_path, run):
    build = make_build(tmp_path / "out", ("a",))
    run(build, "--layout", "binaural", "--format", "webmushra")
    package = build / "webmushra-binaural"
    text = (package / "configs/test_binaural.yaml").read_text()
    assert "The tone must be heard in both ears. Do not change" in text
    assert "oudspeaker" not in text
    files = list(package.rglob("*.wav"))
    assert {(info(path).channels, info(path).subtype) for path in files} == {(2, "FLOAT")}
    assert (
        "oudspeaker" not in (build / "test-plan-webmushra-binaural.md").read_text().split("BS.1770 is defined")[0]
    )


def test_test_plan_and_facts_stand_beside_the_key_and_flag_what_is_missing(tmp_path, run):
    build = make_build(tmp_path / "out")
    manifest = json.loads((build / "manifest.json").read_text())
    manifest["items"]["b"]["source"] = "take\udc80.wav"  # a name that is no UTF-8
    write_json(build / "manifest.json", manifest, force=True)
    run(build)
    text = (build / "test-plan-7.1.4.md").read_text()
    assert [path.name for path in (build / "package-7.1.4").rglob("*.md")] == ["README.md"]
    for stated in ("| order_0 | system under test |", "| href | hidden reference |", "| 1 | M+030 | 30 | 0 |",
                   "no low anchor and no mid anchor", "2 items for 1 systems; the standard wants at least 5",
                   "synthetic material: a, b", "-26 LUFS"):  # fmt: skip
        assert stated in text, stated
    assert text.count("**MISSING**") >= 6
    assert "$" not in text
    assert "Orders are prepared for 8 listeners." in text
    assert "in the order of Williams squares over the listeners, seed 1.\nThe program" in text
    facts = read_facts(build / "facts-7.1.4.toml")
    levels = json.loads((build / "key-7.1.4.json").read_text())["levels"]
    assert {point: is_given(facts, point) for point in facts} == {
        "title": True, "training": True, "material": True, "systems": True, "layout": False, "level": False,
        "equipment": False, "attribute": True, "procedure": False,
    }  # fmt: skip
    assert facts["systems"] == "order_0"
    assert "2 items of at most 1 s. synthetic: a, b (take\\udc80.wav)." in facts["material"]
    assert f"a {levels['a']['gain_db']:+.1f} dB, b {levels['b']['gain_db']:+.1f} dB" in facts["level"]
    assert "layout 4+7+0, nominal azimuth and elevation: M+030 (30°, 0°), M-030 (-30°, 0°)" in facts["layout"]


def test_the_test_plan_tells_the_orders_that_were_written(tmp_path, run):
    build = make_build(tmp_path / "out")
    run(build, "--listeners", 3, "--seed", 5)
    text = (build / "test-plan-7.1.4.md").read_text()
    assert "Orders are prepared for 3 listeners." in text
    assert "seed 5.\n3 orders do not complete the squares, which are balanced for multiples of 2.\n" in text
    assert "instructions stand in session.json." in text
    run(build, "--format", "webmushra")
    text = (build / "test-plan-webmushra-7.1.4.md").read_text()
    facts = read_facts(build / "facts-webmushra-7.1.4.toml")
    assert "webMUSHRA plays the items in random order" in facts["procedure"]
    assert "Williams" not in text
    assert "No orders are prepared: webMUSHRA draws them" in text
    assert "plays the items in random order and the stimuli of each in random order" in text
    assert "open reference and 2 stimuli, one of them the hidden reference" in text
    for named in re.findall(r"configs/[\w/.]+\w", text):
        assert (build / "webmushra-7.1.4" / named).is_file(), named


def test_a_running_test_reads_what_is_exported_for_loudspeakers_and_for_headphones(tmp_path, run):
    build = make_build(tmp_path / "build")
    run(build, "--binaural", "--layout", "5.1")
    read_back = read_package(build / "package-5.1")
    assert list(read_back.renditions) == ["loudspeakers", "headphones"]
    key = json.loads((build / "key-5.1.json").read_text())["items"]
    for rendition, channels, folder in zip(
        read_back.renditions.values(), (6, 2), ("audio", "headphones"), strict=True
    ):
        assert len(rendition.layout["channels"]) == channels
        assert set(rendition.signals) == {"identification", "level", "tone"}
        for item, names in key.items():
            assert set(rendition.items[item].stimuli) == set(names)
            for name, stimulus in rendition.items[item].stimuli.items():
                assert stimulus.path == build / f"package-5.1/{folder}/{item}/{name}.wav"
                assert stimulus.sha256 == sha256(stimulus.path)
    assert len(read_back.orders) == 8
    run(build, "--layout", "binaural")
    assert list(read_package(build / "package-binaural").renditions) == ["headphones"]
