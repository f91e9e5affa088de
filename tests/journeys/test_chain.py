"""The README's chain of commands in miniature, with its results checked by numbers.

Three small files of a user go through build, export, ratings and analysis, with a model of random weights: the
test is of the chain, not of the codec.
"""

import csv
import hashlib
import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from codec.checkpoints.model_file import save
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.dsp.loudness import integrated_loudness_lufs, true_peak_dbtp, ungated_loudness_lufs
from render.fileio.audio_file import info, writer
from render.fileio.scene_file import read_scene
from render.hoa.layout import layout
from render.hoa.scene import Feed
from render.hoa.spherical_harmonics import spherical_harmonics
from render.loudspeakers.renderer import decode

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ATMOS = layout("7.1.4")
CONDITIONS = {"href", "la", "opus3_160", "prop"}
# BS.2051 system H 4+7+0: L R C LFE Lss Rss Lrs Rrs Ltf Rtf Ltb Rtb
CHANNELS = ["M+030", "M-030", "M+000", "LFE1", "M+090", "M-090", "M+135", "M-135",
            "U+045", "U-045", "U+135", "U-135"]  # fmt: skip
# item: direction of its source in degrees, the loudspeaker that stands there, length at 48 kHz
ITEMS = {"take_1_a": (30.0, "M+030", 72_000), "room": (-135.0, "M-135", 57_600), "click": (90.0, "M+090", 14_400)}


