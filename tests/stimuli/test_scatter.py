"""Scenes of scattered clips: against closed forms of decay and level, and an image that is known."""

import json
import sys

import numpy as np
import pytest

from render.common.errors import InputError
from render.common.files import record_path, sha256
from render.fileio.audio_file import info, read, writer
from render.hoa.spherical_harmonics import spherical_harmonics
from stimuli import scatter
from stimuli.auralisation import scattering as scattering_lib
from stimuli.eigenscape.corpus import find_recordings

RATE = 44100
RANDOM = np.random.default_rng(5)


def written(path, samples, rate=RATE):
    with writer(path, len(samples), rate, "FLOAT", force=True) as file:
        file.write(np.asarray(samples, np.float32))
    return path


def room(reverberation_s, channels=4, frames=RATE):
    """Noise that decays by 60 dB in that time."""
    decay = 10 ** (-3 * np.arange(frames) / RATE / reverberation_s)
    return RANDOM.standard_normal((channels, frames)) * decay


@pytest.fixture
def clips(tmp_path):
    return [written(tmp_path / f"{name}.wav", 0.1 * RANDOM.standard_normal((1, 9000))) for name in "abcd"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    def run(*arguments):
        arguments = ["scatter", *arguments, "--seconds", 1, "-o", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        scatter.main()
        return tmp_path / "out"

    return run


@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.9])
def test_the_reverberation_time_of_decaying_noise(seconds):
    found = scattering_lib.reverberation_time_s(room(seconds)[0], RATE)
    assert found == pytest.approx(seconds, rel=0.05)


def test_a_damped_response_has_the_time_that_was_asked_for_and_keeps_its_first_sound():
    taps = room(0.8)
    taps[:, 0] = 9
    damped = scattering_lib.damped(taps, RATE, 0.4)
    assert scattering_lib.reverberation_time_s(damped[0, 1:], RATE) == pytest.approx(0.4, rel=0.05)
    np.testing.assert_array_equal(damped[:, 0], taps[:, 0])
    assert scattering_lib.damped(taps, RATE, 1.5) is taps


def test_a_corpus_is_made_of_clips_and_seed_alone(run, clips, tmp_path):
    response = written(tmp_path / "room.wav", room(0.5))
    folder = run(*clips, "--response", response, "--recordings", "2,8")
    recordings = find_recordings(folder)
    assert len(recordings) == 16
    assert {r.number for r in recordings} == {2, 8}
    digests = {r.path.name: sha256(r.path) for r in recordings}
    assert len(set(digests.values())) == 16
    for recording in recordings:
        about, record = info(recording.path), json.loads(record_path(recording.path).read_text())
        assert (about.channels, about.sample_rate_hz, about.length) == (4, RATE, RATE)
        level_dbfs = 10 * np.log10(np.square(read(recording.path)[0][0].astype(float)).mean())
        assert level_dbfs == pytest.approx(-24, abs=0.01)
        assert "no recording" in record["what"]
        assert record["sha256"] == digests[recording.path.name]
        assert len({clip["file"] for clip in record["clips"]}) == 3
        assert record["reverberation_s"] in (0.4, 0.8, 1.5, None)
    run(*clips, "--response", response, "--recordings", "2,8")
    assert {r.path.name: sha256(r.path) for r in recordings} == digests
    with pytest.raises(InputError, match="--force"):
        run(*clips, "--response", response, "--recordings", "2", "--seed", 1)


def test_the_image_is_that_of_the_three_clips(clips, tmp_path):
    """Without a room three plane waves: the covariance is the sum of what levels and angles of the record say."""
    gains = spherical_harmonics(1, np.zeros(1), np.zeros(1))[0]
    response = written(tmp_path / "dry.wav", np.concatenate((0 * gains[:, None], gains[:, None]), axis=1))
    for number in range(1, 9):  # until one is drawn whose response is left as it is
        name = scattering_lib.scatter(clips, response, tmp_path / "dry", 3, "Park", number, 2.0)
        record = json.loads(record_path(tmp_path / "dry" / name).read_text())
        if record["reverberation_s"] is None:
            break
    scene = read(tmp_path / "dry" / name)[0].astype(float)
    angles = np.deg2rad([clip["turn_deg"] for clip in record["clips"]])
    power = 10 ** (np.array([clip["level_dbfs"] for clip in record["clips"]]) / 10)
    waves = spherical_harmonics(1, angles, np.zeros(3))
    expected = np.einsum("s,sa,sb->ab", power / power.sum(), waves, waves)
    found = scene @ scene.T / np.square(scene[0]).sum()
    np.testing.assert_allclose(found, expected, atol=0.03)  # clips repeat after 0.2 s: not quite uncorrelated


def test_a_clip_is_repeated_at_another_rate(tmp_path):
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000)[None]
    clip = written(tmp_path / "tone.wav", tone, 16000)
    signal = scattering_lib.repeated(clip, RATE, 3 * RATE, np.random.default_rng(1))
    assert signal.shape == (3 * RATE,)
    assert np.square(signal).mean() == pytest.approx(1)
    assert np.abs(np.fft.rfft(signal)).argmax() / 3 == pytest.approx(1000)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--recordings", "0-3"), "recording 0; possible are 1 to 8"),
        (("--seed", "-1"), "seed -1"),
        (("--response", "nowhere.wav"), "nowhere.wav: no such file"),
    ],
)
def test_what_is_refused(run, clips, tmp_path, options, said):
    response = written(tmp_path / "room.wav", room(0.5))
    with pytest.raises(InputError, match=said):
        run(*clips, "--response", response, *options)
    assert not list(tmp_path.glob("out/*"))


def test_silence_and_rooms_that_do_not_decay_are_refused(run, clips, tmp_path):
    response = written(tmp_path / "room.wav", room(0.5))
    with pytest.raises(InputError, match="2 clips; a scene takes 3"):
        run(*clips[:2], "--response", response)
    silent = written(tmp_path / "silent.wav", np.zeros((1, 500)))
    with pytest.raises(InputError, match=r"silent\.wav: .* are silent"):
        run(silent, silent, silent, "--response", response)
    with pytest.raises(InputError, match="does not decay by 25 dB"):
        scattering_lib.reverberation_time_s(np.ones(50), RATE)
