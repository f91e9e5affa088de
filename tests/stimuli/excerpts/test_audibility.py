"""Zwicker's loudness in closed form, against its definition and against ISO 532-1 on real recordings."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from render.fileio.audio_file import read
from stimuli.excerpts.audibility import BANDS, anchor_loss, band_powers, bark, loudness, threshold_in_quiet_db

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")


def tone(frequency_hz, level_db):
    powers = np.zeros(BANDS)
    powers[int(bark(np.array([frequency_hz]))[0])] = 10 ** (level_db / 10)
    return powers


def test_one_sone_is_a_tone_of_1_khz_at_40_db_and_10_db_more_double_it():
    assert loudness(tone(1000, 40)) == pytest.approx(1.0, abs=0.1)
    assert loudness(tone(1000, 60)) == pytest.approx(4.0, rel=0.15)
    assert loudness(tone(1000, 80)) == pytest.approx(16.0, rel=0.15)


def test_critical_bands_are_zwickers():
    edges_hz = np.array([100, 510, 1080, 2000, 3150, 5300, 9500, 15500])
    np.testing.assert_allclose(bark(edges_hz), [1, 5, 9, 13, 16, 19, 22, 24], atol=0.25)
    exact = 13 * math.atan(0.76 * 4) + 3.5 * math.atan((4 / 7.5) ** 2)
    assert bark(np.array([4000.0]))[0] == pytest.approx(exact, rel=1e-12)
    exact = 3.64 * 4**-0.8 - 6.5 * math.exp(-0.6 * 0.7**2) + 1e-3 * 4**4
    assert threshold_in_quiet_db(np.array([4000.0]))[0] == pytest.approx(exact, rel=1e-12)
    assert threshold_in_quiet_db(np.array([100.0, 1000.0, 3500.0])) == pytest.approx([23, 3.4, -5], abs=1)


def test_silence_and_what_lies_under_the_threshold_has_no_loudness():
    assert loudness(np.zeros(BANDS)) == 0
    assert loudness(tone(100, 10)) == 0


def test_a_broad_sound_is_louder_than_a_narrow_one_of_the_same_level():
    broad = np.zeros(BANDS)
    broad[5:17] = 10**6 / 12
    assert loudness(broad) > 1.5 * loudness(tone(1000, 60))


def test_what_is_masked_costs_no_loudness():
    low, both = tone(1000, 70), tone(1000, 70) + tone(1270, 40)
    assert loudness(both) == pytest.approx(loudness(low), rel=0.01)


def loudness_by_definition(levels_db):
    """The sum of the module's text over places 0.25 Bark apart, band by band, frequencies by root finding."""

    def rate(hz):
        return 13 * math.atan(0.76e-3 * hz) + 3.5 * math.atan((hz / 7500) ** 2)

    def hz_at(z):
        return brentq(lambda hz: rate(hz) - z, 20, 20_000) if rate(20) < z < rate(20_000) else 20_000 * (z > 1)

    total = 0.0
    for place in range(96):
        z = 0.125 + 0.25 * place
        excitations = []
        for band, level in enumerate(levels_db):
            level_there = level
            if z > band + 1:
                khz = hz_at(band + 0.5) / 1000
                level_there -= max(1.0, 24 + 0.23 / khz - 0.2 * level) * (z - band - 1)
            elif z < band:
                level_there -= 27 * (band - z)
            excitations.append(level_there)
        khz = hz_at(z) / 1000 or 0.02
        quiet = 3.64 * khz**-0.8 - 6.5 * math.exp(-0.6 * (khz - 3.3) ** 2) + 0.001 * khz**4
        e_tq, e = 10 ** (quiet / 10), 10 ** (max(excitations) / 10)
        total += 0.25 * max(0, 0.08 * e_tq**0.23 * ((0.5 + 0.5 * e / e_tq) ** 0.23 - 1))
    return total


@pytest.mark.parametrize(
    "levels_db",
    [
        [60.0] + 23 * [-120], 5 * [-120] + [118.0] + 18 * [-120], 14 * [-120] + [70.0] + 9 * [-120],
        23 * [-120] + [90.0], [*np.linspace(80, 10, 24)], [*np.random.default_rng(0).uniform(0, 90, 24)],
        2 * [-120] + [40.0] + 21 * [-120],
    ],
)  # fmt: skip
def test_loudness_is_the_sum_over_excited_places(levels_db):
    powers = 10 ** (np.array(levels_db) / 10)
    assert loudness(powers) == pytest.approx(loudness_by_definition(levels_db), rel=2e-3)
    assert loudness(np.stack([powers, powers]))[1] == loudness(powers)


def test_a_bin_counts_in_the_band_that_it_lies_in():
    """100 Hz is 0.99 Bark, 110 Hz 1.08; what is above 24 Bark counts in the last band."""
    powers = band_powers(np.array([[1.0, 2.0, 4.0, 8.0]]), np.array([0.0, 100.0, 110.0, 22_000.0]))
    assert powers.shape == (1, 24)
    assert powers[0, [0, 1, 23]].tolist() == [3, 4, 8]
    assert powers.sum() == 15


def test_the_loss_is_that_of_the_sound_at_65_db():
    """By definition, whatever the calibration of the recording."""
    levels = np.linspace(70, 40, 24)
    whole = 10 ** (levels / 10)
    low = whole * (np.arange(24) < 16)
    at_65 = levels + 65 - 10 * np.log10(whole.sum())
    expected = 1 - loudness_by_definition([*at_65[:16], *8 * [-120.0]]) / loudness_by_definition(at_65)
    assert 0.1 < expected < 0.5
    for scale in (1.0, 1e-8):
        assert anchor_loss(whole * scale, low * scale) == pytest.approx(expected, rel=5e-3)
    assert anchor_loss(whole, whole) == 0
    assert anchor_loss(low, whole) == 0  # more than all cannot be left
    assert anchor_loss(np.zeros(24), np.zeros(24)) == 1  # silence: nothing to anchor at


# Loudness lost, by MoSQITo 1.2.1's loudness_zwst (ISO 532-1) at 65 dB SPL, W through a Butterworth
# low-pass of 10th order, forwards and backwards
ISO_532_1 = {"eigenscape_beach1_4oa_0p3s": 0.058, "jsambisonics_rec1_3oa_sn3d_44k1": 0.034,
             "jsambisonics_rec3_3oa_sn3d_44k1": 0.051}  # fmt: skip


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
@pytest.mark.parametrize("name", ISO_532_1)
def test_the_loss_agrees_with_iso_532_1_on_recordings(name):
    samples, rate_hz = read(Path(REFERENCE) / f"audio/hoa/{name}.wav")
    pressure = samples[0, : 5 * rate_hz].astype(float)
    frames = np.lib.stride_tricks.sliding_window_view(pressure, 2048)[::1024] * np.hanning(2048)
    power = np.square(np.abs(np.fft.rfft(frames))).mean(axis=0)
    frequency_hz = np.fft.rfftfreq(2048, 1 / rate_hz)
    whole, low = (band_powers(power * kept, frequency_hz) for kept in (1, frequency_hz <= 3500))
    assert anchor_loss(whole, low) == pytest.approx(ISO_532_1[name], abs=0.015)
