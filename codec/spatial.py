"""The spatial layer: band covariances, sent with every packet, restored after the decoder.

A small network at 16 kbit/s keeps the timbre of a scene better than its spatial image: weak high orders, and
correlations (the R of eq. 3) that come out too small or in the wrong place. Both change slowly, so they are sent:
the covariance matrix of the channels in 16 bands, every 64 frames (0.74 s); `codec.spatial_code` makes 2.2 kbit/s
of them for 16 channels. The decoder measures its own covariances and mixes its channels, band by band, by the
matrices that bring them to those sent with the least change to the waveforms.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Complex64, Float, Float32, Int
from numpy import ndarray
from scipy.fft import irfft, rfft

from codec.stages import workers

BANDS = 16
SLOT_FRAMES = 64  # frames of the codec to one set of matrices
WINDOW, HOP = 2048, 512
REACH = WINDOW // 2 + HOP  # samples on either side of a packet that its samples depend on
FADE = (2 + 16) * HOP + WINDOW // 2  # samples into a slot that the matrices of the one before still change
_FADE_FRAMES = 16
_MOST_GAIN = 8.0  # of any direction in channel space
_LOW_HZ, _HIGH_HZ = 50.0, 20_000.0
_SHAPE = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def product(a: Float[ndarray, "row inner"], b: Float[ndarray, "inner column"]) -> Float[ndarray, "row column"]:
    """Matrix product on one thread: NumPy's depends in the last bits on how many there are."""
    left, right = torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b))
    return workers(1).submit(torch.matmul, left, right).result().numpy()


