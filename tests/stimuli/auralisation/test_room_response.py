"""Reverberation times and damping of room responses, against closed forms."""

import numpy as np
import pytest

from render.common.errors import InputError
from stimuli.auralisation.room_response import damped, reverberation_time_s

RATE = 44100
RANDOM = np.random.default_rng(5)


def room(reverberation_s, channels=4, length=RATE):
    """Noise that decays by 60 dB in that time."""
    decay = 10 ** (-3 * np.arange(length) / RATE / reverberation_s)
    return RANDOM.standard_normal((channels, length)) * decay


@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.9])
def test_the_reverberation_time_of_decaying_noise(seconds):
    found = reverberation_time_s(room(seconds)[0], RATE)
    assert found == pytest.approx(seconds, rel=0.05)


def test_a_damped_response_has_the_time_that_is_required_and_keeps_its_first_sound():
    taps = room(0.8)
    taps[:, 0] = 9
    shortened = damped(taps, RATE, 0.4)
    assert reverberation_time_s(shortened[0, 1:], RATE) == pytest.approx(0.4, rel=0.05)
    np.testing.assert_array_equal(shortened[:, 0], taps[:, 0])
    assert damped(taps, RATE, 1.5) is taps


def test_a_response_that_does_not_decay_is_refused():
    with pytest.raises(InputError, match="does not decay by 25 dB"):
        reverberation_time_s(np.ones(50), RATE)
