import numpy as np
import pytest

from render.convention import likely, misfits
from render.sphere import spherical_harmonics, to_sn3d


def field(order, sources, seed, diffuse=0.0):
    """Covariance of uncorrelated waves from random directions, and of a diffuse field, in SN3D."""
    random = np.random.default_rng(seed)
    waves = spherical_harmonics(
        order, random.uniform(-np.pi, np.pi, sources), np.arcsin(random.uniform(-1, 1, sources))
    )
    degree = np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)
    return (waves.T * random.uniform(0.1, 1, sources)) @ waves + diffuse * np.diag(1 / (2.0 * degree + 1))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(("convention", "name"), [("sn3d", "ACN/SN3D"), ("n3d", "ACN/N3D"), ("fuma", "FuMa")])
@pytest.mark.parametrize("sources", [1, 3, 60])
def test_each_convention_is_recognised_and_fits_exactly(order, convention, name, sources):
    back = np.linalg.inv(to_sn3d(order, convention))
    found = misfits(back @ field(order, sources, sources, diffuse=0.3) @ back.T)
    assert found[name] < 1e-6
    assert likely(found) == name


@pytest.mark.parametrize(("convention", "name"), [("sn3d", "ACN/SN3D"), ("n3d", "ACN/N3D"), ("fuma", "FuMa")])
def test_first_order_tells_the_normalisation_by_the_pressure(convention, name):
    back = np.linalg.inv(to_sn3d(1, convention))
    assert likely(misfits(back @ field(1, 20, 0) @ back.T)) == name


def test_exchanged_channels_and_wrong_signs_fit_nothing():
    covariance = field(3, 5, 1)
    swapped = np.arange(16)
    swapped[[1, 3]] = [3, 1]
    signs = np.where(np.arange(16) == 2, -1.0, 1.0)
    for wrong in (covariance[np.ix_(swapped, swapped)], covariance * np.outer(signs, signs)):
        assert min(misfits(wrong).values()) > 0.05


def test_noise_that_is_no_field_is_unclear():
    """White noise of equal power in every channel looks diffuse in N3D; with random powers it is nothing."""
    random = np.random.default_rng(3)
    assert likely(misfits(np.diag(random.uniform(0.1, 10, 16)))) is None


def test_silence_fits_everything():
    assert likely(misfits(np.zeros((16, 16)))) is None
