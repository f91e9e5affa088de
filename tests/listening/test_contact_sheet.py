"""Contact sheets: the maps point where the sound comes from, and the file is the same each time."""

import numpy as np
import pytest

from listening.stimulus_build.contact_sheet import _beam_power, _spectrogram, contact_sheet
from listening.stimulus_build.rendition_measures import analyse
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics

RATE = 44_100


def wave(azimuth_deg, elevation_deg, frames=RATE):
    gains = spherical_harmonics(3, np.radians([azimuth_deg]), np.radians([elevation_deg]))[0]
    noise = 0.05 * np.random.default_rng(0).standard_normal(frames)
    return Scene((gains[:, None] * noise).astype(np.float32), RATE)


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg"), [(0, 0), (90, 0), (-120, 30), (50, -60)])
def test_the_loudest_beam_looks_at_the_source(azimuth_deg, elevation_deg):
    power = _beam_power(analyse(wave(azimuth_deg, elevation_deg)).covariance.sum(0))
    row, column = np.unravel_index(np.argmax(power), power.shape)
    assert (row * 10 - 90, 180 - column * 10) == (elevation_deg, azimuth_deg)


def test_a_tone_is_a_line_at_its_frequency():
    time_s = np.arange(RATE) / RATE
    tone = Scene((0.1 * np.sin(2 * np.pi * 5000 * time_s)).astype(np.float32)[None], RATE)
    level_db = _spectrogram(tone, 0)
    hz = (np.argmax(level_db, axis=0) + 0.5) * RATE / 2 / len(level_db)
    assert np.abs(hz - 5000).max() < RATE / 2 / len(level_db)


def test_the_same_scenes_give_the_same_file():
    analyses = {"href": analyse(wave(0, 0, 20_000)), "la": analyse(wave(90, 0, 20_000))}
    first = contact_sheet("Beach", analyses, {"la": "lag 0"})
    assert first.startswith(b"\x89PNG")
    assert first == contact_sheet("Beach", analyses, {"la": "lag 0"})
