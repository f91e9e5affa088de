"""Events have the times, frequencies and directions that their truth says."""

import numpy as np
import pytest

from analysis.metrics.onsets import STEP, onsets
from stimuli.event_scenes.events import EVENTS, RATE_HZ

LENGTH = 4 * RATE_HZ


def event(name, seed=3):
    return EVENTS[name](np.random.default_rng(seed), LENGTH)


def intensity_deg(direct, part=slice(None)):
    """Azimuth and elevation of the active intensity."""
    w, y, z, x = direct[:4, part]
    vector = np.array([w @ x, w @ y, w @ z])
    return np.degrees(np.arctan2(vector[1], vector[0])), np.degrees(np.arcsin(vector[2] / np.linalg.norm(vector)))


def level_at(signal, hz, part):
    """Amplitude of a tone, by a projection under a window."""
    window = np.hanning(len(signal[part]))
    carrier = np.exp(-2j * np.pi * hz * np.arange(len(window)) / RATE_HZ)
    return 2 * np.abs((signal[part] * window) @ carrier) / window.sum()


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_finite_audible_and_the_same_again(name):
    made, again, other = event(name), event(name), event(name, seed=4)
    assert made.direct.shape == (16, LENGTH)
    assert np.isfinite(made.direct).all()
    assert made.direct[0].std() > 1e-3
    np.testing.assert_array_equal(made.direct, again.direct)
    assert (made.direct != other.direct).any()
    np.testing.assert_allclose(made.direct[0], made.send, atol=1e-9)  # W is the sum of the waves
    assert abs(made.send.mean()) < 0.01 * made.send.std()


@pytest.mark.parametrize("name", ["talker", "bark", "ticks", "glide"])
def test_a_single_source_lies_in_its_direction(name):
    made = event(name)
    found = intensity_deg(made.direct)
    assert found == pytest.approx((made.truth["azimuth_deg"][0], made.truth["elevation_deg"][0]), abs=1e-3)


@pytest.mark.parametrize(("name", "tolerance_s"), [("bark", 0.003), ("ticks", 0.0012)])
def test_attacks_come_when_the_truth_says(name, tolerance_s):
    made = event(name)
    power = np.square(made.send[: LENGTH // STEP * STEP]).reshape(-1, STEP).mean(axis=1)
    first, _ = onsets(power, RATE_HZ)
    assert first * STEP / RATE_HZ == pytest.approx(made.truth["onsets_s"], abs=tolerance_s)
    assert len(first) >= 2
    silent = slice(0, round((made.truth["onsets_s"][0] - 0.001) * RATE_HZ))
    assert not made.direct[:, silent].any()


def test_tones_have_their_frequencies_levels_and_directions():
    made, inner = event("tones"), slice(RATE_HZ, 3 * RATE_HZ)
    truth = made.truth
    window, number_of = np.hanning(2 * RATE_HZ), np.arange(2 * RATE_HZ)
    for number, hz in enumerate(truth["frequencies_hz"]):
        of_channels = (made.direct[:4, inner] * window) @ np.exp(-2j * np.pi * hz * number_of / RATE_HZ)
        amplitude = 2 * np.abs(of_channels[0]) / window.sum()
        assert 20 * np.log10(amplitude) == pytest.approx(truth["levels_db"][number], abs=0.05)
        vector = (of_channels[0].conj() * of_channels[[3, 1, 2]]).real
        azimuth, elevation = (
            np.degrees(np.arctan2(vector[1], vector[0])),
            np.degrees(np.arcsin(vector[2] / np.linalg.norm(vector))),
        )
        expected = (truth["azimuth_deg"][number], truth["elevation_deg"][number])
        assert (azimuth, elevation) == pytest.approx(expected, abs=0.5)


def test_chords_have_the_harmonics_of_their_notes():
    made = event("chords")
    inner = slice(round(0.2 * RATE_HZ), round(1.8 * RATE_HZ))
    assert len(made.truth["notes_hz"]) == 2
    for hz in made.truth["notes_hz"][0]:
        for harmonic in (1, 4, 10):
            on, off = (level_at(made.send, harmonic * hz * ratio, inner) for ratio in (1, 1.027))
            # another voice may have a harmonic nearby, never at both places
            assert on > 0.5 * 0.2 / harmonic
            assert on > 4 * off


def test_a_glide_has_the_pitch_of_its_exponential_course():
    made = event("glide")
    low, high = made.truth["pitch_from_hz"], made.truth["pitch_to_hz"]
    assert high == pytest.approx(4 * low, abs=0.02)
    for share in (0.25, 0.5, 0.75):
        at = round(share * LENGTH)
        part = made.send[at - 4096 : at + 4096] * np.hanning(8192)
        spectrum = np.abs(np.fft.rfft(part, 65536))
        hz = np.arange(len(spectrum)) * RATE_HZ / 65536
        near = (hz > 0.7 * low * 4**share) & (hz < 1.4 * low * 4**share)
        assert hz[near][np.argmax(spectrum[near])] == pytest.approx(low * 4**share, rel=0.01)


def test_a_moving_source_circles_evenly():
    made = event("moving")
    first, last = made.truth["azimuth_from_deg"], made.truth["azimuth_to_deg"]
    for share in (0.1, 0.5, 0.9):
        at = round(share * LENGTH)
        azimuth, elevation = intensity_deg(made.direct, slice(at - 500, at + 500))
        error = (azimuth - (first + share * (last - first)) + 180) % 360 - 180
        assert abs(error) < 0.5
        assert elevation == pytest.approx(made.truth["elevation_deg"][0], abs=0.5)


def test_applause_is_dense_and_in_front():
    made = event("applause")
    assert len(made.truth["claps_s"]) == pytest.approx(40 * 3 * 4, rel=0.1)
    steps = np.square(made.send[: LENGTH // 441 * 441]).reshape(-1, 441).mean(axis=1)  # 10 ms
    assert np.median(steps[50:-50]) > 0.02 * steps.mean()
    blocks = [intensity_deg(made.direct, slice(at, at + 2205))[0] for at in range(RATE_HZ, 3 * RATE_HZ, 2205)]
    assert np.percentile(np.abs(blocks), 95) < 100
