"""Decoding matrices from Ambisonics to loudspeakers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from render.common.errors import InputError
from render.dsp.convolution import Filters
from render.hoa.layout import Layout, parent
from render.hoa.scene import MAX_ORDER
from render.hoa.spherical_harmonics import (
    acn_orders,
    gauss_legendre_sphere,
    mirror_signs,
    sn3d_to_n3d,
    spherical_harmonics,
    to_sn3d,
    unit_vectors,
)
from render.loudspeakers.dual_band import crossed_over, low_band
from render.loudspeakers.optimised import optimised
from render.loudspeakers.point_source import pan

# 51,200 nodes: entries are within 3e-5 of the limit (5,200 points of the reference renderer: 1.1e-4)
_QUADRATURE_ELEVATIONS = 160
# Below this fraction of the largest singular value the directions of a layout count as dependent
_RANK_TOLERANCE = 1e-2


def decoding_matrix(to: Layout, order: int, method: str = "adm") -> Float[ndarray, "loudspeaker acn"]:
    """Matrix D of a decoder: feed = D @ scene, for ACN/SN3D scenes; LFE rows are exactly 0.

    Parameters
    ----------
    to : Layout
    order : int
        Ambisonic order, 0..7.
    method : str
        ``adm``: the decoder of the ADM renderer (ITU-R BS.2127-1, clause 9) and of IAMF.
        ``maxre``: the same with max-rE weights.
        ``pareto``: even energy at no cost of direction against ``adm``, optimised in seconds
        (`render.loudspeakers.optimised`).
        ``allrad``: AllRAD with max-rE weights by the package spaudiopy.
        ``epad``: energy-preserving decoder. ``mode-matching``: pseudo-inverse. ``sampling``: projection.
        All have mean power 1 over all directions of a plane wave, but for ``adm`` and ``maxre`` on the layouts
        that IAMF mixes down from larger ones.

    Raises
    ------
    InputError
        If the method is unknown, the order out of range, or the loudspeakers too few for method and order.
    """
    if method == "dual":
        raise InputError("decoder dual has a matrix for each of two bands; render.decode applies it")
    if not 0 <= order <= MAX_ORDER:
        raise InputError(f"order {order}; possible are 0 to {MAX_ORDER}")
    if method not in _DESIGNS:
        raise InputError(f"decoder {method!r} is unknown; known are {', '.join([*_DESIGNS, 'dual'])}")
    return _designed(to, order, method).copy()


def decoding_filters(to: Layout, order: int, method: str, sample_rate_hz: int) -> Filters:
    """Filters (loudspeaker, acn, tap) of a decoder for ACN/SN3D scenes.

    ``dual`` decodes for the velocity at the listener's head below 500 Hz and as ``pareto`` above
    (`render.loudspeakers.dual_band`); every other method of `decoding_matrix` has filters of one tap.
    """
    if method != "dual":
        return Filters(decoding_matrix(to, order, method)[:, :, None])

    high = decoding_matrix(to, order, "pareto")
    return crossed_over(low_band(to, high), high, sample_rate_hz)


def of_file(decoder: Filters, to: Layout, convention: str = "sn3d", lfe: str = "off") -> Filters:
    """Make a decoder for ACN/SN3D one for a file's channels (`to_sn3d`), perhaps with an LFE feed.

    With `lfe` ``libiamf`` there is one more input, the low-passed first channel
    (`render.fileio.block_stream.with_bass`): it
    goes to every LFE over the square root of the number of other loudspeakers, as libiamf does when it is
    compiled to (DISABLE_LFE_HOA 0). ``off`` is the default there and BS.2127's rule: silence.
    """
    if lfe not in ("off", "libiamf"):
        raise InputError(f"LFE feed {lfe!r} is unknown; known are off, libiamf")
    inputs = to_sn3d(int(np.sqrt(decoder.taps.shape[1])) - 1, convention)
    converted = decoder.after(inputs)
    if lfe == "off":
        return converted
    is_lfe = np.array([speaker.is_lfe for speaker in to.loudspeakers])
    bass = np.zeros((len(is_lfe), 1, decoder.taps.shape[2]))
    bass[is_lfe, 0, decoder.origin] = inputs[0, 0] / np.sqrt((~is_lfe).sum())
    return Filters(np.concatenate((converted.taps, bass), axis=1), decoder.origin)


@lru_cache(maxsize=64)
def _designed(to: Layout, order: int, method: str) -> ndarray:
    mixed = parent(to) if method in _OF_STANDARD else None
    if mixed:
        whole, gains = mixed
        return np.array(gains) @ _designed(whole, order, method)
    n3d = _symmetric(_DESIGNS[method](to, order), to, order)
    # N3D harmonics are orthonormal on the sphere: the mean power of plane waves is the squared norm
    return n3d / np.linalg.norm(n3d) * sn3d_to_n3d(order)


def _adm(to: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """AllRAD (Zotter & Frank 2012) over the panner of BS.2127, without max-rE weights.

    Virtual loudspeakers at the nodes of a quadrature are decoded by sampling, D = 1/K Σ g(θk) y(θk)ᵀ,
    and panned to the real ones.
    """
    azimuth, elevation, weights = gauss_legendre_sphere(_QUADRATURE_ELEVATIONS)
    if _mirrored(to) is not None:  # the right half is the mirror image that `_symmetric` adds
        left = azimuth > 0
        azimuth, elevation, weights = azimuth[left], elevation[left], 2 * weights[left]
    harmonics = spherical_harmonics(order, azimuth, elevation) * sn3d_to_n3d(order)
    return pan(to, azimuth, elevation).T @ (weights[:, None] * harmonics)


def max_re_weights(order: int) -> Float[ndarray, " order"]:
    """Weights P_n(rE) that concentrate a plane wave's energy most (Zotter & Frank 2019, eq. 4.41).

    rE, the largest root of P_(N+1), is the length of the energy vector that they reach.

    Examples
    --------
    >>> max_re_weights(3).round(4).tolist()
    [1.0, 0.8611, 0.6123, 0.3047]
    """
    longest = np.polynomial.legendre.leggauss(order + 1)[0].max()
    return np.polynomial.legendre.legvander(longest, order)[0]


def _maxre(to: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    return _adm(to, order) * max_re_weights(order)[acn_orders(order)]


def _pareto(to: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:

    _check_all_sides(to, "pareto")
    return optimised(to, order, _symmetric(_designed(to, order, "adm") / sn3d_to_n3d(order), to, order))


def front(
    to: Layout, order: int, shares: Float[ndarray, " point"]
) -> Iterator[tuple[float, Float[ndarray, "loudspeaker acn"]]]:
    """Decoders of even energy between ``adm`` (share 0, the decoder ``pareto``) and ``maxre`` (1).

    The more of max-rE, the wider a source and the smaller the errors of its direction: each point improves the
    blend of both without loss of its |rE| and directions.
    """
    _check_all_sides(to, "pareto")
    n3d = sn3d_to_n3d(order)
    adm, maxre = (_designed(to, order, method) / n3d for method in ("adm", "maxre"))
    for share in shares:
        matrix = _symmetric(optimised(to, order, (1 - share) * adm + share * maxre), to, order)
        yield float(share), matrix / np.linalg.norm(matrix) * n3d


def _sampling(to: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """Project onto the harmonics at the loudspeakers, D = Y; uneven unless they stand regularly."""
    azimuth = np.radians([speaker.azimuth_deg for speaker in to.loudspeakers])
    elevation = np.radians([speaker.elevation_deg for speaker in to.loudspeakers])
    harmonics = spherical_harmonics(order, azimuth, elevation) * sn3d_to_n3d(order)
    return harmonics * np.array([not speaker.is_lfe for speaker in to.loudspeakers])[:, None]


def _mode_matching(to: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """Make the loudspeakers' sound field equal the scene's up to its order, Yᵀ D = 1."""
    left, singular, right = _full_rank(to, order, "mode-matching")
    return (left / singular) @ right


def _epad(to: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """Give every direction the same energy, Dᵀ D = 1 (Zotter, Pomberger & Noisternig 2012)."""
    left, _, right = _full_rank(to, order, "epad")
    return left @ right


def _full_rank(to: Layout, order: int, method: str) -> tuple[ndarray, ndarray, ndarray]:
    """Singular value decomposition of the harmonics at the loudspeakers, if they are independent."""
    left, singular, right = np.linalg.svd(_sampling(to, order), full_matrices=False)
    independent = int(np.count_nonzero(singular > _RANK_TOLERANCE * singular[0]))
    if independent < (order + 1) ** 2:
        raise InputError(
            f"decoder {method} of order {order} needs {(order + 1) ** 2} independent directions, the loudspeakers "
            f"of {to.name} have {independent}; use a lower order or adm"
        )
    return left, singular, right


def _allrad(to: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """AllRAD with max-rE weights as in spaudiopy.

    Its triangles must surround the listener: imaginary loudspeakers, whose signals are dropped, stand
    straight below and, unless the upper layer reaches behind the listener, straight above. Loudspeakers
    that form a rectangle are cut along an arbitrary diagonal; averaging with the mirror image
    (`_symmetric`) undoes that.
    """
    _check_all_sides(to, "allrad")
    real = [i for i, speaker in enumerate(to.loudspeakers) if not speaker.is_lfe]
    azimuth = np.radians([to.loudspeakers[i].azimuth_deg for i in real])
    elevation = np.radians([to.loudspeakers[i].elevation_deg for i in real])
    reaches_behind = np.abs(azimuth[elevation > np.radians(10)]).max(initial=0) > np.pi / 2
    imaginary = [[0.0, 0.0, -1.0]] + ([] if reaches_behind else [[0.0, 0.0, 1.0]])
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside spaudiopy; its import also prints
        import spaudiopy

        hull = spaudiopy.decoder.LoudspeakerSetup(*np.vstack([unit_vectors(azimuth, elevation), imaginary]).T)
        hull.ambisonics_setup(update_hull=False, characteristic_order=order)
        decoder = spaudiopy.decoder.allrad(np.eye((order + 1) ** 2), hull, N_sph=order)
    matrix = np.zeros((len(to.loudspeakers), (order + 1) ** 2))
    matrix[real] = decoder[: len(real)]
    return matrix


def _check_all_sides(to: Layout, method: str) -> None:
    if max(abs(speaker.azimuth_deg) for speaker in to.loudspeakers if not speaker.is_lfe) <= 90:
        raise InputError(
            f"decoder {method} needs loudspeakers on all sides, layout {to.name} has none behind; use adm"
        )


def _symmetric(matrix: ndarray, to: Layout, order: int) -> ndarray:
    """Average a design with its mirror image where the layout is symmetric, so that it is so exactly."""
    mirrored = _mirrored(to)
    if mirrored is None:
        return matrix
    return 0.5 * (matrix + matrix[mirrored] * mirror_signs(order))


def _mirrored(of: Layout) -> list[int] | None:
    """Index of each loudspeaker's mirror image, or None if one has none."""
    found = []
    for i, speaker in enumerate(of.loudspeakers):
        images = [
            j
            for j, other in enumerate(of.loudspeakers)
            if other.elevation_deg == speaker.elevation_deg
            and (other.azimuth_deg + speaker.azimuth_deg) % 360 == 0
            and not other.is_lfe
        ]
        if not images and not speaker.is_lfe:
            return None
        found.append(i if speaker.is_lfe else images[0])
    return found


_DESIGNS = {
    "adm": _adm,
    "maxre": _maxre,
    "allrad": _allrad,
    "epad": _epad,
    "mode-matching": _mode_matching,
    "sampling": _sampling,
    "pareto": _pareto,
}
# Methods that on a layout of IAMF are those of its parent, mixed down
_OF_STANDARD = ("adm", "maxre")
