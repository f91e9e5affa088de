"""Point-source panner of Recommendation ITU-R BS.2127-1, clause 6.1, for many directions at once.

The loudspeakers and some virtual ones are the vertices of a polyhedron around the listener. A source is panned
between the vertices of the face that its direction passes through, by vector-base amplitude panning in a triangle
and by bilinear panning in a quadrilateral. The gains of virtual loudspeakers are then mixed down to real ones and
all gains normalised to a power of 1.

A set of loudspeakers that no standard knows is treated alike, with its real positions in place of nominal ones. It
gets no virtual loudspeakers above or below if one stands at that pole. Faces of more than four vertices get one in
their middle, as the standard has them at the poles, and directions that no loudspeaker is within 85 degrees of get
one that all loudspeakers play.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.hoa.layout import Layout, Loudspeaker, layout, nominal_loudspeakers
from render.hoa.spherical_harmonics import gauss_legendre_sphere, unit_vectors

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_LAYERS_DEG = ((-30.0, -70.0, -10.0), (30.0, 10.0, 70.0))  # nominal elevation of a layer, and its bounds
_MID_LAYER_DEG = 10.0
_EXTRA_AZIMUTH_DEG = 40.0  # by which a layer extends beyond its widest loudspeaker
_TRIPLET_TOLERANCE, _QUAD_TOLERANCE = 1e-11, 1e-10
_COPLANAR_TOLERANCE = 1e-5
_CAP_TOLERANCE = 1e-6
_POLE_DEG = 20.0  # around a pole; a loudspeaker of a set of one's own that stands there takes its place
_LARGEST_GAP_DEG = 85.0
_TRIPLES_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class _Polyhedron:
    """Vertices, faces (3 or 4 vertices each, in order around the face) and gains from vertices to loudspeakers."""

    vertices: Float[ndarray, "vertex 3"]
    faces: list[ndarray]
    downmix: Float[ndarray, "vertex loudspeaker"]


def pan(
    to: Layout, azimuth_rad: Float[ndarray, " direction"], elevation_rad: Float[ndarray, " direction"]
) -> Float[ndarray, "direction loudspeaker"]:
    """Compute the loudspeaker gains of point sources (BS.2127-1, clause 6.1); LFE gains are 0.

    As the standard prescribes, faces follow from the nominal loudspeaker positions and gains from the real ones.
    The power of the gains is 1; for stereo it falls from 1 in front to 1/2 at the back.

    Raises
    ------
    InputError
        If the measured positions leave a direction outside every face.

    Examples
    --------
    >>> pan(layout("0+5+0"), np.radians([30.0]), np.zeros(1)).round(3).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    directions = unit_vectors(np.atleast_1d(azimuth_rad), np.atleast_1d(elevation_rad))
    if to.name == "0+2+0":
        return _pan_stereo(directions)
    polyhedron = _polyhedron(to)
    gains = np.zeros((len(directions), len(to.loudspeakers)))
    is_left = np.ones(len(directions), bool)
    for face in polyhedron.faces:
        vertices = polyhedron.vertices[face]
        near = np.flatnonzero(is_left & _in_cap(directions, vertices))
        face_gains, inside = (_pan_triplet if len(face) == 3 else _pan_quad)(directions[near], vertices)
        gains[near[inside]] = _unit_power(face_gains @ polyhedron.downmix[face])
        is_left[near[inside]] = False
    left = np.flatnonzero(is_left)
    if left.size:
        azimuth, elevation = np.degrees(
            [np.atleast_1d(azimuth_rad)[left[0]], np.atleast_1d(elevation_rad)[left[0]]]
        )
        raise InputError(
            f"layout {to.name}: no loudspeakers surround azimuth {azimuth:.0f}, elevation {elevation:.0f} degrees "
            f"({left.size} of {len(directions)} directions); check the measured positions, whose order around the "
            "listener differs from the nominal one"
        )
    return gains


