"""Contact sheet of an item: a block of figures for each condition, to check a build by eye.

The large figure is a spectrogram of W from 0 to 8 kHz with a linear axis and about a pixel for each bin and frame,
in which a missing partial, a line or an early attack is seen. Beside it are spectrograms of W and of a channel of
the highest order up to half the sample rate, and the power of beams over the sphere below and above 1.6 kHz, which
tells where the sound comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from analysis.metrics.framing import WINDOW, array_reader, erb_band_centres_hz, segments
from analysis.reporting.scene_pages import RANGE_DB, draw_map, draw_spectrogram
from analysis.reporting.scene_view import energy_map, spectrogram_db
from listening.stimulus_build.quality_gate import Description
from render.common.figure_style import figure_style, write_figure
from render.hoa.scene import Scene

SPLIT_HZ = 1600.0
LINEAR_HZ = 8000.0
"""The large spectrogram of W shows frequencies up to here."""
_DPI = 100
_LARGE_INCHES = (8.8, 3.75)  # 372 bins at 44.1 kHz, 861 frames in 10 s
_SMALL_INCHES = 7.0
_MARGINS_INCHES = (0.75, 1.6, 0.55, 0.75)  # left, right (the colour bars), bottom, top
_GAP_INCHES = 0.45


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
    # Titles stand on the axes: to search for what they could overlap takes a tenth of the time
    style = {"savefig.dpi": _DPI, "axes.spines.top": True, "axes.spines.right": True, "axes.titley": 1.0}
    with figure_style(8, **style):
        figure, grid = _grid(len(descriptions))
        maps_db = {name: _maps_db(of) for name, of in descriptions.items()}
        loudest_db = [float(levels.max()) for levels in _spectrograms_db(reference.scene, [0, highest])]
        loudest_beam_db = [float(level.max()) for level in maps_db["href"]]
        for row, (name, description) in zip(grid, descriptions.items(), strict=True):
            scene = description.scene
            levels_db = _spectrograms_db(scene, [0, highest])
            draw_linear_spectrogram(row[0], levels_db[0] - loudest_db[0], scene.sample_rate_hz, scene.duration_s)
            for axes, level_db, top_db in zip(row[1:3], levels_db, loudest_db, strict=True):
                level_db = level_db - top_db
                draw_spectrogram(axes, level_db, scene.sample_rate_hz, scene.duration_s, (-RANGE_DB, 0), "cividis")
            for axes, level_db, top_db in zip(row[3:], maps_db[name], loudest_beam_db, strict=True):
                draw_map(axes, level_db - top_db)
            row[0].set_title(f"{name}: W, linear to {LINEAR_HZ / 1000:g} kHz", loc="left", fontsize=9, pad=3)
            row[1].set_title("W", loc="left", pad=3)
            row[2].set_title(f"ACN {highest}", loc="left", pad=3)
            row[0].set_title(captions.get(name, ""), fontsize=8, loc="right", pad=3)
        _label(figure, grid)
        figure.suptitle(item, fontsize=11, y=1 - 0.2 / figure.get_figheight())
        write_figure(figure, path, force=True)


def draw_linear_spectrogram(axes: Axes, level_db: ndarray, rate_hz: int, seconds: float) -> None:
    """Draw a spectrogram of the shared spectrum (frame, bin) from 0 to `LINEAR_HZ` with a linear axis."""
    bins = int(min(LINEAR_HZ, rate_hz / 2) * WINDOW / rate_hz) + 1
    top_khz = (bins - 0.5) * rate_hz / WINDOW / 1000
    axes.imshow(level_db[:, :bins].T, origin="lower", aspect="auto", cmap="cividis", vmin=-RANGE_DB, vmax=0,
                extent=(0, seconds, -0.5 * rate_hz / WINDOW / 1000, top_khz), interpolation="nearest")  # fmt: skip
    axes.set_yticks(np.arange(0, int(top_khz) + 1, 2))
    axes.set_ylabel("kHz")


def _grid(conditions: int) -> tuple[Figure, ndarray]:
    """Figure, and for each condition its axes: the large one, two spectrograms, two maps.

    Margins are fixed: a layout that measures all its text takes as long as the drawing.
    """
    left, right, bottom, top = _MARGINS_INCHES
    width = left + _LARGE_INCHES[0] + _GAP_INCHES + _SMALL_INCHES + right
    height = bottom + top + conditions * _LARGE_INCHES[1] + (conditions - 1) * _GAP_INCHES
    figure = Figure(figsize=(width, height))
    grid = np.empty((conditions, 5), object)

    def add(x: float, y: float, wide: float, high: float) -> Axes:
        return figure.add_axes((x / width, y / height, wide / width, high / height))

    small = ((_SMALL_INCHES - _GAP_INCHES) / 2, (_LARGE_INCHES[1] - _GAP_INCHES) / 2)
    first = left + _LARGE_INCHES[0] + _GAP_INCHES
    second = first + small[0] + _GAP_INCHES
    for row in range(conditions):
        y = bottom + (conditions - 1 - row) * (_LARGE_INCHES[1] + _GAP_INCHES)
        upper = y + small[1] + _GAP_INCHES
        grid[row] = [
            add(left, y, *_LARGE_INCHES),
            add(first, upper, *small), add(first, y, *small), add(second, upper, *small), add(second, y, *small),
        ]  # fmt: skip
    return figure, grid


def _label(figure: Figure, grid: ndarray) -> None:
    for row in grid:
        row[3].set_title(f"beams below {SPLIT_HZ / 1000:g} kHz", pad=3)
        row[4].set_title(f"beams above {SPLIT_HZ / 1000:g} kHz", pad=3)
        for axes in (row[1], row[3]):
            axes.xaxis.set_visible(False)  # that of the figure below it
    for axes in grid[-1, [0, 2]]:
        axes.set_xlabel("time (s)")
    grid[-1, 4].set_xlabel("azimuth (deg), left is positive")
    images = {"spectrograms": grid[0, 0].images[0], "beams": grid[0, 3].images[0]}
    width, height = figure.get_size_inches()
    for x, (name, image) in zip((1.4, 0.7), images.items(), strict=True):
        place = (1 - x / width, 1 - 3.9 / height, 0.12 / width, 2.8 / height)
        bar = figure.colorbar(image, cax=figure.add_axes(place))
        bar.ax.tick_params(labelsize=6, pad=1)
        bar.ax.set_title(name, fontsize=6, loc="left")
        bar.set_label("dB re maximum of the reference", fontsize=6, labelpad=0)


def _spectrograms_db(scene: Scene, channels: list[int]) -> Float32[ndarray, "channel frame bin"]:
    parts = segments(array_reader(scene.samples[channels]), scene.length, scene.sample_rate_hz)
    return np.concatenate([spectrogram_db(part.field) for part in parts], axis=1)


def _maps_db(description: Description) -> list[Float[ndarray, "elevation azimuth"]]:
    """Level of the beams below and above `SPLIT_HZ`."""
    is_high = erb_band_centres_hz(description.scene.sample_rate_hz) >= SPLIT_HZ
    return [10 * np.log10(energy_map(description.covariance[band].sum(axis=0))) for band in (~is_high, is_high)]
