"""Design of Ambisonic decoders: matrices from scenes to loudspeakers."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.dsp.convolution import Filters
from render.hoa.beams import max_re_weights
from render.hoa.layout import Layout, downmix_parent
from render.hoa.scene import MAX_ORDER
from render.hoa.spherical_harmonics import (
    acn_orders,
    gauss_legendre_sphere,
    mirror_signs,
    sn3d_to_n3d,
    spherical_harmonics,
    unit_vectors,
)
from render.loudspeakers.dual_band import crossed_over, low_band
from render.loudspeakers.optimised import optimised
from render.loudspeakers.plugin_files import read_decoder
from render.loudspeakers.point_source import pan

if TYPE_CHECKING:
    from jaxtyping import Float

# 51,200 nodes: the entries lie within 3e-5 of the limit (those of the reference renderer, with 5,200: 1.1e-4)
_QUADRATURE_ELEVATIONS = 160
# Below this fraction of the largest singular value the directions of a layout count as dependent
_RANK_TOLERANCE = 1e-2


def decoding_matrix(layout: Layout, order: int, method: str = "adm") -> Float[ndarray, "loudspeaker acn"]:
    """Design the matrix D of a decoder, feed = D @ scene, for ACN/SN3D scenes; LFE rows are exactly 0.

    Parameters
    ----------
    layout : Layout
    order : int
        Ambisonic order, 0..7.
    method : str
        ``adm``: the decoder of the ADM renderer (ITU-R BS.2127-1, clause 9) and of IAMF.
        ``maxre``: the same with max-rE weights.
        ``pareto``: optimised for even energy, with directions no worse than those of ``adm``; takes seconds
        (`render.loudspeakers.optimised`). ``pareto:SHARE``, 0 to 1, begins with a mixture of ``adm`` and
        ``maxre``: a larger share of ``maxre`` widens a source and reduces the errors of its direction.
        ``allrad``: AllRAD with max-rE weights, by the package spaudiopy.
        ``epad``: energy-preserving decoder. ``mode-matching``: pseudo-inverse. ``sampling``: projection.
        ``FILE.json``: that of a file (`render.loudspeakers.plugin_files`), at its own level.
        Averaged over all directions, a plane wave has a total power of 1 in the feed, except with ``adm`` and
        ``maxre`` for the layouts that IAMF mixes down from larger ones.

    Raises
    ------
    InputError
        If the method is unknown, the order is out of range, or the layout does not suit the method and order.
    """
    if method == "dual":
        raise InputError("decoder dual has a matrix for each of its two bands; use it with render.decode")
    if not 0 <= order <= MAX_ORDER:
        raise InputError(f"order {order}; possible are 0 to {MAX_ORDER}")
    if method.endswith(".json"):
        return read_decoder(Path(method), layout, order)
    if method not in _DESIGNS and not method.startswith("pareto:"):
        raise InputError(
            f"decoder {method!r} is unknown; known are {', '.join([*DECODERS, 'pareto:SHARE'])} and .json files"
        )
    return _designed(layout, order, method).copy()


def decoder_name(method: str) -> str:
    """Name of a decoder for records: of one from a file, the file's name without its folder."""
    return Path(method).name if method.endswith(".json") else method


def decoding_filters(layout: Layout, order: int, method: str, sample_rate_hz: int) -> Filters:
    """Design the filters (loudspeaker, acn, tap) of a decoder for ACN/SN3D scenes.

    ``dual`` reproduces the velocity at the listener's head below 500 Hz and decodes as ``pareto`` above
    (`render.loudspeakers.dual_band`). Every other method of `decoding_matrix` has filters of one tap.

    Raises
    ------
    InputError
        As `decoding_matrix`.
    """
    if method != "dual":
        return Filters(decoding_matrix(layout, order, method)[:, :, None])
    low, high = band_matrices(layout, order, method).values()
    return crossed_over(low, high, sample_rate_hz)


