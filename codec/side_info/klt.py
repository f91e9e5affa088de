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

from codec.side_info.analysis import BANDS, SLOT_FRAMES, WINDOW, band_edges, grid_of
from codec.side_info.parameter_coding import Parameters
from codec.streaming.threads import matrix_product

HALF = WINDOW // 2  # samples from one frame to the next, and coefficients of a frame
_SINE = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW).astype(np.float32)
_TIE = 1e-3  # relative difference that keeps equal eigenvalues apart
_MAX_GAIN = 10 ** (9 / 20)  # of a component behind the network
_MAX_CREST = 6.0  # of a frame of noise above that of its slot
_LOOSENED = 0.95  # share of the correlations between components that is seen: no matrix becomes singular
_LEVEL = 0.01  # mean square of the components that the network gets, all added
# mean square of their coefficients, relative to that level: a synthetic scene has such a spectrum
_SPECTRUM = 10 ** (np.array([18, 13.5, 11.5, 9, 5.5, -1, -6, -12, -18, -24, -28.5, -31.5]) / 10)
_MIN_POWER = 1e-20  # of a component; it is divided by
_LEAST, _MOST = 10 ** (-30 / 20), 10 ** (40 / 20)  # gain before the network


class Axes(NamedTuple):
    """Eigenvectors (columns) of the covariances of a packet, the largest eigenvalue first.

    `power` is that of each component, the mean square of its MDCT coefficients; None if it was not sent. `gain` is
    what the components are multiplied by before the network.
    """

    vectors: Float[ndarray, "slot band channel channel"]
    power: Float[ndarray, "slot band channel"] | None
    gain: Float[ndarray, "slot band"]


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
        Of the packet, as in `codec.side_info.analysis.measure`.
    """
    if sent is None:
        return Axes(np.broadcast_to(np.eye(channels), (1, BANDS, channels, channels)), None, np.ones((1, BANDS)))
    places, edges = np.arange(channels), band_edges(sample_rate_hz)
    covariance = covariances(sent, edges, grid_of(length, hop, margin).levels_of_slot)
    total = np.trace(covariance, axis1=2, axis2=3)[..., None, None]
    root = np.sqrt(1 - _TIE * places / channels)
    apart = covariance / np.where(total > 0, total, 1) * root[:, None] * root
    # silent channels last, in their order
    vectors = np.linalg.eigh(apart - 1e-9 * np.diag(places))[1][..., ::-1]
    vectors = vectors * np.where((1 + places) ** -0.75 @ vectors < 0, -1, 1)[..., None, :]
    # of a bin of the spectra in which levels are measured to a coefficient of the MDCT
    power = 2 * WINDOW * np.einsum("sbic,sbij,sbjc->sbc", vectors, covariance, vectors)
    return Axes(vectors, power, _gain(power.sum(2), np.diff([*edges[:-1:2], HALF])))


def _gain(power: Float[ndarray, "slot band"], widths: Int[ndarray, " band"]) -> Float[ndarray, "slot band"]:
    """Gains that bring all slots to one level and their spectra half the way, in decibels, to a common one."""
    level = np.maximum(power @ widths / HALF, 1e-12)[:, None]
    squared = _LEVEL / level * np.sqrt(_SPECTRUM * level / np.maximum(power, 1e-12))
    return np.clip(np.sqrt(squared), _LEAST, _MOST)


class Turn:
    """Turns channels into components, packet after packet.

    Parameters
    ----------
    hop, sample_rate_hz : int
    """

    def __init__(self, hop: int, sample_rate_hz: int):
        self._slot = SLOT_FRAMES * hop
        edges = [*band_edges(sample_rate_hz)[:-1:2], HALF]
        self._bands = [slice(low, high) for low, high in pairwise([0, *edges])]  # the first lies below the bands
        self._last: _Slot | None = None

    def __call__(
        self,
        samples: Float32[ndarray, "channel time"],
        before: int,
        length: int,
        axes: Axes,
        seed: int = 0,
    ) -> Float32[ndarray, "channel time"]:
        """Turn `length` samples of a packet.

        The frame in the middle of which the packet begins is still treated as the last of the packet before, so
        that nothing depends on the one behind.

        Parameters
        ----------
        samples : float32 (channel, time)
            The packet with what is known on both sides of it, up to `HALF` samples.
        before, length : int
            Samples before the packet, and of the packet.
        axes : Axes
        seed : int
            Of the noise, where there is some.
        """
        frames = -(-length // HALF) + 1
        known = samples[:, max(before - HALF, 0) : before + length + HALF]
        left = HALF - min(before, HALF)
        padded = np.zeros((len(samples), (frames + 1) * HALF), np.float32)
        padded[:, left : left + known.shape[1]] = known[:, : padded.shape[1] - left]
        coefficients = _mdct(padded)
        slots = self._treatment(coefficients[:, 1:], length, axes, seed)
        turned = np.empty_like(coefficients)
        turned[:, :1] = self._turned(coefficients[:, :1], self._last or slots[0], 0, seed)
        slot_of_frame = self._slots(frames - 1, len(slots))
        for slot in np.unique(slot_of_frame):
            first, last = 1 + np.flatnonzero(slot_of_frame == slot)[[0, -1]]
            part = coefficients[:, first : last + 1]
            turned[:, first : last + 1] = self._turned(part, slots[slot], first, seed)
        self._last = slots[-1]
        return _inverse_mdct(turned)[:, :length]

    def _slots(self, frames: int, count: int) -> Int[ndarray, " frame"]:
        """Slot of each frame of a packet but for the one at its beginning."""
        return np.minimum((HALF * np.arange(1, frames + 1) - 1) // self._slot, count - 1)

    def _treatment(
        self, coefficients: Float32[ndarray, "channel frame bin"], length: int, axes: Axes, seed: int
    ) -> list[_Slot]:
        """What becomes of the slots of a packet."""
        matrices = axes.vectors.swapaxes(-1, -2) * axes.gain[:, :, None, None]
        return [_Slot(_from_below(of_slot)) for of_slot in matrices]

    def _turned(
        self, coefficients: Float32[ndarray, "channel frame bin"], slot: _Slot, first: int, seed: int
    ) -> Float32[ndarray, "channel frame bin"]:
        """Turn frames of a slot, number `first` of the packet and those behind it."""
        result = np.empty_like(coefficients)
        for matrix, band in zip(slot.matrices.astype(np.float32), self._bands, strict=True):
            part = coefficients[:, :, band]
            result[:, :, band] = matrix_product(matrix, part.reshape(len(part), -1)).reshape(part.shape)
        return result


class TurnBack(Turn):
    """Turns components into channels, packet after packet.

    A component gets the power that was sent: it is amplified by 9 dB at most, and the power that it lacks then is
    filled with noise. (A network that does not know a component makes it too weak, and what it makes of unknown
    ones resembles what it makes of others: amplified, they would pull the image together.) What lies below the
    bands, the network's offset, gets no louder.

    The noise has the magnitude of its power in all coefficients of a band and slot, but that it follows the levels
    of the decoded frames, and random signs.

    Principal components are uncorrelated, but those that a network makes are not. So they are made so, with the
    least change (`uncorrelated`), as far as the network did not know them, as their power before the gains shows:
    of a component with all its power the waveform is right, and with it correlations that rounding took from the
    layer.

    Parameters
    ----------
    hop, sample_rate_hz : int
    margin : int
        Samples at either end of a packet whose power is not measured, as in `codec.side_info.analysis.measure`.
    """

    def __init__(self, hop: int, sample_rate_hz: int, margin: int):
        super().__init__(hop, sample_rate_hz)
        self._margin = margin

    def _treatment(
        self, coefficients: Float32[ndarray, "channel frame bin"], length: int, axes: Axes, seed: int
    ) -> list[_Slot]:
        vectors = axes.vectors / axes.gain[:, :, None, None]
        if axes.power is None:
            return [_Slot(_from_below(of_slot)) for of_slot in vectors]
        wanted = axes.power * axes.gain[:, :, None] ** 2
        measured = self._measured(coefficients.shape[1], length, len(wanted))
        return [
            self._treatment_of(coefficients, frames, of_slot, powers, seed)
            for frames, of_slot, powers in zip(measured, vectors, wanted, strict=True)
        ]

    def _measured(self, frames: int, length: int, count: int) -> list[Int[ndarray, " frame"]]:
        """Frames (the one at the packet's beginning not counted) whose power is that of each of `count` slots.

        Those that lie `margin` away from the ends of the packet, or all where less than half of them do.
        """
        slots, centres = self._slots(frames, count), HALF * np.arange(1, frames + 1)
        inner = (centres >= self._margin) & (centres <= length - self._margin)
        own = [slots == slot for slot in range(count)]
        return [np.flatnonzero(o & inner if 2 * (o & inner).sum() >= o.sum() else o) for o in own]

    def _treatment_of(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        frames: Int[ndarray, " measured"],
        vectors: Float[ndarray, "band channel channel"],
        wanted: Float[ndarray, "band channel"],
        seed: int,
    ) -> _Slot:
        """What becomes of a slot, from its measured frames.

        `wanted` are the powers of the components as the network got them.
        """
        if not len(frames):
            return _Slot(_from_below(vectors))
        coefficients = coefficients[:, frames]
        bands = self._bands[1:]
        power = np.stack([np.square(coefficients[:, :, b], dtype=np.float64).mean((1, 2)) for b in bands])
        gains = np.minimum(np.sqrt(wanted / np.maximum(power, _MIN_POWER)), _MAX_GAIN)
        missing = np.sqrt(np.maximum(wanted - gains**2 * power, 0))
        level = power.mean(1)
        below = vectors[0] * np.minimum(gains[0], 1)
        signs = random_signs(seed, 1 + int(frames[0]), *coefficients.shape)
        mixes = []
        for band, bins in enumerate(bands):
            made = coefficients[:, :, bins] * gains[band][:, None, None]
            made += _noise(coefficients[:, :, bins], signs[:, :, bins], level[band]) * missing[band][:, None, None]
            flat = made.reshape(len(made), -1).astype(np.float64)
            known = np.minimum(1, power[band] / np.maximum(wanted[band], _MIN_POWER))
            mixes.append(uncorrelated(matrix_product(flat, flat.T) / flat.shape[1], wanted[band], known))
        turned = vectors @ np.stack(mixes)
        matrices = np.concatenate([below[None], turned * gains[:, None]])
        return _Slot(matrices, turned * missing[:, None], level)

    def _turned(
        self, coefficients: Float32[ndarray, "channel frame bin"], slot: _Slot, first: int, seed: int
    ) -> Float32[ndarray, "channel frame bin"]:
        result = super()._turned(coefficients, slot, first, seed)
        if slot.noise is None or slot.level is None or not slot.noise.any():
            return result
        signs = random_signs(seed, first, *coefficients.shape)
        for matrix, level, band in zip(slot.noise.astype(np.float32), slot.level, self._bands[1:], strict=True):
            noise = _noise(coefficients[:, :, band], signs[:, :, band], level)
            result[:, :, band] += matrix_product(matrix, noise.reshape(len(noise), -1)).reshape(noise.shape)
        return result


def _noise(
    coefficients: Float32[ndarray, "channel frame bin"],
    signs: Float32[ndarray, "channel frame bin"],
    level: float,
) -> Float32[ndarray, "channel frame bin"]:
    """Noise of power 1 in a band that follows the levels of the frames of all components together."""
    levels = np.square(coefficients, dtype=np.float64).mean((0, 2))
    crest = np.minimum(np.sqrt(levels / max(level, _MIN_POWER)), _MAX_CREST)
    return signs * crest.astype(np.float32)[:, None]


def uncorrelated(
    covariance: Float[ndarray, "channel channel"],
    power: Float[ndarray, " channel"],
    known: Float[ndarray, " channel"],
) -> Float[ndarray, "channel channel"]:
    """Matrix that gives components their power and takes their correlations, with the least change.

    Of the correlation of two components the share `known` of one times that of the other stays. The map from a
    covariance S to a covariance W that changes the signal least is S^-½ (S^½ W S^½)^½ S^-½ (Olkin and Pukelsheim
    1982); S is `covariance`, its correlations loosened by 5 %.
    """
    own = np.sqrt(np.maximum(np.diagonal(covariance), 1e-10 * np.trace(covariance) + _MIN_POWER))
    correlation = _LOOSENED * covariance / own[:, None] / own
    wanted = correlation * known[:, None] * known
    np.fill_diagonal(correlation, 1)
    np.fill_diagonal(wanted, 1)
    values, vectors = np.linalg.eigh(correlation * own[:, None] * own)
    root, inverse_root = (vectors * values**exponent @ vectors.T for exponent in (0.5, -0.5))
    target = np.sqrt(power)
    values, vectors = np.linalg.eigh(root @ (wanted * target[:, None] * target) @ root)
    return inverse_root @ (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T @ inverse_root


class _Slot(NamedTuple):
    """What is done with the coefficients of a slot.

    `matrices` has one more band than the others, that below them; `level` is the mean square of the coefficients
    of all components together.
    """

    matrices: Float[ndarray, "band channel channel"]
    noise: Float[ndarray, "band channel channel"] | None = None
    level: Float[ndarray, " band"] | None = None


def _from_below(matrices: Float[ndarray, "band channel channel"]) -> Float[ndarray, "band channel channel"]:
    """What lies below the bands is treated as the lowest of them."""
    return np.concatenate([matrices[:1], matrices])


def random_signs(
    seed: int, first: int, channels: int, frames: int, bins: int
) -> Float32[ndarray, "channel frame bin"]:
    """+1 or -1 for the coefficients of `frames` frames, number `first` of a packet and those behind it.

    Bit c % 64 of a number of SplitMix64 (Steele, Lea and Flood 2014) decides for channel c; that of channels 64 g
    and up, bin k of frame n is number ((g 2¹⁶ + n) 2¹⁶ + k) of the sequence that begins with `seed`.
    """
    words = -(-channels // 64)
    grid = np.arange(words)[:, None, None] * 2**16 + np.arange(first, first + frames)[:, None]
    z = (grid * 2**16 + np.arange(bins)).astype(np.uint64) + np.uint64(1)
    z = np.uint64(seed) + z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    channel = np.arange(channels)
    bits = (z[channel // 64] >> (channel % 64).astype(np.uint64)[:, None, None]) & np.uint64(1)
    return 1 - 2 * bits.astype(np.float32)


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
