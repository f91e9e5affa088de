"""The spatial layer's bits: what comes back, at what size, whatever is put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import spatial_code
from codec.spatial_code import Parameters


def random_parameters(seed, channels=4, level_slots=16, slots=4, smooth=True):
    """Levels and correlations that change slowly over bands and slots, as those of scenes do."""
    random = np.random.default_rng(seed)
    rough = 0.1 if smooth else 1.0
    pairs = channels * (channels - 1) // 2
    levels_db = random.uniform(-60, 0, (channels, 1, 1)) + rough * random.uniform(
        -20, 20, (channels, 24, level_slots)
    )
    correlations = random.uniform(-1, 1, (pairs, 1, 1)) + rough * random.uniform(-1, 1, (pairs, 12, slots))
    return Parameters(np.ones(channels, bool), levels_db, correlations.clip(-1, 1))


def coded(found, size):
    grids = found.levels_db.shape[1:], found.correlations.shape[1:]
    return spatial_code.decode(spatial_code.encode(found, size), len(found.heard), *grids)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 1000), st.booleans(), st.floats(-90, 40))
def test_whatever_is_put_in_fits_and_comes_back(channels, slots, seed, smooth, level_db):
    found = random_parameters(seed, channels, 4 * slots, slots, smooth)
    found = found._replace(levels_db=found.levels_db + level_db)
    size = spatial_code.layer_bytes(channels, slots)
    assert len(spatial_code.encode(found, size)) == size
    back = coded(found, size)
    if back is None:  # no room
        return
    assert back.heard.all()
    assert back.levels_db.shape == found.levels_db.shape
    assert np.isfinite(back.levels_db).all()
    assert np.abs(back.correlations).max(initial=0) <= 1


def test_the_error_is_bounded_by_the_step_and_falls_with_the_size():
    """An orthonormal transform keeps energies: the rms error is at most 0.6 steps."""
    found = random_parameters(2, 6)
    errors = []
    for size in (100, 200, 400, 800, 4000):
        back = coded(found, size)
        errors.append(
            (
                np.sqrt(np.mean((back.correlations - found.correlations) ** 2)),
                np.sqrt(np.mean((back.levels_db - found.levels_db) ** 2)),
            )
        )
    assert errors == sorted(errors, reverse=True)
    assert errors[-1][0] < 0.6 * spatial_code.step_of(0)
    assert errors[-1][1] < 0.6 * 12 * spatial_code.step_of(0)
    assert errors[0][0] < 0.5


def test_sixteen_channels_of_a_smooth_field_fit_the_nominal_size():
    found = random_parameters(3, 16)
    back = coded(found, spatial_code.layer_bytes(16, 4))
    assert np.sqrt(np.mean((back.correlations - found.correlations) ** 2)) < 0.15
    assert np.sqrt(np.mean((back.levels_db - found.levels_db) ** 2)) < 2


def test_silent_channels_are_said_to_be_silent():
    heard = np.array([True, True, False, True])
    found = random_parameters(4, 3)._replace(heard=heard)
    back = coded(found, 200)
    assert back.heard.tolist() == heard.tolist()
    assert back.levels_db.shape[0] == 3
    nothing = Parameters(np.zeros(4, bool), np.zeros((0, 24, 16)), np.zeros((0, 12, 4)))
    assert not coded(nothing, 100).heard.any()


def test_without_room_nothing_is_said():
    assert coded(random_parameters(5, 9, smooth=False), 4) is None


@pytest.mark.parametrize("seed", range(30))
def test_any_bytes_are_decoded_to_finite_numbers(seed):
    """A layer whose CRC was forged: nothing overflows, nothing is asked for beyond its size."""
    data = np.random.default_rng(seed).bytes(60) if seed else bytes(60)
    back = spatial_code.decode(data, 5, (24, 31), (12, 7))
    if back is not None:
        assert np.abs(back.levels_db).max(initial=0) <= 180
        assert np.abs(back.correlations).max(initial=0) <= 1


def test_smooth_fields_cost_less_at_the_same_step():
    sizes = []
    for smooth in (True, False):
        found = random_parameters(6, 8, smooth=smooth)
        levels, correlations = spatial_code._transformed(found)
        step = spatial_code.step_of(10)
        quantised = spatial_code._quantised(levels, 12 * step), spatial_code._quantised(correlations, step)
        sizes.append(len(spatial_code._written(10, found.heard, *quantised)))
    assert sizes[0] < 0.6 * sizes[1]
