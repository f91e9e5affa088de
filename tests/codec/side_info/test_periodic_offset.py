"""The offset of the network is removed, and nothing else."""

import numpy as np
import pytest

from codec.side_info.periodic_offset import REACH, without_periodic_offset

PERIOD, RATE_HZ = 64, 44_100
N = 300 * PERIOD
TIME = np.arange(N)


def removed(x):
    return without_periodic_offset(x.astype(np.float32), 0, x.shape[1], PERIOD)


def test_a_pattern_disappears_but_for_its_mean_and_first_line():
    random = np.random.default_rng(0)
    pattern = random.standard_normal((2, PERIOD))
    lines = np.fft.rfft(pattern)
    lines[:, 2:] = 0
    expected = np.tile(np.fft.irfft(lines, PERIOD), (1, N // PERIOD))
    np.testing.assert_allclose(removed(np.tile(pattern, (1, N // PERIOD))), expected, atol=2e-6)


@pytest.mark.parametrize("line", [2, 3, 31])
@pytest.mark.parametrize(("off_hz", "lost_db"), [(0.0, -100.0), (3.0, -20.0), (25.0, None), (300.0, None)])
def test_tones_are_kept_but_within_10_hz_of_a_line(line, off_hz, lost_db):
    """Closed form: the spectrum of the Hann window of 65 periods, whose first zero is 21 Hz from its centre."""
    hz = line * RATE_HZ / PERIOD + off_hz
    tone = np.cos(2 * np.pi * hz / RATE_HZ * TIME)[None]
    inner = slice(REACH * PERIOD, -REACH * PERIOD)
    left = removed(tone)[0, inner] / np.sqrt(np.square(tone[0, inner]).mean())
    level_db = 10 * np.log10(np.square(left).mean() + 1e-12)
    if lost_db is None:
        assert abs(level_db) < 0.3
    else:
        assert level_db < lost_db


def test_noise_loses_the_share_of_the_weights():
    """Closed form: of white noise y = x - Σ w x, the power changes by Σ w² - 2 w₀, in 30 of 32 lines."""
    noise = np.random.default_rng(1).standard_normal((4, 16 * N))
    weights = np.hanning(2 * REACH + 3)[1:-1]
    weights /= weights.sum()
    expected = 1 + (np.square(weights).sum() - 2 * weights[REACH]) * (1 - 3 / PERIOD)
    assert np.square(removed(noise)).mean() / np.square(noise).mean() == pytest.approx(expected, abs=3e-3)


def test_the_result_does_not_depend_on_the_cut():
    x = np.random.default_rng(2).standard_normal((2, N)).astype(np.float32)
    whole, reach = removed(x), REACH * PERIOD
    parts = []
    for begin, end in ((0, 40 * PERIOD), (40 * PERIOD, 41 * PERIOD), (41 * PERIOD, N)):
        known = x[:, max(begin - reach, 0) : end + reach]
        parts.append(without_periodic_offset(known, min(begin, reach), end - begin, PERIOD))
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
