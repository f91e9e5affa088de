"""Synthetic mono sound sources: traffic, birds, voices, steps, metal, music.

Every function takes a random generator first and returns float32 (time,) with peaks near 1; the same state of the
generator gives the same samples. The sounds are meant to be recognisable, not lifelike: what matters for a codec
is their structure in time, frequency and direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray
from numpy.random import Generator
from scipy import fft

SPEED_OF_SOUND_M_S = 343.0
Signal = Float32[ndarray, " time"]

# Formants F1 F2 F3 of a e i o u and schwa in Hz (Peterson & Barney 1952, male averages)
_VOWELS_HZ = np.array(
    [
        [730, 1090, 2440],
        [530, 1840, 2480],
        [270, 2290, 3010],
        [570, 840, 2410],
        [300, 870, 2240],
        [490, 1350, 1690],
    ]
)


def noise(
    rng: Generator, length: int, rate_hz: int, spectrum: Callable[[ndarray], ndarray]
) -> Float32[ndarray, " time"]:
    """Gaussian noise of an rms of 0.25, shaped by an amplitude spectrum (of any scale, over frequency in Hz)."""
    size = fft.next_fast_len(max(length, 64), real=True)
    bins = rng.standard_normal((size // 2 + 1, 2), dtype=np.float32).view(np.complex64)[:, 0]
    signal = fft.irfft(bins * spectrum(np.maximum(fft.rfftfreq(size, 1 / rate_hz), 1.0)).astype(np.float32), size)
    signal = signal[:length]
    return (signal * (0.25 / max(np.sqrt(np.mean(signal**2)), 1e-12))).astype(np.float32)


def slope(db_per_octave: float, low_hz: float = 40.0, high_hz: float = 16_000.0) -> Callable[[ndarray], ndarray]:
    """Amplitude spectrum with a constant slope between a high-pass and a low-pass."""

    def spectrum(frequency_hz: ndarray) -> ndarray:
        band = 1 / np.sqrt((1 + (low_hz / frequency_hz) ** 4) * (1 + (frequency_hz / high_hz) ** 6))
        return (np.maximum(frequency_hz, low_hz) / 1000) ** (db_per_octave / 6.0206) * band

    return spectrum


def resonance(centre_hz: float, octaves: float) -> Callable[[ndarray], ndarray]:
    """Amplitude spectrum of one broad resonance, a Gaussian over log frequency with a deviation of `octaves`."""
    return lambda frequency_hz: np.exp(-0.5 * (np.log2(frequency_hz / centre_hz) / octaves) ** 2)


def smooth_curve(rng: Generator, seconds: float, knots_hz: float, spread: float) -> Callable[[ndarray], ndarray]:
    """Smooth random function of time in s; its values at the knots have the standard deviation `spread`."""
    count = int(max(seconds, 0) * knots_hz) + 4
    values = rng.standard_normal(count) * spread

    def at(times_s: ndarray) -> ndarray:
        position = np.clip(np.asarray(times_s) * knots_hz + 1, 0, count - 1.001)
        index = position.astype(int)
        blend = 0.5 - 0.5 * np.cos(np.pi * (position - index))
        return values[index] * (1 - blend) + values[index + 1] * blend

    return at


def fade(signal: ndarray, rate_hz: int, seconds: float = 0.01) -> Signal:
    """Fade in and out with a raised cosine."""
    length = min(int(seconds * rate_hz), len(signal) // 2)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / max(length, 1))
    signal = np.array(signal, dtype=np.float32)
    signal[:length] *= ramp
    signal[len(signal) - length :] *= ramp[::-1]
    return signal


def _filtered(signal: ndarray, gain: Float[ndarray, "frame bin"], hop: int) -> Signal:
    """Time-varying zero-phase filter with one row of gains per `hop` samples, on frames of two hops."""
    size = 2 * hop
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    padded = np.zeros((len(gain) + 1) * hop)
    padded[: min(len(signal), len(padded))] = signal[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window
    frames = fft.irfft(fft.rfft(frames, axis=1) * gain, size, axis=1) * window
    result = np.zeros_like(padded)
    result[: len(gain) * hop] += frames[:, :hop].ravel()
    result[hop:] += frames[:, hop:].ravel()
    return result[: len(signal)].astype(np.float32)


def voice(rng: Generator, seconds: float, rate_hz: int, pitch_hz: float, rate_syllables_hz: float = 4.5) -> Signal:
    """Meaningless speech: a pulse train with intonation through moving formants, and noise for consonants."""
    length, hop = int(seconds * rate_hz), 256
    count = int(seconds * rate_syllables_hz) + 2
    onsets = np.cumsum(rng.uniform(0.6, 1.4, count)) / rate_syllables_hz - 0.5 / rate_syllables_hz
    loud = rng.uniform(0.5, 1.0, count) * (rng.random(count) > 0.15)
    scale = 1 + 0.15 * (pitch_hz > 160)
    formants = _VOWELS_HZ[rng.integers(len(_VOWELS_HZ), size=count)] * scale
    time = np.arange(length) / rate_hz
    fall = 1.15 - 0.3 * np.mod(time, 2.2) / 2.2
    pitch = pitch_hz * fall * 2 ** smooth_curve(rng, seconds, rate_syllables_hz, 0.12)(time)
    phase = np.cumsum(pitch) / rate_hz
    pulses = np.diff(np.floor(phase), prepend=0.0)

    frames = -(-length // hop)
    moment = np.arange(frames) * hop / rate_hz
    frequency = np.maximum(fft.rfftfreq(2 * hop, 1 / rate_hz), 50.0)
    voiced = np.zeros(frames)
    for onset, level in zip(onsets, loud, strict=True):
        position = (moment - onset) * rate_syllables_hz / 0.85
        voiced += level * np.where(np.abs(position - 0.5) < 0.5, np.sin(np.pi * np.clip(position, 0, 1)), 0)
    gain = np.full((frames, len(frequency)), 0.02)
    for number, (bandwidth, strength) in enumerate([(90, 1.0), (120, 0.6), (180, 0.25)]):
        centre = np.interp(moment, onsets + 0.1, formants[:, number])
        gain += strength / (1 + ((frequency - centre[:, None]) / bandwidth) ** 2)
    gain *= voiced[:, None] / (1 + frequency / 600)
    speech = _filtered(pulses * np.sqrt(rate_hz / pitch_hz), gain, hop)

    burst = np.zeros(length)
    for onset, level in zip(onsets, loud, strict=True):
        begin, width = int((onset - 0.04) * rate_hz), int(rng.uniform(0.02, 0.09) * rate_hz)
        if rng.random() < 0.6 and 0 <= begin < length - width:
            burst[begin : begin + width] += level * np.hanning(width)
    hiss = noise(rng, length, rate_hz, resonance(rng.uniform(3500, 5500), 0.6)) * burst
    return _normalised(fade(speech / max(np.abs(speech).max(), 1e-9) + 0.35 * hiss, rate_hz, 0.03))


def announcement(rng: Generator, seconds: float, rate_hz: int) -> Signal:
    """Three-tone chime, then speech through a narrow loudspeaker."""
    chime = np.zeros(int(2.0 * rate_hz), np.float32)
    for number, ratio in enumerate((1.0, 0.8, 2 / 3)):
        tone = bell(rng, 1.2, rate_hz, 784 * ratio, partials=2)
        begin = int(number * 0.38 * rate_hz)
        chime[begin : begin + len(tone)] += tone[: len(chime) - begin]
    words = voice(rng, max(seconds - 2.0, 1.0), rate_hz, rng.uniform(170, 220), 4.0)
    spectrum = fft.rfft(np.concatenate([0.6 * chime, words]))
    frequency = fft.rfftfreq(len(chime) + len(words), 1 / rate_hz)
    band = 1 / np.sqrt((1 + (350 / np.maximum(frequency, 1)) ** 6) * (1 + (frequency / 4500) ** 8))
    return _normalised(fade(fft.irfft(spectrum * band, len(chime) + len(words)), rate_hz))


def bird(rng: Generator, seconds: float, rate_hz: int, centre_hz: float) -> Signal:
    """A phrase of whistled syllables: glides, trills, pauses."""
    length = int(seconds * rate_hz)
    signal = np.zeros(length, np.float32)
    motif = [
        (rng.uniform(0.05, 0.22), rng.uniform(-0.35, 0.35), rng.uniform(-0.5, 0.5), rng.random() < 0.4)
        for _ in range(rng.integers(2, 5))
    ]
    flutter_hz = rng.uniform(18, 55)
    begin = 0.0
    while begin < seconds:
        for duration, offset, glide, trilled in motif:
            first, count = int(begin * rate_hz), int(duration * rate_hz)
            if first + count >= length:
                break
            position = np.arange(count) / count
            octaves = (
                offset
                + glide * (position - 0.5)
                + trilled * 0.12 * np.sin(2 * np.pi * flutter_hz * position * duration)
            )
            phase = 2 * np.pi * np.cumsum(centre_hz * 2**octaves) / rate_hz
            tone = np.sin(phase) + 0.12 * np.sin(2 * phase)
            signal[first : first + count] += tone * np.sin(np.pi * position) ** 2 * rng.uniform(0.6, 1.0)
            begin += duration + rng.uniform(0.02, 0.09)
        begin += rng.uniform(0.15, 0.7)
    return _normalised(signal)


def gull(rng: Generator, seconds: float, rate_hz: int) -> Signal:
    """A series of harsh, falling cries."""
    length = int(seconds * rate_hz)
    signal = np.zeros(length, np.float32)
    base_hz, begin = rng.uniform(750, 1050), 0.0
    while begin < seconds - 0.5:
        count = int(rng.uniform(0.25, 0.45) * rate_hz)
        first = int(begin * rate_hz)
        position = np.arange(count) / count
        pitch = base_hz * (1 + 0.35 * np.sin(np.pi * position**0.6)) * (1 - 0.15 * position)
        phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
        cry = sum(np.sin(k * phase) / k for k in range(1, 6)) * (1 + 0.4 * np.sin(phase / 2))
        room = min(count, length - first)
        signal[first : first + room] += (cry * np.sin(np.pi * position) ** 0.7)[:room]
        begin += count / rate_hz + rng.uniform(0.05, 0.15)
    return _normalised(fade(signal, rate_hz))


def bark(rng: Generator, seconds: float, rate_hz: int) -> Signal:
    """A dog's barks: short falling pulse trains with noise."""
    signal = np.zeros(int(seconds * rate_hz), np.float32)
    begin, pitch_hz = 0.0, rng.uniform(350, 650)
    while begin < seconds - 0.2:
        count = int(0.16 * rate_hz)
        position = np.arange(count) / count
        phase = 2 * np.pi * np.cumsum(pitch_hz * (1.2 - 0.5 * position)) / rate_hz
        tone = sum(np.sin(k * phase) / (1 + abs(k - 2.5)) for k in range(1, 8))
        rough = noise(rng, count, rate_hz, resonance(1400, 0.8)) * 3
        first = int(begin * rate_hz)
        signal[first : first + count] += (tone + rough) * np.exp(-5 * position) * np.minimum(position * 30, 1)
        begin += rng.uniform(0.3, 0.8)
    return _normalised(signal)


