"""ESTOI: the same values as pystoi, and what follows from its definition."""

import numpy as np
import pystoi
import pytest

from analysis.metrics.intelligibility import MAX_S, estoi
from stimuli.synthesis.sound_sources import voice


def talker(rate, seconds=3.0):
    """Synthetic speech with a pause."""
    speech = voice(np.random.default_rng(1), seconds, rate, 120.0).astype(float)
    speech[round(1.2 * rate) : round(1.7 * rate)] *= 1e-4
    return speech


@pytest.mark.parametrize("rate", [10_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("snr_db", [20.0, 0.0, -10.0])
def test_the_value_is_that_of_pystoi(rate, snr_db):
    x = talker(rate)
    noise = np.random.default_rng(2).standard_normal(len(x)) * x.std() * 10 ** (-snr_db / 20)
    assert estoi(x, x + noise, rate) == pytest.approx(pystoi.stoi(x, x + noise, rate, extended=True), abs=1e-9)


def test_a_copy_at_any_level_has_1_and_noise_lowers_it():
    x = talker(44_100)
    noise = np.random.default_rng(3).standard_normal(len(x)) * x.std()
    values = [estoi(x, x + 10 ** (-snr / 20) * noise, 44_100) for snr in (20, 5, -5, -20)]
    assert estoi(x, 0.2 * x, 44_100) == pytest.approx(1, abs=1e-6)
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.75
    assert values[-1] < 0.2


def test_silence_and_short_signals_have_none():
    x = talker(10_000)
    assert estoi(x, 0 * x, 10_000) is None
    assert estoi(x[:3000], x[:3000], 10_000) is None
    assert estoi(x[:100], x[:100], 10_000) is None


def test_only_the_first_minute_counts():
    rate = 10_000
    x = np.tile(talker(rate), 21)
    y = x.copy()
    y[round(MAX_S * rate) :] = 0
    assert estoi(x, y, rate) == pytest.approx(1, abs=1e-6)
