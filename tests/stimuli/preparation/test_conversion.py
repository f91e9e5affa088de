"""Preparation of a recording: format, spectrum, level, dither, and what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from render.common.errors import InputError
from render.common.files import record_path, sha256
from render.fileio.audio_file import info, read, writer
from stimuli.preparation.conversion import PreparationSettings, prepare_file

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")


def written(path, samples, rate=48000, subtype="FLOAT"):
    with writer(path, len(samples), rate, subtype, force=True) as file:
        file.write(samples.astype(np.float32))
    return path


def noise(channels=16, length=4800, level=0.1, seed=0):
    return level * np.random.default_rng(seed).standard_normal((channels, length))


def test_the_format_is_16_channels_44100_hz_16_bit(tmp_path):
    prepare_file(written(tmp_path / "a.wav", noise(25), subtype="PCM_24"), tmp_path / "out.wav")
    about = info(tmp_path / "out.wav")
    assert (about.channels, about.sample_rate_hz, about.subtype) == (16, 44100, "PCM_16")
    assert about.length == 4410


def test_sines_keep_channel_phase_and_frequency_through_the_resampler(tmp_path):
    time_s = np.arange(9600) / 48000
    hz = 200.0 * (1 + np.arange(25))
    prepare_file(written(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * hz[:, None] * time_s)), tmp_path / "b.wav")
    found, rate = read(tmp_path / "b.wav")
    expected = 0.3 * np.sin(2 * np.pi * hz[:16, None] * np.arange(found.shape[1]) / rate)
    # 0.3 is -10.5 dBFS: up 6 dB to -4.5, the next step would pass -3
    error = found / 10 ** (6 / 20) - expected
    # Away from the ends, where the sine begins suddenly, what is left is rounding and dither
    assert np.abs(error[:, 400:-400]).max() < 2 / 32768


def test_16_bit_44100_hz_at_the_right_level_is_copied_exactly(tmp_path):
    samples = np.round(np.clip(noise(level=0.15), -0.7, 0.7) * 32768) / 32768
    samples[3, 7] = 0.7
    source = written(tmp_path / "a.wav", samples, 44100, "PCM_16")
    made = prepare_file(source, tmp_path / "b.wav")
    assert (made["gain_db"], made["dither"]) == (0.0, False)
    assert np.array_equal(read(tmp_path / "b.wav")[0], read(source)[0])


@pytest.mark.parametrize("peak_dbfs", [-3.0, -3.01, -8.9, -9.0, -40.0, 0.0, 12.0])
def test_the_gain_is_a_multiple_of_6_db_that_leaves_3_to_9_db(tmp_path, peak_dbfs):
    samples = np.zeros((16, 4410))
    samples[5, 2000] = 10 ** (peak_dbfs / 20)
    made = prepare_file(written(tmp_path / "a.wav", samples, 44100), tmp_path / "b.wav")
    assert made["gain_db"] % 6 == 0
    assert -9.001 <= peak_dbfs + made["gain_db"] <= -2.999


def test_dither_is_triangular_and_the_same_every_time(tmp_path):
    source = written(tmp_path / "a.wav", np.full((16, 44100), 10.25 / 32768 * 0.5), 44100)
    for name in ("b.wav", "c.wav"):
        made = prepare_file(source, tmp_path / name)
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()
    integers, _ = soundfile.read(tmp_path / "b.wav", dtype="int16")
    error = integers - 10.25 / 2 * 10 ** (made["gain_db"] / 20)
    # The error of triangular dither has mean 0 and variance 1/4 LSB² whatever the signal is (Lipshitz 1992)
    assert abs(error.mean()) < 0.01
    assert error.var() == pytest.approx(0.25, rel=0.02)


def test_a_clipped_recording_that_overshoots_between_its_samples_is_lowered_not_clipped(tmp_path):
    samples = np.random.default_rng(3).choice([-1.0, 1.0], (16, 4800))
    made = prepare_file(written(tmp_path / "a.wav", samples), tmp_path / "b.wav")
    assert made["gain_db"] < -6
    assert np.abs(read(tmp_path / "b.wav")[0]).max() < 1


def test_silence_stays_silence_but_for_dither(tmp_path):
    prepare_file(written(tmp_path / "a.wav", np.zeros((16, 4800))), tmp_path / "b.wav")
    assert np.abs(read(tmp_path / "b.wav")[0]).max() <= 1 / 32768


def test_what_is_finished_is_kept_and_what_has_changed_is_made_again(tmp_path):
    source, target = written(tmp_path / "a.wav", noise()), tmp_path / "out" / "a.wav"
    first = prepare_file(source, target)
    os.utime(target, (1, 1))
    assert prepare_file(source, target) == first
    assert target.stat().st_mtime == 1
    written(source, noise(seed=1))
    assert prepare_file(source, target)["source_sha256"] == sha256(source) != first["source_sha256"]
    assert json.loads(record_path(target).read_text())["sha256"] == sha256(target)


def test_a_damaged_record_means_that_the_file_is_made_again(tmp_path):
    source, target = written(tmp_path / "a.wav", noise()), tmp_path / "b.wav"
    first = prepare_file(source, target)
    record_path(target).write_text("[]")
    assert prepare_file(source, target) == first


def test_the_label_of_synthetic_material_is_handed_on(tmp_path):
    source = written(tmp_path / "a.wav", noise())
    record_path(source).write_text('{"what": "synthetic scene"}')
    assert prepare_file(source, tmp_path / "b.wav")["material"] == "synthetic scene"
    record_path(source).write_text("[1, 2]")  # somebody's own file of that name
    assert prepare_file(written(source, noise(seed=2)), tmp_path / "c.wav")["material"] == "recording"


def test_neither_the_source_nor_another_file_is_overwritten(tmp_path):
    source = written(tmp_path / "a.wav", noise())
    content = source.read_bytes()
    with pytest.raises(InputError, match="is the input"):
        prepare_file(source, tmp_path / "x" / ".." / "a.wav")
    assert source.read_bytes() == content
    (tmp_path / "mine.wav").write_bytes(b"my only copy")
    with pytest.raises(InputError, match="exists and differs"):
        prepare_file(source, tmp_path / "mine.wav")
    assert (tmp_path / "mine.wav").read_bytes() == b"my only copy"


@pytest.mark.parametrize(
    ("channels", "length", "says"),
    [
        (4, 4800, r"order 1;.*third-order"),
        (9, 4800, "order 2"),
        (32, 4800, "raw capsules of an em32"),
        (12, 4800, "16 .order 3."),
        (16, 2399, "at least 0.05 s"),
    ],
)
def test_what_cannot_be_prepared_is_refused_with_the_reason(tmp_path, channels, length, says):
    source = written(tmp_path / "a.wav", noise(channels, length))
    with pytest.raises(InputError, match=says):
        prepare_file(source, tmp_path / "out" / "b.wav")
    assert not (tmp_path / "out").exists()


def test_nan_is_refused_with_channel_and_sample(tmp_path):
    source = tmp_path / "a.wav"
    samples = noise()
    samples[4, 1000] = np.nan
    soundfile.write(source, samples.T, 48000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"channel 4 at sample 1000"):
        prepare_file(source, tmp_path / "b.wav")
    assert not (tmp_path / "b.wav").exists()


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
    record = prepare_file(source, tmp_path / "b.wav", PreparationSettings(bits=24, gain_db=20.0))
    about = info(tmp_path / "b.wav")
    assert (about.channels, about.sample_rate_hz, about.length, about.subtype) == (16, 44_100, 44_100, "PCM_24")
    assert (record["gain_db"], record["scene_class"], record["recording"]) == (20.0, "Beach", 3)
    samples, _ = read(tmp_path / "b.wav")
    for channel in range(16):
        assert _amplitude(samples[channel], 200 + 50 * channel) == pytest.approx(0.1, rel=2e-4)
    with pytest.raises(InputError, match=r"Beach\.3\.wav.*clip with a gain of 50 dB"):
        prepare_file(source, tmp_path / "c.wav", PreparationSettings(gain_db=50.0))
    assert not (tmp_path / "c.wav").exists()


def test_dither_keeps_what_is_smaller_than_a_step(tmp_path):
    """A sine of 0.4 LSB: 16 bits alone would round it to silence; dithered it stays, undistorted."""
    source = _tones(tmp_path / "a.wav", 4.0, rate_hz=44_100, level=0.4 / 32768)
    prepare_file(source, tmp_path / "b.wav", PreparationSettings(gain_db=0.0))
    made = read(tmp_path / "b.wav")[0][4] * 32768
    assert _amplitude(made, 400) == pytest.approx(0.4, abs=0.015)
    assert abs(_amplitude(made, 1200)) < 0.015


@pytest.mark.parametrize(("length", "rate_hz"), [(48_001, 48_000), (12_345, 32_000), (30_000, 96_000)])
def test_length_is_that_of_the_source_to_half_a_sample(length, rate_hz, tmp_path):
    path = tmp_path / "scene.wav"
    with writer(path, 16, rate_hz, "FLOAT") as file:
        file.write(np.full((16, length), 0.1, np.float32))
    prepare_file(path, tmp_path / "made.wav")
    assert abs(info(tmp_path / "made.wav").length - length * 44_100 / rate_hz) <= 0.5


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