def _in_cap(
    directions: Float[ndarray, "direction 3"], vertices: Float[ndarray, "vertex 3"]
) -> Bool[ndarray, " direction"]:
    """Whether each direction lies in the spherical cap around a face, outside of which none passes through it."""
    centre = vertices.sum(axis=0)
    edge = (vertices @ centre).min() - _CAP_TOLERANCE
    # A cap within a hemisphere holds every direction between its vertices
    return directions @ centre >= edge if edge > 0 else np.ones(len(directions), bool)


def _pan_stereo(directions: ndarray) -> ndarray:
    """Pan over 0+5+0 and mix down as in BS.775, but the centre by sqrt(1/3), which keeps the velocity vector."""
    polyhedron_layout = layout("0+5+0")
    azimuth = np.arctan2(directions[:, 1], directions[:, 0])
    surround = pan(polyhedron_layout, azimuth, np.arcsin(np.clip(directions[:, 2], -1, 1)))
    left, right, centre, _, left_surround, right_surround = surround.T
    mixed = np.stack(
        [
            left + centre * np.sqrt(1 / 3) + left_surround * np.sqrt(1 / 2),
            right + centre * np.sqrt(1 / 3) + right_surround * np.sqrt(1 / 2),
        ],
        axis=1,
    )
    front = surround[:, :3].max(axis=1)
    back = surround[:, 4:].max(axis=1)
    return _unit_power(mixed) * 0.5 ** (0.5 * back / (front + back))[:, None]


def _unit_power(gains: ndarray) -> ndarray:
    return gains / np.linalg.norm(gains, axis=1, keepdims=True)


def _pan_triplet(
    directions: Float[ndarray, "direction 3"], vertices: Float[ndarray, "3 3"]
) -> tuple[Float[ndarray, "inside 3"], Bool[ndarray, " direction"]]:
    """Vector-base amplitude panning: gains g with g·vertices = direction, inside the face if none is negative."""
    gains = directions @ np.linalg.inv(vertices)
    inside = np.logical_and.reduce([gain >= -_TRIPLET_TOLERANCE for gain in gains.T])
    return _unit_power(np.clip(gains[inside], 0, None)), inside


def _pan_quad(
    directions: Float[ndarray, "direction 3"], vertices: Float[ndarray, "4 3"]
) -> tuple[Float[ndarray, "inside 4"], Bool[ndarray, " direction"]]:
    """Bilinear panning at the point (x, y) where a direction meets the surface through four vertices."""
    x, x_inside = _quad_coordinate(directions, vertices)
    y, y_inside = _quad_coordinate(directions, np.roll(vertices, -1, axis=0))
    gains = np.stack([(1 - x) * (1 - y), x * (1 - y), x * y, (1 - x) * y], axis=1)
    ahead = np.einsum("dv,vi,di->d", gains, vertices, directions) > 0
    inside = x_inside & y_inside & ahead
    return _unit_power(gains[inside]), inside


def _quad_coordinate(directions: ndarray, vertices: ndarray) -> tuple[ndarray, ndarray]:
    """Solve d · ((A + x(B-A)) × (D + x(C-D))) = 0 for x in [0, 1]; 0 and False where there is no solution."""
    a, b, c, d = vertices
    square = directions @ np.cross(b - a, c - d)
    linear = directions @ (np.cross(a, c - d) + np.cross(b - a, d))
    constant = directions @ np.cross(a, d)
    discriminant = linear**2 - 4 * square * constant
    # The form without cancellation, which remains finite where the equation is linear (square = 0)
    half = -0.5 * (linear + np.where(linear < 0, -1.0, 1.0) * np.sqrt(np.maximum(discriminant, 0)))
    outside = np.full(len(directions), -1.0)
    roots = (
        np.divide(constant, half, out=outside.copy(), where=np.abs(half) > 1e-150),
        np.divide(half, square, out=outside.copy(), where=np.abs(square) > 1e-150),
    )
    found = np.zeros(len(directions))
    inside = np.zeros(len(directions), bool)
    for root in roots:
        fits = (np.abs(root - 0.5) < 0.5 + _QUAD_TOLERANCE) & (discriminant > -(_QUAD_TOLERANCE**2)) & ~inside
        found[fits] = np.clip(root[fits], 0, 1)
        inside |= fits
    return found, inside


