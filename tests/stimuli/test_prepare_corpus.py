"""Preparation of a whole corpus: killed and resumed, given gain and bits, real recordings."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import info, read, writer
from stimuli.eigenscape.corpus import find_recordings
from stimuli.preparation.conversion import prepare_file

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")


def _tones(path, seconds=1.0, channels=16, rate_hz=48_000, level=0.01):
    """Channel k holds a sine of 200 + 50 k Hz."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    samples = level * np.sin(2 * np.pi * (200 + 50 * np.arange(channels))[:, None] * time_s)
    with writer(path, channels, rate_hz, "PCM_24") as file:
        file.write(samples.astype(np.float32))
    return path


def _amplitude(channel, frequency_hz, rate_hz=44_100):
    """Of a sine that starts at time 0, in the middle of a signal."""
    carrier = np.sin(2 * np.pi * frequency_hz * np.arange(len(channel)) / rate_hz)
    inner = slice(rate_hz // 10, -rate_hz // 10)
    return 2 * np.mean(channel[inner].astype(float) * carrier[inner])


def test_given_gain_and_24_bits(tmp_path):
    source = _tones(tmp_path / "Beach.3.wav", channels=25)
    record = prepare_file(source, tmp_path / "b.wav", bits=24, gain_db=20.0)
    about = info(tmp_path / "b.wav")
    assert (about.channels, about.sample_rate_hz, about.length, about.subtype) == (16, 44_100, 44_100, "PCM_24")
    assert (record["gain_db"], record["scene_class"], record["recording"]) == (20.0, "Beach", 3)
    samples, _ = read(tmp_path / "b.wav")
    for channel in range(16):
        assert _amplitude(samples[channel], 200 + 50 * channel) == pytest.approx(0.1, rel=2e-4)
    with pytest.raises(InputError, match=r"Beach\.3\.wav.*clip with a gain of 50 dB"):
        prepare_file(source, tmp_path / "c.wav", gain_db=50.0)
    assert not (tmp_path / "c.wav").exists()


def test_dither_keeps_what_is_smaller_than_a_step(tmp_path):
    """A sine of 0.4 LSB: 16 bits alone would round it to silence; dithered it stays, undistorted."""
    source = _tones(tmp_path / "a.wav", 4.0, rate_hz=44_100, level=0.4 / 32768)
    prepare_file(source, tmp_path / "b.wav", gain_db=0.0)
    made = read(tmp_path / "b.wav")[0][4] * 32768
    assert _amplitude(made, 400) == pytest.approx(0.4, abs=0.015)
    assert abs(_amplitude(made, 1200)) < 0.015


@pytest.mark.parametrize(("frames", "rate_hz"), [(48_001, 48_000), (12_345, 32_000), (30_000, 96_000)])
def test_length_is_that_of_the_source_to_half_a_sample(frames, rate_hz, tmp_path):
    path = tmp_path / "scene.wav"
    with writer(path, 16, rate_hz, "FLOAT") as file:
        file.write(np.full((16, frames), 0.1, np.float32))
    prepare_file(path, tmp_path / "made.wav")
    assert abs(info(tmp_path / "made.wav").length - frames * 44_100 / rate_hz) <= 0.5


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL to a process group")
def test_killed_and_resumed(tmp_path):
    """Killed in the middle, repeated: the same files as one that ran through."""
    root = tmp_path / "corpus"
    for name in ("Beach.1", "Park.2", "Woodland.8"):
        _tones(root / f"{name}.wav", 2.0)
    command = [sys.executable, "-m", "stimuli.prepare", str(root), "-o"]
    assert subprocess.run([*command, tmp_path / "a"], capture_output=True, check=False).returncode == 0
    process = subprocess.Popen(
        [*command, str(tmp_path / "b"), "--workers", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("b/*.wav")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert subprocess.run([*command, tmp_path / "b"], capture_output=True, check=False).returncode == 0
    made = [{path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in "ab"]
    assert made[0] == made[1]
    found = find_recordings(tmp_path / "b")
    assert [(r.scene_class, r.number) for r in found] == [("Beach", 1), ("Park", 2), ("Woodland", 8)]


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
def test_real_recordings(tmp_path):
    for path in sorted((Path(REFERENCE) / "audio" / "hoa").glob("*.wav")):
        record = prepare_file(path, tmp_path / path.name)
        made, rate_hz = read(tmp_path / path.name)
        original, original_rate_hz = read(path)
        assert made.shape == (16, round(original.shape[1] * rate_hz / original_rate_hz))
        level_db = 20 * np.log10(made.std(axis=1) / original[:16].std(axis=1))
        np.testing.assert_allclose(level_db, record["gain_db"], atol=0.05)
        assert 0.3 < np.abs(made).max() < 0.75
