"""Sounds on which codecs fail, as plane waves whose times, frequencies and directions are known.

Every function makes one event from a random generator and a length in samples. The sounds are synthetic, the
talker's speech included; they are meant to show faults, not to be lifelike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray
from numpy.random import Generator

from render.hoa.spherical_harmonics import spherical_harmonics
from stimuli.synthesis.sound_sources import bark, fade, noise, resonance, slope, voice

ORDER = 3
RATE_HZ = 44_100
Signal = Float64[ndarray, " time"]


@dataclass(frozen=True, eq=False)
class Event:
    """A sound in free field.

    Attributes
    ----------
    direct : float (acn, time)
        Plane waves, ACN/SN3D.
    send : float (time,)
        Sum of what the sources radiate, which excites a room.
    what : str
        The sound in words.
    truth : dict
        Its times (s), frequencies (Hz) and directions (degrees), as JSON values.
    """

    direct: Float64[ndarray, "acn time"]
    send: Signal
    what: str
    truth: dict[str, Any]


def gains(azimuth_deg: Float[ndarray, " n"], elevation_deg: Float[ndarray, " n"]) -> Float64[ndarray, "n acn"]:
    """Gains of plane waves from some directions."""
    return spherical_harmonics(ORDER, np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg))


def _direction(rng: Generator) -> tuple[float, float]:
    """Random azimuth and elevation in degrees, near the horizon as most sounds are."""
    return round(float(rng.uniform(-180, 180)), 1), round(float(rng.uniform(-20, 40)), 1)


def _from_one_direction(rng: Generator, signal: Signal, what: str, truth: dict[str, Any]) -> Event:
    azimuth_deg, elevation_deg = _direction(rng)
    direct = gains(np.array([azimuth_deg]), np.array([elevation_deg])).T * signal
    return Event(direct, signal, what, {**truth, "azimuth_deg": [azimuth_deg], "elevation_deg": [elevation_deg]})


def _at_times(length: int, times_s: list[float], sounds: list[ndarray]) -> Signal:
    signal = np.zeros(length)
    for time_s, sound in zip(times_s, sounds, strict=True):
        begin = round(time_s * RATE_HZ)
        part = sound[: length - begin]
        signal[begin : begin + len(part)] += part
    return signal


def _regular_times(rng: Generator, length: int, interval_s: float) -> list[float]:
    """Times from 0.5 s on, about `interval_s` apart, that leave half a second at the end."""
    count = max(int((length / RATE_HZ - 1) / interval_s), 1)
    jitter = rng.uniform(-0.1, 0.1, count) * interval_s
    return [round(float(time_s), 4) for time_s in 0.5 + 0.1 * interval_s + interval_s * np.arange(count) + jitter]


def talker(rng: Generator, length: int) -> Event:
    """A talker of formant speech without meaning."""
    pitch_hz = float(rng.uniform(105, 220))
    speech = voice(rng, length / RATE_HZ, RATE_HZ, pitch_hz).astype(np.float64)
    # the glottal pulses of the synthesis all push one way, which no microphone would pass
    spectrum, hz = np.fft.rfft(speech, length), np.fft.rfftfreq(length, 1 / RATE_HZ)
    speech = np.fft.irfft(spectrum / (1 + (60 / np.maximum(hz, 1e-3)) ** 4), length)
    truth = {"pitch_hz": round(pitch_hz, 1)}
    return _from_one_direction(rng, speech, "a talker, synthetic speech of formants without meaning", truth)


def bark_out_of_silence(rng: Generator, length: int) -> Event:
    """A dog that barks about once a second."""
    times_s = _regular_times(rng, length, 1.1)
    seed = int(rng.integers(2**31))  # one dog
    sounds = [bark(np.random.default_rng(seed), 0.3, RATE_HZ).astype(np.float64) for _ in times_s]
    signal = _at_times(length, times_s, sounds)
    return _from_one_direction(rng, signal, "barks out of silence", {"onsets_s": times_s})


def clock_ticks(rng: Generator, length: int) -> Event:
    """A clock: two resonances that decay within 2 ms, twice a second."""
    times_s = _regular_times(rng, length, 0.5)
    time_s = np.arange(round(0.03 * RATE_HZ)) / RATE_HZ
    pitches_hz = rng.uniform((2000, 4500), (3500, 7000))
    tick = sum(np.cos(2 * np.pi * hz * time_s) for hz in pitches_hz) * np.exp(-time_s / 0.002)
    signal = _at_times(length, times_s, [0.5 * tick] * len(times_s))
    truth = {"onsets_s": times_s, "frequencies_hz": pitches_hz.round(1).tolist()}
    return _from_one_direction(rng, signal, "ticks of a clock", truth)


def steady_tones(rng: Generator, length: int) -> Event:
    """Four steady tones, one in each of four bands from 300 Hz to 6.5 kHz, each from its own direction."""
    frequency_hz = rng.uniform((300, 900, 1900, 4200), (600, 1400, 2900, 6500)).round(1)
    level_db = np.array([0.0, -6.0, -12.0, -18.0])  # about the slope of recordings
    directions = np.array([_direction(rng) for _ in frequency_hz])
    time_s = np.arange(length) / RATE_HZ
    phases = rng.uniform(0, 2 * np.pi, len(frequency_hz))
    tones = np.stack([
        fade(10 ** (db / 20) * np.sin(2 * np.pi * hz * time_s + phase), RATE_HZ, 0.05)
        for hz, db, phase in zip(frequency_hz, level_db, phases, strict=True)
    ]).astype(np.float64)  # fmt: skip
    truth = {
        "frequencies_hz": frequency_hz.tolist(), "levels_db": level_db.tolist(),
        "azimuth_deg": directions[:, 0].tolist(), "elevation_deg": directions[:, 1].tolist(),
    }  # fmt: skip
    return Event(gains(*directions.T).T @ tones, tones.sum(axis=0), "four steady tones", truth)


def chords(rng: Generator, length: int) -> Event:
    """Three voices of an organ: ten harmonics each, a new chord every two seconds."""
    triads = np.array([[0, 4, 7], [-3, 0, 5], [2, 5, 9], [-1, 2, 7]])
    root_hz = 220 * 2 ** (rng.integers(-2, 6) / 12)
    directions = np.array([_direction(rng) for _ in range(3)])
    step = 2 * RATE_HZ
    voices, notes_hz = np.zeros((3, length)), []
    for number, begin in enumerate(range(0, length, step)):
        time_s = np.arange(min(step, length - begin)) / RATE_HZ
        pitches_hz = root_hz * 2 ** (triads[number % len(triads)] / 12)
        notes_hz.append(pitches_hz.round(2).tolist())
        for voice_number, hz in enumerate(pitches_hz):
            phases = rng.uniform(0, 2 * np.pi, 10)
            tone = sum(np.sin(2 * np.pi * k * hz * time_s + phases[k - 1]) / k for k in range(1, 11))
            voices[voice_number, begin : begin + len(time_s)] = fade(0.2 * np.asarray(tone), RATE_HZ, 0.02)
    truth = {
        "notes_hz": notes_hz, "chord_s": 2.0, "harmonics": 10,
        "azimuth_deg": directions[:, 0].tolist(), "elevation_deg": directions[:, 1].tolist(),
    }  # fmt: skip
    return Event(gains(*directions.T).T @ voices, voices.sum(axis=0), "organ chords of three voices", truth)


def harmonic_glide(rng: Generator, length: int) -> Event:
    """Harmonics whose fundamental rises evenly by two octaves; those beyond 15 kHz are left out."""
    low_hz = float(rng.uniform(120, 180))
    pitch_hz = low_hz * 4 ** (np.arange(length) / length)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    harmonics = (np.where(k * pitch_hz < 15_000, np.sin(k * phase) / k, 0) for k in range(1, 25))
    signal = fade(0.3 * sum(harmonics, np.zeros(length)), RATE_HZ, 0.02).astype(np.float64)
    truth = {"pitch_from_hz": round(low_hz, 2), "pitch_to_hz": round(4 * low_hz, 2), "harmonics": 24}
    return _from_one_direction(rng, signal, "a harmonic glide over two octaves", truth)


def moving_source(rng: Generator, length: int) -> Event:
    """An engine with tyre noise that circles the listener at an even speed, half a turn in all."""
    start_deg, elevation_deg = _direction(rng)
    sign = 1 if rng.random() < 0.5 else -1
    time_s = np.arange(length) / RATE_HZ
    hum = sum(np.sin(2 * np.pi * 95 * k * time_s + rng.uniform(0, 6)) / k**0.7 for k in range(1, 13))
    signal = 0.15 * hum + noise(rng, length, RATE_HZ, slope(-5, 100, 9000)).astype(np.float64)
    knots = np.arange(0, length + 64, 64)
    azimuth_deg = start_deg + sign * 180 * knots / length
    of_knots = gains(azimuth_deg, np.full(len(knots), elevation_deg))
    at = np.arange(length)
    direct = np.stack([np.interp(at, knots, of_channel) for of_channel in of_knots.T]) * signal
    truth = {
        "azimuth_from_deg": start_deg, "azimuth_to_deg": round(start_deg + sign * 180, 1),
        "elevation_deg": [elevation_deg],
    }  # fmt: skip
    return Event(direct, signal, "an engine that circles the listener", truth)


def applause(rng: Generator, length: int) -> Event:
    """Forty people who clap about three times a second, each from a direction in the front half."""
    people = 40
    azimuth_deg, elevation_deg = rng.uniform(-90, 90, people), rng.uniform(-10, 20, people)
    claps = np.zeros((people, length))
    times_s = []
    for person in range(people):
        pitch_hz, time_s = rng.uniform(800, 2500), rng.uniform(0, 0.4)
        while time_s < length / RATE_HZ - 0.05:
            burst = noise(rng, round(0.02 * RATE_HZ), RATE_HZ, resonance(pitch_hz, 0.8)).astype(np.float64)
            burst *= np.exp(-np.arange(len(burst)) / RATE_HZ / 0.004) * rng.uniform(0.4, 1)
            begin = round(time_s * RATE_HZ)
            claps[person, begin : begin + len(burst)] += burst
            times_s.append(round(float(time_s), 4))
            time_s += rng.normal(0.33, 0.03)
    truth = {"claps_s": sorted(times_s), "people": people, "azimuth_deg": [-90, 90], "elevation_deg": [-10, 20]}
    return Event(gains(azimuth_deg, elevation_deg).T @ claps, claps.sum(axis=0), "applause of forty people", truth)


EVENTS: dict[str, Callable[[Generator, int], Event]] = {
    "talker": talker,
    "bark": bark_out_of_silence,
    "ticks": clock_ticks,
    "tones": steady_tones,
    "chords": chords,
    "glide": harmonic_glide,
    "moving": moving_source,
    "applause": applause,
}