def slots(frames: int) -> int:
    """Sets of matrices of a packet: one for every 64 whole frames, at least one; the last has all the rest."""
    return max(1, frames // SLOT_FRAMES)


def band_edges(sample_rate_hz: int) -> Int[ndarray, " edge"]:
    """First bin of each band, and the number of bins: equal widths in ERB-rate from 50 Hz to 20 kHz.

    The outer bands also hold what lies beyond. Narrow bands hold at least one bin.
    """
    low, high = (21.4 * math.log10(1 + 0.00437 * f) for f in (_LOW_HZ, min(_HIGH_HZ, 0.48 * sample_rate_hz)))
    edges_hz = (10 ** (np.linspace(low, high, BANDS + 1) / 21.4) - 1) / 0.00437
    edges = np.round(edges_hz * WINDOW / sample_rate_hz).astype(np.int64)
    edges[0], edges[-1] = 0, WINDOW // 2 + 1
    for band in range(1, BANDS):
        edges[band] = max(edges[band], edges[band - 1] + 1)
    return edges


def _spectra(samples: Float32[ndarray, "channel time"], centres: range) -> Complex64[ndarray, "channel frame bin"]:
    """Spectra of windows around the centres; beyond the ends of `samples` there are zeros."""
    half, first = WINDOW // 2, centres[0] - WINDOW // 2
    last = centres[-1] + half
    part = samples[:, max(first, 0) : max(last, 0)]
    part = np.pad(part, ((0, 0), (max(-first, 0), max(last - max(first, 0) - part.shape[1], 0))))
    windows = np.lib.stride_tricks.sliding_window_view(part, WINDOW, axis=1)[:, :: centres.step]
    return rfft(windows[:, : len(centres)] * _SHAPE, axis=2)


def _band(
    spectra: Complex64[ndarray, "channel frame bin"], low: int, high: int
) -> Float32[ndarray, "channel part"]:
    """Real and imaginary parts of the bins of a band."""
    return np.ascontiguousarray(spectra[:, :, low:high]).view(np.float32).reshape(len(spectra), -1)


def _covariances(
    spectra: Complex64[ndarray, "channel frame bin"], edges: Int[ndarray, " edge"]
) -> Float[ndarray, "band channel channel"]:
    """Real parts of the mean products of two channels' bins, by band; full scale squared per bin."""
    result = []
    for low, high in pairwise(edges):
        parts = _band(spectra, low, high).astype(np.float64)
        bins = spectra.shape[1] * (high - low)
        result.append(product(parts, parts.T) / (bins * WINDOW**2))
    return np.stack(result)


def _slot_centres(length: int, slot_length: int, margin: int) -> list[tuple[range, range]]:
    """Centres of the windows of every slot of a packet, and of those among them that are measured.

    Not measured are `margin` samples at either end of the packet, unless they are more than half of the slot.
    """
    count, result = max(1, length // slot_length), []
    for slot in range(count):
        begin, end = slot * slot_length, length if slot == count - 1 else (slot + 1) * slot_length
        centres = range(begin, end, HOP)
        inner = range(max(begin, -(-margin // HOP) * HOP), min(end, length - margin + 1), HOP)
        result.append((centres, inner if 2 * len(inner) >= len(centres) else centres))
    return result


def measure(
    samples: Float32[ndarray, "channel time"], hop: int, sample_rate_hz: int, margin: int = 0
) -> Float[ndarray, "band slot channel channel"]:
    """Covariance matrices of one packet.

    Parameters
    ----------
    samples : float32 (channel, time)
        The packet.
    hop : int
        Samples per frame of the codec.
    sample_rate_hz : int
    margin : int
        Samples at either end that are not measured, since what is decoded there depends on the neighbours.
    """
    edges = band_edges(sample_rate_hz)
    centres = _slot_centres(samples.shape[1], SLOT_FRAMES * hop, margin)
    return np.stack([_covariances(_spectra(samples, measured), edges) for _, measured in centres], axis=1)


def mixing_matrices(
    source: Float[ndarray, "*band channel channel"], target: Float[ndarray, "*band channel channel"]
) -> Float[ndarray, "*band channel channel"]:
    """Matrices M with M·source·Mᵀ = target that change the signals least, in units of the target's levels.

    M = S^-½ (S^½ T S^½)^½ S^-½, the optimal transport between two Gaussians (Olkin and Pukelsheim 1982).
    Directions that the source hardly has are not amplified beyond 18 dB.
    """
    deviation = np.sqrt(np.diagonal(target, axis1=-2, axis2=-1))
    heard = deviation > 0
    unit = np.where(heard, 1 / np.where(heard, deviation, 1), 0.0)
    s, t = (c * unit[..., :, None] * unit[..., None, :] for c in (source, target))
    values, vectors = np.linalg.eigh(s)
    floor = np.maximum(values, 1 / _MOST_GAIN**2)
    root, inverse = (vectors * (floor**p)[..., None, :] @ vectors.swapaxes(-1, -2) for p in (0.5, -0.5))
    inner_values, inner_vectors = np.linalg.eigh(root @ t @ root)
    middle = inner_vectors * np.sqrt(np.maximum(inner_values, 0))[..., None, :] @ inner_vectors.swapaxes(-1, -2)
    return deviation[..., :, None] * (inverse @ middle @ inverse) * unit[..., None, :]


class Restorer:
    """Applies the spatial layer packet after packet; the matrices of one slot fade into those of the next."""

    def __init__(self, hop: int, sample_rate_hz: int):
        self._slot_length = SLOT_FRAMES * hop
        self._edges = band_edges(sample_rate_hz)
        self._matrices: ndarray | None = None

    def restore(
        self,
        samples: Float32[ndarray, "channel time"],
        before: int,
        length: int,
        target: Float[ndarray, "band slot channel channel"] | None,
        margin: int = 0,
    ) -> Float32[ndarray, "channel time"]:
        """Restore `length` samples of a packet.

        Parameters
        ----------
        samples : float32 (channel, time)
            The packet with what is known on both sides of it, up to `REACH` samples.
        before : int
            Samples before the packet.
        length : int
        target : float (band, slot, channel, channel), or None
            What was measured at the encoder; None if it is not known: the last matrices stay.
        margin : int
            As in `measure`.
        """
        half = WINDOW // 2
        result = np.zeros((len(samples), length + 2 * WINDOW), np.float32)
        all_centres = _slot_centres(length, self._slot_length, margin)
        for slot, (centres, measured) in enumerate(all_centres):
            # the windows beyond the packet's ends that reach into it, too
            first = centres[0] - HOP if slot == 0 else centres[0]
            last = length + half if slot == len(all_centres) - 1 else centres[-1] + HOP
            spectra = _spectra(samples, range(before + first, before + last, HOP))
            if target is not None:
                skipped = (measured[0] - first) // HOP
                own = _covariances(spectra[:, skipped : skipped + len(measured)], self._edges)
                matrices = mixing_matrices(own, target[:, slot])
            elif self._matrices is not None:
                matrices = self._matrices
            else:
                matrices = np.broadcast_to(np.eye(len(samples)), (len(self._edges) - 1, *(len(samples),) * 2))
            mixed = self._mixed(
                spectra, matrices, np.arange(first - centres[0], last - centres[0], HOP) // HOP, centres
            )
            frames = irfft(mixed, axis=2) * (_SHAPE / 2)
            for index in range(frames.shape[1]):
                begin = first + index * HOP - half + WINDOW
                result[:, begin : begin + WINDOW] += frames[:, index]
            self._matrices = matrices
        return result[:, WINDOW : WINDOW + length]

    def _mixed(
        self,
        spectra: Complex64[ndarray, "channel frame bin"],
        matrices: Float[ndarray, "band channel channel"],
        places: Int[ndarray, " frame"],
        centres: range,
    ) -> Complex64[ndarray, "channel frame bin"]:
        """Spectra times the matrices; `places` counts the windows from the first of the slot.

        Windows 0 and 1 still have the matrices of the slot before, then a raised cosine leads over. The two behind
        the slot belong to the next one, which begins with these matrices.
        """
        result = np.empty_like(spectra)
        share = 0.5 - 0.5 * np.cos(np.pi * (np.clip(places - 1.5, 0, _FADE_FRAMES) / _FADE_FRAMES))
        fading = np.flatnonzero(share < 1)
        for band, (low, high) in enumerate(pairwise(self._edges)):
            matrix = matrices[band].astype(np.float32)
            shape = (len(spectra), spectra.shape[1], high - low)
            mixed = product(matrix, _band(spectra, low, high)).view(np.complex64).reshape(shape)
            if self._matrices is not None and len(fading):
                earlier = (self._matrices[band] - matrices[band]).astype(np.float32)
                shape = (len(spectra), len(fading), high - low)
                change = product(earlier, _band(spectra[:, fading], low, high)).view(np.complex64).reshape(shape)
                mixed[:, fading] += (1 - share[fading]).astype(np.float32)[:, None] * change
            result[:, :, low:high] = mixed
        return result
