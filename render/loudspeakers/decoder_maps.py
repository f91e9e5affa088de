"""Maps of a decoder's quality over the sphere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from render.common.figure_style import DEFAULT_LOOK, Look, figure_style, write_figure
from render.hoa.layout import Layout
from render.loudspeakers.decoder_quality import quality
from render.loudspeakers.optimised import covered_elevation_deg

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

# Measure of `Quality`, what its colours mean, their limits, the map, and which limit values may pass. The sign of
# the energy counts, so its colours diverge from the mean
_MAPS = (
    ("energy_db", "energy,\ndB re mean", -3.0, 3.0, "RdBu_r", "both"),
    ("re_length", "length of rE", 0.4, 1.0, "cividis", "min"),
    ("re_error_deg", "direction error\nof rE, degrees", 0.0, 45.0, "cividis", "max"),
)


def write_decoder_maps(
    matrices: dict[str, Float[ndarray, "loudspeaker acn"]],
    layout: Layout,
    path: Path,
    force: bool = False,
    look: Look = DEFAULT_LOOK,
) -> None:
    """Draw energy, length and direction error of rE over the sphere, decoder by decoder, as .png, .pdf or .svg."""
    with figure_style(10, look):
        write_figure(_maps(matrices, layout, look), path, force=force)


def _maps(matrices: dict[str, ndarray], layout: Layout, look: Look) -> Figure:
    azimuth_deg, elevation_deg = np.arange(180, -181, -2.0), np.arange(-90, 91, 2.0)
    grid = np.meshgrid(np.radians(azimuth_deg), np.radians(elevation_deg))
    found = {name: quality(matrix, layout, grid[0].ravel(), grid[1].ravel()) for name, matrix in matrices.items()}
    natural = 1.6 + 3.3 * len(matrices)
    width = look.width_in or natural
    is_narrow = width < 0.8 * natural
    figure = Figure((width, max(4.5, 7.0 * min(1.0, width / natural))), layout="constrained")
    axes = figure.subplots(len(_MAPS), len(matrices), squeeze=False, sharex=True, sharey=True)
    for row, (measure, meaning, low, high, colours, beyond) in zip(axes, _MAPS, strict=True):
        for axis, of_decoder in zip(row, found.values(), strict=True):
            values = getattr(of_decoder, measure).reshape(grid[0].shape)
            # as points, or a vector figure would hold 16,000 rectangles for each map
            image = axis.pcolormesh(
                azimuth_deg, elevation_deg, values, vmin=low, vmax=high, cmap=colours, rasterized=True
            )
            _draw_loudspeakers(axis, layout, 3 if is_narrow else 5)
            axis.set(xlim=(180, -180), xticks=range(-90, 181, 90), yticks=range(-90, 91, 45))
        figure.colorbar(image, ax=row, extend=beyond, label=meaning, aspect=12)
    for axis, name in zip(axes[0], matrices, strict=True):
        axis.set_title(name)
    figure.supxlabel("azimuth, degrees (left is positive)", fontsize="medium")
    figure.supylabel("elevation, degrees", fontsize="medium")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    columns = 1 if is_narrow else 2
    title = f"layout {layout.name}"
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, title=title)
    return figure


def _draw_loudspeakers(axis: Axes, layout: Layout, size: float) -> None:
    low_deg, high_deg = covered_elevation_deg(layout)
    inner = [deg for deg in (low_deg, high_deg) if abs(deg) < 90]
    for deg in inner:
        label = "edge of the region that the layout covers" if deg == inner[0] else None
        axis.axhline(deg, color="black", linewidth=0.8, linestyle="--", label=label)
    axis.plot(
        *(np.degrees(angles[layout.full_range]) for angles in layout.directions_rad()),
        "o",
        markersize=size,
        markerfacecolor="white",
        markeredgecolor="black",
        label="loudspeaker",
    )
