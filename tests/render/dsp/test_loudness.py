import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz_sos, sosfilt

from render.common.errors import InputError
from render.dsp.loudness import (
    LoudnessMeter,
    channel_weights,
    integrated_loudness_lufs,
    k_weighting,
    true_peak_dbtp,
    ungated_loudness_lufs,
)
from render.fileio.audio_file import write_feed
from render.hoa.layout import layout
from render.hoa.scene import Feed


def sine(frequency_hz, level_db, seconds=2.0, rate_hz=48000, phase=0.0):
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * frequency_hz * time_s + phase)).astype(np.float32)


def feed_of(name, label, signal, rate_hz=48000):
    of = layout(name)
    samples = np.zeros((len(of.labels), len(signal)), np.float32)
    samples[of.labels.index(label)] = signal
    return Feed(samples, rate_hz, of)


def test_the_coefficients_of_the_standard_at_48_khz():
    """BS.1770-5, annex 1, tables 1 and 2."""
    shelf, high_pass = k_weighting(48000)
    np.testing.assert_allclose(shelf[:3], [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-13)
    np.testing.assert_allclose(shelf[4:], [-1.69065929318241, 0.73248077421585], atol=1e-13)
    np.testing.assert_array_equal(high_pass[:3], [1.0, -2.0, 1.0])
    np.testing.assert_allclose(high_pass[4:], [-1.99004745483398, 0.99007225036621], atol=1e-13)


@pytest.mark.parametrize("rate_hz", [32000, 44100, 96000, 192000])
def test_other_rates_have_the_same_response(rate_hz):
    frequency_hz = np.geomspace(20, 8000, 60)
    expected = np.abs(freqz_sos(k_weighting(48000), frequency_hz, fs=48000)[1])
    found = np.abs(freqz_sos(k_weighting(rate_hz), frequency_hz, fs=rate_hz)[1])
    assert np.abs(20 * np.log10(found / expected)).max() < 0.012


# libebur128 (C library): sine of 997 Hz, -23 dBFS peak, in one channel of 4+7+0
@pytest.mark.parametrize("label", layout("7.1.4").labels)
def test_one_sine_in_each_channel_of_7_1_4(label):
    expected = {"LFE1": -np.inf, "M+090": -24.518, "M-090": -24.518}.get(label, -26.010)
    signal = feed_of("7.1.4", label, sine(997, -23, seconds=5.0))
    assert integrated_loudness_lufs(signal) == pytest.approx(expected, abs=1e-3)
    assert ungated_loudness_lufs(signal) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
def test_a_full_scale_sine_reads_minus_3_01(rate_hz):
    """BS.1770-5, annex 1: 0 dBFS at 997 Hz in the left, centre or right channel."""
    signal = feed_of("5.1", "M+000", sine(997, 0, rate_hz=rate_hz), rate_hz)
    assert integrated_loudness_lufs(signal) == pytest.approx(-3.01, abs=0.01)


def test_weights_of_22_2():
    """Annex 3: +1.5 dB between 60 and 120 degrees of azimuth below 30 degrees of elevation."""
    of = layout("22.2")
    weights = dict(zip(of.labels, channel_weights(of), strict=True))
    assert {label for label, weight in weights.items() if weight == 1.41} == {
        "M+060",
        "M-060",
        "M+090",
        "M-090",
    }
    assert {label for label, weight in weights.items() if weight == 0} == {"LFE1", "LFE2"}


def programme(channels, rate_hz, seed=0, seconds=6.0):
    """Noise whose level jumps over the gates: loud, 20 dB down, nearly silent, loud."""
    rng = np.random.default_rng(seed)
    length = int(seconds * rate_hz)
    level = 10 ** (np.repeat([-20.0, -40.0, -90.0, -26.0], -(-length // 4))[:length] / 20)
    return (level * rng.standard_normal((channels, length))).astype(np.float32)


@pytest.mark.parametrize(("name", "rate_hz"), [("stereo", 48000), ("5.1", 48000), ("stereo", 44100)])
def test_gating_equals_pyloudnorm(name, rate_hz):
    pyloudnorm = pytest.importorskip("pyloudnorm")
    of = layout(name)
    samples = programme(len(of.labels), rate_hz)
    # pyloudnorm has five channels, L R C Ls Rs, and no LFE
    heard = samples[[not speaker.is_lfe for speaker in of.loudspeakers]]
    expected = pyloudnorm.Meter(rate_hz, filter_class="DeMan").integrated_loudness(heard.T.astype(np.float64))
    assert integrated_loudness_lufs(Feed(samples, rate_hz, of)) == pytest.approx(expected, abs=0.01)


def test_what_lies_below_the_relative_gate_does_not_count():
    loud = feed_of("stereo", "M+030", sine(997, -20, seconds=4.0))
    quiet = np.concatenate([loud.samples, loud.samples * 10 ** (-30 / 20)], axis=1)
    whole = Feed(quiet, 48000, layout("stereo"))
    # 37 whole blocks of 400 ms and three that straddle the step, in steps of 100 ms
    straddling_db = 10 * np.log10((37 + 0.75 + 0.5 + 0.25) / 40)
    expected = integrated_loudness_lufs(loud) + straddling_db
    assert integrated_loudness_lufs(whole) == pytest.approx(expected, abs=0.005)
    assert ungated_loudness_lufs(whole) == pytest.approx(ungated_loudness_lufs(loud) - 3.01, abs=0.05)


def test_silence_and_what_is_too_short():
    of = layout("7.1.4")
    silence = Feed(np.zeros((12, 48000), np.float32), 48000, of)
    assert integrated_loudness_lufs(silence) == ungated_loudness_lufs(silence) == -np.inf
    short = feed_of("7.1.4", "M+000", sine(997, -23, seconds=0.399))
    with pytest.raises(InputError, match=r"0\.399 s: gated loudness needs at least 0\.4 s"):
        integrated_loudness_lufs(short)
    assert ungated_loudness_lufs(short) == pytest.approx(-26.01, abs=0.05)


@pytest.mark.parametrize("name", ["22.2", "7.1.4", "mono"])
def test_the_energy_is_that_of_scipys_filter(name):
    """Of more channels than are filtered at once, of fewer, and of one."""
    of = layout(name)
    samples = programme(len(of.labels), 48000, seconds=0.73)
    power = channel_weights(of) @ sosfilt(k_weighting(48000), samples, axis=1).astype(np.float64) ** 2
    expected = -0.691 + 10 * np.log10(power.mean())
    assert ungated_loudness_lufs(Feed(samples, 48000, of)) == pytest.approx(expected, abs=1e-10)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 9000), max_size=6))
def test_the_lengths_of_the_blocks_do_not_matter(cuts):
    of = layout("stereo")
    samples = programme(2, 8000, seconds=1.5)
    whole, pieces = LoudnessMeter(of, 8000), LoudnessMeter(of, 8000)
    whole.add(samples)
    for block in np.split(samples, sorted(cuts), axis=1):
        pieces.add(block)
    assert pieces.integrated_lufs() == pytest.approx(whole.integrated_lufs(), abs=1e-9)
    assert pieces.ungated_lufs() == pytest.approx(whole.ungated_lufs(), abs=1e-9)


# EBU Tech 3341, table 1, cases 15 to 18: sines whose peaks fall between the samples; +0.2, -0.4 dB
@pytest.mark.parametrize(
    ("divisor", "phase_deg", "level_db"), [(4, 0, -6.0), (4, 45, -6.0), (6, 60, -6.0), (8, 67.5, -6.0)]
)
def test_true_peak_of_sines_between_the_samples(divisor, phase_deg, level_db):
    signal = sine(48000 / divisor, level_db, phase=np.radians(phase_deg))
    # Faded, as the standard's own signals are: a sine that starts at once overshoots
    signal *= np.minimum(1, np.arange(signal.size)[::-1] / 1000) * np.minimum(1, np.arange(signal.size) / 1000)
    assert true_peak_dbtp(signal[None]) == pytest.approx(level_db, abs=0.01)


def test_true_peak_is_not_below_the_sample_peak_and_finds_it_at_any_place():
    assert true_peak_dbtp(np.zeros((3, 100), np.float32)) == -np.inf
    samples = np.zeros((2, 10_000), np.float32)
    for place in (0, 2047, 2048, 9999):
        samples[:] = 0
        samples[1, place] = -0.5
        assert true_peak_dbtp(samples) == pytest.approx(-6.0206, abs=1e-3)
    # Two equal neighbours: the peak lies between them, wherever they are
    expected = None
    for place in (100, 2046, 2047, 2048):
        samples[:] = 0
        samples[0, place : place + 2] = 1.0
        found = true_peak_dbtp(samples)
        expected = expected or found
        assert found == pytest.approx(expected, abs=1e-4)
        assert found > 1.5


def sines(levels_db, seconds):
    """1 kHz in phase on both channels at one level after another."""
    time_s = np.arange(round(sum(seconds) * 32000)) / 32000
    gain = np.repeat(10 ** (np.array(levels_db) / 20), [round(32000 * length) for length in seconds])
    return np.tile((gain * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32), (2, 1))


@pytest.mark.parametrize(
    ("levels_db", "seconds", "expected"),
    [
        ((-23,), (20,), -23.0),
        ((-33,), (20,), -33.0),
        ((-36, -23, -36), (10, 60, 10), -23.0),
        ((-72, -36, -23, -36, -72), (10, 10, 60, 10, 10), -23.0),
        ((-26, -20, -26), (20, 20.1, 20), -23.0),
    ],
)
def test_minimum_requirements_of_an_ebu_mode_meter(levels_db, seconds, expected):
    """EBU Tech 3341, table 1, cases 1 to 5; ±0.1 LU is allowed."""
    feed = Feed(sines(levels_db, seconds), 32000, layout("stereo"))
    assert integrated_loudness_lufs(feed) == pytest.approx(expected, abs=0.1)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_ffmpegs_ebur128_reads_the_same_of_5_1(tmp_path):
    """It weights FL FR FC LFE BL BR as BS.1770 does; its true peak interpolates by its own resampler."""
    samples = 0.5 * programme(6, 48000)
    write_feed(tmp_path / "feed.wav", Feed(samples, 48000, layout("5.1")), subtype="FLOAT", order="wav")
    said = subprocess.run(
        ["ffmpeg", "-nostats", "-i", tmp_path / "feed.wav", "-filter:a", "ebur128=peak=true", "-f", "null", "-"],
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    summary = said[said.rindex("Summary:") :]
    assert integrated_loudness_lufs(Feed(samples, 48000, layout("5.1"))) == pytest.approx(
        float(re.search(r"I:\s+(-?[\d.]+) LUFS", summary)[1]), abs=0.1
    )
    peak_dbtp = float(re.search(r"Peak:\s+(-?[\d.]+) dBFS", summary)[1])
    assert true_peak_dbtp(samples) == pytest.approx(peak_dbtp, abs=0.3)


@pytest.mark.parametrize(("name", "channels"), [("7.1.4", 2), ("7.1.4", 16), ("22.2", 4), ("22.2", 17)])
def test_another_number_of_channels_is_refused(name, channels):
    meter = LoudnessMeter(layout(name), 48000)
    with pytest.raises(InputError, match=f"block of {channels} channels for the loudness of"):
        meter.add(np.zeros((channels, 4800)))