def band_matrices(layout: Layout, order: int, method: str) -> dict[str, Float[ndarray, "loudspeaker acn"]]:
    """Matrix of a decoder by its name; for ``dual`` those of both bands, ``dual, low`` and ``dual, high``."""
    if method != "dual":
        return {method: decoding_matrix(layout, order, method)}
    high = decoding_matrix(layout, order, "pareto")
    return {"dual, low": low_band(layout, high), "dual, high": high}


def adapted_to_input(decoder: Filters, layout: Layout, lfe: str = "off") -> Filters:
    """Adapt a decoder for ACN/SN3D scenes to its LFE feed.

    Parameters
    ----------
    decoder : Filters
    layout : Layout
    lfe : str
        ``off`` leaves LFE channels silent (BS.2127; the default of libiamf). With ``libiamf`` the filters have one
        more input, the low-passed first channel (`render.dsp.block_processing.with_low_passed_w`), which feeds
        every LFE over the square root of the number of other loudspeakers, as libiamf does if it is compiled with
        DISABLE_LFE_HOA 0.

    Raises
    ------
    InputError
        If the LFE feed is unknown.
    """
    if lfe not in ("off", "libiamf"):
        raise InputError(f"LFE feed {lfe!r} is unknown; known are off, libiamf")
    if lfe == "off":
        return decoder
    from_low_passed_w = np.zeros((len(layout.loudspeakers), 1, decoder.taps.shape[2]))
    from_low_passed_w[:, 0, decoder.origin] = 1 / np.sqrt(len(layout.full_range))
    from_low_passed_w[layout.full_range] = 0
    return Filters(np.concatenate((decoder.taps, from_low_passed_w), axis=1), decoder.origin)


@lru_cache(maxsize=64)
def _designed(layout: Layout, order: int, method: str) -> ndarray:
    downmix = downmix_parent(layout) if method in _MIXED_DOWN_FOR_IAMF else None
    if downmix:
        parent, gains = downmix
        return np.array(gains) @ _designed(parent, order, method)
    if method.startswith("pareto:"):
        design = _towards_max_re(layout, order, _share(method))
    else:
        design = _DESIGNS[method](layout, order)
    n3d = _symmetric(design, layout, order)
    # N3D harmonics are orthonormal on the sphere, so the mean power of plane waves is the squared norm
    return n3d / np.linalg.norm(n3d) * sn3d_to_n3d(order)


