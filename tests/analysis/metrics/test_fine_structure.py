"""Fine structure against closed forms: correlated noise, gains, noise with the same levels, beats, tones."""

import numpy as np
import pytest
from scipy.special import hyp2f1

from analysis.metrics import fine_structure
from analysis.metrics.fine_structure import GROUPS, RANGES_HZ, evaluate
from analysis.metrics.framing import LENGTH, array_reader, hann, segments
from analysis.metrics.selftest import fine_structure_of_noise, plane_wave, scene

RATE = 44100
NAMES = [f"{kind}_{group}_{name}" for kind in ("fine", "env") for group in GROUPS for name in RANGES_HZ]


def noise(seed, seconds=4.0, channels=1):
    return 0.05 * np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))


def measured(x, y):
    return evaluate(x.astype(np.float32), y.astype(np.float32), RATE)


@pytest.mark.parametrize("snr_db", [20.0, 6.0, 0.0, -6.0])
def test_noise_at_a_ratio_is_what_the_dilogarithm_says(snr_db):
    x = noise(1, 8.0)
    found = measured(x, x + 10 ** (-snr_db / 20) * noise(2, 8.0))
    coherence = 1 / (1 + 10 ** (-snr_db / 10))
    for name in RANGES_HZ:
        assert found[f"fine_W_{name}"] == pytest.approx(fine_structure_of_noise(coherence), abs=0.015)
    # the envelope lies between that of a single bin, E|X|^a |Y|^a of Gaussian variables, and that of power
    a = fine_structure.LOUDNESS_EXPONENT
    bin_alone = (hyp2f1(-a, -a, 1, coherence) - 1) / (hyp2f1(-a, -a, 1, 1.0) - 1)
    for name in RANGES_HZ:
        assert bin_alone - 0.03 < found[f"env_W_{name}"] < coherence + 0.03


def test_unrelated_noise_has_0_and_a_copy_at_any_level_1():
    x = scene(2.2).samples
    assert list(measured(x, x)) == NAMES
    assert list(measured(x, 0.5 * x).values()) == pytest.approx([1.0] * 12, abs=1e-3)
    assert list(measured(x, -x).values()) == pytest.approx([1.0] * 12)
    found = measured(x, scene(2.2, seed=2).samples)
    assert max(abs(found[name]) for name in NAMES) < 0.12


def test_slow_levels_and_smooth_spectra_alone_have_no_fine_structure():
    """Noise with the same spectrum, 3 Hz modulation included, has what a codec of levels has: nothing."""
    course = 1.1 + np.cos(2 * np.pi * 3 * np.arange(4 * RATE) / RATE)
    tilt = np.array([1.0, -0.9])
    x, y = (course * np.apply_along_axis(np.convolve, 1, noise(seed), tilt, "same") for seed in (3, 4))
    found = measured(x, y)
    assert max(abs(found[name]) for name in NAMES) < 0.12


def test_harmonics_are_kept_by_a_shift_of_phase_and_lost_in_noise_with_their_envelope():
    time_s = np.arange(3 * RATE) / RATE
    phases = np.random.default_rng(5).uniform(0, 2 * np.pi, (2, 40))
    tones = [sum(np.cos(2 * np.pi * 220 * n * time_s + of[n]) for n in range(1, 40)) * 0.01 for of in phases]
    floor = noise(6, 3.0) * 0.01
    found = measured(tones[0][None] + floor, tones[1][None] + floor)
    assert found["fine_W_mid"] > 0.95  # the phases of partials that windows resolve do not count
    assert measured(tones[0][None] + floor, noise(7, 3.0) + floor)["fine_W_mid"] < 0.1


def test_a_beat_of_40_hz_is_in_the_envelope_and_not_in_the_spectrum():
    time_s = np.arange(3 * RATE) / RATE
    beats = [1 + 0.9 * np.cos(2 * np.pi * 40 * time_s + phase) for phase in (0, 0, np.pi)]
    x, same, opposite = (beat * noise(seed, 3.0) for beat, seed in zip(beats, (8, 9, 10), strict=True))
    assert measured(x, same)["env_W_high"] > 0.6
    assert measured(x, opposite)["env_W_high"] < -0.6
    assert abs(measured(x, same)["fine_W_high"]) < 0.05


def test_the_ears_and_loudspeakers_hear_another_source_from_another_side():
    """W is the same; at the ears the sources change places, which the fine structure of each side shows."""
    left, right = noise(11, 2.5)[0], noise(12, 2.5)[0]
    x = plane_wave(left, 90, 0) + plane_wave(right, -90, 0)
    found = measured(x, plane_wave(right, 90, 0) + plane_wave(left, -90, 0))
    assert found["fine_W_mid"] == pytest.approx(1, abs=1e-6)
    assert found["fine_ears_mid"] < 0.6
    assert found["fine_ls_mid"] < 0.4


def test_segments_and_their_borders_change_nothing():
    x = noise(13, (2 * LENGTH + 3000) / RATE)
    parts = list(segments(array_reader(x.astype(np.float32)), x.shape[1], RATE))
    described = [fine_structure.describe(part) for part in parts]
    joined = np.concatenate([of.envelope[0] for of in described], axis=1)
    assert joined.shape[1] == 1 + x.shape[1] // fine_structure.ENVELOPE_HOP
    # one window that lies on the border, by the definition
    bands, _ = fine_structure.bands(RATE, 512)
    loudness = np.array([
        [np.square(np.abs(np.fft.rfft(x[0, c - 256 : c + 256] * hann(512)))[band]).sum() ** 0.3 for band in bands]
        for c in range(LENGTH - 7 * 256, LENGTH + 8 * 256, 256)
    ])  # fmt: skip
    weights = hann(16)[1:] / hann(16).sum()
    assert joined[0, LENGTH // 256] == pytest.approx(loudness[7] - weights @ loudness, rel=1e-3, abs=1e-4)


def test_a_silent_test_has_0_and_low_rates_have_no_high_range():
    x = noise(14, 1.0)
    assert set(measured(x, 0 * x).values()) == {0.0}
    found = evaluate(x.astype(np.float32), x.astype(np.float32), 8000)
    assert found["fine_W_high"] is None
    assert found["fine_W_mid"] == pytest.approx(1)
