"""Find the channel order, mirror, rotation and polarity that turn a reference into its test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import gauss_legendre_sphere, sn3d_to_n3d, spherical_harmonics, unit_vectors

# ACN numbers of the channels in the order of FuMa, W XYZ RSTUV KLMNOPQ, and of SID (single index designation)
FUMA = (0, 3, 1, 2, 6, 7, 5, 8, 4, 12, 13, 11, 14, 10, 15, 9)
SID = (0, 3, 1, 2, 8, 4, 7, 5, 6, 15, 9, 14, 10, 13, 11, 12)
# A simpler map is preferred unless the best one improves the score by this, and by this part of what is left to 1
_MIN_GAIN, _GAIN_PART, _GAIN_PART_OF_COVARIANCES = 1e-3, 0.1, 0.25
# Coherence that a few frames have by chance
_CHANCE_COHERENCE = 0.1
# Smaller rotations are ignored
_MIN_ANGLE_DEG = 1.5

Faults = tuple[tuple[str, str], ...]
"""Pairs of a fault and its details."""
Isometry = tuple[Faults, Float64[ndarray, "3 3"] | None]
"""Orthogonal matrix of space (x, y, z), None for the identity, and the faults that it is."""


@dataclass(frozen=True, eq=False)
class BandCovariances:
    """Covariances of reference and test in ERB bands, each scaled so that the reference's channels sum to 1."""

    reference: Float64[ndarray, "band acn acn"]
    test: Float64[ndarray, "band acn acn"]
    cross: Float64[ndarray, "band test reference"]


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """The simplest map from the channels of a reference to those of its test that fits as well as any other.

    Attributes
    ----------
    faults : tuple of (fault, details)
        Empty if the map is the identity.
    matrix : float (acn, acn)
        Matrix from the channels of the reference to those of the test, without gains and polarity.
    permutation : tuple of int
        Channel of the reference at the position of each channel of the test.
    score, identity_score : float
        Mean correlation of the channels with this map, and with the identity.
    is_inverted : bool
    confidence : float
        Improvement of the score, re what the identity leaves to 1.
    """

    faults: Faults
    matrix: Float64[ndarray, "acn acn"]
    permutation: tuple[int, ...]
    score: float
    identity_score: float
    is_inverted: bool
    confidence: float


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A map that may fit; `rarity` is 0 for maps that are common mistakes, larger for others."""

    faults: Faults
    permutation: tuple[int, ...]
    matrix: Float64[ndarray, "acn acn"]
    rarity: int


def fuma_gains(order: int) -> Float64[ndarray, " acn"]:
    """Return the gains from SN3D to FuMa (maximum normalisation, W at -3 dB; Malham 2003), in ACN order."""
    by_degree = {(0, 0): 0.5**0.5, (2, 1): 2 / 3**0.5, (2, 2): 2 / 3**0.5,
                 (3, 1): (45 / 32) ** 0.5, (3, 2): 3 / 5**0.5, (3, 3): (8 / 5) ** 0.5}  # fmt: skip
    return np.array([by_degree.get((n, abs(m)), 1.0) for n in range(order + 1) for m in range(-n, n + 1)])


@cache
def _projection(order: int) -> tuple[Float64[ndarray, "node 3"], Float64[ndarray, "acn node"]]:
    """Return nodes on the sphere, and the matrix that projects functions given there on the harmonics."""
    azimuth, elevation, weights = gauss_legendre_sphere(order + 1)
    harmonics = spherical_harmonics(order, azimuth, elevation)
    return unit_vectors(azimuth, elevation), (harmonics * weights[:, None]).T * sn3d_to_n3d(order)[:, None] ** 2


def transformation(order: int, matrix: Float64[ndarray, "3 3"]) -> Float64[ndarray, "acn acn"]:
    """Return the matrix of ACN/SN3D channels for an orthogonal matrix of (x, y, z), a rotation or a mirror."""
    points, projection = _projection(order)
    moved = points @ matrix.T
    azimuth, elevation = np.arctan2(moved[:, 1], moved[:, 0]), np.arcsin(np.clip(moved[:, 2], -1, 1))
    # y(Q u) = M y(u) at every node u, solved by projection on the harmonics
    return (projection @ spherical_harmonics(order, azimuth, elevation)).T


def find_channel_map(
    bands: BandCovariances, usable: Bool[ndarray, " acn"], min_waveform: float, min_covariance: float
) -> ChannelMap | None:
    """Find the simplest map of channels that explains a test as well as any other.

    Scores are mean correlations of channels, so that gains do not matter: correlations of the waveforms, or, where
    these do not match at all, of the off-diagonal elements of the covariances.

    Parameters
    ----------
    bands : BandCovariances
    usable : bool (acn,)
        Channels of the test that are compared.
    min_waveform, min_covariance : float
        Smallest score of either kind that counts as a match.

    Returns
    -------
    ChannelMap or None
        None if no map reaches the smallest score.
    """
    weights = _coherence(bands, usable)
    own, test, cross = (np.einsum("b,bij->ij", weights, of) for of in (bands.reference, bands.test, bands.cross))
    candidates = list(_candidates(own, test, cross, usable, has_waveform=True))
    scores = np.array([_waveform_score(own, test, cross, one.matrix, usable) for one in candidates])
    has_waveform = bool(np.abs(scores).max() >= min_waveform)
    gain_part = _GAIN_PART
    if not has_waveform:
        own, test, cross = (of.sum(axis=0) for of in (bands.reference, bands.test, bands.cross))
        candidates = list(_candidates(own, test, cross, usable, has_waveform=False))
        scores = np.array([_covariance_score(own, test, one.matrix, usable) for one in candidates])
        if scores.max() < min_covariance:
            return None
        gain_part = _GAIN_PART_OF_COVARIANCES
    height = np.abs(scores) if has_waveform else scores
    enough = height.max() - _MIN_GAIN - gain_part * (1 - height.max())
    # Among maps that fit alike, a channel order that is a common mistake comes before a rotation
    best = min(
        (i for i in range(len(height)) if height[i] >= enough),
        key=lambda i: (len(candidates[i].faults), -round(height[i], 3), candidates[i].rarity, -height[i]),
    )
    identity_score, score = float(height[0]), float(height[best])
    return ChannelMap(
        candidates[best].faults,
        candidates[best].matrix,
        candidates[best].permutation,
        score,
        identity_score,
        bool(has_waveform and scores[best] < 0),
        float(np.clip((score - identity_score) / max(1 - identity_score, 1e-9), 0, 1)),
    )


def _candidates(
    reference: ndarray, test: ndarray, cross: ndarray, usable: ndarray, has_waveform: bool
) -> Iterator[_Candidate]:
    """Yield all maps that are tried, the identity first."""
    order = order_of(len(usable))
    identity = np.eye(len(usable))
    for name, permutation in _permutations(order, reference, test, cross, usable):
        reorder = identity[list(permutation)]
        order_faults = (("channel order", name),) if name else ()
        fitted = _fitted_isometries(reference, reorder.T @ cross) if has_waveform else _yaws()
        for faults, in_space in _isometries(order, fitted):
            isometry = identity if in_space is None else transformation(order, in_space)
            rarity = 2 * name.startswith("channels ") + bool(faults)
            yield _Candidate((*order_faults, *faults), permutation, reorder @ isometry, rarity)


def _permutations(
    order: int, reference: ndarray, test: ndarray, cross: ndarray, usable: ndarray
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield channel orders that are common mistakes, and the one that the correlations suggest."""
    count = (order + 1) ** 2
    plain = tuple(range(count))
    known = {plain: ""}
    if order:
        for axes, name in (((0, 3, 1, 2), "X Y Z"), ((0, 3, 2, 1), "X Z Y"), ((0, 1, 3, 2), "Y X Z"),
                           ((0, 2, 1, 3), "Z Y X"), ((0, 2, 3, 1), "Z X Y")):  # fmt: skip
            known.setdefault((*axes, *range(4, count)), f"first order is {name} instead of Y Z X")
    if 2 <= order <= 3:
        for sequence, name in ((FUMA, "FuMa"), (SID, "SID")):
            cut = sequence[:count]
            known.setdefault(cut, f"{name} instead of ACN")
            known.setdefault(tuple(int(i) for i in np.argsort(cut)), f"ACN taken for {name}")
    known.setdefault(plain[::-1], "reversed")
    similarity = _correlation(np.diag(test), cross, np.diag(reference))
    similarity[~usable] = 0
    similarity[np.arange(count), np.arange(count)] += 1e-6
    assigned = tuple(int(i) for i in linear_sum_assignment(-np.abs(similarity))[1])
    moved = [i for i in range(count) if assigned[i] != i]
    known.setdefault(assigned, "channels " + ", ".join(f"{assigned[i]} at {i}" for i in moved))
    for permutation, name in known.items():
        yield name, permutation


