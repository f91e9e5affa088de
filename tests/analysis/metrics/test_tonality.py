"""Partials and lines: tones in noise of known level."""

import numpy as np
import pytest

from analysis.metrics import tonality
from analysis.metrics.framing import LENGTH, array_reader, segments
from analysis.metrics.tonality import LINE_WINDOW, evaluate

RATE = 44100


def noise(seed, seconds=4.0, level=0.01):
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def tone(hz, amplitude, seconds=4.0):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def measured(x, y):
    return evaluate(x[None].astype(np.float32), y[None].astype(np.float32), RATE)


def ratio_db(amplitude, level, window=2048, bins=3):
    """Mean of three bins of a tone on a bin, 1 + 1/4 + 1/4 of (A N / 4)², and noise, over noise: σ² 3 N / 8."""
    density = level**2 * 3 * window / 8
    power = (amplitude * window / 4) ** 2 * {3: 0.5, 1: 1.0}[bins]
    return 10 * np.log10((power + density) / density)


@pytest.mark.parametrize("change_db", [-3.0, -8.0])
def test_a_tone_that_sinks_in_noise_loses_its_ratio(change_db):
    bin_hz = RATE / 2048
    x = sum(tone(k * bin_hz, 0.01) for k in (40, 75, 120, 200)) + noise(1)
    y = sum(tone(k * bin_hz, 0.01) for k in (40, 75, 120, 200)) + noise(2, level=0.01 * 10 ** (-change_db / 20))
    expected = ratio_db(0.01, 0.01 * 10 ** (-change_db / 20)) - ratio_db(0.01, 0.01)
    assert ratio_db(0.01, 0.01) > tonality.PARTIAL_DB
    # the largest of three neighbours is a little above the mean, more so in noise
    assert measured(x, y)["tone_noise_db"] == pytest.approx(expected, abs=1.0)


def test_ratios_beyond_30_db_count_as_30_and_noise_as_0():
    x = tone(2000, 0.1) + noise(3, level=1e-5)
    assert measured(x, tone(2000, 0.1) + noise(4, level=1e-4))["tone_noise_db"] == pytest.approx(0, abs=0.2)
    lost = measured(x, noise(5))["tone_noise_db"]
    assert -30 <= lost == pytest.approx(-28, abs=1.5)  # of three noisy ratios the largest, 0 at least


def test_gain_and_level_of_partials_do_not_count():
    x = tone(1000, 0.1) + tone(3000, 0.01) + noise(6, level=1e-4)
    assert measured(x, 0.1 * x)["tone_noise_db"] == pytest.approx(0, abs=1e-3)
    assert measured(x, x)["tone_noise_db"] == 0


def test_noise_and_clicks_have_no_partials():
    spectrum = np.zeros(3)
    for x in (noise(7), np.where(np.arange(4 * RATE) % 4000 == 0, 0.5, 0) + noise(8, level=1e-4)):
        for part in segments(array_reader(x[None].astype(np.float32)), len(x), RATE):
            described = tonality.describe(part)
            spectrum += (described.partial.sum(), described.partial.size, 0)
    assert spectrum[0] < 2e-5 * spectrum[1]
    assert measured(np.where(np.arange(4 * RATE) == RATE, 0.5, 0.0), noise(9))["tone_noise_db"] is None


def test_a_glide_of_a_semitone_in_half_a_second_is_still_a_partial():
    hz = 1000 * 2 ** (np.arange(4 * RATE) / RATE / 6)
    x = 0.1 * np.sin(2 * np.pi * np.cumsum(hz) / RATE) + noise(10, level=1e-4)
    assert measured(x, noise(11))["tone_noise_db"] < -20


@pytest.mark.parametrize(
    ("hop", "multiples"), [(64, range(1, 23)), (128, range(1, 46, 2)), (256, range(1, 92, 2))]
)
def test_lines_of_known_level_at_multiples_of_the_rate_over_a_hop(hop, multiples):
    x = noise(12, 8.0)
    lines = sum(tone(m * RATE / hop, 0.0008, 8.0) for m in multiples)
    found = measured(x, x + lines)
    density = 0.01**2 * 3 * LINE_WINDOW / 8
    expected = 10 * np.log10(1 + (0.0008 * LINE_WINDOW / 4) ** 2 / density)
    assert expected > 7
    assert found[f"line_{hop}_db"] == pytest.approx(expected, abs=0.5)
    others = [of for of in tonality.LINE_HOPS if of != hop]
    assert all(abs(found[f"line_{of}_db"]) < 0.6 for of in others)
    assert measured(x + lines, x + lines)[f"line_{hop}_db"] == 0


def test_lines_in_pauses_count_as_much_as_in_loud_parts():
    x = noise(13, 8.0) * np.where(np.arange(8 * RATE) < 4 * RATE, 1, 0.01)
    lines = sum(tone(m * RATE / 64, 0.0008, 8.0) for m in range(1, 23))
    quiet = lines * np.where(np.arange(8 * RATE) < 4 * RATE, 0, 0.01)
    # lines 7.3 dB above the noise in half of the frames
    assert measured(x, x + quiet)["line_64_db"] == pytest.approx(10 * np.log10(1 + (10**0.73 - 1) / 2), abs=0.6)


def test_silence_has_no_values():
    assert set(measured(noise(14), np.zeros(4 * RATE)).values()) == {None}
    assert measured(tone(1000, 0.1), np.zeros(4 * RATE)) == {
        "tone_noise_db": pytest.approx(-30, abs=0.1), "line_64_db": None, "line_128_db": None, "line_256_db": None,
    }  # fmt: skip


def test_frames_around_the_border_of_segments_are_those_of_the_signal():
    x = tone(1000, 0.1, (2 * LENGTH + 5000) / RATE) + noise(15, (2 * LENGTH + 5000) / RATE, 1e-4)
    parts = [tonality.describe(of) for of in segments(array_reader(x[None].astype(np.float32)), len(x), RATE)]
    assert sum(of.partial.shape[0] for of in parts) == 1 + len(x) // 512
    at = round(1000 * 2048 / RATE)
    assert all(of.partial[:, at - 1 : at + 2].any(axis=1)[3:-3].all() for of in parts)