def steps(rng: Generator, seconds: float, rate_hz: int, pace_hz: float, hardness: float) -> Signal:
    """Footsteps: heel and toe; `hardness` 0 is gravel, 1 a hard sole on stone."""
    signal = np.zeros(int(seconds * rate_hz), np.float32)
    count = int(0.12 * rate_hz)
    time = np.arange(count) / rate_hz
    begin = rng.uniform(0, 1 / pace_hz)
    while begin < seconds - 0.3:
        for delay, level in ((0.0, 1.0), (rng.uniform(0.07, 0.11), 0.5)):
            decay_s = 0.012 if hardness > 0.5 else 0.035
            grain = noise(rng, count, rate_hz, resonance(500 + 1500 * (1 - hardness) + 400 * rng.random(), 1.3))
            knock = hardness * np.sin(2 * np.pi * rng.uniform(140, 260) * time) * np.exp(-time / 0.02)
            first = int((begin + delay) * rate_hz)
            signal[first : first + count] += level * (2 * grain * np.exp(-time / decay_s) + knock)
        begin += rng.normal(1, 0.04) / pace_hz
    return _normalised(signal)


def bell(rng: Generator, seconds: float, rate_hz: int, pitch_hz: float, partials: int = 6) -> Signal:
    """Decaying partials: a chime, a bicycle bell, a struck rail."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    signal = np.zeros(len(time))
    for number in range(partials):
        frequency = pitch_hz * (number + 1) ** 1.15 * rng.uniform(0.99, 1.01)
        if frequency < 0.4 * rate_hz:
            decay = np.exp(-time * (2.5 + 1.5 * number) / seconds)
            signal += decay * np.sin(2 * np.pi * frequency * time + rng.uniform(0, 6)) / (number + 1)
    return _normalised(fade(signal, rate_hz, 0.004))


def thud(rng: Generator, rate_hz: int) -> Signal:
    """A door or a dropped case: low modes and a click."""
    count = int(0.6 * rate_hz)
    time = np.arange(count) / rate_hz
    signal = 1.5 * noise(rng, count, rate_hz, slope(-6, 60, 6000)) * np.exp(-time / 0.03)
    for _ in range(4):
        signal += np.sin(2 * np.pi * rng.uniform(60, 400) * time) * np.exp(-time / rng.uniform(0.03, 0.12)) * 0.5
    return _normalised(fade(signal, rate_hz, 0.002))


def squeal(rng: Generator, seconds: float, rate_hz: int) -> Signal:
    """Railway brakes: three wavering inharmonic tones with hiss, which swell and stop."""
    length = int(seconds * rate_hz)
    time = np.arange(length) / rate_hz
    signal = np.zeros(length)
    for _ in range(3):
        waver = 2 ** (smooth_curve(rng, seconds, 3.0, 0.02)(time) - 0.06 * time / seconds)
        level = np.maximum(0.3 + smooth_curve(rng, seconds, 4.0, 0.5)(time), 0)
        signal += level * np.sin(2 * np.pi * np.cumsum(rng.uniform(1800, 4800) * waver) / rate_hz)
    signal += 0.8 * noise(rng, length, rate_hz, resonance(3500, 0.8))
    return _normalised(fade(signal * np.sin(np.pi * time / seconds) ** 1.5, rate_hz, 0.1))


def music(rng: Generator, seconds: float, rate_hz: int, beat_hz: float) -> Signal:
    """A plucked arpeggio over four chords."""
    length = int(seconds * rate_hz)
    signal = np.zeros(length, np.float32)
    root_hz = 220 * 2 ** (rng.integers(-3, 4) / 12)
    chords = np.array([[0, 4, 7, 12], [-3, 0, 4, 9], [5, 9, 12, 17], [-5, -1, 2, 7]])
    duration = int(0.7 * rate_hz)
    time = np.arange(duration) / rate_hz
    for beat in range(int(seconds * beat_hz * 2)):
        begin = int(beat / (2 * beat_hz) * rate_hz)
        note = chords[(beat // 8) % 4][rng.integers(4)]
        phase = 2 * np.pi * root_hz * 2 ** (note / 12) * time
        tone = np.sum([np.sin(k * phase) * np.exp(-time * (4 + 2 * k)) / k for k in range(1, 6)], axis=0)
        room = min(duration, length - begin)
        signal[begin : begin + room] += (tone * rng.uniform(0.6, 1.0))[:room]
    return _normalised(fade(signal, rate_hz))


def engine(rng: Generator, length: int, rate_hz: int, firing_hz: float, roughness: float) -> Signal:
    """Engine harmonics over tyre noise; `roughness` is the share of the engine, 0 to 1."""
    time = np.arange(length) / rate_hz
    phase = 2 * np.pi * firing_hz * (time + smooth_curve(rng, length / rate_hz, 1.0, 0.02)(time))
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k**0.8 for k in (0.5, 1, 1.5, 2, 3, 4, 5, 6))
    tyres = noise(rng, length, rate_hz, lambda f: resonance(900, 1.1)(f) + 0.25 * slope(-5, 60, 9000)(f))
    return ((0.7 * roughness) * tone + 1.6 * (1 - 0.5 * roughness) * tyres).astype(np.float32)


@dataclass(frozen=True)
class Passage:
    """A source that passes the microphone on a straight line, closest in the middle of its signal."""

    duration_s: float
    speed_m_s: float
    distance_m: float

    def _departure_s(self, arrival_s: ndarray) -> ndarray:
        """When an arriving sound was emitted, relative to the closest point: (c (t - d))² = (v d)² + r²."""
        c, v, r = SPEED_OF_SOUND_M_S, self.speed_m_s, self.distance_m
        root = np.sqrt((c * v * arrival_s) ** 2 + r**2 * (c**2 - v**2))
        return (c**2 * arrival_s - root) / (c**2 - v**2)

    def _arrival_s(self, since_s: ndarray) -> ndarray:
        begin = -self.duration_s / 2
        return begin + np.hypot(self.speed_m_s * begin, self.distance_m) / SPEED_OF_SOUND_M_S + since_s

    def bearing(self, since_s: Float[ndarray, " time"]) -> Float[ndarray, " time"]:
        """Azimuth in radians relative to the closest point, negative before it; times since the first arrival."""
        return np.arctan2(self.speed_m_s * self._departure_s(self._arrival_s(since_s)), self.distance_m)

    def received(self, emitted: Signal, rate_hz: int) -> Signal:
        """Signal at the microphone: with Doppler shift, and a gain 1/r that is 1 at the closest point."""
        departure = self._departure_s(self._arrival_s(np.arange(len(emitted)) / rate_hz))
        signal = np.interp((departure + self.duration_s / 2) * rate_hz, np.arange(len(emitted)), emitted)
        gain = self.distance_m / np.hypot(self.speed_m_s * departure, self.distance_m)
        return fade(signal * gain, rate_hz, 0.3 * self.duration_s)


def _normalised(signal: ndarray) -> Signal:
    return (signal / max(float(np.abs(signal).max()), 1e-9)).astype(np.float32)
