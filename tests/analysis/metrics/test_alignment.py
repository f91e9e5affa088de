"""Lags are found whatever the gain, the polarity and the coding noise."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics.alignment import MAX_LAG, align, align_mixtures
from analysis.metrics.framing import array_reader
from analysis.metrics.selftest import scene

SCENE = scene(1.0).samples


def noise(seed):
    return np.random.default_rng(seed).standard_normal(SCENE.shape).astype(np.float32)


@settings(max_examples=15)
@given(st.integers(-MAX_LAG, MAX_LAG), st.floats(0.01, 10), st.booleans())
def test_delay_and_polarity_are_found(lag, gain, inverted):
    test = np.float32(-gain if inverted else gain) * np.roll(SCENE, lag, axis=1)
    found = align(array_reader(SCENE), array_reader(test), SCENE.shape[1], SCENE.shape[1])
    assert found.lag == lag
    assert (found.correlation < 0) == inverted
    assert found.is_match


def test_lag_of_a_longer_and_of_a_shorter_test():
    early = SCENE[:, 1234:]
    late = np.concatenate([np.zeros((16, 777), np.float32), SCENE, np.zeros((16, 5000), np.float32)], axis=1)
    for test, lag in ((early, -1234), (late, 777)):
        assert align(array_reader(SCENE), array_reader(test), SCENE.shape[1], test.shape[1]).lag == lag


def test_noise_does_not_move_an_aligned_pair():
    """Pink signals correlate with themselves a sample later nearly as well: the hysteresis keeps lag 0."""
    for seed in range(5):
        noisy = SCENE + 0.08 * noise(seed)
        assert align(array_reader(SCENE), array_reader(noisy), *[SCENE.shape[1]] * 2).lag == 0


def test_without_w_the_other_channels_are_compared():
    test = np.roll(SCENE * (np.arange(16) > 0)[:, None].astype(np.float32), 55, axis=1)
    found = align(array_reader(SCENE), array_reader(test), *[SCENE.shape[1]] * 2)
    assert (found.lag, found.channel) == (55, "orders 1-N")
    assert found.correlation > 0.9


def test_unrelated_and_silent_tests_do_not_match():
    for test in (noise(0), 0 * SCENE):
        found = align(array_reader(SCENE), array_reader(test), *[SCENE.shape[1]] * 2)
        assert not found.is_match
        assert found.lag == 0


def test_mixtures_find_the_lag_of_rearranged_channels():
    test = np.roll(SCENE[::-1], -321, axis=1)
    found = align_mixtures(array_reader(SCENE), array_reader(test), *[SCENE.shape[1]] * 2)
    assert found.lag == -321
