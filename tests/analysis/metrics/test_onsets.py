"""Pre-echo of clicks and bursts whose early parts are known."""

import numpy as np
import pytest

from analysis.metrics import onsets
from analysis.metrics.framing import LENGTH
from analysis.metrics.onsets import FLOOR_DB, STEP, evaluate

RATE = 48000  # a step is 1 ms
NAMES = ["pre_2_db", "pre_10_db", "pre_25_db", "pre_50_db"]


def bursts(times_s, length_s, seed=0):
    """Noise bursts of 30 ms with a sharp start in very low noise."""
    rng = np.random.default_rng(seed)
    signal = 1e-5 * rng.standard_normal(round(length_s * RATE))
    for time_s in times_s:
        begin = round(time_s * RATE)
        part = signal[begin : begin + 1440]
        part += 0.3 * np.sign(rng.standard_normal(len(part)))
    return signal


def measured(x, y, rate=RATE):
    return evaluate(x[None].astype(np.float32), y[None].astype(np.float32), rate)


def with_early_part(x, time_s, first_ms, last_ms, level_db):
    """Add a copy of the attack's signs so many milliseconds before it."""
    y = x.copy()
    begin, end = (round(time_s * RATE - ms * RATE / 1000) for ms in (first_ms, last_ms))
    signs = np.sign(np.random.default_rng(1).standard_normal(end - begin))
    y[begin:end] += 0.3 * 10 ** (level_db / 20) * signs
    return y


@pytest.mark.parametrize(("first_ms", "last_ms", "name"), [(2, 0, 0), (10, 2, 1), (25, 10, 2), (50, 25, 3)])
@pytest.mark.parametrize("level_db", [-10.0, -35.0])
def test_an_early_part_of_known_level_in_each_interval(first_ms, last_ms, name, level_db):
    x = bursts([0.3], 0.8)
    found = measured(x, with_early_part(x, 0.3, first_ms, last_ms, level_db))
    # the attack is the loudest of 50 steps of random signs, whose power after differencing is 2 ± 13 %
    assert found[NAMES[name]] == pytest.approx(level_db - 1.2, abs=1.0)
    for other in NAMES[:name] + NAMES[name + 1 :]:
        assert found[other] < level_db - 20


def test_the_mean_is_over_the_onsets_and_a_perfect_copy_has_the_floor():
    x = bursts([0.3, 0.7, 1.1, 1.5], 2.0)
    assert list(measured(x, x).values()) == [*[FLOOR_DB] * 4, 0.0]
    one = measured(x, with_early_part(x, 0.7, 25, 10, -10.0))["pre_25_db"]
    alone = measured(bursts([0.3], 0.8), with_early_part(bursts([0.3], 0.8), 0.3, 25, 10, -10.0))["pre_25_db"]
    assert one == pytest.approx(alone - 10 * np.log10(4), abs=1.2)


def test_a_lost_attack_counts_40_db_and_a_gain_its_decibels():
    times_s = [0.3, 0.7, 1.1, 1.5]
    x = bursts(times_s, 2.0)
    lost = x.copy()
    lost[round(0.69 * RATE) : round(0.75 * RATE)] *= 1e-4
    assert measured(x, lost)["attack_db"] == pytest.approx(40 / 4, abs=0.1)
    for gain_db in (-6.0, 3.0):
        assert measured(x, x * 10 ** (gain_db / 20))["attack_db"] == pytest.approx(abs(gain_db), abs=1e-3)
    assert measured(x, 0 * x)["attack_db"] == 40


def test_where_the_test_is_the_weaker_is_no_echo():
    x = with_early_part(bursts([0.3], 0.8), 0.3, 25, 10, -30.0)
    assert measured(x, bursts([0.3], 0.8))["pre_25_db"] == FLOOR_DB


@pytest.mark.parametrize("delay_samples", [0, LENGTH - 24_000 - 7, LENGTH - 24_000 + 11])
def test_onsets_are_found_to_the_step_also_at_the_border_of_segments(delay_samples):
    times_s = np.array([0.5, 0.9]) + delay_samples / RATE
    x = bursts(times_s, 2.5 + delay_samples / RATE)
    power = np.square(np.diff(x, prepend=0))[: len(x) // STEP * STEP].reshape(-1, STEP).mean(axis=1)
    first, attack = onsets.onsets(power, RATE)
    assert first.tolist() == (times_s * RATE // STEP).astype(int).tolist()
    assert attack == pytest.approx([2 * 0.09] * 2, rel=0.5)
    assert measured(x, with_early_part(x, times_s[0], 25, 10, -10.0))["pre_25_db"] == pytest.approx(-14, abs=1)


def test_steady_noise_and_a_slow_swell_have_no_onset():
    noise = 0.1 * np.random.default_rng(2).standard_normal(2 * RATE)
    assert set(measured(noise, 0.5 * noise).values()) == {None}
    swell = noise * np.linspace(0.001, 1, len(noise))
    assert set(measured(swell, noise).values()) == {None}


def test_attacks_far_under_the_loudest_are_left_out():
    x = bursts([0.3], 1.6) + 0.003 * bursts([1.1], 1.6, seed=3)
    y = with_early_part(x, 1.1, 25, 10, -50.0)  # at the level of the weak attack
    assert measured(x, y)["pre_25_db"] == FLOOR_DB


def test_too_short_and_silent_scenes_have_none():
    assert set(measured(np.zeros(RATE), np.ones(RATE)).values()) == {None}
    assert set(measured(bursts([0.02], 0.06), bursts([0.02], 0.06)).values()) == {None}
