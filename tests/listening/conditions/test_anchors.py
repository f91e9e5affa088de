"""The low-pass anchors against the mask of BS.1534-3 and against a direct convolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listening.conditions.anchors import LOW_ANCHOR_HZ, MID_ANCHOR_HZ, low_pass, low_pass_taps
from render.common.errors import InputError
from render.hoa.scene import Scene

RATES_HZ = (16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000)
MARGIN_DB = 20


def response_db(taps, rate_hz, low_hz, high_hz):
    """Gain from `low_hz` to `high_hz` on a grid far denser than the filter's ripple."""
    points = 64 * len(taps)
    grid_hz = np.fft.rfftfreq(points, 1 / rate_hz)
    gain = np.abs(np.fft.rfft(taps, points))[(grid_hz >= low_hz) & (grid_hz <= high_hz)]
    return 20 * np.log10(np.maximum(gain, 1e-12))


def assert_mask(taps, rate_hz, octave=1):
    """BS.1534-3 5.1, shifted by `octave`: ±0.1 dB to 3.5 kHz, -25 dB at 4 kHz, -50 dB at 4.5 kHz."""
    nyquist = rate_hz / 2
    assert np.abs(response_db(taps, rate_hz, 0, 3500 * octave)).max() <= 0.1 / 10
    assert response_db(taps, rate_hz, 4000 * octave, nyquist).max() <= -25 - MARGIN_DB
    if 4500 * octave < nyquist:
        assert response_db(taps, rate_hz, 4500 * octave, nyquist).max() <= -50 - MARGIN_DB


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_low_anchor_meets_the_mask_with_margin(rate_hz):
    assert_mask(low_pass_taps(LOW_ANCHOR_HZ, rate_hz), rate_hz)


@pytest.mark.parametrize("rate_hz", RATES_HZ[1:])
def test_mid_anchor_is_as_steep(rate_hz):
    assert_mask(low_pass_taps(MID_ANCHOR_HZ, rate_hz), rate_hz, octave=2)


@settings(max_examples=25, deadline=None)
@given(st.integers(8_100, 192_000))
def test_any_rate_meets_the_mask_without_delay(rate_hz):
    taps = low_pass_taps(LOW_ANCHOR_HZ, rate_hz)
    assert_mask(taps, rate_hz)
    assert len(taps) % 2 == 1
    np.testing.assert_array_equal(taps, taps[::-1])


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_impulse_stays_where_it_is(rate_hz):
    samples = np.zeros((4, 4000), np.float32)
    samples[2, 1234] = 1
    response = low_pass(Scene(samples, rate_hz)).samples
    assert np.argmax(np.abs(response[2])) == 1234
    np.testing.assert_allclose(response[2, 1234 - 900 : 1234], response[2, 1234 + 900 : 1234 : -1], atol=1e-7)
    assert not response[[0, 1, 3]].any()


def test_zero_lag_against_the_reference():
    rng = np.random.default_rng(5)
    samples = rng.standard_normal((1, 1 << 14)).astype(np.float32)
    filtered = low_pass(Scene(samples, 48_000)).samples
    spectra = np.fft.rfft(samples[0]), np.fft.rfft(filtered[0])
    assert np.argmax(np.fft.irfft(spectra[1] * spectra[0].conj())) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 1200), st.integers(0, 2**32 - 1))
def test_equals_the_convolution_with_silence_around(frames, seed):
    samples = np.random.default_rng(seed).uniform(-1, 1, (1, frames)).astype(np.float32)
    taps = low_pass_taps(LOW_ANCHOR_HZ, 48_000)
    expected = np.convolve(samples[0].astype(np.float64), taps)[len(taps) // 2 :][:frames]
    filtered = low_pass(Scene(samples, 48_000))
    assert filtered.samples.shape == (1, frames)
    np.testing.assert_allclose(filtered.samples[0], expected, atol=3e-7)


@pytest.mark.parametrize(("cutoff_hz", "gain"), [(LOW_ANCHOR_HZ, 1.0), (MID_ANCHOR_HZ, 1.0)])
def test_tones_below_pass_and_tones_above_vanish(cutoff_hz, gain):
    time_s = np.arange(48_000) / 48_000
    inside = slice(1000, -1000)  # away from the ends, where the tones begin and stop
    below, above = (
        np.sin(2 * np.pi * f * time_s)[None].astype(np.float32) for f in (0.98 * cutoff_hz, 1.16 * cutoff_hz)
    )
    passed = low_pass(Scene(below, 48_000), cutoff_hz).samples[:, inside]
    np.testing.assert_allclose(passed, gain * below[:, inside], atol=2e-4)
    assert np.abs(low_pass(Scene(above, 48_000), cutoff_hz).samples[:, inside]).max() < 2e-4


def test_a_rate_too_low_for_the_anchor_is_refused():
    scene = Scene(np.zeros((4, 100), np.float32), 16_000)
    with pytest.raises(InputError, match="7000 Hz needs a sample rate above 16000 Hz, the scene has 16000 Hz"):
        low_pass(scene, MID_ANCHOR_HZ)
