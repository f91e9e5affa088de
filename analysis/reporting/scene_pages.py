"""Figures of decoded scenes beside their reference: pages for items and conditions, a contact sheet for each item.

A page shows spectrograms (W, one channel of each order, two loudspeakers) with their differences, energy maps of
the sphere in three bands with the loudspeakers of 7.1.4, correlation matrices with the boundaries of the orders,
direction and diffuseness over time, and the level of each order. The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from analysis.metrics.evaluation import Item, Prepared, prepare
from analysis.metrics.framing import HOP, WINDOW
from analysis.reporting.scene_view import BANDS_HZ, ELEVATION_DEG, SceneView, scene_view, signal_names
from render.common.figure_style import figure_style, write_figure
from render.common.parallel import in_parallel
from render.common.progress import progress
from render.hoa.layout import layout
from render.hoa.scene import order_of

RANGE_DB = 80.0
"""Range of levels that a spectrogram shows."""
DIFFERENCE_DB = 20.0
MAP_RANGE_DB = 15.0
COLOUR_BARS = ("level (dB re full scale)", "dB re loudest direction of the reference", "correlation")
"""Labels of the colour bars of a contact sheet."""
# Colours of Okabe and Ito (2008), which colour-blind readers can tell apart
REFERENCE_COLOUR, TEST_COLOUR = "#000000", "#D55E00"
# Images and maps have a frame on all four sides; titles stand on it, without a search for what they could overlap
_STYLE: dict[str, Any] = {"axes.titlesize": 8, "axes.titley": 1.0, "savefig.dpi": 110}
_STYLE |= {"axes.spines.top": True, "axes.spines.right": True}


def page(prepared: Prepared, condition: str, reference: SceneView, test: SceneView) -> Figure:
    """Draw the page of one item and condition; `reference` and `test` are its two scenes."""
    order = order_of(prepared.channels)
    names = signal_names(order)
    rows = len(names)
    figure = Figure(figsize=(13, 1.25 * rows + 8.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.25 * rows, 8.4], squeeze=False)[:, 0]
    grid = top.subplots(rows, 3, sharex=True, sharey=True, squeeze=False)
    seconds, loudest = (
        test.spectrograms_db.shape[1] * HOP / prepared.sample_rate_hz,
        reference.spectrograms_db.max(),
    )
    for row, name in enumerate(names):
        _spectrogram_row(grid[row], name, reference.spectrograms_db[row], test.spectrograms_db[row],
                         prepared.sample_rate_hz, seconds, loudest)  # fmt: skip
    for axes, title in zip(grid[0], ("reference", condition, f"{condition} - reference"), strict=True):
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    for column, label in ((1, "dB re full scale"), (2, "dB")):
        top.colorbar(grid[0, column].images[0], ax=grid[:, column], label=label, shrink=0.5, pad=0.01)
    maps, rest = bottom.subfigures(2, 1, height_ratios=[1.0, 1.15])
    _maps(maps, condition, reference, test)
    left, right = rest.subfigures(1, 2, width_ratios=[1.25, 1])
    _matrices(left, condition, reference, test, order)
    _tracks_and_levels(right, condition, reference, test, seconds)
    figure.suptitle(_title(prepared, condition), fontsize=11)
    return figure


def _title(prepared: Prepared, condition: str | None) -> str:
    text = prepared.item.id if condition is None else f"{prepared.item.id}, {condition}"
    return f"{text} ({prepared.item.material})" if prepared.item.material else text


def _spectrogram_row(
    row: Sequence[Axes], name: str, a: ndarray, b: ndarray, rate_hz: int, seconds: float, loudest: float
) -> None:
    draw_spectrogram(row[0], a, rate_hz, seconds, (loudest - RANGE_DB, loudest), "cividis")
    draw_spectrogram(row[1], b, rate_hz, seconds, (loudest - RANGE_DB, loudest), "cividis")
    change = np.maximum(b, loudest - RANGE_DB) - np.maximum(a, loudest - RANGE_DB)
    draw_spectrogram(row[2], change, rate_hz, seconds, (-DIFFERENCE_DB, DIFFERENCE_DB), "PuOr_r")
    row[0].set_ylabel(f"{name}\nfrequency (Hz)")


def draw_spectrogram(
    axes: Axes, level_db: ndarray, rate_hz: int, seconds: float, limits: tuple[float, float], colours: str
) -> None:
    """Draw a spectrogram of the shared spectrum (frame, bin); frequency is logarithmic from 60 Hz.

    `limits` are the lowest and highest level (dB) of the colour map, `seconds` the duration of the signal.
    """
    hz = np.geomspace(60, rate_hz / 2, 121)
    bins = np.clip((np.sqrt(hz[1:] * hz[:-1]) * WINDOW / rate_hz).round().astype(int), 1, level_db.shape[1] - 1)
    axes.imshow(level_db[:, bins].T, origin="lower", aspect="auto", cmap=colours, vmin=limits[0], vmax=limits[1],
                extent=(0, seconds, np.log10(hz[0]), np.log10(hz[-1])), interpolation="nearest")  # fmt: skip
    axes.set_yticks([2, 3, 4], ["100", "1k", "10k"])


def _maps(figure, condition: str, reference: SceneView, test: SceneView) -> None:
    grid = figure.subplots(2, len(BANDS_HZ), sharex=True, sharey=True, squeeze=False)
    for column, (low, high) in enumerate(BANDS_HZ):
        loudest = 10 * np.log10(reference.maps[column].max())
        for row, (of, name) in enumerate(((reference, "reference"), (test, condition))):
            axes = grid[row, column]
            draw_map(axes, 10 * np.log10(of.maps[column]) - loudest)
            axes.set_title(f"{name}, {low} to {high} Hz")
            if column == 0:
                axes.set_ylabel("elevation (deg)")
            if row == 1:
                axes.set_xlabel("azimuth (deg), left is positive; circles: loudspeakers of 7.1.4")
    figure.colorbar(
        grid[0, 0].images[0], ax=grid, label="dB re loudest direction of the reference", shrink=0.7, pad=0.01
    )


def draw_map(axes: Axes, level_db: Float64[ndarray, "elevation azimuth"]) -> None:
    """Draw the power of beams over the sphere, and the positions of the loudspeakers of 7.1.4."""
    half_deg = 0.5 * (ELEVATION_DEG[1] - ELEVATION_DEG[0])  # the values stand in the middle of pixels
    axes.imshow(level_db, origin="lower", aspect="auto", cmap="cividis", vmin=-MAP_RANGE_DB, vmax=0,
                extent=(180 + half_deg, -180 - half_deg, -90 - half_deg, 90 + half_deg),
                interpolation="bilinear")  # fmt: skip
    speakers = [speaker for speaker in layout("7.1.4").loudspeakers if not speaker.is_lfe]
    axes.plot([s.azimuth_deg for s in speakers], [s.elevation_deg for s in speakers], "o", color="white",
              markeredgecolor="black", markersize=4, linestyle="none")  # fmt: skip
    axes.set_xlim(180, -180)
    axes.set_ylim(-90, 90)
    axes.set_xticks([180, 90, 0, -90, -180])
    axes.set_yticks([-90, 0, 90])


def _matrices(figure, condition: str, reference: SceneView, test: SceneView, order: int) -> None:
    grid = figure.subplots(1, 3, sharey=True)
    for axes, matrix, name in (
        (grid[0], reference.correlation, "reference"),
        (grid[1], test.correlation, condition),
        (grid[2], test.correlation - reference.correlation, "difference"),
    ):
        image = draw_matrix(axes, matrix, order)
        axes.set_title(name)
        axes.set_xlabel("channel (ACN)")
    grid[0].set_ylabel("channel (ACN)")
    figure.colorbar(image, ax=grid, label="correlation, 50 Hz to 16 kHz", orientation="horizontal", shrink=0.6)


def draw_matrix(axes: Axes, matrix: Float64[ndarray, "acn acn"], order: int):
    """Draw a correlation matrix with the boundaries of the orders; return the image, for a colour bar."""
    image = axes.imshow(matrix, vmin=-1, vmax=1, cmap="PuOr_r", interpolation="nearest")
    for n in range(1, order + 1):
        axes.axhline(n * n - 0.5, color="black", linewidth=0.8)
        axes.axvline(n * n - 0.5, color="black", linewidth=0.8)
    axes.set_xticks([n * n for n in range(order + 1)])
    axes.set_yticks([n * n for n in range(order + 1)])
    return image


def _tracks_and_levels(figure, condition: str, reference: SceneView, test: SceneView, seconds: float) -> None:
    axes = figure.subplots(3, 1)
    draw_directions(axes[0], reference, test, seconds)
    axes[0].set_ylabel("azimuth (deg)")
    axes[0].set_title("direction, 200 to 3150 Hz; larger is louder")
    time_s = np.linspace(0, seconds, len(reference.diffuseness))
    axes[1].plot(time_s, reference.diffuseness, color=REFERENCE_COLOUR, label="reference", linewidth=1)
    track = test.diffuseness[: len(time_s)]
    axes[1].plot(time_s, track, color=TEST_COLOUR, label=condition, linewidth=1, linestyle="--")
    axes[1].set_ylim(0, 1)
    axes[1].set_xlim(0, seconds)
    axes[1].set_ylabel("diffuseness")
    axes[1].set_xlabel("time (s)")
    axes[1].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    draw_levels(axes[2], reference, test)
    axes[2].set_title(f"black: reference, orange: {condition}")


def draw_directions(axes: Axes, reference: SceneView, test: SceneView, seconds: float) -> None:
    """Draw the direction over time; the louder, the larger the marker."""
    time_s = np.linspace(0, seconds, len(reference.energy))
    size = 14 * np.sqrt(reference.energy / max(reference.energy.max(), 1e-30))
    axes.scatter(time_s, reference.azimuth_deg, s=size, color=REFERENCE_COLOUR, marker="o", linewidths=0)
    axes.scatter(time_s, test.azimuth_deg[: len(time_s)], s=size, color=TEST_COLOUR, marker="x", linewidths=0.8)
    axes.set_ylim(-180, 180)
    axes.set_yticks([-180, -90, 0, 90, 180])
    axes.set_xlim(0, seconds)


def draw_levels(axes: Axes, reference: SceneView, test: SceneView) -> None:
    """Draw the level of each order as bars, from at least 20 dB below the quietest order of the reference."""
    at = np.arange(len(reference.order_db))
    floor = np.floor(reference.order_db.min() / 10) * 10 - 20
    for offset, of, colour in ((-0.2, reference, REFERENCE_COLOUR), (0.2, test, TEST_COLOUR)):
        axes.bar(at + offset, np.maximum(of.order_db - floor, 0), 0.38, bottom=floor, color=colour)
    axes.set_xticks(at, [f"order {n}" for n in at])
    axes.set_ylim(floor, None)
    axes.set_ylabel("level (dB re full scale)")


def contact_sheet(prepared: Prepared, views: dict[str, SceneView], reference: SceneView) -> Figure:
    """Draw a row for each condition: spectrogram of W, map of the middle band, correlations, direction, orders."""
    order, rate_hz = order_of(prepared.channels), prepared.sample_rate_hz
    figure = Figure(figsize=(15, 1.75 * len(views) + 1.6), layout="constrained")
    grid = figure.subplots(len(views), 5, squeeze=False, width_ratios=[1.7, 1.5, 0.9, 1.6, 1.2])
    seconds, loudest = reference.spectrograms_db.shape[1] * HOP / rate_hz, reference.spectrograms_db[0].max()
    map_loudest = 10 * np.log10(reference.maps[1].max())
    for row, (condition, test) in zip(grid, views.items(), strict=True):
        draw_spectrogram(
            row[0], test.spectrograms_db[0], rate_hz, seconds, (loudest - RANGE_DB, loudest), "cividis"
        )
        row[0].set_ylabel(f"{condition}\nfrequency (Hz)", fontsize=9)
        draw_map(row[1], 10 * np.log10(test.maps[1]) - map_loudest)
        row[1].set_ylabel("elevation (deg)")
        draw_matrix(row[2], test.correlation, order)
        row[2].set_ylabel("channel (ACN)")
        draw_directions(row[3], reference, test, seconds)
        row[3].set_ylabel("azimuth (deg)")
        draw_levels(row[4], reference, test)
        row[4].set_ylabel("level (dB re full scale)")
    titles = ("W", f"energy, {BANDS_HZ[1][0]} to {BANDS_HZ[1][1]} Hz; circles: loudspeakers of 7.1.4",
              "correlation, 50 Hz to 16 kHz", "direction: reference black o, test orange x",
              "orders: reference black, test orange")  # fmt: skip
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    for axes, label in zip(grid[-1], ("time (s)", "azimuth (deg), left is positive", "channel (ACN)", "time (s)"),
                           strict=False):  # fmt: skip
        axes.set_xlabel(label)
    images = (grid[0, 0].images[0], grid[0, 1].images[0], grid[0, 2].images[0])
    for column, (image, label) in enumerate(zip(images, COLOUR_BARS, strict=True)):
        bar = figure.colorbar(image, ax=grid[:, column], location="bottom", label=label, shrink=0.8, aspect=30)
        bar.ax.locator_params(nbins=4)
    for row in grid[:-1]:
        for axes in row[:4]:
            axes.tick_params(labelbottom=False)
    figure.suptitle(_title(prepared, None), fontsize=11)
    return figure


def draw_item(item: Item, folder: Path, take_as_aligned: bool, force: bool) -> None:
    """Draw and write the pages and the contact sheet of an item."""
    prepared = prepare(item, take_as_aligned)
    reference = scene_view(prepared, None)
    views = {condition: scene_view(prepared, condition) for condition in item.tests}
    with figure_style(8, **_STYLE):
        for condition, test in views.items():
            if item.tests[condition] != item.reference:
                name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in condition)
                figure = page(prepared, condition, reference, test)
                write_figure(figure, folder / item.id / f"{name}.png", force=force)
        write_figure(contact_sheet(prepared, views, reference), folder / f"{item.id}.png", force=force)


def draw_items(items: Sequence[Item], folder: Path, workers: int, take_as_aligned: bool, force: bool) -> Path:
    """Draw all items into ``folder/pictures``, `workers` at a time; return that folder."""
    pages = folder / "pictures"
    jobs = {number: (item, pages, take_as_aligned, force) for number, item in enumerate(items)}
    for _ in progress(in_parallel(draw_item, jobs, workers), "draw item", len(jobs)):
        pass
    return pages
