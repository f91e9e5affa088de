"""Ear filters and their errors."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from render.common.errors import InputError
from render.dsp.convolution import convolved
from render.headphones.hrir import Head, read_sofa, rigid_sphere
from render.headphones.magls import ear_filters, errors
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics

KEMAR = Path("/usr/share/libmysofa/MIT_KEMAR_normal_pinna.sofa")  # Debian package libmysofa1
needs_kemar = pytest.mark.skipif(not KEMAR.exists(), reason="the Debian package libmysofa1 is not installed")


def plane_wave(azimuth_deg, elevation_deg=0.0, order=3, length=4096):
    """A scene of an impulse of half full scale in the middle."""
    samples = np.zeros(((order + 1) ** 2, length), np.float32)
    samples[:, length // 2] = 0.5 * spherical_harmonics(order, *np.radians([[azimuth_deg], [elevation_deg]]))[0]
    return Scene(samples, 48000)


@needs_kemar
def test_errors_are_those_of_the_rendered_impulses():
    """The printed figure against a render of impulses through the public function, some directions."""
    head = read_sofa(KEMAR)
    filters = ear_filters(head, 2)
    some = slice(None, None, 97)
    few = Head(head.azimuth_rad[some], head.elevation_rad[some], head.impulses[some], 44100)
    hz = np.fft.rfftfreq(4096, 1 / 44100)
    edges = (
        10 ** (np.linspace(*(21.4 * np.log10(1 + 0.00437 * np.array([50.0, 20000.0]))), 37) / 21.4) - 1
    ) / 0.00437
    differences = []
    for azimuth, elevation, impulses in zip(few.azimuth_rad, few.elevation_rad, few.impulses, strict=True):
        scene = plane_wave(np.degrees(azimuth), np.degrees(elevation), 2)
        (ears,) = [np.concatenate(list(convolved([scene.samples], filters)), axis=1)]
        found, wanted = np.abs(np.fft.rfft(ears, 4096)) ** 2, np.abs(np.fft.rfft(0.5 * impulses, 4096)) ** 2
        for low, high in pairwise(edges):
            band = (hz >= low) & (hz < high)
            if band.any():
                differences.append(10 * np.log10(found[:, band].sum(axis=1) / wanted[:, band].sum(axis=1)))
    assert np.abs(differences).mean() == pytest.approx(errors(few, filters).magnitude_db, abs=0.06)


def test_a_head_measured_in_the_plane_only_cannot_carry_height():
    azimuth = np.radians(np.arange(0.0, 360, 5))
    with pytest.raises(InputError, match="72 directions of the head do not determine order 1"):
        ear_filters(rigid_sphere(azimuth, np.zeros(72), 48000), 1)