def recording(path, order, seconds, rate, subtype, azimuth_deg):
    """Pink-like noise from one direction over quiet diffuse noise."""
    random = np.random.default_rng(int(abs(azimuth_deg)))
    length = round(seconds * rate)
    spectrum = np.fft.rfft(random.standard_normal(length)) / np.sqrt(np.arange(1, length // 2 + 2))
    spectrum[: round(30 * seconds)] = 0  # below 30 Hz
    source = np.fft.irfft(spectrum, length)
    gains = spherical_harmonics(order, np.radians([azimuth_deg]), np.zeros(1))[0]
    samples = gains[:, None] * (0.05 * source / source.std())
    samples += 0.0005 * random.standard_normal(samples.shape)
    with writer(path, len(samples), rate, subtype) as file:
        file.write(samples.astype(np.float32))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    recording(folder / "take 1 (a).wav", 3, 1.5, 44_100, "PCM_16", ITEMS["take_1_a"][0])
    recording(folder / "room.wav", 4, 1.2, 48_000, "PCM_24", ITEMS["room"][0])
    recording(folder / "click.w64", 3, 0.3, 44_100, "FLOAT", ITEMS["click"][0])
    torch.manual_seed(0)
    tiny = ModelConfig(encoder_dim=2, decoder_dim=16, latent_dim=8, codebooks=2, dilations=())
    model = RVQGAN(tiny).fold_weight_norm()
    with torch.no_grad():  # random weights are loud, and the loudest condition limits the gain
        for parameter in list(model.decoder.parameters())[-2:]:
            parameter.mul_(0.01)
    save(folder / "tiny.safetensors", model, {"what": "random weights"})
    return folder


def build_command(place, out):
    files = [place / "take 1 (a).wav", place / "room.wav", place / "click.w64"]
    return ["listening.build", "--input", *files, "--model", place / "tiny.safetensors", "-o", out]


@pytest.fixture(scope="module")
def built(place, command):
    answer = command(*build_command(place, place / "out"))
    assert answer.returncode == 0, answer.stderr
    return place / "out"


@pytest.fixture(scope="module")
def exported(built, command):
    answer = command("listening.export", "--build", built, "--layout", "7.1.4")
    assert answer.returncode == 0, answer.stderr
    assert "click" in (ungated := next(line for line in answer.stdout.splitlines() if "ungated" in line)), ungated
    return built


@pytest.fixture(scope="module")
def session(exported):
    return json.loads((exported / "package-7.1.4/session.json").read_text())


@pytest.fixture(scope="module")
def key(exported):
    return json.loads((exported / "key-7.1.4.json").read_text())


def audio(exported, key, item):
    """Samples (channel, time) of an item's conditions, by another reader than ours."""
    folder = exported / "package-7.1.4/audio" / item
    return {name: soundfile.read(folder / f"{blind}.wav")[0].T for blind, name in key["items"][item].items()}


def content(folder):
    digest = hashlib.sha256
    return {
        str(p.relative_to(folder)): digest(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def test_the_manifest_records_what_was_measured(built):
    manifest = json.loads((built / "manifest.json").read_text())
    assert set(manifest["items"]) == set(ITEMS)
    for item in manifest["items"].values():
        assert set(item["conditions"]) == CONDITIONS
        for name in ("opus3_160", "prop"):
            made = item["conditions"][name]
            size = (built / made["payload"]).stat().st_size
            coded_s = (item["window"]["frames"] + 2 * item["window"]["roll"]) / 44_100
            assert made["payload_bytes"] == size
            assert made["kbps"] == pytest.approx(8 * size / coded_s / 1000, abs=1e-3)
        assert 60 < item["conditions"]["opus3_160"]["kbps"] < 240  # variable around 160


def test_the_package_holds_what_was_fixed_and_nothing_else(exported, session, key):
    expected = {"README.md", "session.json", "ratings_template.csv"}
    expected |= {f"signals/{name}.wav" for name in ("identification", "level", "tone")}
    for item, names in key["items"].items():
        assert set(names.values()) == CONDITIONS
        assert all(re.fullmatch(r"[0-9a-f]{8}", name) for name in names)
        expected |= {f"audio/{item}/{name}.wav" for name in ("reference", *names)}
    assert set(content(exported / "package-7.1.4")) == expected
    assert {item["id"]: set(item["stimuli"]) for item in session["items"]} == {
        item: set(names) for item, names in key["items"].items()
    }
    for item in session["items"]:
        for file, digest in item["digests"].items():
            data = (exported / "package-7.1.4/audio" / item["id"] / file).read_bytes()
            assert hashlib.sha256(f"{item['id']}/{file}\0".encode() + data).hexdigest() == digest
    assert "overall quality" in session["instruction"].lower()
    assert "spatial impression" in session["instruction"]
    assert [c["label"] for c in session["layout"]["channels"]] == CHANNELS
    assert {item["id"]: item["loudness_gated"] for item in session["items"]} == {
        "take_1_a": True, "room": True, "click": False,
    }  # fmt: skip


def test_nothing_in_the_package_names_a_condition(exported):
    package = exported / "package-7.1.4"
    word = re.compile(rb"(?i)(?<![a-z0-9])(h-?ref|la|opus3?|opus3_160|prop|anchor|hidden|160)(?![a-z0-9])")
    headers = set()
    for path in package.rglob("*"):
        assert not word.search(str(path.relative_to(package)).encode())
        if path.suffix in (".json", ".csv", ".md"):
            assert not word.search(path.read_bytes()), path
        elif path.suffix == ".wav" and path.parent.name != "signals":
            about = info(path)
            header = path.stat().st_size - about.length * about.channels * 3
            headers.add((path.parent, path.read_bytes()[:header]))
            assert not word.search(path.read_bytes()[:header])
    # All headers of an item are equal, and nothing follows the samples
    assert len(headers) == len(ITEMS)


@pytest.mark.parametrize("item", ITEMS)
def test_format_and_channel_order(exported, session, key, item):
    _, loudspeaker, length = ITEMS[item]
    for path in (exported / "package-7.1.4/audio" / item).glob("*.wav"):
        about = soundfile.info(path)
        assert (about.channels, about.samplerate, about.subtype, about.frames) == (12, 48_000, "PCM_24", length)
    samples = audio(exported, key, item)
    assert next(i["frames"] for i in session["items"] if i["id"] == item) == length
    for feed in samples.values():
        assert not feed[CHANNELS.index("LFE1")].any()
    # An independent claim: a plane wave from where a loudspeaker stands is loudest there
    assert CHANNELS[np.argmax(np.square(samples["href"]).sum(1))] == loudspeaker


@pytest.mark.parametrize("item", ITEMS)
def test_the_hidden_reference_is_the_open_one_to_the_bit(exported, key, item):
    folder = exported / "package-7.1.4/audio" / item
    hidden = next(blind for blind, name in key["items"][item].items() if name == "href")
    reference = (folder / "reference.wav").read_bytes()
    assert (folder / f"{hidden}.wav").read_bytes() == reference
    others = [blind for blind in key["items"][item] if blind != hidden]
    assert all((folder / f"{blind}.wav").read_bytes() != reference for blind in others)


@pytest.mark.parametrize("item", ITEMS)
def test_one_gain_brings_the_reference_to_the_target_and_all_below_the_headroom(exported, key, item):
    samples = audio(exported, key, item)
    feed = Feed(samples["href"].astype(np.float32), 48_000, ATMOS)
    loudness = ungated_loudness_lufs if item == "click" else integrated_loudness_lufs
    assert loudness(feed) == pytest.approx(-26.0, abs=0.01)
    assert max(true_peak_dbtp(s.astype(np.float32)) for s in samples.values()) < -1.0
    gain = 10 ** (key["levels"][item]["gain_db"] / 20)
    for name, heard in samples.items():
        scene = read_scene(exported / "scenes" / item / f"{name}.w64")
        rendered = soxr.resample(decode(scene, ATMOS).samples.T, 44_100, 48_000, quality="VHQ").T
        common = min(rendered.shape[1], heard.shape[1])
        assert np.abs(heard[:, :common] - gain * rendered[:, :common]).max() < 1e-6


@pytest.mark.parametrize("item", ITEMS)
def test_the_low_anchor_ends_at_4500_hz(exported, key, item):
    samples = audio(exported, key, item)
    window = np.hanning(samples["href"].shape[1])
    hz = np.fft.rfftfreq(window.size, 1 / 48_000)

    def energy(name, low_hz, high_hz):
        band = (low_hz <= hz) & (hz < high_hz)
        return np.square(np.abs(np.fft.rfft(samples[name] * window)[:, band])).sum()

    assert 10 * np.log10(energy("href", 4500, 20_000) / energy("la", 4500, 20_000)) > 50
    assert 10 * np.log10(energy("href", 100, 3400) / energy("la", 100, 3400)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("name", ["la", "opus3_160"])
@pytest.mark.parametrize("item", ITEMS)
def test_conditions_are_aligned_to_the_sample(exported, key, item, name):
    samples = audio(exported, key, item)
    size = 2 * samples["href"].shape[1]
    spectra = [np.fft.rfft(samples[n], size) for n in ("href", name)]
    correlation = np.fft.irfft((spectra[0].conj() * spectra[1]).sum(0))
    assert np.argmax(correlation) == 0


def test_ratings_of_the_template_become_the_table(exported, key, place, command):
    with open(exported / "package-7.1.4/ratings_template.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["session", "listener", "item", "stimulus", "score"]
    assert {(r["item"], r["stimulus"]) for r in rows} == {
        (item, blind) for item, names in key["items"].items() for blind in names
    }
    scores = {"href": 100, "la": 20, "opus3_160": 60, "prop": 50}
    filled = place / "results.csv"
    with open(filled, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for number in range(4):
            for row in rows:
                name = key["items"][row["item"]][row["stimulus"]]
                score = scores[name] - (number if name != "href" else 0)
                writer.writerow(row | {"session": "one", "listener": f"L{number}", "score": score})
    arguments = ["analysis.mushra", filled, "--key", exported / "key-7.1.4.json", "-o", place / "results"]
    answer = command(*arguments)
    assert answer.returncode == 0, answer.stderr
    with open(place / "results/summary.csv", newline="") as file:
        summary = {row["condition"]: row for row in csv.DictReader(file)}
    for name, score in scores.items():
        assert float(summary[name]["mean"]) == pytest.approx(score if name == "href" else score - 1.5)
    assert (place / "results/mushra.png").stat().st_size > 1000


def test_repeating_both_commands_changes_no_byte(exported, place, command):
    before = content(exported)
    for arguments in (build_command(place, exported), ["listening.export", "--build", exported]):
        answer = command(*arguments)
        assert answer.returncode == 0, answer.stderr
    assert content(exported) == before


def test_a_killed_build_goes_on_to_the_same_bytes(built, place, command, background):
    out = place / "killed"
    arguments = build_command(place, out)
    running = background(*arguments, "--workers", 1)
    end = time.monotonic() + 300
    while not list(out.glob("scenes/*/la.w64")) and running.runs() and time.monotonic() < end:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (out / "manifest.json").exists()
    answer = command(*arguments)
    assert answer.returncode == 0, answer.stderr
    prepared_and_made = {p: d for p, d in content(built).items() if p.split("/")[0] in ("scenes", "prepared")}
    made = content(out)
    assert made.pop("manifest.json") == content(built)["manifest.json"]
    assert made == prepared_and_made


def test_bad_input_is_one_line_and_status_2(place, command):
    with writer(place / "foa.wav", 4, 44_100) as file:
        file.write(np.zeros((4, 44_100), np.float32))
    answer = command("listening.build", "--input", place / "foa.wav", "-o", place / "refused")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert re.match(r"error: .*foa\.wav: 4 channels are order 1; .*third-order", answer.stderr)
    assert [p for p in place.glob("refused/**/*") if p.is_file()] == []


@pytest.fixture(scope="module")
def recordings():
    folder = os.environ.get("HOA_REFERENCE_DATA")
    if not folder:
        pytest.skip("HOA_REFERENCE_DATA is not set")
    return Path(folder) / "audio"


def test_real_recordings_of_third_and_fourth_order_go_through_and_first_order_is_refused(
    recordings, place, tmp_path, command
):
    files = sorted((recordings / "hoa").glob("*.wav"))
    assert files
    (tmp_path / "plan.toml").write_text('conditions = ["href", "prop"]\nseconds = 1\n')
    plan = ["--plan", tmp_path / "plan.toml", "--model", place / "tiny.safetensors", "-o", tmp_path / "out"]
    answer = command("listening.build", "--input", *files, *plan)
    assert answer.returncode == 0, answer.stderr
    answer = command("listening.export", "--build", tmp_path / "out", "--layout", "2.0")
    assert answer.returncode == 0, answer.stderr
    session = json.loads((tmp_path / "out/package-2.0/session.json").read_text())
    assert len(session["items"]) == len(files)
    for item in session["items"]:
        path = tmp_path / "out/package-2.0" / item["reference"]
        samples, rate = soundfile.read(path, dtype="float32")
        feed = Feed(np.ascontiguousarray(samples.T), rate, layout("2.0"))
        loudness = (integrated_loudness_lufs if item["loudness_gated"] else ungated_loudness_lufs)(feed)
        assert loudness == pytest.approx(-26, abs=0.05) or true_peak_dbtp(feed.samples) == pytest.approx(
            -1, abs=0.1
        )
    first_order = sorted((recordings / "foa").iterdir())
    answer = command("listening.build", "--input", first_order[0], "-o", tmp_path / "no")
    assert answer.returncode == 2
    assert "order 1" in answer.stderr
    assert "third-order" in answer.stderr
