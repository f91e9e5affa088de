"""Ranges of real recordings: these lie within them, idealised and wrong scenes do not."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from render.hoa.spherical_harmonics import sn3d_to_n3d, spherical_harmonics
from stimuli.field_statistics.acceptance_ranges import deviations, file_deviations
from stimuli.field_statistics.statistics import measure

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")
RATE = 48_000


def plane_waves(seconds=3.0, count=60):
    """Red noise from everywhere by an ideal encoder: no order filters, no aliasing, no capsule noise."""
    random = np.random.default_rng(0)
    azimuth, elevation = random.uniform(-np.pi, np.pi, count), np.arcsin(random.uniform(-1, 1, count))
    noise = lfilter([0.01], [1, -0.97], random.standard_normal((count, round(seconds * RATE))))
    return (spherical_harmonics(3, azimuth, elevation).T @ noise).astype(np.float32)


def test_an_ideal_encoding_is_not_what_a_microphone_records():
    found = deviations(measure([plane_waves()], RATE))
    assert any("100 to 200 Hz: order 3 re W" in sentence for sentence in found)
    assert any("200 to 400 Hz: order 2 re W" in sentence or "order 3 re W" in sentence for sentence in found)
    assert any("effective rank" in sentence for sentence in found)


def test_another_normalisation_shows_in_every_open_band():
    n3d = plane_waves() * sn3d_to_n3d(3).astype(np.float32)[:, None]
    found = deviations(measure([n3d], RATE))
    assert sum("order 1 re W" in sentence for sentence in found) >= 5


def test_a_flat_spectrum_is_reported_unless_the_class_is_bright():
    white = plane_waves()
    white[:] = 0.01 * np.random.default_rng(1).standard_normal(white.shape)
    measured = measure([white], RATE)
    assert any("slope" in sentence for sentence in deviations(measured))
    assert not any("slope" in sentence for sentence in deviations(measured, bright=True))


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
def test_real_recordings_pass():
    paths = sorted((Path(REFERENCE) / "audio/hoa").glob("*.wav"))
    assert paths
    assert [file_deviations(path) for path in paths] == [[]] * len(paths)
