"""Scattered clips: an image that is known, and clips that are repeated."""

import json

import numpy as np
import pytest

from render.common.files import record_path
from render.fileio.audio_file import read, writer
from render.hoa.spherical_harmonics import spherical_harmonics
from stimuli.auralisation.scattering import repeated, scatter

RATE = 44100
RANDOM = np.random.default_rng(5)


def written(path, samples, rate=RATE):
    with writer(path, len(samples), rate, "FLOAT", force=True) as file:
        file.write(np.asarray(samples, np.float32))
    return path


@pytest.fixture
def clips(tmp_path):
    return [written(tmp_path / f"{name}.wav", 0.1 * RANDOM.standard_normal((1, 9000))) for name in "abcd"]


def test_the_image_is_that_of_the_three_clips(clips, tmp_path):
    """Without a room three plane waves: the covariance is the sum of what levels and angles of the record say."""
    gains = spherical_harmonics(1, np.zeros(1), np.zeros(1))[0]
    response = written(tmp_path / "dry.wav", np.concatenate((0 * gains[:, None], gains[:, None]), axis=1))
    for number in range(1, 9):  # until one is drawn whose response is left as it is
        name = scatter(clips, response, tmp_path / "dry", 3, "Park", number, 2.0)
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
    signal = repeated(clip, RATE, 3 * RATE, np.random.default_rng(1))
    assert signal.shape == (3 * RATE,)
    assert np.square(signal).mean() == pytest.approx(1)
    assert np.abs(np.fft.rfft(signal)).argmax() / 3 == pytest.approx(1000)
