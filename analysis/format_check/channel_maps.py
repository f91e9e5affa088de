"""Which rearrangement of the channels turns a reference into its test: order, mirror, rotation, polarity."""

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

# FuMa's sequence W XYZ RSTUV KLMNOPQ and single index designation's, in ACN numbers
FUMA = (0, 3, 1, 2, 6, 7, 5, 8, 4, 12, 13, 11, 14, 10, 15, 9)
SID = (0, 3, 1, 2, 8, 4, 7, 5, 6, 15, 9, 14, 10, 13, 11, 12)
# What a more complicated explanation must gain: this, and this part of what the best one leaves open
_LEAST_GAIN, _GAIN_SHARE, _GAIN_SHARE_OF_COVARIANCES = 1e-3, 0.1, 0.25
# Coherence that a few frames have by chance
_CHANCE = 0.1
# Rotations under this are none
_MIN_ANGLE_DEG = 1.5
_FIRST_ORDER = slice(1, 4)

Names = tuple[tuple[str, str], ...]
Explanation = tuple[Names, tuple[int, ...], Float64[ndarray, "acn acn"], int]
Movement = tuple[Names, Float64[ndarray, "3 3"] | None]


@dataclass(frozen=True, eq=False)
class Fit:
    """The simplest explanation of a test's channels.

    Attributes
    ----------
    names : tuple of (fault, what)
        Empty where the reference's own arrangement explains the test.
    matrix : float (acn, acn)
        What turns the reference into it, without gains and polarity.
    permutation : tuple of int
        Reference channel that stands at the place of each test channel.
    score, plain : float
        Mean correlation of the channels with this explanation, and with none.
    inverted : bool
    confidence : float
    """

    names: Names
    matrix: Float64[ndarray, "acn acn"]
    permutation: tuple[int, ...]
    score: float
    plain: float
    inverted: bool
    confidence: float


def fuma_gains(order: int) -> Float64[ndarray, " acn"]:
    """Gains that turn SN3D into FuMa's maximum normalisation, W at -3 dB (Malham 2003), ACN sequence."""
    by_degree = {(0, 0): 0.5**0.5, (2, 1): 2 / 3**0.5, (2, 2): 2 / 3**0.5,
                 (3, 1): (45 / 32) ** 0.5, (3, 2): 3 / 5**0.5, (3, 3): (8 / 5) ** 0.5}  # fmt: skip
    return np.array([by_degree.get((n, abs(m)), 1.0) for n in range(order + 1) for m in range(-n, n + 1)])


@cache
def _projection(order: int) -> tuple[Float64[ndarray, "node 3"], Float64[ndarray, "acn node"]]:
    """Nodes on the sphere, and what projects functions given there on the harmonics."""
    azimuth, elevation, weights = gauss_legendre_sphere(order + 1)
    harmonics = spherical_harmonics(order, azimuth, elevation)
    return unit_vectors(azimuth, elevation), (harmonics * weights[:, None]).T * sn3d_to_n3d(order)[:, None] ** 2


def transformation(order: int, matrix: Float64[ndarray, "3 3"]) -> Float64[ndarray, "acn acn"]:
    """What an orthogonal matrix of space (x, y, z) does to a scene: rotation, mirror or both."""
    points, projection = _projection(order)
    moved = points @ matrix.T
    azimuth, elevation = np.arctan2(moved[:, 1], moved[:, 0]), np.arcsin(np.clip(moved[:, 2], -1, 1))
    # y(Q u) = M y(u) at every node u, projected on the harmonics
    return (projection @ spherical_harmonics(order, azimuth, elevation)).T


def best_fit(
    reference: Float64[ndarray, "band acn acn"],
    test: Float64[ndarray, "band acn acn"],
    cross: Float64[ndarray, "band test reference"],
    usable: Bool[ndarray, " acn"],
    least_waveform: float,
    least_covariance: float,
) -> Fit | None:
    """Explain the test by the simplest arrangement of channels that does it as well as any.

    Scores are mean correlations of channels, so that gains do not matter: of waveforms, or, where those do not
    match at all, of the off-diagonal elements of the covariances. None where nothing reaches the least score.
    """
    weights = _coherence(reference, test, cross, usable)
    own, found, mixed = (np.einsum("b,bij->ij", weights, of) for of in (reference, test, cross))
    explanations = list(_explanations(own, found, mixed, usable, waveform=True))
    scores = np.array([_waveform_score(own, found, mixed, matrix, usable) for _, _, matrix, _ in explanations])
    waveform = bool(np.abs(scores).max() >= least_waveform)
    share = _GAIN_SHARE
    if not waveform:
        own, found, mixed = (of.sum(axis=0) for of in (reference, test, cross))
        explanations = list(_explanations(own, found, mixed, usable, waveform=False))
        scores = np.array([_covariance_score(own, found, matrix, usable) for _, _, matrix, _ in explanations])
        if scores.max() < least_covariance:
            return None
        share = _GAIN_SHARE_OF_COVARIANCES
    height = np.abs(scores) if waveform else scores
    enough = height.max() - _LEAST_GAIN - share * (1 - height.max())
    # Of explanations alike, an order of channels that is known to happen comes before a rotation
    chosen = min(
        (i for i in range(len(height)) if height[i] >= enough),
        key=lambda i: (len(explanations[i][0]), -round(height[i], 3), explanations[i][3], -height[i]),
    )
    names, permutation, matrix, _ = explanations[chosen]
    plain, score = float(height[0]), float(height[chosen])
    confidence = float(np.clip((score - plain) / max(1 - plain, 1e-9), 0, 1))
    return Fit(names, matrix, permutation, score, plain, bool(waveform and scores[chosen] < 0), confidence)


