"""Render an Ambisonic scene to headphones.

Reads an ACN/SN3D file block by block, filters it with the ear signals of a head and writes two channels, with
a record beside them (OUT.json). The head is a rigid sphere, computed, or any set of responses in a SOFA file.
By default the scene's channels are filtered directly (magnitude least squares); --via 7.1.4 decodes to
loudspeakers first and lets the head hear those, which is what a listener in the loudspeaker room hears.
--yaw turns the head, anticlockwise; loudspeakers stay where they are. No limiter and no gain.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.cli import progress
from render.common.files import record_path, sha256, write_json
from render.dsp.convolution import Filters, convolved
from render.fileio.audio_file import BLOCK_FRAMES, blocks, info, writer
from render.headphones.hrir import Head, read_sofa, rigid_sphere
from render.headphones.magls import HeadErrors, ear_filters, errors, speaker_filters
from render.hoa.layout import Layout
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import gauss_legendre_sphere, yaw_matrix
from render.loudspeakers.design import decoding_matrix

_GRID = 16  # elevations of the quadrature that the rigid sphere is sampled at: 512 directions


def binaural_filters(
    order: int,
    sample_rate_hz: int,
    sofa: Path | None = None,
    yaw_deg: float = 0.0,
    via: Layout | None = None,
    decoder: str = "adm",
) -> tuple[Filters, HeadErrors]:
    """Filters from ACN/SN3D channels to the left and right ear.

    Parameters
    ----------
    order : int
        Ambisonic order, 0..7.
    sample_rate_hz : int
    sofa : Path, optional
        File of head-related impulse responses; a rigid sphere without.
    yaw_deg : float
        Where the head looks, anticlockwise from the front of the scene.
    via : Layout, optional
        Loudspeakers that the scene is decoded to and the head hears, by `decoder`.

    Returns
    -------
    filters : Filters
        Time 0 is the mean onset of the head's responses.
    errors : HeadErrors
        Of the filters, for plane waves from all directions of the head before it is turned.

    Raises
    ------
    InputError
        If the SOFA file can't be read or its directions don't determine the order.
    """
    yaw_rad = np.radians(yaw_deg)
    head = read_sofa(sofa).resampled(sample_rate_hz) if sofa else None
    azimuth, elevation, _ = gauss_legendre_sphere(_GRID)
    everywhere = head or _sphere(azimuth, elevation, sample_rate_hz)
    if via:
        filters = _heard_loudspeakers(head, via, order, decoder, sample_rate_hz, yaw_rad)
        unturned = _heard_loudspeakers(head, via, order, decoder, sample_rate_hz, 0.0) if yaw_deg else filters
        return filters, errors(everywhere, unturned)
    filters = ear_filters(everywhere, order)
    # For a head that turns to the left the scene turns to the right
    return filters.after(yaw_matrix(order, -yaw_rad)), errors(everywhere, filters)


def _sphere(azimuth: ndarray, elevation: ndarray, sample_rate_hz: int) -> Head:

    return rigid_sphere(azimuth, elevation, sample_rate_hz)


def _heard_loudspeakers(
    head: Head | None, via: Layout, order: int, decoder: str, sample_rate_hz: int, yaw_rad: float
) -> Filters:
    """Decode, and let the head hear each loudspeaker from where it stands to the turned head."""
    heard = [index for index, speaker in enumerate(via.loudspeakers) if not speaker.is_lfe]
    azimuth = np.radians([via.loudspeakers[index].azimuth_deg for index in heard]) - yaw_rad
    elevation = np.radians([via.loudspeakers[index].elevation_deg for index in heard])
    speakers = head.at(azimuth, elevation) if head else _sphere(azimuth, elevation, sample_rate_hz)
    return speaker_filters(speakers).after(decoding_matrix(via, order, decoder)[heard])


def binaural(
    scene: Scene,
    sofa: Path | None = None,
    yaw_deg: float = 0.0,
    via: Layout | None = None,
    decoder: str = "adm",
) -> Float32[ndarray, "ear time"]:
    """Ear signals (left, right) of a scene, as long as it; arguments as `binaural_filters`.

    Examples
    --------
    >>> import numpy as np
    >>> from render.hoa.scene import Scene
    >>> binaural(Scene(np.zeros((4, 480), np.float32), 48000)).shape
    (2, 480)
    """
    filters, _ = binaural_filters(scene.order, scene.sample_rate_hz, sofa, yaw_deg, via, decoder)
    return np.concatenate(list(convolved([scene.samples], filters)), axis=1)


def binaural_file(
    source: Path,
    destination: Path,
    sofa: Path | None = None,
    yaw_deg: float = 0.0,
    via: Layout | None = None,
    decoder: str = "adm",
    subtype: str = "PCM_24",
    force: bool = False,
) -> dict[str, Any]:
    """Render a file block by block and write its record beside it; arguments as `binaural_filters`."""
    about = info(source)
    filters, errors = binaural_filters(about.ambisonic_order, about.sample_rate_hz, sofa, yaw_deg, via, decoder)
    scene = progress(blocks(source), f"render {about.path.name} in blocks", -(-about.length // BLOCK_FRAMES))
    with writer(destination, 2, about.sample_rate_hz, subtype, force, 0x3) as file:
        for block in convolved(scene, filters):
            file.write(block)
    record = {
        "input": about.path.name,
        "ambisonic_order": about.ambisonic_order,
        "normalisation": "ACN/SN3D",
        "head": {"sofa": Path(sofa).name, "sha256": sha256(sofa)} if sofa else "rigid sphere",
        "yaw_deg": yaw_deg,
        "method": f"loudspeakers of {via.name}, decoder {decoder}" if via else "magnitude least squares",
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
