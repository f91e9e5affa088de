"""Powers of weak components: the four laws by hand, the choice among them, and their code."""

import numpy as np
import pytest

from codec.side_info.binary_coding import finished, reader, writer
from codec.side_info.weak_components import code_laws, limited_power, nearest_laws


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (0, [100, 20, 5, 3, 1, 0]),
        (1, [1e4 / 103, 400 / 23, 25 / 8, 1.5, 1 / 4, 0]),
        (2, [100, 20, 5, 3, 0, 0]),
        (3, [100, 20, 0, 0, 0, 0]),
    ],
)
def test_the_laws_by_hand(law, expected):
    power = np.array([100.0, 20, 5, 3, 1, 0])[None, None]
    np.testing.assert_allclose(limited_power(power, np.array([[law]]))[0, 0], expected, rtol=1e-12)


def test_silence_stays_silent_under_every_law():
    for law in range(4):
        assert not limited_power(np.zeros((1, 1, 4)), np.full((1, 1), law)).any()


def test_each_slot_and_band_gets_the_law_that_is_nearest_to_what_was_measured():
    power = np.tile([1.0, 0.2, 0.05, 0.02, 0.01], (2, 2, 1))
    laws = np.array([[0, 1], [2, 3]])
    measured = limited_power(power, laws) * np.random.default_rng(0).uniform(0.98, 1.02, power.shape)
    assert np.array_equal(nearest_laws(power, measured), laws)


def test_laws_come_back_and_cost_little_where_all_are_alike():
    for laws, most in ((np.random.default_rng(1).integers(0, 4, (4, 12)), 17), (np.zeros((4, 12), np.int64), 4)):
        state, data = writer(100)
        code_laws(laws.copy(), state, data)
        written = finished(state, data)
        assert len(written) <= most
        found = np.zeros_like(laws)
        code_laws(found, *reader(written))
        assert np.array_equal(found, laws)
