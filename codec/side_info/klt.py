"""Karhunen-Loève transform of the channels, band by band: the network codes their principal components.

The side information gives encoder and decoder the same covariance matrix T of the channels in 12 bands, and so the
same eigenvectors V and eigenvalues. The encoder transforms the channels x into the components Vᵀx, sorted by
power. The decoder gives the components that the network decodes the power that they had, and transforms them back.
A few components hold most of the energy of a scene, they are always the same channels of the network, and they do
not change when the sound field is rotated. The transform thus adapts to the scene, which a network with fixed
weights cannot.

It is applied to the coefficients of an MDCT with sine windows of 2048 samples (Princen and Bradley 1986). The MDCT
is orthogonal, and so is the KLT in each band and frame, whatever its neighbours are: the inverse restores what the
forward transform was given, and an error of the network has the same energy in the channels as in the components.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.fft import dct

from codec.bitstream.sizes import SLOT_FRAMES
from codec.side_info.analysis import BANDS, WINDOW, band_edges, window_grid
from codec.side_info.coefficient_coding import CODED_BANDS, CodedCoefficients, CoefficientGrid, is_sent
from codec.side_info.noise_filling import noisiness
from codec.side_info.parameter_coding import SpatialParameters
from codec.streaming.threads import matrix_product
from render.common.compiled import compiled

MDCT_HOP = WINDOW // 2  # samples from one MDCT frame to the next, and coefficients of a frame
_SINE_WINDOW = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW).astype(np.float32)
_EIGENVALUE_GAP = 1e-3  # relative difference that keeps equal eigenvalues apart
_MAX_COMPONENT_GAIN = 10 ** (9 / 20)  # of a component after the network
_MAX_SENT_GAIN_DB = 3.0  # where its coefficients are sent and tonal; few of noise, amplified, sound like tones
_SENT_INPUT_GAIN = np.float32(10 ** (-6 / 20))  # of what need not pass the network; with less, all codes are alike
_MAX_CREST = 6.0  # of the noise in a frame, relative to its slot
_MIN_STEADY = 0.09  # where coefficients are sent: frames in which all were rounded to 0 would be holes
_STEADY = 0.6  # in the other bands: the levels of frames of a network with few codes are its own for the most part
_FILL = 0.7  # of the power that is missing where coefficients are sent: all of it would cost fine structure
_CORRELATION_SHRINKAGE = 0.95  # of measured correlations between components, so that no matrix is singular
_MIN_POWER = 1e-20  # of a component, where it is a divisor
_INPUT_POWER = 0.01  # mean square of the network's input, the sum over all components
# mean square of its coefficients in each band, relative to the mean over all bands; that of synthetic scenes
_INPUT_SPECTRUM = 10 ** (np.array([18, 13.5, 11.5, 9, 5.5, -1, -6, -12, -18, -24, -28.5, -31.5]) / 10)
_MIN_INPUT_GAIN, _MAX_INPUT_GAIN = 10 ** (-30 / 20), 10 ** (40 / 20)


class KLTBasis(NamedTuple):
    """Principal components of a packet.

    Attributes
    ----------
    vectors : float (slot, band, channel, component)
        Eigenvectors of the covariance matrices in columns, the largest eigenvalue first.
    power : float (slot, band, component), or None
        Mean square of the MDCT coefficients of each component; None if the packet has no parameters.
    gain : float (slot, band)
        Factor applied to the components before the network, and undone after it.
    """

    vectors: Float[ndarray, "slot band channel channel"]
    power: Float[ndarray, "slot band channel"] | None
    gain: Float[ndarray, "slot band"]


def covariances(
    sent: SpatialParameters, edges: Int[ndarray, " edge"], level_slots_of_slot: list[list[int]]
) -> Float[ndarray, "slot band channel channel"]:
    """Covariance matrices of all channels in each slot and band, from decoded parameters.

    Quantised correlations may not form a positive definite matrix; the negative eigenvalues are raised. Levels are
    averaged over the level slots of each slot and over the two level bands of each band.

    Parameters
    ----------
    sent : SpatialParameters
    edges : int (edge,)
        `codec.side_info.analysis.band_edges`.
    level_slots_of_slot : list of list of int
        `codec.side_info.analysis.WindowGrid.level_slots_of_slot`.
    """
    count, slots = len(sent.levels_db), len(level_slots_of_slot)
    power = 10 ** (sent.levels_db / 10) * np.diff(edges)[:, None]
    power = power.reshape(count, BANDS, 2, power.shape[2]).sum(2) / np.diff(edges[::2])[:, None]
    power = np.stack([power[:, :, inside].mean(2) for inside in level_slots_of_slot], 0)
    upper = np.triu_indices(count, 1)
    correlation = np.zeros((slots, BANDS, count, count))
    correlation[:, :, upper[0], upper[1]] = sent.correlations.transpose(2, 1, 0)
    correlation = correlation + correlation.swapaxes(-1, -2) + np.eye(count)
    values, vectors = np.linalg.eigh(correlation)
    correlation = (vectors * np.maximum(values, 1e-4)[:, :, None]) @ vectors.swapaxes(-1, -2)
    scale = np.sqrt(power.transpose(0, 2, 1) / np.diagonal(correlation, axis1=2, axis2=3))
    result = np.zeros((slots, BANDS, len(sent.active), len(sent.active)))
    first, second = np.ix_(sent.active, sent.active)
    result[:, :, first, second] = correlation * scale[..., :, None] * scale[..., None, :]
    return result


def klt_basis(
    sent: SpatialParameters | None, channels: int, length: int, hop: int, sample_rate_hz: int
) -> KLTBasis:
    """Principal components of a packet from its decoded parameters; without any, the channels themselves.

    Encoder and decoder compute it from the same numbers and must not differ by more than rounding. Equal
    eigenvalues are therefore kept apart by weights of the channels that fall by up to 1/1000, and the sign of each
    vector makes a fixed weighted sum of its entries positive.

    Parameters
    ----------
    sent : SpatialParameters or None
    channels : int
    length, hop, sample_rate_hz : int
        Of the packet, as in `codec.side_info.analysis.measure_parameters`.
    """
    if sent is None:
        identity = np.broadcast_to(np.eye(channels), (1, BANDS, channels, channels))
        return KLTBasis(identity, None, np.ones((1, BANDS)))
    index, edges = np.arange(channels), band_edges(sample_rate_hz)
    covariance = covariances(sent, edges, window_grid(length, hop).level_slots_of_slot)
    total = np.trace(covariance, axis1=2, axis2=3)[..., None, None]
    root = np.sqrt(1 - _EIGENVALUE_GAP * index / channels)
    distinct = covariance / np.where(total > 0, total, 1) * root[:, None] * root
    # silent channels come last, in their order
    vectors = np.linalg.eigh(distinct - 1e-9 * np.diag(index))[1][..., ::-1]
    vectors = vectors * np.where((1 + index) ** -0.75 @ vectors < 0, -1, 1)[..., None, :]
    # the factor leads from a bin of the spectra in which levels are measured to a coefficient of the MDCT
    power = 2 * WINDOW * np.einsum("sbic,sbij,sbjc->sbc", vectors, covariance, vectors)
    return KLTBasis(vectors, power, _input_gain(power.sum(2), np.diff([*edges[:-1:2], MDCT_HOP])))


def _input_gain(power: Float[ndarray, "slot band"], widths: Int[ndarray, " band"]) -> Float[ndarray, "slot band"]:
    """Gains that give every slot the same level, and move its spectrum half the way (in dB) to a common one."""
    level = np.maximum(power @ widths / MDCT_HOP, 1e-12)[:, None]
    squared = _INPUT_POWER / level * np.sqrt(_INPUT_SPECTRUM * level / np.maximum(power, 1e-12))
    return np.clip(np.sqrt(squared), _MIN_INPUT_GAIN, _MAX_INPUT_GAIN)


class _Filling(NamedTuple):
    """Gains of the components in a slot, and the noise that is added to them before they are transformed.

    Attributes
    ----------
    gains : float (band, component)
    noise : float (band, component)
        Root mean square of the noise in the coefficients that get it.
    level : float (band,)
        Mean square of the coefficients of all components together, the reference for the crest of the noise.
    steadiness : float (band,)
        Of the noise: with 0 it follows the levels of the decoded frames, with 1 it has the same level in all.
    counts : int (band,)
        Components whose coefficients are sent. They get noise only where these are 0.
    """

    gains: Float[ndarray, "band component"]
    noise: Float[ndarray, "band component"]
    level: Float[ndarray, " band"]
    steadiness: Float[ndarray, " band"]
    counts: Int[ndarray, " band"]

    def of_band(
        self,
        band: int,
        coefficients: Float32[ndarray, "component frame bin"],
        signs: Float32[ndarray, "component frame bin"],
    ) -> Float32[ndarray, "component frame bin"]:
        """Components of a band with their gains and noise."""
        noise = _noise(coefficients, signs, self.level[band], self.steadiness[band])
        noise *= self.noise[band].astype(np.float32)[:, None, None]
        count = self.counts[band]
        noise[:count][coefficients[:count] != 0] = 0
        return coefficients * self.gains[band].astype(np.float32)[:, None, None] + noise


class _SlotTransform(NamedTuple):
    """What is applied to the MDCT coefficients of a slot.

    Attributes
    ----------
    matrices : float (1 + band, channel, channel)
        Of the coefficients below the bands, and of each band.
    filling : _Filling, or None
        What happens to the coefficients of the bands before that.
    """

    matrices: Float[ndarray, "band channel channel"]
    filling: _Filling | None = None


class _BandTransform(ABC):
    """Applies matrices to the channels in each band and slot of the MDCT, packet after packet.

    Parameters
    ----------
    hop : int
        Samples per frame of the codec.
    sample_rate_hz : int
    """

    def __init__(self, hop: int, sample_rate_hz: int):
        self._slot_samples = SLOT_FRAMES * hop
        edges = [*band_edges(sample_rate_hz)[:-1:2], MDCT_HOP]
        self._bands = [slice(low, high) for low, high in pairwise([0, *edges])]  # the first lies below the bands
        self._last_slot: _SlotTransform | None = None

    def __call__(
        self,
        samples: Float32[ndarray, "channel time"],
        before: int,
        length: int,
        basis: KLTBasis,
        noise_seed: int = 0,
    ) -> Float32[ndarray, "channel length"]:
        """Transform the `length` samples of a packet.

        The MDCT frame centred at the beginning of the packet is still treated as part of the packet before, so
        that no packet depends on the parameters of the next one.

        Parameters
        ----------
        samples : float32 (channel, time)
            The packet with up to `MDCT_HOP` samples of what comes before and after it.
        before : int
            Number of samples before the packet.
        length : int
            Samples of the packet.
        basis : KLTBasis
        noise_seed : int
            Seed of the noise that the inverse transform adds, 0 to 2³² - 1.

        Returns
        -------
        float32 (channel, length)
        """
        spectrum = mdct_of_packet(samples, before, length)
        return inverse_mdct(self.transformed(spectrum, basis, noise_seed))[:, :length]

    def transformed(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        basis: KLTBasis,
        noise_seed: int = 0,
        sent: CodedCoefficients | None = None,
    ) -> Float32[ndarray, "channel frame bin"]:
        """Transform the MDCT coefficients of a packet, `mdct_of_packet`.

        `sent` are those which the packet sends (`codec.side_info.coefficient_coding`); the rest as in `__call__`.
        """
        slots = self._slot_transforms(coefficients[:, 1:], basis, noise_seed, sent)
        result = np.empty_like(coefficients)
        result[:, :1] = self._apply(coefficients[:, :1], self._last_slot or slots[0], 0, noise_seed)
        slot_of_frame = self._slot_of_frame(coefficients.shape[1] - 1, len(slots))
        for slot in np.unique(slot_of_frame):
            first, last = 1 + np.flatnonzero(slot_of_frame == slot)[[0, -1]]
            part = coefficients[:, first : last + 1]
            result[:, first : last + 1] = self._apply(part, slots[slot], first, noise_seed)
        self._last_slot = slots[-1]
        return result

    @abstractmethod
    def _slot_transforms(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        basis: KLTBasis,
        noise_seed: int,
        sent: CodedCoefficients | None,
    ) -> list[_SlotTransform]:
        """Return the transform of each slot of a packet; `coefficients` lack the frame at its beginning."""

    def grid(self, frames: int, slots: int) -> CoefficientGrid:
        """Where the coefficients that are sent lie, in a packet of `frames` MDCT frames and so many slots."""
        starts = [band.start for band in self._bands[1:]]
        edges = np.array(starts[CODED_BANDS.start : CODED_BANDS.stop + 1], np.int64)
        return CoefficientGrid(self._slot_of_frame(frames - 1, slots), edges)

    def _slot_of_frame(self, frames: int, count: int) -> Int[ndarray, " frame"]:
        """Slot of each of the frames of a packet after the one at its beginning."""
        return np.minimum((MDCT_HOP * np.arange(1, frames + 1) - 1) // self._slot_samples, count - 1)

    def _apply(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        slot: _SlotTransform,
        first: int,
        noise_seed: int,
    ) -> Float32[ndarray, "channel frame bin"]:
        """Transform frames of one slot, of which the first has number `first` in the packet."""
        result = np.empty_like(coefficients)
        for matrix, band in zip(slot.matrices.astype(np.float32), self._bands, strict=True):
            part = coefficients[:, :, band]
            result[:, :, band] = matrix_product(matrix, part.reshape(len(part), -1)).reshape(part.shape)
        return result


class ForwardKLT(_BandTransform):
    """Transforms channels into principal components, packet after packet."""

    def __init__(self, hop: int, sample_rate_hz: int):
        super().__init__(hop, sample_rate_hz)
        self._last_counts: Int[ndarray, "slot band"] | None = None

    def _slot_transforms(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        basis: KLTBasis,
        noise_seed: int,
        sent: CodedCoefficients | None,
    ) -> list[_SlotTransform]:
        matrices = basis.vectors.swapaxes(-1, -2) * basis.gain[:, :, None, None]
        return [_SlotTransform(_extended_below(of_slot)) for of_slot in matrices]

    def component_powers(
        self, coefficients: Float32[ndarray, "component frame bin"], basis: KLTBasis
    ) -> Float[ndarray, "slot band component"]:
        """Mean squares of the components of a packet, to be compared with `KLTBasis.power`.

        Those of a slot without frames are 0.
        """
        slot_of_frame = self._slot_of_frame(coefficients.shape[1] - 1, len(basis.gain))
        result = np.zeros((*basis.gain.shape, len(coefficients)))
        for slot in np.unique(slot_of_frame):
            own = coefficients[:, 1:][:, slot_of_frame == slot]
            for band, bins in enumerate(self._bands[1:]):
                result[slot, band] = np.square(own[:, :, bins], dtype=np.float64).mean((1, 2))
        return result / np.square(basis.gain)[:, :, None]

    def turn_down_sent(
        self, coefficients: Float32[ndarray, "component frame bin"], counts: Int[ndarray, "slot band"]
    ) -> None:
        """Turn down what a packet sends (`CodedCoefficients.counts`) in its components, in place.

        The network need not code it. It is not removed, since the mel distance compares logarithms of levels.
        """
        for part, own in ((coefficients[:, :1], self._last_counts), (coefficients[:, 1:], counts)):
            if part.shape[1] and own is not None:
                grid = self.grid(1 + part.shape[1], len(own))
                part[:, :, grid.edges[0] : grid.edges[-1]][is_sent(own, grid, len(part))] *= _SENT_INPUT_GAIN
        self._last_counts = counts[-1:]


class InverseKLT(_BandTransform):
    """Transforms principal components into channels, packet after packet.

    Each component gets the power that follows from the side information. It is amplified by 9 dB at most, and the
    power that is then missing is filled with noise. (A network that has no bits for a component makes it too weak,
    and what it does produce resembles other components: amplifying it would narrow the image.) Below the bands,
    where the network has a constant offset, nothing is amplified.

    The noise has the same magnitude in all coefficients of a band and frame, which follows the levels of the
    decoded frames, and random signs. In packets that send coefficients it is steadier, since few codes are left to
    the network. Where coefficients are sent, it fills those that were rounded to 0, the steadier the less tonal
    these are (`codec.side_info.noise_filling`). Before that they are amplified by 3 dB at most, in sparse noise
    not at all.

    Principal components are uncorrelated, but those that a network decodes are not. They are decorrelated with the
    least change to them (`decorrelation_matrix`), as far as the network did not know them. How well it did shows
    in their power before amplification: if all of it is there, the waveform is right, and so are correlations that
    the quantised parameters lack.

    Parameters
    ----------
    hop : int
        Samples per frame of the codec.
    sample_rate_hz : int
    """

    def __init__(self, hop: int, sample_rate_hz: int):
        super().__init__(hop, sample_rate_hz)
        self._last_sent: CodedCoefficients | None = None

    def transformed(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        basis: KLTBasis,
        noise_seed: int = 0,
        sent: CodedCoefficients | None = None,
    ) -> Float32[ndarray, "channel frame bin"]:
        """Put the coefficients that the packet sends into their place, and transform all."""
        coefficients = coefficients.copy()
        if self._last_sent is not None:
            _replace(coefficients[:, :1], self._last_sent, self.grid(2, 1))
        if sent is not None:
            _replace(coefficients[:, 1:], sent, self.grid(coefficients.shape[1], len(basis.gain)))
        self._last_sent = sent and CodedCoefficients(sent.values[:, -1:], sent.counts[-1:])
        return super().transformed(coefficients, basis, noise_seed, sent)

    def _slot_transforms(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        basis: KLTBasis,
        noise_seed: int,
        sent: CodedCoefficients | None,
    ) -> list[_SlotTransform]:
        vectors = basis.vectors / basis.gain[:, :, None, None]
        if basis.power is None:
            return [_SlotTransform(_extended_below(of_slot)) for of_slot in vectors]
        target_power = basis.power * basis.gain[:, :, None] ** 2
        slot_of_frame = self._slot_of_frame(coefficients.shape[1], len(target_power))
        counts = np.zeros(target_power.shape[:2], np.int64)
        noisy, steadiness = np.zeros((2, *counts.shape))
        if sent is not None:
            own = slice(CODED_BANDS.start, CODED_BANDS.stop)
            counts[:, own] = sent.counts
            noisy[:, own] = noisiness(sent, self.grid(1 + coefficients.shape[1], len(target_power)))
            steadiness = np.where(counts > 0, np.maximum(noisy, _MIN_STEADY), _STEADY)
        return [
            self._slot_transform(coefficients, np.flatnonzero(slot_of_frame == slot), *of_slot, noise_seed)
            for slot, of_slot in enumerate(zip(vectors, target_power, counts, noisy, steadiness, strict=True))
        ]

    def _slot_transform(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        frames: Int[ndarray, " own"],
        vectors: Float[ndarray, "band channel channel"],
        target_power: Float[ndarray, "band channel"],
        counts: Int[ndarray, " band"],
        noisy: Float[ndarray, " band"],
        steadiness: Float[ndarray, " band"],
        noise_seed: int,
    ) -> _SlotTransform:
        """Return the transform of a slot.

        `frames` are those of the slot, apart from the one at the beginning of the packet; in them its powers are
        measured. `target_power` are the powers of the components as they were before the network, `counts` says
        of how many of them the coefficients are sent, `noisy` how noisy these are, and `steadiness` is that of
        the noise.
        """
        if not len(frames):
            return _SlotTransform(_extended_below(vectors))
        coefficients = coefficients[:, frames]
        bands = self._bands[1:]
        power = np.stack([np.square(coefficients[:, :, b], dtype=np.float64).mean((1, 2)) for b in bands])
        is_sent = np.arange(len(coefficients)) < counts[:, None]
        zeros = np.stack([(coefficients[:, :, b] == 0).mean((1, 2)) for b in bands])
        # The few zeros of a component that is finely quantised could take what is missing only as loud peaks.
        filled_share = noisy[:, None] * np.minimum(1, 2 * zeros)
        max_gain = np.where(is_sent, 10 ** (_MAX_SENT_GAIN_DB * (1 - filled_share) / 20), _MAX_COMPONENT_GAIN)
        gains = np.minimum(np.sqrt(target_power / np.maximum(power, _MIN_POWER)), max_gain)
        missing = np.maximum(target_power - gains**2 * power, 0)
        missing[is_sent] *= _FILL / np.maximum(zeros[is_sent], 1 / MDCT_HOP)
        filling = _Filling(gains, np.sqrt(missing), power.mean(1), steadiness, counts)
        below = vectors[0] * np.minimum(gains[0], 1)
        signs = random_signs(noise_seed, 1 + int(frames[0]), *coefficients.shape)
        matrices = [below]
        for band, bins in enumerate(bands):
            filled = filling.of_band(band, coefficients[:, :, bins], signs[:, :, bins])
            flat = filled.reshape(len(filled), -1).astype(np.float64)
            fidelity = np.minimum(1, power[band] / np.maximum(target_power[band], _MIN_POWER))
            covariance = matrix_product(flat, flat.T) / flat.shape[1]
            matrices.append(vectors[band] @ decorrelation_matrix(covariance, target_power[band], fidelity))
        return _SlotTransform(np.stack(matrices), filling)

    def _apply(
        self,
        coefficients: Float32[ndarray, "channel frame bin"],
        slot: _SlotTransform,
        first: int,
        noise_seed: int,
    ) -> Float32[ndarray, "channel frame bin"]:
        if slot.filling is None:
            return super()._apply(coefficients, slot, first, noise_seed)
        filled = coefficients.copy()
        signs = random_signs(noise_seed, first, *coefficients.shape)
        for band, bins in enumerate(self._bands[1:]):
            filled[:, :, bins] = slot.filling.of_band(band, coefficients[:, :, bins], signs[:, :, bins])
        return super()._apply(filled, slot, first, noise_seed)


def _noise(
    coefficients: Float32[ndarray, "channel frame bin"],
    signs: Float32[ndarray, "channel frame bin"],
    level: float,
    steadiness: float,
) -> Float32[ndarray, "channel frame bin"]:
    """Noise of unit power in a band, whose level follows that of the frames of all components together."""
    relative = np.square(coefficients, dtype=np.float64).mean((0, 2)) / max(level, _MIN_POWER)
    crest = np.minimum(np.sqrt(steadiness + (1 - steadiness) * relative), _MAX_CREST)
    return signs * crest.astype(np.float32)[:, None]


def decorrelation_matrix(
    covariance: Float[ndarray, "channel channel"],
    power: Float[ndarray, " channel"],
    fidelity: Float[ndarray, " channel"],
) -> Float[ndarray, "channel channel"]:
    """Matrix that gives components their power and removes their correlations with the least change to them.

    The map from a covariance matrix S to a covariance matrix W that changes the signal least is
    S^-½ (S^½ W S^½)^½ S^-½ (Olkin and Pukelsheim 1982).

    Parameters
    ----------
    covariance : float (channel, channel)
        Of the components as they are. S is this matrix with its correlations reduced by 5 %.
    power : float (channel,)
        Of the components as they should be, the diagonal of W.
    fidelity : float (channel,)
        0 to 1: of the correlation of two components, the product of their fidelities remains in W.
    """
    rms = np.sqrt(np.maximum(np.diagonal(covariance), 1e-10 * np.trace(covariance) + _MIN_POWER))
    correlation = _CORRELATION_SHRINKAGE * covariance / rms[:, None] / rms
    target = correlation * fidelity[:, None] * fidelity
    np.fill_diagonal(correlation, 1)
    np.fill_diagonal(target, 1)
    values, vectors = np.linalg.eigh(correlation * rms[:, None] * rms)
    root, inverse_root = (vectors * values**exponent @ vectors.T for exponent in (0.5, -0.5))
    target_rms = np.sqrt(power)
    values, vectors = np.linalg.eigh(root @ (target * target_rms[:, None] * target_rms) @ root)
    return inverse_root @ (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T @ inverse_root


def _extended_below(matrices: Float[ndarray, "band channel channel"]) -> Float[ndarray, "1+band channel channel"]:
    """Prepend the matrix of the coefficients below the bands, which is that of the lowest band."""
    return np.concatenate([matrices[:1], matrices])


def random_signs(
    seed: int, first: int, channels: int, frames: int, bins: int
) -> Float32[ndarray, "channel frame bin"]:
    """Return +1 or -1 for the coefficients of `frames` frames from number `first` of the packet on.

    Channel c takes bit c mod 64 of a number of SplitMix64 (Steele, Lea and Flood 2014). In the sequence that
    begins with `seed`, that of channels 64 g to 64 g + 63, frame n and bin k has the index (g 2¹⁶ + n) 2¹⁶ + k.
    """
    signs = np.empty((channels, frames, bins), np.float32)
    _fill_signs(np.uint64(seed), first, signs)
    return signs


@compiled(nogil=True)
def _fill_signs(seed, first, signs):  # pragma: no cover, compiled
    channels, frames, bins = signs.shape
    for word in range(0, channels, 64):
        for frame in range(frames):
            for k in range(bins):
                index = ((word // 64 << 16) + first + frame << 16) + k
                z = seed + np.uint64(index + 1) * np.uint64(0x9E3779B97F4A7C15)
                z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                z = z ^ (z >> np.uint64(31))
                for channel in range(word, min(word + 64, channels)):
                    signs[channel, frame, k] = np.float32(1) - np.float32(2) * np.float32(z & np.uint64(1))
                    z >>= np.uint64(1)


def _replace(
    coefficients: Float32[ndarray, "component frame bin"], sent: CodedCoefficients, grid: CoefficientGrid
) -> None:
    """Put the coefficients that are sent in the place of those that the network decoded."""
    own = coefficients[:, :, grid.edges[0] : grid.edges[-1]]
    np.copyto(own, sent.values, where=is_sent(sent.counts, grid, len(own)))


def mdct_of_packet(
    samples: Float32[ndarray, "channel time"], before: int, length: int
) -> Float32[ndarray, "channel frame bin"]:
    """MDCT frames centred in a packet, at its beginning and at its end.

    Parameters
    ----------
    samples : float32 (channel, time)
        The packet with up to `MDCT_HOP` samples of what comes before and after it.
    before : int
        Number of samples before the packet.
    length : int
        Samples of the packet.
    """
    frames = -(-length // MDCT_HOP) + 1
    known = samples[:, max(before - MDCT_HOP, 0) : before + length + MDCT_HOP]
    left = MDCT_HOP - min(before, MDCT_HOP)
    padded = np.zeros((len(samples), (frames + 1) * MDCT_HOP), np.float32)
    padded[:, left : left + known.shape[1]] = known[:, : padded.shape[1] - left]
    return mdct(padded)


def mdct(samples: Float32[ndarray, "channel time"]) -> Float32[ndarray, "channel frame bin"]:
    """Orthonormal MDCT of all windows of `samples`, one for every `MDCT_HOP` samples."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW, axis=1)[:, ::MDCT_HOP]
    result = np.empty((*windows.shape[:2], MDCT_HOP), np.float32)
    for channel, own in enumerate(windows):  # one at a time stays in the cache
        a, b, c, d = np.split(own * _SINE_WINDOW, 4, axis=1)
        folded = np.concatenate([-c[:, ::-1] - d, a - b[:, ::-1]], 1)
        result[channel] = dct(folded, type=4, norm="ortho", axis=1, overwrite_x=True)
    return result


def inverse_mdct(coefficients: Float32[ndarray, "channel frame bin"]) -> Float32[ndarray, "channel time"]:
    """Samples between the centres of the first and of the last window."""
    result = np.empty((len(coefficients), coefficients.shape[1] - 1, MDCT_HOP), np.float32)
    for channel, own in enumerate(coefficients):
        u, v = np.split(dct(own, type=4, norm="ortho", axis=1), 2, axis=1)
        early = np.concatenate([v, -v[:, ::-1]], 1) * _SINE_WINDOW[:MDCT_HOP]
        late = np.concatenate([-u[:, ::-1], -u], 1) * _SINE_WINDOW[MDCT_HOP:]
        np.add(late[:-1], early[1:], out=result[channel])
    return result.reshape(len(coefficients), -1)
