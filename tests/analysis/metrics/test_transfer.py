"""Transfer functions, lags and correlations that are known beforehand."""

import numpy as np
import pytest
from scipy.signal import firwin, freqz, lfilter

from analysis.metrics.transfer import MAX_LAG, WINDOW, transfer

RATE = 44_100
NOISE = 0.1 * np.random.default_rng(0).standard_normal((4, 3 * RATE))


def found(test, reference=NOISE):
    return transfer(reference.astype(np.float32), test.astype(np.float32), RATE)


@pytest.mark.parametrize("lag", [-2000, -1, 0, 3, 700])
@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_the_lag_is_the_delay_whatever_the_gain(lag, gain):
    result = found(gain * np.roll(NOISE, lag, axis=1))
    assert result.lag == lag
    assert result.peak == result.cross_correlation[MAX_LAG + lag]
    overlap = 1 - abs(lag) / WINDOW  # of the windows
    assert overlap**2 - 0.05 < result.peak <= 1.01


def test_an_inverted_copy_has_no_positive_peak():
    result = found(-NOISE)
    assert result.cross_correlation[MAX_LAG] == pytest.approx(-1, abs=0.01)
    assert result.peak < 0.05


def test_independent_noise_has_no_peak():
    assert found(np.random.default_rng(1).standard_normal(NOISE.shape)).peak < 0.05


@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_noise_lowers_the_peak_as_theory_says(snr_db):
    noise = 0.1 * 10 ** (-snr_db / 20) * np.random.default_rng(2).standard_normal(NOISE.shape)
    assert found(NOISE + noise).peak == pytest.approx((1 + 10 ** (-snr_db / 10)) ** -0.5, abs=0.01)


def test_the_gain_is_that_of_the_filter():
    taps = firwin(101, 5000, fs=RATE)
    result = found(np.roll(lfilter(taps, 1, NOISE, axis=1), -50, axis=1))
    expected_db = 20 * np.log10(np.abs(freqz(taps, 1, result.frequency_hz, fs=RATE)[1]))
    passed = expected_db > -40
    assert result.gain_db[passed] == pytest.approx(expected_db[passed], abs=0.3)
    assert result.lag == 0


def test_short_signals_are_padded_and_silence_has_neither_lag_nor_correlation():
    assert found(np.roll(NOISE[:, :9000], 5, axis=1), NOISE[:, :9000]).lag == 5
    silent = found(0 * NOISE)
    assert silent.peak == 0
    assert np.isfinite(silent.gain_db).all()