def _adm(layout: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """AllRAD (Zotter & Frank 2012) with the point-source panner of BS.2127, without max-rE weights.

    Virtual loudspeakers at the nodes of a quadrature are fed by sampling and panned to the real ones:
    D = Σ w_k g(θ_k) y(θ_k)ᵀ.
    """
    azimuth, elevation, weights = gauss_legendre_sphere(_QUADRATURE_ELEVATIONS)
    if _mirror_images(layout) is not None:  # the right half is the mirror image that `_symmetric` adds
        left = azimuth > 0
        azimuth, elevation, weights = azimuth[left], elevation[left], 2 * weights[left]
    harmonics = spherical_harmonics(order, azimuth, elevation)
    harmonics *= sn3d_to_n3d(order)
    harmonics *= weights[:, None]
    return pan(layout, azimuth, elevation).T @ harmonics


def _maxre(layout: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    return _adm(layout, order) * max_re_weights(order)[acn_orders(order)]


def _pareto(layout: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    return _towards_max_re(layout, order, 0.0)


def _towards_max_re(layout: Layout, order: int, share: float) -> Float[ndarray, "loudspeaker acn"]:
    """Even out the energy of a mixture of ``adm`` and ``maxre`` without a loss of |rE| or direction.

    Mixtures are bound in the region that the layout covers alone: where they lie below all loudspeakers, max-rE
    happens to err less, and to keep that would cost even energy where it is heard.
    """
    _check_all_sides(layout, "pareto")
    n3d = sn3d_to_n3d(order)
    adm, maxre = (_designed(layout, order, method) / n3d for method in ("adm", "maxre"))
    start = _symmetric((1 - share) * adm + share * maxre, layout, order)
    return optimised(layout, order, start, whole_sphere=share == 0)


def _share(method: str) -> float:
    """Share of ``maxre`` in ``pareto:SHARE``."""
    text = method.partition(":")[2]
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"decoder {method!r}: the share of maxre is a number from 0 (pareto) to 1")
    return share


def _sampling(layout: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """Sampling decoder: project onto the harmonics at the loudspeakers, D = Y; even for regular layouts only."""
    harmonics = spherical_harmonics(order, *layout.directions_rad()) * sn3d_to_n3d(order)
    matrix = np.zeros_like(harmonics)
    matrix[layout.full_range] = harmonics[layout.full_range]
    return matrix


def _mode_matching(layout: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """Mode-matching decoder: the loudspeakers' sound field equals the scene up to its order, Yᵀ D = 1."""
    left, singular, right = _full_rank(layout, order, "mode-matching")
    return (left / singular) @ right


def _epad(layout: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """Energy-preserving decoder: all directions have the same energy, Dᵀ D = 1 (Zotter et al. 2012)."""
    left, _, right = _full_rank(layout, order, "epad")
    return left @ right


def _full_rank(layout: Layout, order: int, method: str) -> tuple[ndarray, ndarray, ndarray]:
    """Singular value decomposition of the harmonics at the loudspeakers; InputError if they are dependent."""
    left, singular, right = np.linalg.svd(_sampling(layout, order), full_matrices=False)
    independent = int(np.count_nonzero(singular > _RANK_TOLERANCE * singular[0]))
    if independent < (order + 1) ** 2:
        raise InputError(
            f"decoder {method} of order {order} needs {(order + 1) ** 2} independent directions, the loudspeakers "
            f"of {layout.name} have {independent}; use a lower order or adm"
        )
    return left, singular, right


def _allrad(layout: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """AllRAD with max-rE weights as in spaudiopy.

    Its triangles must surround the listener. Imaginary loudspeakers, whose signals are dropped, therefore stand
    straight below and, unless the upper layer reaches behind the listener, straight above. spaudiopy cuts
    rectangles of loudspeakers along an arbitrary diagonal; averaging with the mirror image (`_symmetric`)
    removes that asymmetry.
    """
    _check_all_sides(layout, "allrad")
    real = layout.full_range
    azimuth, elevation = (angles[real] for angles in layout.directions_rad())
    reaches_behind = np.abs(azimuth[elevation > np.radians(10)]).max(initial=0) > np.pi / 2
    imaginary = [[0.0, 0.0, -1.0]] + ([] if reaches_behind else [[0.0, 0.0, 1.0]])
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside spaudiopy; its import also prints, and is slow
        import spaudiopy

        hull = spaudiopy.decoder.LoudspeakerSetup(*np.vstack([unit_vectors(azimuth, elevation), imaginary]).T)
        hull.ambisonics_setup(update_hull=False, characteristic_order=order)
        decoder = spaudiopy.decoder.allrad(np.eye((order + 1) ** 2), hull, N_sph=order)
    matrix = np.zeros((len(layout.loudspeakers), (order + 1) ** 2))
    matrix[real] = decoder[: len(real)]
    return matrix


def _check_all_sides(layout: Layout, method: str) -> None:
    if max(abs(speaker.azimuth_deg) for speaker in layout.loudspeakers if not speaker.is_lfe) <= 90:
        raise InputError(
            f"decoder {method} needs loudspeakers on all sides, layout {layout.name} has none behind; use adm"
        )


def _symmetric(matrix: ndarray, layout: Layout, order: int) -> ndarray:
    """Average a design with its mirror image if the layout is symmetric, so that the design is exactly so too."""
    images = _mirror_images(layout)
    if images is None:
        return matrix
    return 0.5 * (matrix + matrix[images] * mirror_signs(order))


def _mirror_images(layout: Layout) -> list[int] | None:
    """Index of each loudspeaker's mirror image, or None if a loudspeaker has no image."""
    found = []
    for i, speaker in enumerate(layout.loudspeakers):
        images = [
            j
            for j, other in enumerate(layout.loudspeakers)
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
DECODERS = (*_DESIGNS, "dual")
# For a layout that IAMF adds, these methods decode to its parent layout and mix down
_MIXED_DOWN_FOR_IAMF = ("adm", "maxre")
