"""Render Ambisonic scenes to headphones, in memory or file by file.

The head is a rigid sphere, computed, or a set of responses from a SOFA file. The scene's channels are either
filtered directly (magnitude least squares) or decoded to virtual loudspeakers, which the head hears. When the head
turns, virtual loudspeakers stay where they are. There is no limiter and no gain.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.files import record_path, sha256, write_json
from render.common.progress import progress
from render.dsp.convolution import Filters, convolved
from render.fileio.audio_file import block_count, writer
from render.fileio.scene_file import scene_blocks, scene_info
from render.headphones.hrir import Head, read_sofa, rigid_sphere
from render.headphones.magls import HeadErrors, ear_filters, errors, speaker_filters
from render.hoa.layout import Layout
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import gauss_legendre_sphere, yaw_matrix
from render.loudspeakers.design import decoding_filters

_QUADRATURE_ELEVATIONS = 16  # the rigid sphere is sampled in 512 directions
_STEREO_MASK = 0x3


@dataclass(frozen=True)
class HeadphoneRendering:
    """How a scene is rendered to headphones: the head and the signal path.

    Attributes
    ----------
    sofa : Path, optional
        SOFA file of head-related impulse responses; without it the head is a rigid sphere.
    yaw_deg : float
        Direction that the head faces, anticlockwise from the front of the scene.
    via : Layout, optional
        Virtual loudspeakers that the scene is decoded to and the head hears; without it the scene's channels are
        filtered directly.
    decoder : str
        Decoder for `via`, see `render.loudspeakers.design.decoding_filters`.
    """

    sofa: Path | None = None
    yaw_deg: float = 0.0
    via: Layout | None = None
    decoder: str = "adm"

    @property
    def method(self) -> str:
        """How the scene is rendered, for records."""
        return (
            f"loudspeakers of {self.via.name}, decoder {self.decoder}" if self.via else "magnitude least squares"
        )

    @property
    def head_record(self) -> str | dict[str, str]:
        """The set of head-related responses, for records: its file and digest, or the rigid sphere."""
        return {"sofa": Path(self.sofa).name, "sha256": sha256(self.sofa)} if self.sofa else "rigid sphere"


DEFAULT_RENDERING = HeadphoneRendering()


def binaural_filters(
    order: int, sample_rate_hz: int, rendering: HeadphoneRendering = DEFAULT_RENDERING
) -> tuple[Filters, HeadErrors]:
    """Design filters from ACN/SN3D channels to the left and right ear.

    Parameters
    ----------
    order : int
        Ambisonic order, 0..7.
    sample_rate_hz : int
    rendering : HeadphoneRendering

    Returns
    -------
    filters : Filters
        Time 0 is the mean onset of the head's responses.
    errors : HeadErrors
        Of the filters, for plane waves from all directions of the head before it turns.

    Raises
    ------
    InputError
        If the SOFA file cannot be read or its directions do not determine the order, or as
        `render.loudspeakers.design.decoding_matrix`.
    """
    yaw_rad = np.radians(rendering.yaw_deg)
    measured = read_sofa(rendering.sofa).resampled(sample_rate_hz) if rendering.sofa else None
    azimuth, elevation, _ = gauss_legendre_sphere(_QUADRATURE_ELEVATIONS)
    head = measured or rigid_sphere(azimuth, elevation, sample_rate_hz)
    if rendering.via:
        decoder = decoding_filters(rendering.via, order, rendering.decoder, sample_rate_hz)
        filters = _loudspeaker_filters(measured, rendering.via, sample_rate_hz, yaw_rad, decoder)
        unturned = filters
        if rendering.yaw_deg:
            unturned = _loudspeaker_filters(measured, rendering.via, sample_rate_hz, 0.0, decoder)
        return filters, errors(head, unturned)
    filters = ear_filters(head, order)
    # For a head that turns to the left, the scene turns to the right
    return filters.after(yaw_matrix(order, -yaw_rad)), errors(head, filters)


def _loudspeaker_filters(
    measured: Head | None,
    via: Layout,
    sample_rate_hz: int,
    yaw_rad: float,
    decoder: Filters,
) -> Filters:
    """Filters from the scene through a decoder and loudspeakers to the ears of the turned head."""
    azimuth, elevation = (angles[via.full_range] for angles in via.directions_rad())
    azimuth = azimuth - yaw_rad
    head = measured.at(azimuth, elevation) if measured else rigid_sphere(azimuth, elevation, sample_rate_hz)
    return speaker_filters(head).following(Filters(decoder.taps[via.full_range], decoder.origin))


def binaural(scene: Scene, rendering: HeadphoneRendering = DEFAULT_RENDERING) -> Float32[ndarray, "ear time"]:
    """Render a scene to ear signals (left, right) of the same length.

    Raises
    ------
    InputError
        As `binaural_filters`.

    Examples
    --------
    >>> import numpy as np
    >>> from render.hoa.scene import Scene
    >>> binaural(Scene(np.zeros((4, 480), np.float32), 48000)).shape
    (2, 480)
    """
    filters, _ = binaural_filters(scene.order, scene.sample_rate_hz, rendering)
    return np.concatenate(list(convolved([scene.samples], filters)), axis=1)


def binaural_file(
    source: Path,
    destination: Path,
    rendering: HeadphoneRendering = DEFAULT_RENDERING,
    subtype: str = "PCM_24",
    force: bool = False,
) -> dict[str, Any]:
    """Render a scene's file, or files, block by block and write its record beside it (``OUT.json``).

    Parameters
    ----------
    source, destination : Path
    rendering : HeadphoneRendering
    subtype : str
        Sample format, see `render.fileio.audio_file.writer`.
    force : bool
        Replace an existing file that differs.

    Returns
    -------
    dict
        The record: input, head, method, errors against the head, peak and clipping.

    Raises
    ------
    InputError
        As `binaural_filters`, or if a file cannot be read or written.
    """
    about = scene_info(source)
    filters, errors = binaural_filters(about.ambisonic_order, about.sample_rate_hz, rendering)
    signal = progress(scene_blocks(source), f"render {about.path.name} in blocks", block_count(about.length))
    with writer(destination, 2, about.sample_rate_hz, subtype, force, _STEREO_MASK) as file:
        for block in convolved(signal, filters):
            file.write(block)
    record = {
        "input": about.path.name,
        "ambisonic_order": about.ambisonic_order,
        "normalisation": about.convention,
        "head": rendering.head_record,
        "yaw_deg": rendering.yaw_deg,
        "method": rendering.method,
        "errors": asdict(errors),
        "sample_rate_hz": about.sample_rate_hz,
        "frames": about.length,
        "subtype": subtype,
        "peak_dbfs": round(20 * math.log10(file.peak), 4) if file.peak else None,
        "clipped_values": file.clipped,
        "first_clipped": (
            {"channel": file.first_clipped[0], "time_s": file.first_clipped[1] / about.sample_rate_hz}
            if file.first_clipped
            else None
        ),
    }
    write_json(record_path(Path(destination)), record, force=True)
    return record