@lru_cache(maxsize=32)
def _polyhedron(of: Layout) -> _Polyhedron:
    real = [of.loudspeakers[index] for index in of.full_range]
    nominal = _nominal(of)
    downmix = np.eye(len(of.loudspeakers))[of.full_range]

    is_standard = bool(nominal_loudspeakers(of.name))
    layers = [layer for layer in _LAYERS_DEG if is_standard or not _has_at_pole(of, layer[0])]
    for (nominal_copy, real_copy), source in _layer_copies(nominal, real, layers):
        nominal, real = [*nominal, nominal_copy], [*real, real_copy]
        downmix = np.vstack([downmix, downmix[source]])

    # A virtual loudspeaker straight below, and one straight above unless a real one may be there; the gain of each
    # is distributed over its neighbours
    poles = np.array([[0.0, 0.0, sign] for sign in (-1.0, 1.0) if not _has_at_pole(of, sign)]).reshape(-1, 3)
    vertices = np.vstack([_positions(nominal), poles])
    gaps = np.zeros((0, 3)) if is_standard else _gaps(vertices)
    downmix = np.vstack([downmix, np.zeros((len(poles), downmix.shape[1])), _played_by_all(of, len(gaps))])
    faces = _faces(np.vstack([vertices, gaps]))
    for pole in range(len(real), len(real) + len(poles)):
        ring = sorted({int(v) for face in faces if pole in face for v in face} - {pole})
        downmix[pole] = downmix[ring].sum(axis=0) / np.sqrt(len(ring))
    return _with_centres(_Polyhedron(np.vstack([_positions(real), poles, gaps]), faces, downmix))


def _has_at_pole(of: Layout, sign: float) -> bool:
    """Whether a real loudspeaker takes the place of the virtual one straight above (sign > 0) or below (< 0)."""
    if nominal_loudspeakers(of.name):
        return sign > 0 and bool({"T+000", "UH+180"} & set(of.labels))
    elevations_deg = [np.sign(sign) * of.loudspeakers[index].elevation_deg for index in of.full_range]
    return max(elevations_deg) > 90 - _POLE_DEG


def _gaps(vertices: Float[ndarray, "vertex 3"]) -> Float[ndarray, "gap 3"]:
    """Directions, one after the other, that are farthest from all vertices, as long as that is too far.

    When every direction has a vertex within 90 degrees, the listener is inside of the polyhedron.
    """
    azimuth, elevation, _ = gauss_legendre_sphere(48)
    horizontal = unit_vectors(np.radians([180.0, 0.0, 90.0, -90.0]), np.zeros(4))
    candidates = np.vstack([horizontal, unit_vectors(azimuth, elevation)])
    found = np.zeros((0, 3))
    while True:
        nearest = (candidates @ np.vstack([vertices, found]).T).max(axis=1)
        if nearest.min() > np.cos(np.radians(_LARGEST_GAP_DEG)):
            return found
        farthest = int(np.argmax(nearest < nearest.min() + 1e-9))  # of equal ones a horizontal one
        found = np.vstack([found, candidates[farthest]])


def _played_by_all(of: Layout, count: int) -> Float[ndarray, "vertex loudspeaker"]:
    gains = np.zeros((count, len(of.loudspeakers)))
    gains[:, of.full_range] = 1 / np.sqrt(len(of.full_range))
    return gains


def _with_centres(polyhedron: _Polyhedron) -> _Polyhedron:
    """Divide faces of more than four vertices into triangles around a virtual loudspeaker in their middle."""
    vertices, downmix, faces = polyhedron.vertices, polyhedron.downmix, []
    for face in polyhedron.faces:
        if len(face) <= 4:
            faces.append(face)
            continue
        centre = vertices[face].mean(axis=0)
        vertices = np.vstack([vertices, centre / np.linalg.norm(centre)])
        downmix = np.vstack([downmix, downmix[face].sum(axis=0) / np.sqrt(len(face))])
        faces += [np.array([*pair, len(vertices) - 1]) for pair in zip(face, np.roll(face, -1), strict=True)]
    return _Polyhedron(vertices, faces, downmix)


