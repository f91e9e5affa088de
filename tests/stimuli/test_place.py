"""Scenes of clips in a room response: against direct convolution and plane waves."""

import json
import sys

import numpy as np
import pytest

from render.common.errors import InputError
from render.common.files import record_path, sha256
from render.fileio.audio_file import read, writer
from render.hoa.spherical_harmonics import spherical_harmonics, yaw_matrix
from stimuli import place

RATE = 44100
RANDOM = np.random.default_rng(4)


def written(path, samples, rate=RATE):
    with writer(path, len(samples), rate, "FLOAT", force=True) as file:
        file.write(np.asarray(samples, np.float32))
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    def run(*arguments):
        arguments = ["place", *arguments, "-o", tmp_path / "scene.wav"]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        place.main()
        return read(tmp_path / "scene.wav")[0]

    return run


def plane_wave(order, azimuth_deg, delay, taps):
    """Response of a single reflection-free path."""
    gains = spherical_harmonics(order, np.deg2rad([azimuth_deg]), np.zeros(1))[0]
    response = np.zeros((len(gains), taps))
    response[:, delay] = 3.0 * gains  # the scale goes away: W has unit energy
    return response


def test_a_clip_in_an_anechoic_response_is_a_plane_wave(tmp_path, run):
    clip = 0.1 * RANDOM.standard_normal((1, 5000))
    response = written(tmp_path / "rir.wav", plane_wave(3, 10, 7, 64))
    scene = run(written(tmp_path / "a.wav", clip), "--turn", "-50", "--response", response)
    gains = spherical_harmonics(3, np.deg2rad([-40]), np.zeros(1))[0]
    assert scene.shape == (16, 5000 + 63)
    np.testing.assert_allclose(scene[:, 7:5007], gains[:, None] * clip, atol=1e-6)
    assert np.abs(scene[:, :7]).max() < 1e-6
    assert np.abs(scene[:, 5007:]).max() < 1e-6


def test_clips_of_different_lengths_and_channels_against_direct_convolution(tmp_path, run):
    """Longer than a block, so that what rings on passes from block to block."""
    room = RANDOM.standard_normal((4, 900)) * np.exp(-np.arange(900) / 150)
    long, pair = 0.1 * RANDOM.standard_normal((1, 70_000)), 0.1 * RANDOM.standard_normal((2, 3000))
    clips = written(tmp_path / "long.wav", long), written(tmp_path / "pair.wav", pair)
    scene = run(*clips, "--turn", 0, 90, "--response", written(tmp_path / "rir.wav", room))
    unit = room / np.linalg.norm(room[0])
    expected = np.zeros((4, 70_899))
    for clip, turned in ((long[0], unit), (pair.mean(axis=0), yaw_matrix(1, np.pi / 2) @ unit)):
        for channel, taps in zip(expected, turned, strict=True):
            channel[: len(clip) + 899] += np.convolve(clip, taps)
    np.testing.assert_allclose(scene, expected, atol=1e-5)


def test_a_clip_of_another_rate_keeps_its_pitch(tmp_path, run):
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000)[None]
    response = written(tmp_path / "rir.wav", plane_wave(1, 0, 0, 1))
    scene = run(written(tmp_path / "speech.wav", tone, 16000), "--response", response)
    assert scene.shape == (4, 22050)
    spectrum = np.abs(np.fft.rfft(scene[0]))
    assert spectrum.argmax() * RATE / 22050 == pytest.approx(1000)


def test_the_record_says_what_it_is_made_of(tmp_path, run):
    response = written(tmp_path / "rir.wav", plane_wave(1, 0, 0, 8))
    clips = [written(tmp_path / f"{name}.wav", 0.1 * RANDOM.standard_normal((1, 500))) for name in "abc"]
    run(*clips, "--response", response)
    record = json.loads(record_path(tmp_path / "scene.wav").read_text())
    assert record["what"].endswith("no recording of a sound field")
    assert [clip["turn_deg"] for clip in record["clips"]] == [0, 120, 240]
    assert record["clips"][1] == {"file": "b.wav", "sha256": sha256(clips[1]), "turn_deg": 120}
    assert record["response"]["sha256"] == sha256(response)
    assert record["sha256"] == sha256(tmp_path / "scene.wav")


def test_what_cannot_be_placed_is_refused(tmp_path, run):
    clip = written(tmp_path / "a.wav", 0.1 * RANDOM.standard_normal((1, 500)))
    for samples, message in (
        (np.ones((5, 10)), "5 channels"),
        (np.zeros((4, 10)), "W is silent; is it a room response"),
        (np.ones((1, 21 * RATE)), r"21\.0 s; a room response of at most 20 s"),
    ):
        with pytest.raises(InputError, match=message):
            run(clip, "--response", written(tmp_path / "rir.wav", samples))
    response = written(tmp_path / "rir.wav", plane_wave(1, 0, 0, 8))
    with pytest.raises(InputError, match="2 angles for 1 clips"):
        run(clip, "--turn", 1, 2, "--response", response)
    with pytest.raises(InputError, match="angles are -360 to 360"):
        run(clip, "--turn", "nan", "--response", response)
    assert not (tmp_path / "scene.wav").exists()
    run(clip, "--response", response)
    with pytest.raises(InputError, match="exists and differs"):
        run(clip, "--turn", 90, "--response", response)
