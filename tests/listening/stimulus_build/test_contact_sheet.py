"""Contact sheets: the maps point where the sound comes from, and the file is the same each time."""

import numpy as np
import pytest

from analysis.reporting.scene_view import AZIMUTH_DEG, ELEVATION_DEG
from listening.stimulus_build.contact_sheet import (
    _DPI,
    _grid,
    _maps_db,
    _spectrograms_db,
    draw_linear_spectrogram,
    write_contact_sheet,
)
from listening.stimulus_build.quality_gate import describe
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics

RATE = 44_100


def wave(azimuth_deg, elevation_deg, samples=RATE):
    gains = spherical_harmonics(3, np.radians([azimuth_deg]), np.radians([elevation_deg]))[0]
    noise = 0.05 * np.random.default_rng(0).standard_normal(samples)
    return Scene((gains[:, None] * noise).astype(np.float32), RATE)


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg"), [(0, 0), (90, 0), (-120, 30), (50, -60)])
def test_the_loudest_beam_points_at_the_source(azimuth_deg, elevation_deg):
    for level_db in _maps_db(describe(wave(azimuth_deg, elevation_deg))):
        row, column = np.unravel_index(np.argmax(level_db), level_db.shape)
        assert (ELEVATION_DEG[row], AZIMUTH_DEG[column]) == (elevation_deg, azimuth_deg)


def test_a_tone_is_a_line_at_its_frequency_and_level():
    time_s = np.arange(RATE) / RATE
    tone = Scene((0.1 * np.sin(2 * np.pi * 5000 * time_s)).astype(np.float32)[None], RATE)
    (level_db,) = _spectrograms_db(tone, [0])
    inner = level_db[4:-4]  # the reflection at the ends breaks the tone
    assert np.abs(np.argmax(inner, axis=1) * RATE / 2048 - 5000).max() < RATE / 2048
    assert inner.max(axis=1) == pytest.approx(np.full(len(inner), -20.0), abs=1.5)


def test_the_large_spectrogram_has_a_pixel_for_each_bin_and_frame_up_to_8_khz():
    """A tone is a row of the image at its frequency on a linear axis."""
    time_s = np.arange(10 * RATE) / RATE
    tone = Scene((0.1 * np.sin(2 * np.pi * 5000 * time_s)).astype(np.float32)[None], RATE)
    (level_db,) = _spectrograms_db(tone, [0])
    figure, grid = _grid(3)
    assert grid.shape == (3, 5)
    axes = grid[1, 0]
    draw_linear_spectrogram(axes, level_db, RATE, 10.0)
    (image,) = axes.images
    pixels = image.get_array()
    box = axes.get_position()
    width, height = figure.get_size_inches() * _DPI
    assert box.height * height >= pixels.shape[0] == 1 + int(8000 * 2048 / RATE)
    assert box.width * width >= pixels.shape[1] == 1 + 10 * RATE // 512
    low, high = image.get_extent()[2:]
    row = int(np.argmax(pixels[:, 400]))
    assert low + (row + 0.5) * (high - low) / len(pixels) == pytest.approx(5.0, abs=RATE / 2048 / 2000)


def test_the_figures_of_a_sheet_do_not_overlap():
    _, grid = _grid(2)
    boxes = [axes.get_position() for axes in grid.flat]
    for number, box in enumerate(boxes):
        assert box.x0 > 0
        assert box.x1 < 0.95
        for other in boxes[:number]:
            assert box.x0 >= other.x1 or other.x0 >= box.x1 or box.y0 >= other.y1 or other.y0 >= box.y1


def test_the_same_scenes_give_the_same_file(tmp_path):
    descriptions = {"href": describe(wave(0, 0, 20_000)), "la": describe(wave(90, 0, 20_000))}
    for name in ("first.png", "second.png"):
        write_contact_sheet(tmp_path / name, "Beach", descriptions, {"la": "lag 0"})
    first = (tmp_path / "first.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "second.png").read_bytes()
