import os
from pathlib import Path

import numpy as np
import pytest

from render.fileio.levels import levels
from render.hoa.channel_order import likely, misfits
from render.hoa.spherical_harmonics import spherical_harmonics, to_sn3d

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")


def field(order, sources, seed):
    """Covariance of uncorrelated waves from random directions, SN3D."""
    random = np.random.default_rng(seed)
    azimuth, elevation = random.uniform(-np.pi, np.pi, sources), np.arcsin(random.uniform(-1, 1, sources))
    waves = spherical_harmonics(order, azimuth, elevation)
    return (waves.T * random.uniform(0.1, 1, sources)) @ waves


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(("convention", "name"), [("sn3d", "ACN"), ("n3d", "ACN"), ("fuma", "FuMa")])
@pytest.mark.parametrize("sources", [1, 3, 60])
def test_each_sequence_is_recognised_and_fits_exactly(order, convention, name, sources):
    back = np.linalg.inv(to_sn3d(order, convention))
    found = misfits(back @ field(order, sources, sources) @ back.T)
    assert found[name] < 1e-6
    assert likely(found) == name


def test_the_gain_of_an_order_changes_nothing():
    gains = np.array([1.0] + [0.7] * 3 + [0.1] * 5)
    assert misfits(field(2, 7, 1) * np.outer(gains, gains))["ACN"] < 1e-6


def test_exchanged_channels_and_wrong_signs_fit_nothing():
    covariance = field(3, 5, 1)
    swapped = np.arange(16)
    swapped[[1, 3]] = [3, 1]
    signs = np.where(np.arange(16) == 2, -1.0, 1.0)
    for wrong in (covariance[np.ix_(swapped, swapped)], covariance * np.outer(signs, signs)):
        assert min(misfits(wrong).values()) > 0.1
        assert likely(misfits(wrong)) == "unclear"


def test_silence_says_nothing():
    assert likely(misfits(np.zeros((16, 16)))) == "unclear"


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
@pytest.mark.parametrize("name", ["eigenscape_beach1_4oa_0p3s", "jsambisonics_rec1_3oa_sn3d_44k1"])
def test_real_recordings_are_acn(name):
    covariance = levels(Path(REFERENCE) / f"audio/hoa/{name}.wav").covariance
    assert likely(misfits(covariance)) == "ACN"
    back = np.linalg.inv(to_sn3d(2, "fuma"))
    assert likely(misfits(back @ covariance[:9, :9] @ back.T)) == "FuMa"