def _isometries(order: int, fitted: Iterable[Isometry]) -> Iterator[Isometry]:
    """Yield the identity, mirrors, rotations by 180 degrees, and isometries that were fitted to the scenes."""
    yield (), None
    if not order:
        return
    signs = {
        (1, -1, 1): ("mirror", "left/right"),
        (-1, 1, 1): ("mirror", "front/back"),
        (1, 1, -1): ("mirror", "up/down"),
        (-1, -1, -1): ("mirror", "through the centre"),
        (-1, -1, 1): ("rotation", "yaw 180 deg"),
        (-1, 1, -1): ("rotation", "180 deg about the left-right axis"),
        (1, -1, -1): ("rotation", "180 deg about the front-back axis"),
    }
    for sign, name in signs.items():
        yield (name,), np.diag(np.array(sign, float))
    yield from fitted


def _fitted_isometries(reference: ndarray, cross: ndarray) -> Iterator[Isometry]:
    """Yield rotations and mirrors that fit the first order best (Kabsch 1976), about the vertical and any axis."""
    acn = [3, 1, 2]  # x, y, z
    own = reference[np.ix_(acn, acn)]
    transfer = cross[np.ix_(acn, acn)] @ np.linalg.pinv(own, rcond=1e-4, hermitian=True)
    for polarity in (1.0, -1.0):
        for mirror in (1.0, -1.0):
            for keeps_vertical in (True, False):
                matrix = _orthogonal(polarity * transfer, mirror, keeps_vertical)
                if np.trace(matrix) < 1 + 2 * np.cos(np.deg2rad(_MIN_ANGLE_DEG)):
                    yield _faults(matrix), matrix


