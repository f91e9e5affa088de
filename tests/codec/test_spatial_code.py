"""The spatial layer's bits: what comes back, at what size, whatever is put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import spatial_code
from codec.spatial_code import Parameters


def random_covariances(seed, channels=4, slots=4, smooth=True):
    """Matrices that change slowly over bands and slots, as those of scenes do."""
    random = np.random.default_rng(seed)
    factor = random.standard_normal((16, slots, channels, channels + 2))
    if smooth:
        factor = random.standard_normal((channels, channels + 2)) + 0.1 * factor
    factor = factor * 10 ** (random.uniform(-2, 0, (channels, 1)))
    return factor @ factor.swapaxes(-1, -2)


def test_levels_and_correlations_are_taken_apart_and_put_together():
    matrices = random_covariances(1)
    found = spatial_code.parameters(matrices)
    np.testing.assert_allclose(10 ** (found.levels_db[2, 5, 1] / 10), matrices[5, 1, 2, 2])
    root = np.sqrt(matrices[5, 1, 0, 0] * matrices[5, 1, 2, 2])
    np.testing.assert_allclose(found.correlations[1, 5, 1], matrices[5, 1, 0, 2] / root)
    np.testing.assert_allclose(spatial_code.covariances(found), matrices, rtol=1e-3, atol=1e-4 * matrices.max())


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 1000), st.booleans(), st.floats(-90, 40))
def test_whatever_is_put_in_fits_and_comes_back(channels, slots, seed, smooth, level_db):
    matrices = 10 ** (level_db / 10) * random_covariances(seed, channels, slots, smooth)
    size = spatial_code.layer_bytes(channels, slots)
    data = spatial_code.encode(spatial_code.parameters(matrices), size)
    assert len(data) == size
    back = spatial_code.decode(data, channels, 16, slots)
    if back is None:  # no room
        return
    restored = spatial_code.covariances(back)
    assert np.isfinite(restored).all()
    assert np.linalg.eigvalsh(restored).min() > -1e-9 * restored.max()
    np.testing.assert_allclose(restored, restored.swapaxes(-1, -2), atol=1e-12 * restored.max())


def test_the_error_is_bounded_by_the_step_and_falls_with_the_size():
    """An orthonormal transform keeps energies: the rms error is at most 0.6 steps."""
    found = spatial_code.parameters(random_covariances(2, 6))
    errors = []
    for size in (60, 120, 240, 480, 2000):
        back = spatial_code.decode(spatial_code.encode(found, size), 6, 16, 4)
        errors.append(np.sqrt(np.mean((back.correlations - found.correlations) ** 2)))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * spatial_code.step_of(0)
    assert errors[0] < 0.5


def test_sixteen_channels_of_a_smooth_field_fit_the_nominal_size():
    found = spatial_code.parameters(random_covariances(3, 16))
    back = spatial_code.decode(spatial_code.encode(found, spatial_code.layer_bytes(16, 4)), 16, 16, 4)
    assert np.sqrt(np.mean((back.correlations - found.correlations) ** 2)) < 0.15
    assert np.sqrt(np.mean((back.levels_db - found.levels_db) ** 2)) < 1.5


def test_silent_channels_are_said_to_be_silent():
    matrices = random_covariances(4)
    matrices[:, :, 2], matrices[:, :, :, 2] = 0, 0
    found = spatial_code.parameters(matrices)
    assert found.heard.tolist() == [True, True, False, True]
    back = spatial_code.decode(spatial_code.encode(found, 100), 4, 16, 4)
    restored = spatial_code.covariances(back)
    assert not restored[:, :, 2].any()
    assert restored[:, :, 3, 3].all()
    nothing = spatial_code.parameters(np.zeros((16, 4, 4, 4)))
    silence = spatial_code.decode(spatial_code.encode(nothing, 100), 4, 16, 4)
    assert not spatial_code.covariances(silence).any()


def test_without_room_nothing_is_said():
    found = spatial_code.parameters(random_covariances(5, 9, smooth=False))
    assert spatial_code.decode(spatial_code.encode(found, 4), 9, 16, 4) is None


@pytest.mark.parametrize("seed", range(30))
def test_any_bytes_are_decoded_to_finite_matrices(seed):
    """A layer whose CRC was forged: nothing overflows, nothing is asked for beyond its size."""
    random = np.random.default_rng(seed)
    data = random.bytes(60) if seed else bytes(60)
    back = spatial_code.decode(data, 5, 16, 4)
    if back is not None:
        assert isinstance(back, Parameters)
        assert np.isfinite(spatial_code.covariances(back)).all()


def test_coding_gain_of_the_contexts():
    """Smooth fields cost less than unstructured ones at the same step."""
    sizes = []
    for smooth in (True, False):
        levels, correlations = spatial_code._transformed(
            spatial_code.parameters(random_covariances(6, 8, 4, smooth))
        )
        step = spatial_code.step_of(10)
        quantised = spatial_code._quantised(levels, 5 * step), spatial_code._quantised(correlations, step)
        sizes.append(len(spatial_code._written(10, np.ones(8, bool), *quantised)))
    assert sizes[0] < 0.6 * sizes[1]
