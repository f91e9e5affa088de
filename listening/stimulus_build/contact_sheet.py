"""Contact sheet of an item: what every condition looks like, for the eye that checks a build.

For each condition the spectrogram of W and of a channel of the highest order, and where the sound comes from
below and above 2 kHz: the power of a beam that is steered around the sphere.
"""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import ndarray

from listening.stimulus_build.rendition_measures import BANDS_HZ, Analysis
from render.hoa.beams import beam_power, beam_weights
from render.hoa.scene import Scene, order_of

_GRID = (19, 36)  # elevations, azimuths: every 10 degrees
_RANGE_DB = 70.0
_MAP_RANGE_DB = 12.0
_HIGH_HZ = 1600.0
_ROW_INCHES = 1.7


def contact_sheet(item: str, analyses: dict[str, Analysis], captions: dict[str, str]) -> bytes:
    """Draw the sheet as a PNG file.

    Parameters
    ----------
    item : str
    analyses : dict
        Condition id -> analysis; ``href`` first, its levels scale the others.
    captions : dict
        Condition id -> one line of figures.
    """
    reference = analyses["href"]
    highest = len(reference.rms) - 1 - reference.scene.order  # ACN of the highest order's channel with m = 0
    height = 1.1 + _ROW_INCHES * len(analyses)
    figure = Figure(figsize=(13, height))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.06, 0.55 / height, 0.865, 1 - 0.55 / height, wspace=0.2, hspace=0.16)
    axes = figure.subplots(len(analyses), 4, squeeze=False, width_ratios=[1.35, 1.35, 1, 1])
    tops = [float(_spectrogram(reference.scene, channel).max()) for channel in (0, highest)]
    sheet: Any = {}
    for row, (name, analysis) in zip(axes, analyses.items(), strict=True):
        for axis, channel, top in zip(row[:2], (0, highest), tops, strict=True):
            sheet["spectrum"] = _draw_spectrogram(axis, analysis.scene, channel, top)
        split = next(i for i, hz in enumerate(BANDS_HZ) if hz >= _HIGH_HZ)
        for axis, bands in zip(row[2:], (slice(0, split), slice(split, None)), strict=True):
            sheet["map"] = _draw_map(axis, analysis.covariance[bands].sum(0), reference.covariance[bands].sum(0))
        row[0].set_ylabel(f"{name}\nkHz", fontsize=9)
        row[2].set_ylabel("elevation", fontsize=7, labelpad=-4)
        row[1].set_title(captions.get(name, ""), fontsize=7, loc="right", pad=2)
    axes[0, 0].set_title("W", fontsize=9, loc="left", pad=2)
    axes[0, 1].set_title(f"ACN {highest}", fontsize=9, loc="left", pad=2)
    axes[0, 2].set_title(f"beams below {_HIGH_HZ / 1000:g} kHz", fontsize=9, pad=2)
    axes[0, 3].set_title(f"beams above {_HIGH_HZ / 1000:g} kHz", fontsize=9, pad=2)
    for axis in axes[:-1].flat:
        axis.tick_params(labelbottom=False)
    for axis in axes[-1, :2]:
        axis.set_xlabel("time in s", fontsize=8)
    for axis in axes[-1, 2:]:
        axis.set_xlabel("azimuth in degrees", fontsize=8)
    for place, (kind, label) in zip(
        (0.885, 0.94), (("spectrum", "spectra: dB re maximum"), ("map", "beams: dB re maximum")), strict=True
    ):
        bar = figure.colorbar(sheet[kind], cax=figure.add_axes((place, 0.2, 0.01, 0.6)))
        bar.set_label(f"{label} of the reference", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    figure.suptitle(item, fontsize=11, y=1 - 0.14 / height)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80, metadata={"Software": f"matplotlib {matplotlib.__version__}"})
    return buffer.getvalue()


def _spectrogram(scene: Scene, channel: int) -> Float[ndarray, "bin frame"]:
    """Power in dB over 256 frames at most; bins pooled so that narrow lines stay visible."""
    window = 1024
    samples = np.pad(scene.samples[channel], (0, max(window - scene.length, 0)))
    hop = max((len(samples) - window) // 256, 1)
    cut = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop][:257]
    power = np.square(np.abs(np.fft.rfft(cut * np.hanning(window)))).T
    return 10 * np.log10(power[1:].reshape(-1, 4, power.shape[1]).max(1) + 1e-12)


def _draw_spectrogram(axis: Any, scene: Scene, channel: int, top_db: float) -> Any:
    values = _spectrogram(scene, channel) - top_db
    axis.tick_params(labelsize=7)
    image = axis.imshow(
        values, origin="lower", aspect="auto", cmap="magma", vmin=-_RANGE_DB, vmax=0, interpolation="nearest",
        extent=(0, scene.duration_s, 0, scene.sample_rate_hz / 2000),
    )  # fmt: skip
    axis.set_ylim(0, min(20, scene.sample_rate_hz / 2000))
    return image


def _draw_map(axis: Any, covariance: Float[ndarray, "acn acn"], reference: Float[ndarray, "acn acn"]) -> Any:
    values = _beam_power(covariance)
    top = _beam_power(reference).max()
    axis.tick_params(labelsize=7)
    axis.set_xticks([180, 90, 0, -90, -180])
    axis.set_yticks([-90, 0, 90])
    axis.grid(alpha=0.3, linewidth=0.5)
    return axis.imshow(
        10 * np.log10(np.maximum(values, 1e-30) / max(top, 1e-30)), origin="lower", aspect="auto", cmap="viridis",
        vmin=-_MAP_RANGE_DB, vmax=0, extent=(185, -175, -95, 95), interpolation="bilinear",
    )  # fmt: skip


def _beam_power(covariance: Float[ndarray, "acn acn"]) -> Float[ndarray, "elevation azimuth"]:
    """Power of plane-wave decomposition beams; azimuth from +180 (left of the map) to -170 degrees."""
    elevation, azimuth = np.meshgrid(
        np.radians(np.linspace(-90, 90, _GRID[0])), np.radians(180 - 10 * np.arange(_GRID[1])), indexing="ij"
    )
    beams = beam_weights(azimuth.ravel(), elevation.ravel(), np.ones(order_of(len(covariance)) + 1))
    return beam_power(covariance, beams).reshape(_GRID) / len(covariance) ** 2
