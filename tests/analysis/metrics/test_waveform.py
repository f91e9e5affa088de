"""The signal-to-noise ratio below 500 Hz against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics import waveform
from analysis.metrics.framing import LENGTH, array_reader, segments

RATE = 44100
FRAMES = LENGTH + 5000  # two segments
RANDOM = np.random.default_rng(2)
NOISE = (0.1 * RANDOM.standard_normal((4, FRAMES))).astype(np.float32)
OTHER = (0.1 * RANDOM.standard_normal((4, FRAMES))).astype(np.float32)


def snr_lf_db(reference, test):
    spectra = [
        [waveform.describe(s) for s in segments(array_reader(x.astype(np.float32)), x.shape[1], RATE)]
        for x in (reference, test)
    ]
    sums = sum(waveform.compare(a, b) for a, b in zip(*spectra, strict=True))
    return waveform.conclude(sums)["snr_lf_db"]


def tone(frequency_hz, delay_s=0.0):
    return 0.1 * np.sin(2 * np.pi * frequency_hz * (np.arange(FRAMES) / RATE - delay_s))[None]


@given(st.floats(-40, 40))
def test_a_gain_leaves_its_difference(gain_db):
    gain = 10 ** (gain_db / 20)
    if abs(gain - 1) > 1e-3:
        assert snr_lf_db(NOISE, gain * NOISE) == pytest.approx(-20 * np.log10(abs(gain - 1)), abs=0.01)


@pytest.mark.parametrize(("frequency_hz", "delay_ms"), [(100, 1.0), (300, 0.1), (430, 0.7)])
def test_a_delayed_tone(frequency_hz, delay_ms):
    """|1 - exp(-jωτ)| = 2 sin(ωτ/2)."""
    expected = -20 * np.log10(2 * np.sin(np.pi * frequency_hz * delay_ms / 1000))
    assert snr_lf_db(tone(frequency_hz), tone(frequency_hz, delay_ms / 1000)) == pytest.approx(expected, abs=0.05)


def test_noise_of_known_level_and_the_oracle_without_a_waveform():
    assert snr_lf_db(NOISE, NOISE + 0.1 * OTHER) == pytest.approx(20, abs=0.3)
    assert snr_lf_db(NOISE, OTHER) == pytest.approx(-10 * np.log10(2), abs=0.3)


def test_what_happens_above_500_hz_is_not_heard():
    low = tone(200)
    swelling = np.hanning(FRAMES) * tone(900)  # nothing that the reflection at the ends could break
    assert snr_lf_db(low, low + swelling) > 80
    assert snr_lf_db(low, low + tone(400)) == pytest.approx(0, abs=0.01)


def test_limits():
    assert snr_lf_db(NOISE, NOISE) == 100
    assert snr_lf_db(NOISE, 1e6 * NOISE) == -100
    assert snr_lf_db(np.full((4, FRAMES), 0.5), NOISE) is None  # a constant is silence