def _explanations(
    reference: ndarray, test: ndarray, cross: ndarray, usable: ndarray, waveform: bool
) -> Iterator[Explanation]:
    """Names, permutation, matrix and how unusual it is; the plain arrangement first."""
    order = order_of(len(usable))
    identity = np.eye(len(usable))
    for name, permutation in _permutations(order, reference, test, cross, usable):
        reorder = identity[list(permutation)]
        faults = (("channel order", name),) if name else ()
        unordered = reorder.T @ cross
        free = _free_movements(reference, unordered) if waveform else _yaws()
        for what, in_space in _movements(order, free):
            movement = identity if in_space is None else transformation(order, in_space)
            unusual = 2 * name.startswith("channels ") + bool(what)
            yield (*faults, *what), permutation, reorder @ movement, unusual


def _permutations(
    order: int, reference: ndarray, test: ndarray, cross: ndarray, usable: ndarray
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Orders of channels that are known to happen, and the one that the correlations suggest."""
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


def _movements(order: int, free: Iterable[Movement]) -> Iterator[Movement]:
    """Mirrors, rotations by half a turn, and what was found freely."""
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
    yield from free


def _free_movements(reference: ndarray, cross: ndarray) -> Iterator[Movement]:
    """Rotations and mirrors that fit the first order best (Kabsch 1976), about the vertical axis and about any."""
    acn = [3, 1, 2]  # x, y, z
    own = reference[np.ix_(acn, acn)]
    transfer = cross[np.ix_(acn, acn)] @ np.linalg.pinv(own, rcond=1e-4, hermitian=True)
    for polarity in (1.0, -1.0):
        for mirror in (1.0, -1.0):
            for flat in (True, False):
                matrix = _orthogonal(polarity * transfer, mirror, flat)
                if np.trace(matrix) < 1 + 2 * np.cos(np.deg2rad(_MIN_ANGLE_DEG)):
                    yield _named(matrix), matrix


def _yaws() -> Iterator[Movement]:
    """Rotations about the vertical axis by multiples of 5 degrees, also after a mirror."""
    for angle_rad in np.deg2rad(np.arange(5, 360, 5)):
        cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        for mirror in (1.0, -1.0):
            matrix = turn * np.array([1.0, mirror, 1.0])
            yield _named(matrix), matrix


def _orthogonal(transfer: Float64[ndarray, "3 3"], determinant: float, flat: bool) -> Float64[ndarray, "3 3"]:
    """Nearest orthogonal matrix of that determinant; `flat` leaves the vertical axis where it is."""
    size = 2 if flat else 3
    left, _, right = np.linalg.svd(transfer[:size, :size])
    signs = np.ones(size)
    signs[-1] = np.sign(determinant * np.linalg.det(left) * np.linalg.det(right)) or 1.0
    result = np.eye(3)
    result[:size, :size] = left * signs @ right
    return result


def _named(matrix: Float64[ndarray, "3 3"]) -> Names:
    """Faults of an orthogonal matrix: a rotation, or the mirror left/right and the rotation after it."""
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


def _coherence(
    reference: ndarray, test: ndarray, cross: ndarray, usable: Bool[ndarray, " acn"]
) -> Float64[ndarray, " band"]:
    """Share of the test in each band that any mixture of the reference's channels explains, mean over channels.

    It does not depend on the arrangement. Bands that noise fills should not decide about it.
    """
    explained = np.einsum("bci,bij,bcj->bc", cross, np.linalg.pinv(reference, rcond=1e-6, hermitian=True), cross)
    power = np.maximum(np.einsum("bcc->bc", test), 1e-30)
    return np.clip((explained / power)[:, usable].mean(axis=1) - _CHANCE, 1e-3, 1)


def _correlation(
    test_power: ndarray, cross: ndarray, reference_power: ndarray
) -> Float64[ndarray, "test reference"]:
    return cross / np.sqrt(np.maximum(np.outer(test_power, reference_power), 1e-30))


def _waveform_score(reference: ndarray, test: ndarray, cross: ndarray, matrix: ndarray, usable: ndarray) -> float:
    """Mean correlation of the test's channels with those of the rearranged reference."""
    power = np.einsum("ci,ij,cj->c", matrix, reference, matrix)
    matched = np.einsum("ci,ci->c", cross, matrix)
    correlation = matched / np.sqrt(np.maximum(np.diag(test) * power, 1e-30))
    return float(np.clip(correlation[usable], -1, 1).mean())


def _covariance_score(reference: ndarray, test: ndarray, matrix: ndarray, usable: ndarray) -> float:
    """Correlation between the off-diagonal elements of both correlation matrices."""
    found = test[np.ix_(usable, usable)]
    expected = (matrix @ reference @ matrix.T)[np.ix_(usable, usable)]
    upper = np.triu_indices(len(found), 1)
    a, b = (
        (of / np.sqrt(np.maximum(np.outer(np.diag(of), np.diag(of)), 1e-30)))[upper] for of in (found, expected)
    )
    return float((a @ b) / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))
