"""Contact sheet of an item: one row of small figures for each condition, to check a build by eye.

A row shows spectrograms of W and of a channel of the highest order, and the power of beams over the sphere below
and above 1.6 kHz, which tells where the sound comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from matplotlib.figure import Figure
from numpy import ndarray

from analysis.metrics.framing import array_reader, erb_band_centres_hz, segments
from analysis.reporting.scene_pages import RANGE_DB, draw_map, draw_spectrogram
from analysis.reporting.scene_view import energy_map, spectrogram_db
from listening.stimulus_build.quality_gate import Description
from render.common.figure_style import figure_style, write_figure
from render.hoa.scene import Scene

SPLIT_HZ = 1600.0
_ROW_INCHES = 1.75


def write_contact_sheet(
    path: Path, item: str, descriptions: Mapping[str, Description], captions: Mapping[str, str]
) -> None:
    """Draw the contact sheet and write it as a PNG file; the same scenes give the same bytes.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    item : str
        Title.
    descriptions : mapping
        Condition id -> description of its scene. ``href`` is one of them; its levels scale the others.
    captions : mapping
        Condition id -> one line of measured values.
    """
    reference = descriptions["href"]
    highest = len(reference.scene.samples) - 1 - reference.scene.order  # ACN of the highest order's channel m = 0
    with figure_style(8, **{"savefig.dpi": 80, "axes.spines.top": True, "axes.spines.right": True}):
        height = _ROW_INCHES * len(descriptions) + 1.1
        figure = Figure(figsize=(13, height))
        # Fixed margins: a layout that measures all its text takes as long as the drawing
        figure.subplots_adjust(0.06, 0.5 / height, 0.865, 1 - 0.6 / height, wspace=0.24, hspace=0.2)
        grid = figure.subplots(len(descriptions), 4, squeeze=False, width_ratios=[1.4, 1.4, 1, 1])
        loudest_db = [float(levels.max()) for levels in _spectrograms_db(reference.scene, [0, highest])]
        loudest_beam_db = [float(level.max()) for level in _maps_db(reference)]
        for row, (name, description) in zip(grid, descriptions.items(), strict=True):
            scene = description.scene
            levels_db = _spectrograms_db(scene, [0, highest])
            for axes, level_db, top_db in zip(row[:2], levels_db, loudest_db, strict=True):
                level_db = level_db - top_db
                draw_spectrogram(axes, level_db, scene.sample_rate_hz, scene.duration_s, (-RANGE_DB, 0), "cividis")
            for axes, level_db, top_db in zip(row[2:], _maps_db(description), loudest_beam_db, strict=True):
                draw_map(axes, level_db - top_db)
            row[0].set_ylabel(f"{name}\nHz", fontsize=9)
            row[1].set_title(captions.get(name, ""), fontsize=7, loc="right", pad=2)
        _label(figure, grid, highest)
        figure.suptitle(item, fontsize=11, y=1 - 0.14 / height)
        write_figure(figure, path, force=True)


def _label(figure: Figure, grid: ndarray, highest: int) -> None:
    grid[0, 0].set_title("W", loc="left")
    grid[0, 1].set_title(f"ACN {highest}\n", loc="left")  # a line above the caption
    grid[0, 2].set_title(f"beams below {SPLIT_HZ / 1000:g} kHz")
    grid[0, 3].set_title(f"beams above {SPLIT_HZ / 1000:g} kHz")
    for axes in grid[:-1].flat:
        axes.tick_params(labelbottom=False)
    for axes in grid[-1, :2]:
        axes.set_xlabel("time (s)")
    for axes in grid[-1, 2:]:
        axes.set_xlabel("azimuth (deg), left is positive")
    for axes in grid[:, 2]:
        axes.set_ylabel("elevation (deg)", fontsize=7, labelpad=-4)
    images = {"spectrograms": grid[0, 0].images[0], "beams": grid[0, 2].collections[0]}
    for left, (name, image) in zip((0.885, 0.945), images.items(), strict=True):
        bar = figure.colorbar(image, cax=figure.add_axes((left, 0.2, 0.01, 0.6)))
        bar.set_label(f"{name}: dB re maximum of the reference")


def _spectrograms_db(scene: Scene, channels: list[int]) -> Float32[ndarray, "channel frame bin"]:
    parts = segments(array_reader(scene.samples[channels]), scene.length, scene.sample_rate_hz)
    return np.concatenate([spectrogram_db(part.field) for part in parts], axis=1)


def _maps_db(description: Description) -> list[Float[ndarray, "elevation azimuth"]]:
    """Level of the beams below and above `SPLIT_HZ`."""
    is_high = erb_band_centres_hz(description.scene.sample_rate_hz) >= SPLIT_HZ
    return [10 * np.log10(energy_map(description.covariance[band].sum(axis=0))) for band in (~is_high, is_high)]
