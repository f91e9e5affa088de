"""Maps of a decoder's quality over the sphere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from render.common.figure_style import figure_style, write_figure
from render.hoa.layout import Layout
from render.loudspeakers.decoder_quality import quality


def write_decoder_maps(
    matrices: dict[str, Float[ndarray, "loudspeaker acn"]], layout: Layout, path: Path, force: bool = False
) -> None:
    """Draw energy, length and direction error of rE over the sphere, one row per decoder, to .png or .pdf."""
    with figure_style(10):
        write_figure(_maps(matrices, layout), path, force=force)


def _maps(matrices: dict[str, ndarray], layout: Layout) -> Figure:
    azimuth_deg, elevation_deg = np.arange(180, -181, -2.0), np.arange(-90, 91, 2.0)
    grid = np.meshgrid(np.radians(azimuth_deg), np.radians(elevation_deg))
    maps = [
        ("energy, dB re mean", "energy_db", -6.0, 3.0, "both"),
        ("length of rE", "re_length", 0.4, 1.0, "min"),
        ("direction error of rE, degrees", "re_error_deg", 0.0, 45.0, "max"),
    ]
    figure = Figure(figsize=(13, 2.9 * len(matrices)), layout="constrained")
    axes = figure.subplots(len(matrices), 3, squeeze=False, sharex=True, sharey=True)
    for row, (method, matrix) in zip(axes, matrices.items(), strict=True):
        found = quality(matrix, layout, grid[0].ravel(), grid[1].ravel())
        for axis, (title, name, low, high, beyond) in zip(row, maps, strict=True):
            values = getattr(found, name).reshape(grid[0].shape)
            image = axis.pcolormesh(azimuth_deg, elevation_deg, values, vmin=low, vmax=high, cmap="cividis")
            _draw_loudspeakers(axis, layout)
            axis.set(
                title=f"{method}: {title}",
                xlim=(180, -180),
                xticks=range(-180, 181, 60),
                yticks=range(-90, 91, 30),
            )
            figure.colorbar(image, ax=axis, extend=beyond)
    for axis in axes[-1]:
        axis.set_xlabel("azimuth, degrees (left is positive)")
    for axis in axes[:, 0]:
        axis.set_ylabel("elevation, degrees")
    return figure


def _draw_loudspeakers(axis: Axes, layout: Layout) -> None:
    axis.plot(
        *(np.degrees(angles[layout.full_range]) for angles in layout.directions_rad()),
        "o",
        markersize=5,
        markerfacecolor="white",
        markeredgecolor="black",
    )
