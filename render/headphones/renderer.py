"""Render Ambisonic scenes to headphones, in memory or file by file.

The head is a rigid sphere, computed, or a set of responses from a SOFA file. The scene's channels are either
filtered directly (magnitude least squares) or decoded to virtual loudspeakers, which the head hears. When the head
turns, virtual loudspeakers stay where they are. There is no limiter and no gain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray
from scipy.spatial.transform import Rotation

from render.common.errors import InputError
from render.common.files import record_path, sha256, write_json
from render.common.progress import progress
from render.dsp.convolution import Filters, convolved
from render.fileio.audio_file import block_count, writer
from render.fileio.scene_file import scene_blocks, scene_info
from render.headphones.filter_set import read_filter_set
from render.headphones.hrir import Head, read_sofa, rigid_sphere
from render.headphones.magls import HeadErrors, ear_filters, errors, speaker_filters
from render.headphones.orientation import head_rotation, read_trajectory, scene_matrices, turned
from render.hoa.layout import Layout
from render.hoa.scene import MAX_ORDER, Scene
from render.hoa.spherical_harmonics import gauss_legendre_sphere, unit_vectors
from render.loudspeakers.design import decoding_filters

if TYPE_CHECKING:
    from jaxtyping import Float32

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
    pitch_deg, roll_deg : float
        Angles by which the head is raised, and tilted to the right shoulder, after the yaw.
    trajectory : Path, optional
        File of a head's orientations over time (`render.headphones.orientation`), in place of constant ones.
    filters : Path, optional
        Ready ear filters (`render.headphones.filter_set`) in place of a head.

    Raises
    ------
    InputError
        If what is asked for excludes itself.
    """

    sofa: Path | None = None
    yaw_deg: float = 0.0
    via: Layout | None = None
    decoder: str = "adm"
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    trajectory: Path | None = None
    filters: Path | None = None

    def __post_init__(self):
        if self.filters and (self.sofa or self.via):
            raise InputError("ready filters have their head and way in them; leave the SOFA file and --via out")
        if self.trajectory and self.via:
            raise InputError(
                "a trajectory turns the scene, but virtual loudspeakers stay where they are when the head turns; "
                "leave --via out"
            )
        if self.trajectory and (self.yaw_deg or self.pitch_deg or self.roll_deg):
            raise InputError("give a trajectory, or yaw, pitch and roll")

    @property
    def method(self) -> str:
        """How the scene is rendered, for records."""
        if self.filters:
            return "ready filters"
        return (
            f"loudspeakers of {self.via.name}, decoder {self.decoder}" if self.via else "magnitude least squares"
        )

    @property
    def head_record(self) -> str | dict[str, str]:
        """The set of head-related responses, for records: its file and digest, or the rigid sphere."""
        if self.filters:
            return {"filters": Path(self.filters).name, "sha256": sha256(self.filters)}
        return {"sofa": Path(self.sofa).name, "sha256": sha256(self.sofa)} if self.sofa else "rigid sphere"

    @property
    def orientation(self) -> Rotation:
        """Constant orientation of the head."""
        return head_rotation(*np.array([self.yaw_deg, self.pitch_deg, self.roll_deg]))


DEFAULT_RENDERING = HeadphoneRendering()


def binaural_filters(
    order: int, sample_rate_hz: int, rendering: HeadphoneRendering = DEFAULT_RENDERING
) -> tuple[Filters, HeadErrors | None]:
    """Design filters from ACN/SN3D channels to the left and right ear, or read them.

    A trajectory is not part of them: it turns the scene before (`render.headphones.orientation.turned`).

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
    errors : HeadErrors, or None
        Of the filters, for plane waves from all directions of the head before it turns; None if they are read.

    Raises
    ------
    InputError
        If the SOFA file cannot be read or its directions do not determine the order, or as
        `render.loudspeakers.design.decoding_matrix` or `render.headphones.filter_set.read_filter_set`.
    """
    turns = rendering.orientation.magnitude() > 0
    to_head = scene_matrices(order, rendering.orientation)
    if rendering.filters:
        filters = read_filter_set(rendering.filters, order, sample_rate_hz)
        return (filters.after(to_head) if turns else filters), None
    measured = read_sofa(rendering.sofa).resampled(sample_rate_hz) if rendering.sofa else None
    azimuth, elevation, _ = gauss_legendre_sphere(_QUADRATURE_ELEVATIONS)
    head = measured or rigid_sphere(azimuth, elevation, sample_rate_hz)
    if rendering.via:
        decoder = decoding_filters(rendering.via, order, rendering.decoder, sample_rate_hz)
        unturned = _loudspeaker_filters(measured, rendering.via, sample_rate_hz, Rotation.identity(), decoder)
        filters = unturned
        if turns:
            filters = _loudspeaker_filters(measured, rendering.via, sample_rate_hz, rendering.orientation, decoder)
        return filters, errors(head, unturned)
    filters = ear_filters(head, order)
    return (filters.after(to_head) if turns else filters), errors(head, filters)


def check_order(order: int) -> None:
    """Raise `InputError` unless scenes may have this order."""
    if not 0 <= order <= MAX_ORDER:
        raise InputError(f"order {order}; possible are 0 to {MAX_ORDER}")


def _loudspeaker_filters(
    measured: Head | None,
    via: Layout,
    sample_rate_hz: int,
    orientation: Rotation,
    decoder: Filters,
) -> Filters:
    """Filters from the scene through a decoder and loudspeakers to the ears of the turned head."""
    azimuth, elevation = (angles[via.full_range] for angles in via.directions_rad())
    if orientation.magnitude() > 0:
        front, left, up = orientation.inv().apply(unit_vectors(azimuth, elevation)).T
        azimuth, elevation = np.arctan2(left, front), np.arcsin(np.clip(up, -1, 1))
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
    signal = _turned([scene.samples], rendering, scene.order, scene.sample_rate_hz)
    return np.concatenate(list(convolved(signal, filters)), axis=1)


def _turned(
    signal: Iterable[Float32[ndarray, "acn time"]], rendering: HeadphoneRendering, order: int, sample_rate_hz: int
) -> Iterable[Float32[ndarray, "acn time"]]:
    if not rendering.trajectory:
        return signal
    return turned(signal, read_trajectory(rendering.trajectory), order, sample_rate_hz)


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
    signal = _turned(signal, rendering, about.ambisonic_order, about.sample_rate_hz)
    rate_hz, length = about.sample_rate_hz, about.length
    with writer(destination, 2, rate_hz, subtype, force, _STEREO_MASK, length=length) as file:
        for block in convolved(signal, filters):
            file.write(block)
    record = {
        "input": about.path.name,
        "ambisonic_order": about.ambisonic_order,
        "normalisation": about.convention,
        "head": rendering.head_record,
        "yaw_deg": rendering.yaw_deg,
        "pitch_deg": rendering.pitch_deg,
        "roll_deg": rendering.roll_deg,
        "trajectory": {"file": rendering.trajectory.name, "sha256": sha256(rendering.trajectory)}
        if rendering.trajectory
        else None,
        "method": rendering.method,
        "errors": asdict(errors) if errors else None,
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