def _nominal(of: Layout) -> list[Loudspeaker]:
    """Nominal positions; screen loudspeakers are inside or outside of M±030 like the real ones (6.1.3.1).

    A set of loudspeakers that no standard knows has its real positions only.
    """
    result = []
    standards = nominal_loudspeakers(of.name) or of.loudspeakers
    for standard, real in zip(standards, of.loudspeakers, strict=True):
        if standard.is_lfe:
            continue
        if standard.label in ("M+SC", "M-SC"):
            azimuth = np.copysign(45.0 if abs(real.azimuth_deg) > 30 else 15.0, real.azimuth_deg)
            standard = Loudspeaker(standard.label, azimuth, 0.0)
        result.append(standard)
    return result


def _layer_copies(
    nominal: list[Loudspeaker], real: list[Loudspeaker], layers: list[tuple[float, float, float]]
) -> Iterator[tuple[tuple[Loudspeaker, Loudspeaker], int]]:
    """Yield virtual loudspeakers (nominal, real) above and below the middle layer, each with its downmix target.

    Where a layer has no loudspeakers at an azimuth, those of the middle layer are copied to its elevation, so that
    a source that moves horizontally there does not also move vertically (6.1.3.1).
    """
    for layer_deg, low_deg, high_deg in layers:
        layer = [i for i, speaker in enumerate(nominal) if low_deg <= speaker.elevation_deg <= high_deg]
        limit_deg = max((abs(nominal[i].azimuth_deg) + _EXTRA_AZIMUTH_DEG for i in layer), default=0.0)
        real_deg = np.mean([real[i].elevation_deg for i in layer]) if layer else layer_deg
        for i, speaker in enumerate(nominal):
            if abs(speaker.elevation_deg) <= _MID_LAYER_DEG and abs(speaker.azimuth_deg) >= limit_deg - 1e-5:
                pair = (
                    Loudspeaker("virtual", speaker.azimuth_deg, layer_deg),
                    Loudspeaker("virtual", real[i].azimuth_deg, float(real_deg)),
                )
                yield pair, i


def _positions(loudspeakers: list[Loudspeaker]) -> Float[ndarray, "loudspeaker 3"]:
    azimuth = np.radians([speaker.azimuth_deg for speaker in loudspeakers])
    return unit_vectors(azimuth, np.radians([speaker.elevation_deg for speaker in loudspeakers]))


def _faces(positions: Float[ndarray, "vertex 3"]) -> list[ndarray]:
    """Faces of the convex hull, with coplanar vertices in one face, in order around it.

    With so few vertices every plane through three of them is tried: it is a face if no vertex lies beyond it.
    """
    triples = np.array(list(combinations(range(len(positions)), 3)))
    faces: dict[tuple[int, ...], ndarray] = {}
    for begin in range(0, len(triples), _TRIPLES_AT_ONCE):
        a, b, c = positions[triples[begin : begin + _TRIPLES_AT_ONCE]].transpose(1, 0, 2)
        normals = np.cross(b - a, c - a)
        length = np.linalg.norm(normals, axis=1)
        proper = length > _COPLANAR_TOLERANCE
        normals = normals[proper] / length[proper, None]
        height = normals @ positions.T - np.einsum("ti,ti->t", normals, a[proper])[:, None]
        outwards = np.where(height.sum(axis=1, keepdims=True) > 0, -1.0, 1.0)
        normals, height = outwards * normals, outwards * height
        for index in np.flatnonzero(height.max(axis=1) <= _COPLANAR_TOLERANCE):
            vertices = tuple(np.flatnonzero(height[index] >= -_COPLANAR_TOLERANCE).tolist())
            faces.setdefault(vertices, normals[index])
    return [_around(list(vertices), positions, normal) for vertices, normal in faces.items()]


def _around(vertices: list[int], positions: ndarray, normal: ndarray) -> ndarray:
    offset = positions[vertices] - positions[vertices].mean(axis=0)
    across = np.cross(normal, offset[0])
    angle = np.arctan2(offset @ across, offset @ offset[0])
    return np.asarray(vertices)[np.argsort(angle)]
