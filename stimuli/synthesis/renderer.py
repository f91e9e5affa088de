"""Render the description of a sound field as the signals of a microphone, in blocks of a few seconds.

A bed is not rendered direction by direction: frame by frame, white spectra are multiplied by the Cholesky factor
of the covariance C(f) = sum_d w_d T_d(f) T_d(f)^H of the microphone's channels, and the frames overlap with a
power-complementary window. An event is convolved with the responses T_d of its directions. Memory does not depend
on the length of the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Complex64, Complex128, Float, Float32
from numpy import ndarray
from numpy.random import Generator
from scipy import fft

from render.hoa.spherical_harmonics import unit_vectors
from stimuli.em32 import microphone
from stimuli.synthesis.sound_field import (
    GRID_AZIMUTH_RAD,
    GRID_ELEVATION_RAD,
    GRID_VECTORS,
    Bed,
    Event,
    SoundField,
)

HOP = 1024
FFT = 2 * HOP
BLOCK_HOPS = 192

# The common filter is designed from the first seconds, so that a long recording need not be rendered twice
_CALIBRATION_S = 20.0
_EQUALISER_LIMIT_DB = 24.0
# A bed is not rendered above the frequency where it stays 20 dB below the microphone's own noise
_INAUDIBLE = 0.01
# Independent streams of random numbers
_REVERBERATION, _BEDS = 10, 11


def render(
    sound_field: SoundField,
    randomness: Callable[..., Generator],
    length: int,
    order: int,
    sample_rate_hz: int,
) -> Iterator[Float32[ndarray, "acn time"]]:
    """Yield the scene block by block (ACN/SN3D, full scale 1).

    Parameters
    ----------
    sound_field : SoundField
    randomness : callable
        Any integers -> generator; the same integers give the same numbers, whatever was drawn before.
    length : int
        Samples of the whole scene.
    order : int
        0 to 4.
    sample_rate_hz : int
    """
    renderer = _Renderer(sound_field, randomness, order, sample_rate_hz, length)
    for first in range(0, length, BLOCK_HOPS * HOP):
        yield renderer.block(first)[:, : length - first]


class _Renderer:
    """Designs all filters, then renders the blocks in order; the tails of a block are added to the next one."""

    def __init__(
        self,
        sound_field: SoundField,
        randomness: Callable[..., Generator],
        order: int,
        sample_rate_hz: int,
        length: int,
    ):
        self.sound_field, self.randomness = sound_field, randomness
        self.rate_hz, self.length, self.channels = sample_rate_hz, length, (order + 1) ** 2
        self.frequency_hz = fft.rfftfreq(FFT, 1 / sample_rate_hz)
        # Responses are designed at half the resolution: filters are one hop long, so that convolving one hop of
        # signal with them in an FFT of two hops does not wrap around
        self.grid, isotropic, noise = _microphone(order, sample_rate_hz, sound_field.microphone_seed)
        self.signals: dict[int, Float32[ndarray, " time"]] = {}
        self.responses: dict[int, Complex64[ndarray, "frequency acn"]] = {}
        gain = self._common_filter(_doubled_resolution(isotropic[:, 0, 0].real))
        self.gain = gain[::2]
        self.beds: list[tuple[ndarray, Callable[..., ndarray]]] = [(_cholesky_factor(noise), np.ones_like)]
        self.beds += [(self._bed_factor(bed, noise[:, 0, 0].real), bed.envelope) for bed in sound_field.beds]
        self.reverberation = self._impulse_response(_cholesky_factor(isotropic * self.gain[:, None, None] ** 2))
        self.reverberation_spectra: dict[int, Complex64[ndarray, "acn frequency"]] = {}
        self.bed_tail = np.zeros((self.channels, HOP), np.float32)
        self.event_tail = np.zeros((self.channels, HOP), np.float32)
        self.reverberation_tail = np.zeros_like(self.reverberation)

    # ---------------------------------------------------------------------------------------- design

    def _bed_amplitude(self, bed: Bed) -> Float[ndarray, " frequency"]:
        """Amplitude per bin of white spectra that gives the bed's W its level."""
        amplitude = bed.spectrum(np.maximum(self.frequency_hz, 1.0))
        return amplitude * 10 ** (bed.level_db / 20) / np.sqrt(np.mean(amplitude**2))

    def _bed_factor(
        self, bed: Bed, noise_power: Float[ndarray, " coarse"]
    ) -> Complex64[ndarray, "frequency acn acn"]:
        covariance = _covariance(self.grid, bed.spread)
        covariance *= ((self._bed_amplitude(bed)[::2] * self.gain) ** 2)[:, None, None]
        audible = np.flatnonzero(covariance[:, 0, 0].real > _INAUDIBLE * noise_power)
        return _cholesky_factor(covariance[: audible.max(initial=0) + 2])

    def _common_filter(self, response_power: Float[ndarray, " frequency"]) -> Float[ndarray, " frequency"]:
        """Gain that gives W the long-term spectrum and the level of the description."""
        seconds = min(self.length / self.rate_hz, _CALIBRATION_S)
        times_s = np.arange(0, seconds, HOP / self.rate_hz)
        power = np.zeros(len(self.frequency_hz))
        for bed in self.sound_field.beds:
            power += self._bed_amplitude(bed) ** 2 * np.mean(bed.envelope(times_s) ** 2)
        for number, event in enumerate(self.sound_field.events):
            begin, end = (round((t - event.start_s) * self.rate_hz) for t in (0.0, seconds))
            if end > 0:
                gain = 10 ** (event.level_db / 10) * (1 + 10 ** (event.send_db / 10))
                power += gain / len(times_s) * _energy(self._signal(number)[max(begin, 0) : end])
        return _equaliser_gain(
            self.sound_field.ltas_db, power * response_power, self.frequency_hz, self.sound_field.level_dbfs
        )

    def _impulse_response(self, factor: Complex64[ndarray, "frequency acn acn"]) -> Float32[ndarray, "acn time"]:
        """Late reverberation: an isotropic bed that decays with T60(f); unit energy in W before the gain."""
        t60_s = self.sound_field.t60_s(np.maximum(self.frequency_hz, 1.0))
        times_s = np.arange(0, np.max(t60_s), HOP / self.rate_hz)
        decay = 10 ** (-3 * times_s / t60_s[:, None])
        decay /= np.sqrt(np.sum(decay**2, axis=1, keepdims=True) * HOP)
        white = _white(self.randomness(_REVERBERATION), len(factor), len(times_s), self.channels)
        spectra = (white @ factor.transpose(0, 2, 1)) * decay[..., None].astype(np.float32)
        return np.concatenate(_overlap_add(spectra, np.zeros((self.channels, HOP), np.float32), _WINDOW), axis=1)

    def _response(self, direction: int) -> Complex64[ndarray, "frequency acn"]:
        """Spectrum of a direction's filters, HOP long, with a delay of HOP / 2."""
        if direction not in self.responses:
            impulse = fft.irfft(self.grid[:, direction] * self.gain[:, None], HOP, axis=0)
            impulse = np.roll(impulse, HOP // 2, axis=0) * np.hanning(HOP + 1)[:HOP, None]
            self.responses[direction] = fft.rfft(impulse, FFT, axis=0).astype(np.complex64)
        return self.responses[direction]

    def _signal(self, number: int) -> Float32[ndarray, " time"]:
        if number not in self.signals:
            self.signals[number] = self.sound_field.events[number].signal()
        return self.signals[number]

    # ---------------------------------------------------------------------------------------- blocks

    def block(self, begin: int) -> Float32[ndarray, "acn time"]:
        """The next BLOCK_HOPS hops, or the rest of the scene; blocks are rendered in order and without gaps."""
        hops = min(BLOCK_HOPS, -(-(self.length - begin) // HOP))
        result, self.bed_tail = _overlap_add(self._bed_spectra(begin, hops), self.bed_tail, _WINDOW)
        buses, send = self._buses(begin, hops * HOP)
        if buses:
            events, self.event_tail = _overlap_add(self._event_spectra(buses), self.event_tail)
            result += events
        else:
            result[:, :HOP] += self.event_tail
            self.event_tail = np.zeros_like(self.event_tail)
        return result + self._reverberated(send)

    def _bed_spectra(self, begin: int, hops: int) -> Complex64[ndarray, "frequency hop acn"]:
        times_s = (begin + np.arange(hops) * HOP) / self.rate_hz
        spectra = np.zeros((len(self.frequency_hz), hops, self.channels), np.complex64)
        for number, (factor, envelope) in enumerate(self.beds):
            white = _white(self.randomness(_BEDS, number, begin), len(factor), hops, self.channels)
            white *= envelope(times_s)[:, None].astype(np.float32)
            spectra[: len(factor)] += white @ factor.transpose(0, 2, 1)
        return spectra

    def _buses(self, begin: int, length: int) -> tuple[dict[int, ndarray], Float32[ndarray, " time"]]:
        """Mono signal of each direction in use, and the signal sent to the reverberation."""
        buses: dict[int, ndarray] = {}
        send = np.zeros(length, np.float32)
        for number, event in enumerate(self.sound_field.events):
            start = round(event.start_s * self.rate_hz)
            if start >= begin + length:
                continue
            if start + round(event.duration_s * self.rate_hz) <= begin:
                self.signals.pop(number, None)
                continue
            signal = self._signal(number)
            low, high = max(start, begin), min(start + len(signal), begin + length)
            if low >= high:
                continue
            piece = signal[low - start : high - start] * np.float32(10 ** (event.level_db / 20))
            send[low - begin : high - begin] += piece * np.float32(10 ** (event.send_db / 20))
            for direction, part, gain in _panning_gains(event, low - start, high - start, self.rate_hz):
                bus = buses.setdefault(direction, np.zeros(length, np.float32))
                bus[low - begin : high - begin][part] += piece[part] * gain
        return buses, send

    def _event_spectra(self, buses: dict[int, ndarray]) -> Complex64[ndarray, "frequency hop acn"]:
        hops = len(next(iter(buses.values()))) // HOP
        spectra = np.zeros((len(self.frequency_hz), hops, self.channels), np.complex64)
        directions = sorted(buses)
        for first in range(0, len(directions), 32):
            group = directions[first : first + 32]
            signals = np.stack([buses[direction] for direction in group]).reshape(len(group), hops, HOP)
            transformed = np.ascontiguousarray(fft.rfft(signals, FFT, axis=2).transpose(2, 1, 0))
            spectra += transformed @ np.stack([self._response(direction) for direction in group], axis=1)
        return spectra

    def _reverberated(self, send: Float32[ndarray, " time"]) -> Float32[ndarray, "acn time"]:
        """Reverberation of the signal sent in this block, and what still rings from earlier blocks."""
        length, tail = len(send), self.reverberation.shape[1]
        wet = np.zeros((self.channels, length + tail), np.float32)
        wet[:, :tail] = self.reverberation_tail
        if send.any():
            size = fft.next_fast_len(length + tail, real=True)
            if size not in self.reverberation_spectra:
                self.reverberation_spectra = {size: fft.rfft(self.reverberation, size)}
            spectrum = fft.rfft(send, size)
            for channel, response in enumerate(self.reverberation_spectra[size]):
                wet[channel] += fft.irfft(spectrum * response, size)[: length + tail]
        self.reverberation_tail = wet[:, length:]
        return wet[:, :length]


@lru_cache(maxsize=1)
def _microphone(
    order: int, rate_hz: int, seed: int
) -> tuple[
    Complex128[ndarray, "coarse direction acn"],
    Complex128[ndarray, "coarse acn acn"],
    Complex128[ndarray, "coarse acn acn"],
]:
    """Responses to the directions of the grid, and the covariances of a unit isotropic field and of the noise."""
    frequency_hz = fft.rfftfreq(HOP, 1 / rate_hz)
    grid = microphone.plane_wave_responses(GRID_AZIMUTH_RAD, GRID_ELEVATION_RAD, frequency_hz, order, seed)
    density = 10 ** (microphone.CAPSULE_NOISE_DBFS / 10) / microphone.CAPSULE_NOISE_BAND_HZ
    noise = microphone.noise_covariance(frequency_hz, order) * density * rate_hz / 2
    return grid, _covariance(grid, np.ones(len(GRID_VECTORS))), noise


def _window() -> Float32[ndarray, " FFT"]:
    """Vorbis' power-complementary window: w²(t) + w²(t + HOP) = 1, low side lobes."""
    ramp = np.sin(np.pi * (np.arange(FFT) + 0.5) / FFT)
    return np.sin(np.pi / 2 * ramp**2).astype(np.float32)


_WINDOW = _window()


def _overlap_add(
    spectra: Complex64[ndarray, "frequency hop acn"],
    tail: Float32[ndarray, "acn HOP"],
    window: Float32[ndarray, " FFT"] | float = 1.0,
) -> tuple[Float32[ndarray, "acn time"], Float32[ndarray, "acn HOP"]]:
    """Overlap-add of frames that are HOP apart: the signal, and the second half of the last frame."""
    frames = fft.irfft(np.ascontiguousarray(spectra.transpose(1, 2, 0)), FFT)
    frames *= window
    frames[1:, :, :HOP] += frames[:-1, :, HOP:]
    signal = frames[:, :, :HOP].transpose(1, 0, 2).reshape(len(tail), -1)
    signal[:, :HOP] += tail
    return signal, frames[-1, :, HOP:].copy()


def _white(rng: Generator, *shape: int) -> Complex64[ndarray, "frequency hop acn"]:
    """Spectra whose inverse FFT is Gaussian noise of unit power (bins have variance FFT).

    Real and imaginary parts are drawn from a uniform distribution, which is ten times faster than a Gaussian one.
    Each sample is a sum over all bins and channels, so that it is Gaussian all the same.
    """
    count = 2 * int(np.prod(shape))
    words = rng.integers(0, 2**64, size=-(-count // 4), dtype=np.uint64).view(np.int16)[:count]
    parts = words.astype(np.float32)
    parts *= np.float32(np.sqrt(FFT / 2 * 12) / 2**16)
    return parts.view(np.complex64).reshape(shape)


def _energy(signal: Float32[ndarray, " time"]) -> Float[ndarray, " frequency"]:
    """Energy spectrum of a signal, in the units of the bins of `_white` per hop."""
    padded = np.zeros((len(signal) // HOP + 2) * HOP, np.float32)
    padded[HOP // 2 : HOP // 2 + len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP] * _WINDOW
    return np.sum(np.abs(fft.rfft(frames, axis=1)) ** 2, axis=0) / np.sum(_WINDOW**2)


def _covariance(
    responses: Complex128[ndarray, "frequency direction acn"], spread: Float[ndarray, " direction"]
) -> Complex128[ndarray, "frequency acn acn"]:
    return (responses * (spread / spread.sum())[:, None]).transpose(0, 2, 1) @ responses.conj()


def _cholesky_factor(covariance: Complex128[ndarray, "coarse acn acn"]) -> Complex64[ndarray, "frequency acn acn"]:
    """Lower Cholesky factors at twice the frequency resolution.

    Channels are first scaled to unit power, since orders differ by up to 150 dB at low frequencies.
    """
    scale = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2).real, 1e-30))
    correlation = covariance / (scale[:, :, None] * scale[:, None, :])
    correlation += 1e-9 * np.eye(covariance.shape[1])
    return _doubled_resolution(np.linalg.cholesky(correlation) * scale[:, :, None]).astype(np.complex64)


def _doubled_resolution(coarse: ndarray) -> ndarray:
    """Interpolate linearly to twice the frequency resolution."""
    fine = np.repeat(coarse, 2, axis=0)[:-1]
    fine[1::2] = (coarse[1:] + coarse[:-1]) / 2
    return fine


def _panning_gains(
    event: Event, begin: int, end: int, rate_hz: int
) -> Iterator[tuple[int, slice, Float32[ndarray, " time"] | np.float32]]:
    """Directions of the grid that render the samples `begin` to `end` of an event.

    A source at rest is rendered by the nearest point of the grid. A moving source is shared by the three nearest,
    with gains that sum to 1 and are crossfaded over HOP samples.

    Yields
    ------
    direction : int
        Index into the grid.
    part : slice
        Samples of the range to which this direction contributes.
    gain : float32 (time,) or scalar
    """
    knots = np.arange(begin, end + HOP, HOP)
    vectors = unit_vectors(*event.path(knots / rate_hz))
    cosine = vectors @ GRID_VECTORS.T
    if np.ptp(vectors, axis=0).max() < 1e-6:
        yield int(np.argmax(cosine[0])), slice(None), np.float32(1.0)
        return
    nearest = np.argpartition(-cosine, 3, axis=1)[:, :4]
    closeness = np.take_along_axis(cosine, nearest, axis=1)
    # The fourth nearest has weight 0: a direction has faded out by the time another one replaces it
    weight = closeness - closeness.min(axis=1, keepdims=True)
    gains = np.zeros((len(knots), len(GRID_VECTORS)), np.float32)
    np.put_along_axis(gains, nearest, weight / weight.sum(axis=1, keepdims=True), axis=1)
    ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(HOP) / HOP)).astype(np.float32)
    for direction in np.flatnonzero(gains.any(axis=0)):
        used = np.flatnonzero(gains[:, direction])
        first, last = max(used[0] - 1, 0), min(used[-1] + 1, len(knots) - 1)
        here = gains[first : last + 1, direction]
        gain = (here[:-1, None] + ramp * np.diff(here)[:, None]).ravel()
        part = slice(first * HOP, min(last * HOP, end - begin))
        yield int(direction), part, gain[: part.stop - part.start]


def _equaliser_gain(
    ltas_db: Callable[[ndarray], ndarray],
    power: Float[ndarray, " frequency"],
    frequency_hz: Float[ndarray, " frequency"],
    level_dbfs: float,
) -> Float[ndarray, " frequency"]:
    """Gain that gives a power spectrum the levels of `ltas_db` in half octaves, and `level_dbfs` in total."""
    centres_hz = np.geomspace(30, frequency_hz[-1] * 0.95, 40)
    cumulative = np.concatenate([[0.0], np.cumsum(power)])
    low = np.searchsorted(frequency_hz, centres_hz * 2**-0.25)
    high = np.maximum(np.searchsorted(frequency_hz, centres_hz * 2**0.25), low + 1)
    mean = (cumulative[np.minimum(high, len(power))] - cumulative[low]) / (high - low)
    gain_db = ltas_db(centres_hz) - 10 * np.log10(np.maximum(mean, 1e-20))
    middle = (centres_hz > 60) & (centres_hz < 8000)
    gain_db = np.clip(gain_db - np.mean(gain_db[middle]), -_EQUALISER_LIMIT_DB, _EQUALISER_LIMIT_DB)
    octave = np.log2(np.maximum(frequency_hz, 1.0))
    gain = 10 ** (np.interp(octave, np.log2(centres_hz), gain_db) / 20)
    return gain * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(power * gain**2))
