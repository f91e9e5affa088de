"""The timbre layer: levels that are sent, a filter that restores them."""

import numpy as np
import pytest

from codec import spatial, timbre

RATE = 44_100


def shaped_noise(seed, slope_db_per_octave, frames=100_000, channels=3):
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((channels, frames)))
    frequency = np.maximum(np.fft.rfftfreq(frames, 1 / RATE), 50)
    shaped = np.fft.irfft(spectrum * (frequency / 1000) ** (slope_db_per_octave / 6.02), frames)
    return (0.05 * shaped / shaped.std()).astype(np.float32)


def test_white_noise_has_its_spectral_density_in_every_band():
    """Variance v spread over RATE/2: the level of every band is that of v, per bin of an orthonormal transform."""
    x = 0.1 * np.random.default_rng(0).standard_normal((4, 200_000)).astype(np.float32)
    levels_db = timbre.measure(x, RATE) - 120.0
    expected_db = 10 * np.log10(0.1**2 / 1024)
    assert np.abs(levels_db - expected_db).max() <= 1.3  # 1 dB steps, and the mean of a logarithm


@pytest.mark.parametrize("slope", [-9, -6, -3])
def test_levels_after_the_filter_are_those_sent(slope):
    original, decoded = shaped_noise(0, -6), shaped_noise(1, slope)
    numbers = timbre.measure(original, RATE)
    before = timbre.measure(decoded, RATE) - numbers
    restored = timbre.Equaliser(RATE).restore(decoded, 0, decoded.shape[1], numbers)
    after = timbre.measure(restored, RATE) - numbers
    inner = np.abs(before) <= 13  # the filter moves no band by more than 15 dB
    assert np.abs(after[inner][1:-1]).max() <= 3
    assert np.abs(after).mean() <= max(1.0, 0.5 * np.abs(before).mean())


def test_nothing_to_restore_changes_little_and_delays_nothing():
    x = shaped_noise(2, -9)
    y = timbre.Equaliser(RATE).restore(x, 0, x.shape[1], timbre.measure(x, RATE))
    error = np.square(y - x)[:, 600:-600].sum() / np.square(x)[:, 600:-600].sum()
    assert 10 * np.log10(error) < -15  # what remains are half decibels of rounding


def test_what_lies_beyond_the_filters_reach_changes_no_bit():
    """A damaged packet must not change the rounding of its neighbours, nor by it what is measured of them."""
    x, margin = np.concatenate([shaped_noise(seed, -6) for seed in range(5)]), 3000
    other = x.copy()
    other[:, : 510 + margin - 510] *= -0.5
    other[:, -(margin - 10) :] = 0.1
    length = x.shape[1] - 2 * 510
    numbers, sent = timbre.measure(shaped_noise(7, -4), RATE), spatial.measure(shaped_noise(8, -9, channels=15))
    results = []
    for samples in (x, other):
        equal = timbre.Equaliser(RATE).restore(samples, 510, length, numbers, margin)
        results.append(spatial.Restorer(RATE).restore(equal, 510, length, sent, margin))
    inner = spatial.interior(length, margin)
    assert np.array_equal(results[0][:, inner], results[1][:, inner])
    assert not np.array_equal(results[0][:, : inner.start], results[1][:, : inner.start])


def test_one_filter_for_all_channels_keeps_their_correlations():
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((3, 3)) @ shaped_noise(3, -6)).astype(np.float32)
    numbers = np.clip(timbre.measure(x, RATE) + 6, 0, 127)
    y = timbre.Equaliser(RATE).restore(x, 0, x.shape[1], numbers)
    np.testing.assert_allclose(np.corrcoef(y), np.corrcoef(x), atol=0.02)
    assert 10 * np.log10(y.var() / x.var()) == pytest.approx(6, abs=0.3)


def test_numbers_fit_their_bits_and_silence_stays_silent():
    for level in (0.0, 1e-8, 1.0, 1e4):
        for frames in (1, 100, 5000):
            numbers = timbre.measure(np.full((2, frames), level, np.float32), RATE)
            assert numbers.shape == (timbre.BANDS,)
            assert 0 <= numbers.min() <= numbers.max() < 2**timbre.LEVEL_BITS
    silence = np.zeros((2, 3000), np.float32)
    assert not timbre.Equaliser(RATE).restore(silence, 0, 3000, numbers).any()
