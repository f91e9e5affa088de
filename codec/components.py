"""Principal components of the channels, band by band: what the network codes behind a spatial layer.

The spatial layer tells the decoder the covariance T of the channels in 12 bands, so both sides know its
eigenvectors V and eigenvalues. The encoder turns the channels into components Vᵀx, sorted by their power. The
decoder gives what the network makes of them the power that they had, and turns them back. A few
components hold most of the energy of a scene, always the same ones of the network's channels, and they stay what
they are when the sound field is turned: what a fixed network cannot adapt to is taken from it (Karhunen-Loève
transform).

The turn happens in an MDCT with sine windows of 2048 samples (Princen and Bradley 1986). It is an orthogonal
transform, and so is the turn in every band and frame, whatever the neighbours do: what is turned there and back is
what it was, and an error of the network has the same energy in the channels as in the components.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.fft import dct

from codec.spatial import BANDS, SLOT_FRAMES, WINDOW, band_edges, grid_of, product
from codec.spatial_code import Parameters

HALF = WINDOW // 2  # samples from one frame to the next, and coefficients of a frame
_SINE = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW).astype(np.float32)
_TIE = 1e-3  # relative difference that keeps equal eigenvalues apart
_MOST_GAIN = 8.0  # of a component


class Axes(NamedTuple):
    """Eigenvectors (columns) of the covariances of a packet, the largest eigenvalue first.

    `power` is that of each component, the mean square of its MDCT coefficients; None if it was not sent.
    """

    vectors: Float[ndarray, "slot band channel channel"]
    power: Float[ndarray, "slot band channel"] | None


def covariances(
    sent: Parameters, edges: Int[ndarray, " edge"], levels_of_slot: list[list[int]]
) -> Float[ndarray, "slot band channel channel"]:
    """Covariance matrices with these correlations, as near as can be, and the mean levels in bands and slots.

    `levels_of_slot` are the level slots that count in each slot.
    """
    count, bands, number = len(sent.levels_db), BANDS, len(levels_of_slot)
    power = 10 ** (sent.levels_db / 10) * np.diff(edges)[:, None]
    power = power.reshape(count, bands, 2, power.shape[2]).sum(2) / np.diff(edges[::2])[:, None]
    power = np.stack([power[:, :, inside].mean(2) for inside in levels_of_slot], 0)
    upper = np.triu_indices(count, 1)
    correlation = np.zeros((number, bands, count, count))
    correlation[:, :, upper[0], upper[1]] = sent.correlations.transpose(2, 1, 0)
    correlation = correlation + correlation.swapaxes(-1, -2) + np.eye(count)
    values, vectors = np.linalg.eigh(correlation)
    correlation = (vectors * np.maximum(values, 1e-4)[:, :, None]) @ vectors.swapaxes(-1, -2)
    scale = np.sqrt(power.transpose(0, 2, 1) / np.diagonal(correlation, axis1=2, axis2=3))
    result = np.zeros((number, bands, len(sent.heard), len(sent.heard)))
    first, second = np.ix_(sent.heard, sent.heard)
    result[:, :, first, second] = correlation * scale[..., :, None] * scale[..., None, :]
    return result


def axes_of(
    sent: Parameters | None, channels: int, length: int, hop: int, sample_rate_hz: int, margin: int
) -> Axes:
    """What the layer of a packet says of its principal components; where it says nothing, they are the channels.

    Both sides compute it from the same numbers. Where two eigenvalues are equal, channels differ by up to 1/1000,
    and each vector points where a fixed weighted sum of its entries is positive: so rounding decides nothing.

    Parameters
    ----------
    sent : Parameters or None
        As decoded.
    channels, length, hop, sample_rate_hz, margin : int
        Of the packet, as in `codec.spatial.measure`.
    """
    if sent is None:
        return Axes(np.broadcast_to(np.eye(channels), (1, BANDS, channels, channels)), None)
    places = np.arange(channels)
    covariance = covariances(sent, band_edges(sample_rate_hz), grid_of(length, hop, margin).levels_of_slot)
    total = np.trace(covariance, axis1=2, axis2=3)[..., None, None]
    root = np.sqrt(1 - _TIE * places / channels)
    apart = covariance / np.where(total > 0, total, 1) * root[:, None] * root
    # silent channels last, in their order
    vectors = np.linalg.eigh(apart - 1e-9 * np.diag(places))[1][..., ::-1]
    vectors = vectors * np.where((1 + places) ** -0.75 @ vectors < 0, -1, 1)[..., None, :]
    power = np.einsum("sbic,sbij,sbjc->sbc", vectors, covariance, vectors)
    # of a bin of the spectra in which levels are measured to a coefficient of the MDCT
    return Axes(vectors, 2 * WINDOW * power)


class Turn:
    """Turns channels into components, or back, packet after packet.

    Parameters
    ----------
    hop, sample_rate_hz : int
    back : bool
        From components to channels; the components get the power that was sent, by 18 dB more at most. What lies
        below the bands, the network's offset, gets no louder.
    margin : int
        Samples at either end of a packet whose power is not measured, as in `codec.spatial.measure`.
    """

    def __init__(self, hop: int, sample_rate_hz: int, back: bool = False, margin: int = 0):
        self._slot, self._back, self._margin = SLOT_FRAMES * hop, back, margin
        edges = [*band_edges(sample_rate_hz)[:-1:2], HALF]
        self._bands = [slice(low, high) for low, high in pairwise([0, *edges])]  # the first lies below the bands
        self._last: ndarray | None = None

    def __call__(
        self, samples: Float32[ndarray, "channel time"], before: int, length: int, axes: Axes | None
    ) -> Float32[ndarray, "channel time"]:
        """Turn `length` samples of a packet.

        The frame in the middle of which the packet begins still has the matrices of the packet before, so that
        nothing depends on the one behind.

        Parameters
        ----------
        samples : float32 (channel, time)
            The packet with what is known on both sides of it, up to `HALF` samples.
        before, length : int
            Samples before the packet, and of the packet.
        axes : Axes or None
            None if they are lost: the last matrices stay, at first the components are the channels.
        """
        frames = -(-length // HALF) + 1
        known = samples[:, max(before - HALF, 0) : before + length + HALF]
        left = HALF - min(before, HALF)
        padded = np.zeros((len(samples), (frames + 1) * HALF), np.float32)
        padded[:, left : left + known.shape[1]] = known[:, : padded.shape[1] - left]
        coefficients = _mdct(padded)
        if axes is not None:
            matrices = self._matrices(coefficients[:, 1:], length, axes)
        else:
            unturned = np.broadcast_to(np.eye(len(samples)), (len(self._bands), *(len(samples),) * 2))
            matrices = (unturned if self._last is None else self._last)[None]
        turned = np.empty_like(coefficients)
        turned[:, :1] = self._turned(coefficients[:, :1], matrices[0] if self._last is None else self._last)
        slots = self._slots(frames - 1, len(matrices))
        for slot in np.unique(slots):
            part = slice(*(1 + np.flatnonzero(slots == slot)[[0, -1]] + [0, 1]))
            turned[:, part] = self._turned(coefficients[:, part], matrices[slot])
        self._last = matrices[-1]
        return _inverse_mdct(turned)[:, :length]

    def _slots(self, frames: int, count: int) -> Int[ndarray, " frame"]:
        """Slot of each frame of a packet but for the one at its beginning."""
        return np.minimum((HALF * np.arange(1, frames + 1) - 1) // self._slot, count - 1)

    def _matrices(
        self, coefficients: Float32[ndarray, "channel frame bin"], length: int, axes: Axes
    ) -> Float[ndarray, "slot band channel channel"]:
        """Matrices of a packet, those for what lies below the bands before those of the bands."""
        vectors = axes.vectors
        if not self._back:
            return np.concatenate([vectors[:, :1], vectors], 1).swapaxes(-1, -2)
        if axes.power is None:
            return np.concatenate([vectors[:, :1], vectors], 1)
        ratio = axes.power / np.maximum(self._power(coefficients, length, len(axes.power)), 1e-20)
        gains = np.where(np.isnan(ratio), 1, np.minimum(np.sqrt(ratio), _MOST_GAIN))
        gains = np.concatenate([np.minimum(gains[:, :1], 1), gains], 1)
        return np.concatenate([vectors[:, :1], vectors], 1) * gains[..., None, :]

    def _power(
        self, coefficients: Float32[ndarray, "channel frame bin"], length: int, count: int
    ) -> Float[ndarray, "slot band channel"]:
        """Mean square of the components in each of `count` slots, NaN in those without a frame.

        Of the frames count those that lie `margin` away from the ends, or all where less than half of them do.
        """
        frames = coefficients.shape[1]
        slots, centres = self._slots(frames, count), HALF * np.arange(1, frames + 1)
        inner = (centres >= self._margin) & (centres <= length - self._margin)
        squares = np.square(coefficients, dtype=np.float64)
        power = np.full((count, BANDS, len(coefficients)), np.nan)
        for slot in np.unique(slots):
            own = slots == slot
            measured = own & inner if 2 * (own & inner).sum() >= own.sum() else own
            for band, bins in enumerate(self._bands[1:]):
                power[slot, band] = squares[:, measured, bins].mean((1, 2))
        return power

    def _turned(
        self, coefficients: Float32[ndarray, "channel frame bin"], matrices: Float[ndarray, "band channel channel"]
    ) -> Float32[ndarray, "channel frame bin"]:
        result = np.empty_like(coefficients)
        for matrix, band in zip(matrices.astype(np.float32), self._bands, strict=True):
            part = coefficients[:, :, band]
            result[:, :, band] = product(matrix, part.reshape(len(part), -1)).reshape(part.shape)
        return result


def _mdct(samples: Float32[ndarray, "channel time"]) -> Float32[ndarray, "channel frame bin"]:
    """Orthonormal MDCT of all windows of `samples`, one for every `HALF` samples."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW, axis=1)[:, ::HALF] * _SINE
    a, b, c, d = np.split(windows, 4, axis=2)
    return dct(np.concatenate([-c[..., ::-1] - d, a - b[..., ::-1]], 2), type=4, norm="ortho", axis=2)


def _inverse_mdct(coefficients: Float32[ndarray, "channel frame bin"]) -> Float32[ndarray, "channel time"]:
    """Samples between the centres of the first and of the last window."""
    u, v = np.split(dct(coefficients, type=4, norm="ortho", axis=2), 2, axis=2)
    early = np.concatenate([v, -v[..., ::-1]], 2) * _SINE[:HALF]
    late = np.concatenate([-u[..., ::-1], -u], 2) * _SINE[HALF:]
    return (late[:, :-1] + early[:, 1:]).reshape(len(coefficients), -1)