def _yaws() -> Iterator[Isometry]:
    """Yield rotations about the vertical axis by multiples of 5 degrees, with and without a mirror before them."""
    for angle_rad in np.deg2rad(np.arange(5, 360, 5)):
        cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
        rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        for mirror in (1.0, -1.0):
            matrix = rotation * np.array([1.0, mirror, 1.0])
            yield _faults(matrix), matrix


def _orthogonal(
    transfer: Float64[ndarray, "3 3"], determinant: float, keeps_vertical: bool
) -> Float64[ndarray, "3 3"]:
    """Return the nearest orthogonal matrix of that determinant; with `keeps_vertical`, z is not changed."""
    size = 2 if keeps_vertical else 3
    left, _, right = np.linalg.svd(transfer[:size, :size])
    signs = np.ones(size)
    signs[-1] = np.sign(determinant * np.linalg.det(left) * np.linalg.det(right)) or 1.0
    result = np.eye(3)
    result[:size, :size] = left * signs @ right
    return result


def _faults(matrix: Float64[ndarray, "3 3"]) -> Faults:
    """Return the faults of an orthogonal matrix: a rotation, or a left/right mirror and the rotation after it."""
    mirrored = np.linalg.det(matrix) < 0
    rotation = matrix @ np.diag([1.0, -1.0, 1.0]) if mirrored else matrix
    angle_deg = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    axis = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    length = np.linalg.norm(axis)
    if abs(rotation[2, 2] - 1) < 1e-3:
        about = f"yaw {np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])):.0f} deg"
    else:
        x, y, z = axis / max(length, 1e-12)
        about = f"{angle_deg:.0f} deg about ({x:.2f}, {y:.2f}, {z:.2f})"
    return (("mirror", "left/right"), ("rotation", f"{about} after it")) if mirrored else (("rotation", about),)


def _coherence(bands: BandCovariances, usable: Bool[ndarray, " acn"]) -> Float64[ndarray, " band"]:
    """Return the part of the test in each band that a mixture of the reference's channels explains: band weights.

    It is the multiple coherence, mean over channels, which does not depend on the map. Bands that consist of noise
    thereby count little.
    """
    inverse = np.linalg.pinv(bands.reference, rcond=1e-6, hermitian=True)
    explained = np.einsum("bci,bij,bcj->bc", bands.cross, inverse, bands.cross)
    power = np.maximum(np.einsum("bcc->bc", bands.test), 1e-30)
    return np.clip((explained / power)[:, usable].mean(axis=1) - _CHANCE_COHERENCE, 1e-3, 1)


def _correlation(
    test_power: ndarray, cross: ndarray, reference_power: ndarray
) -> Float64[ndarray, "test reference"]:
    return cross / np.sqrt(np.maximum(np.outer(test_power, reference_power), 1e-30))


def _waveform_score(reference: ndarray, test: ndarray, cross: ndarray, matrix: ndarray, usable: ndarray) -> float:
    """Return the mean correlation of the channels of the test with those of the mapped reference."""
    power = np.einsum("ci,ij,cj->c", matrix, reference, matrix)
    matched = np.einsum("ci,ci->c", cross, matrix)
    correlation = matched / np.sqrt(np.maximum(np.diag(test) * power, 1e-30))
    return float(np.clip(correlation[usable], -1, 1).mean())


def _covariance_score(reference: ndarray, test: ndarray, matrix: ndarray, usable: ndarray) -> float:
    """Correlate the off-diagonal elements of the correlation matrices of test and mapped reference."""
    found = test[np.ix_(usable, usable)]
    expected = (matrix @ reference @ matrix.T)[np.ix_(usable, usable)]
    upper = np.triu_indices(len(found), 1)
    a, b = (
        (of / np.sqrt(np.maximum(np.outer(np.diag(of), np.diag(of)), 1e-30)))[upper] for of in (found, expected)
    )
    return float((a @ b) / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))
