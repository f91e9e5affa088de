"""Recordings: their samples as 16-bit integers, their level, and which of them are refused."""

import struct

import numpy as np
import pytest

from codec.training.excerpts import Augmentation, Excerpts
from codec.training.recordings import SignalFormat, level_gain, measure_levels, open_recordings
from render.common.errors import InputError
from render.fileio.audio_file import writer

RATE_HZ = 44_100
LEVEL_DBFS = -24.0


def write(path, samples, subtype="PCM_16"):
    with writer(path, len(samples), RATE_HZ, subtype) as file:
        file.write(np.asarray(samples, np.float32))
    return path


def excerpts(paths, length=256, channels=16, rotate=False, seed=1, mix=0.0, layout=""):
    recordings = open_recordings(paths, SignalFormat(channels, RATE_HZ, layout), LEVEL_DBFS, length)
    return Excerpts(recordings, length, seed, Augmentation(rotate, mix))


def gain_of(path):
    return level_gain(measure_levels(path), LEVEL_DBFS, str(path))


def test_recordings_that_cannot_be_used_are_named(tmp_path):
    random = np.random.default_rng(0)
    good = write(tmp_path / "good.wav", 0.1 * random.standard_normal((16, 1000)))
    first_order = write(tmp_path / "first.wav", 0.1 * random.standard_normal((4, 1000)))
    with pytest.raises(InputError, match=r"first.wav: 4 channels at 44100 Hz; the model takes 16"):
        excerpts([good, first_order])
    with writer(tmp_path / "rate.wav", 16, 48_000) as file:
        file.write(np.full((16, 1000), 0.1, np.float32))
    with pytest.raises(InputError, match=r"rate.wav: 16 channels at 48000 Hz.*stimuli.prepare"):
        excerpts([good, tmp_path / "rate.wav"])
    with pytest.raises(InputError, match=r"good.wav: 1000 samples \(0.02 s\), an excerpt needs 1001"):
        excerpts([good], length=1001)
    with pytest.raises(InputError, match=r"no recordings"):
        excerpts([])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_silent_and_clipped_recordings_are_refused(tmp_path, subtype):
    random = np.random.default_rng(0)
    samples = 0.1 * random.standard_normal((4, 10_000))
    samples[0] = (random.random(10_000) - random.random(10_000)) / 2**15  # the dither of a silent recording
    silent = write(tmp_path / "silent.wav", samples, subtype)
    with pytest.raises(InputError, match=r"silent.wav: channel 0 is silent throughout"):
        excerpts([silent], channels=4)

    samples[0] = samples[1]
    samples[2, :10] = [1, -1] * 5  # 10 of 10,000 are accepted
    write(tmp_path / "peaks.wav", samples, subtype)
    excerpts([tmp_path / "peaks.wav"], channels=4)
    samples[2, 10] = 1
    clipped = write(tmp_path / "clipped.wav", samples, subtype)
    with pytest.raises(InputError, match=r"clipped.wav: clipped: 0.11% of channel 2 is at full scale"):
        excerpts([clipped], channels=4)


def test_a_recording_that_was_replaced_is_measured_again(tmp_path):
    path = write(tmp_path / "x.wav", np.full((1, 1000), 0.1))
    before = gain_of(path)
    path.unlink()
    write(path, np.full((1, 2000), 0.2))
    assert gain_of(path) == pytest.approx(before / 2, rel=1e-3)


def test_recordings_are_brought_to_the_level_with_one_gain(tmp_path):
    time = np.arange(100_000) / RATE_HZ
    amplitudes = np.array([0.01, 0.3, 0.002, 0.0])[:, None]
    path = write(tmp_path / "sine.wav", amplitudes * np.sin(2 * np.pi * 441 * time))
    # rms of a sine; the second channel is more than twice as loud and sets the level
    # (codec.coding.pipeline)
    assert gain_of(path) == pytest.approx(10 ** (-24 / 20) / (0.3 / np.sqrt(2) / 2), rel=1e-3)
    item = excerpts([path], length=44_100, channels=4).batch(0, 1)[0]
    levels = item.square().mean(1).sqrt().numpy()
    assert levels / levels[1] == pytest.approx(amplitudes[:, 0] / 0.3, rel=0.01, abs=1e-6)


def ramp(channels=16, length=2000):
    """16-bit integers that show their position: channel 0 counts samples, the others add a constant."""
    return (7 * np.arange(length) - 6000 + 100 * np.arange(channels)[:, None]) / 2**15


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("x.wav", "PCM_16"), ("x.rf64", "PCM_16"), ("x.w64", "PCM_16"), ("x.caf", "PCM_16"),
        ("x.wav", "PCM_24"), ("x.wav", "FLOAT"),
    ],
)  # fmt: skip
def test_samples_are_those_of_the_file(tmp_path, name, subtype):
    path = write(tmp_path / name, ramp(), subtype)
    check_ramp(path, ramp())


def check_ramp(path, expected):
    material = excerpts([path], channels=len(expected))
    for item in material.batch(0, 4).numpy().astype(float) / material.recordings[0].gain:
        start = round((item[0, 0] * 2**15 + 6000) / 7)
        np.testing.assert_allclose(item, expected[:, start : start + 256], atol=1e-7)


def test_samples_begin_after_chunks_of_any_length(tmp_path):
    """An odd chunk with its pad byte, and a name inside it that looks like the beginning of samples."""
    path = write(tmp_path / "plain.wav", ramp(2))
    content = path.read_bytes()
    body = b"INFOdata\x07\x00\x00"
    chunk = b"LIST" + struct.pack("<I", len(body)) + body + b"\0"
    at = content.index(b"data")
    content = b"RIFF" + struct.pack("<I", len(content) + len(chunk) - 8) + content[8:at] + chunk + content[at:]
    odd = tmp_path / "odd.wav"
    odd.write_bytes(content)
    assert len(body) % 2 == 1
    check_ramp(odd, ramp(2))


def test_quiet_recordings_of_24_bits_and_loud_ones_of_floats_keep_their_precision(tmp_path):
    """60 dB down, 16 bits would leave an error of 2^-16 of full scale; one that is 4 times too loud would clip."""
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 2000))
    for name, scale, subtype in (("quiet.wav", 1e-3, "PCM_24"), ("loud.wav", 4.0, "FLOAT")):
        path = write(tmp_path / name, scale * noise, subtype)
        material = excerpts([path], length=2000, channels=1)
        item = material.batch(0, 1).numpy()[0] / material.recordings[0].gain / scale
        assert np.abs(item - noise).max() < (2**-14 if scale < 1 else 2**-15)


def test_level_gain_brings_channel_0_to_the_level(tmp_path):
    samples = np.zeros((16, 44_100), np.float32)
    samples[0] = 0.01 * np.sin(2 * np.pi * 441 * np.arange(44_100) / 44_100)
    path = write(tmp_path / "sine.wav", samples)
    assert gain_of(path) == pytest.approx(10 ** (-24 / 20) / (0.01 / np.sqrt(2)), rel=1e-3)
