"""The lag of a rendition is measured and removed."""

import numpy as np
import pytest

from listening.conditions.alignment import aligned, measured_lag
from render.hoa.scene import Scene

RATE = 44100


@pytest.fixture(scope="module")
def scene():
    random = np.random.default_rng(5)
    # Red noise in W, less in the higher orders, as in a recording
    noise = np.cumsum(random.standard_normal((16, RATE // 2)), axis=1)
    noise -= np.apply_along_axis(np.convolve, 1, noise, np.ones(201) / 201, "same")
    noise *= np.where(np.arange(16) == 0, 1.0, 0.3)[:, None] * 0.1 / noise.std()
    return Scene(noise.astype(np.float32), RATE)


@pytest.mark.parametrize("reach", [8, 500])
def test_long_and_short_reach_find_the_same_lag(scene, reach):
    late = Scene(np.roll(scene.samples, 5, axis=1), RATE)
    made, lag = aligned(scene, late, reach)
    assert lag == 5
    assert np.array_equal(made.samples, scene.samples)


@pytest.mark.parametrize("lag", [-8, -3, 0, 1, 8])
def test_a_known_lag_is_measured(scene, lag):
    shifted = Scene(np.roll(scene.samples, lag, axis=1), RATE)
    assert measured_lag(scene, shifted, 8) == lag


def test_the_lag_of_a_poor_rendition_is_measured(scene):
    """Opus at 10 kbit/s per channel leaves a correlation of 0.4 on noise; here it is 0.3."""
    noise = np.random.default_rng(1).standard_normal(scene.samples.shape) * 3 * scene.samples.std()
    poor = Scene((np.roll(scene.samples, -2, axis=1) + noise).astype(np.float32), RATE)
    assert measured_lag(scene, poor, 8) == -2


def test_scenes_that_do_not_resemble_each_other_have_no_lag(scene):
    other = Scene(np.random.default_rng(0).standard_normal(scene.samples.shape).astype(np.float32), RATE)
    assert measured_lag(scene, other, 8) == 0
    assert measured_lag(scene, Scene(np.zeros_like(scene.samples), RATE), 8) == 0
