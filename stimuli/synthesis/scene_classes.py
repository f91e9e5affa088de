"""The eight scene classes of EigenScape as descriptions of synthetic sound fields.

Levels are relative within a scene, before the common filter that gives W the long-term spectrum of the class.
`front_deg` is the azimuth of the scene's main feature (sea, road, platform, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from numpy.random import Generator

from stimuli.synthesis import sound_sources as sources
from stimuli.synthesis.scene_builder import SceneBuilder
from stimuli.synthesis.sound_field import Bed, SoundField, lobe
from stimuli.synthesis.sound_sources import resonance, slope, smooth_curve


def sound_field(
    scene_class: str, rng: Generator, seconds: float, rate_hz: int, front_deg: float, microphone_seed: int
) -> SoundField:
    """Describe one recording of a class.

    Parameters
    ----------
    scene_class : str
        One of `stimuli.eigenscape.corpus.CLASSES`.
    rng : Generator
        Decides everything that varies between the recordings of a class.
    seconds : float
    rate_hz : int
    front_deg : float
        Azimuth of the scene's front.
    microphone_seed : int
        The microphone whose capsules' mismatch is modelled.
    """
    described = _SCENE_CLASSES[scene_class]
    scene = SceneBuilder(rng, seconds, rate_hz, front_deg)
    ltas_db = _long_term_level(rng, described.spectrum)
    level_dbfs = described.level_dbfs + rng.uniform(-3, 3)
    t60_s = described.t60_s * rng.uniform(0.8, 1.2)
    described.recipe(scene)
    return SoundField(
        beds=scene.beds,
        events=sorted(scene.events, key=lambda event: event.start_s),
        ltas_db=ltas_db,
        level_dbfs=level_dbfs,
        t60_s=lambda frequency_hz: t60_s / (1 + (frequency_hz / 5000) ** 1.5) ** 0.5,
        microphone_seed=microphone_seed,
    )


@dataclass(frozen=True)
class _LongTermSpectrum:
    """Long-term spectrum of W: slopes in dB per octave below and above a knee, and one broad peak."""

    low_db: float
    knee_hz: float
    high_db: float
    peak_hz: float
    peak_db: float


@dataclass(frozen=True)
class _SceneClass:
    """What the recordings of a class have in common."""

    recipe: Callable[[SceneBuilder], None]
    spectrum: _LongTermSpectrum
    level_dbfs: float
    t60_s: float


def _long_term_level(rng: Generator, spectrum: _LongTermSpectrum) -> Callable[[ndarray], ndarray]:
    """Long-term level density of W in dB over frequency in Hz, as in outdoor recordings.

    It is about pink up to a knee and steep above. The broad peak belongs to the class; a ripple of about 1 dB, the
    exact knee and the exact steepness to the recording.
    """
    ripple = smooth_curve(rng, 12.0, 1.0, 1.2)
    knee = np.log2(spectrum.knee_hz * 2 ** rng.uniform(-0.3, 0.3) / 1000)
    steep = spectrum.high_db + rng.normal(0, 0.5)
    bottom = np.log2(0.055)

    def ltas_db(frequency_hz: ndarray) -> ndarray:
        octave = np.log2(np.maximum(frequency_hz, 20.0) / 1000)
        sloped = spectrum.low_db * octave + (steep - spectrum.low_db) * np.maximum(octave - knee, 0)
        sloped += 9.0 * np.minimum(octave - bottom, 0)
        peak = spectrum.peak_db * np.exp(-0.5 * ((octave - np.log2(spectrum.peak_hz / 1000)) / 0.7) ** 2)
        return sloped + peak + ripple(octave + 6.0)

    return ltas_db


def _breakers(rng: Generator, seconds: float) -> Callable[[ndarray], ndarray]:
    """Envelope of waves that rise within a second, break, and run out over a few seconds."""
    breaks = np.cumsum(rng.uniform(4.0, 9.0, int(seconds / 4) + 4)) - 9.0
    strength = rng.uniform(0.6, 1.5, len(breaks))

    def envelope(times: ndarray) -> ndarray:
        since = np.asarray(times)[:, None] - breaks
        shape = np.exp(-np.where(since < 0, (since / 0.8) ** 2, since / 2.2))
        return 0.25 + shape @ strength

    return envelope


def _beach(scene: SceneBuilder) -> None:
    """Waves break ahead and along both sides of a shore; gulls, some voices, wind."""
    rng = scene.rng
    for azimuth, level_db in ((0.0, 0.0), (-70.0, -8.0), (65.0, -9.0)):
        spread = scene.lobe_toward(azimuth + rng.normal(0, 6), -3, 14.0)
        scene.beds.append(Bed(level_db, slope(-5, 50, 12000), spread, _breakers(rng, scene.seconds)))
    scene.add_bed(-9.0, slope(-7, 40, 3000), scene.lobe_toward(rng.uniform(-180, 180), 0, 1.0), 3.0, 1.2)
    for start in scene.event_times(7.0, 3.0):
        duration = rng.uniform(1.0, 3.0)
        scene.add_static_event(
            start, duration, lambda g, d=duration: sources.gull(g, d, scene.rate_hz),
            rng.uniform(-4, 6), rng.uniform(-120, 120), rng.uniform(20, 60),
        )  # fmt: skip
    scene.add_talkers(6.0, 3.0, -120.0)


def _busy_street(scene: SceneBuilder) -> None:
    """Traffic in both directions, idling engines down the road, reflections from the fronts."""
    for azimuth, level_db in ((-80.0, -1.0), (80.0, -4.0)):
        spread = scene.lobe_toward(azimuth + scene.rng.normal(0, 6), 0, 12.0)
        scene.add_bed(level_db, slope(-7, 40, 5000), spread, 3.0, 0.6)
    scene.add_bed(-6.0, slope(-7, 35, 5000), scene.lobe_toward(180, 10, 0.5), 1.5, 0.3)
    scene.add_vehicles(2.6, 9.0, -10.0)
    scene.add_walkers(6.0, 6.0, -14.0, 0.8)
    scene.add_talkers(8.0, 8.0, -12.0)


def _park(scene: SceneBuilder) -> None:
    """Leaves above, a far road, birds, children, a dog."""
    rng = scene.rng
    scene.add_bed(0.0, slope(-9, 40, 1500), scene.lobe_toward(0, 0, 20.0), 2.0, 0.3)
    scene.add_bed(-7.0, resonance(1800, 1.8), scene.lobe_toward(140 + rng.normal(0, 15), 45, 6.0), 4.0, 0.5)
    scene.add_bed(-1.0, slope(-12, 30, 500), lobe(0, 0, 0.0), 1.5, 0.4)
    scene.add_bed(-12.0, slope(-6, 40, 3500), lobe(0, 0, 0.0), 1.5, 0.4)
    scene.add_birds(1.5, 9.0, -10.0, (2000, 5200))
    scene.add_talkers(3.5, 9.0, -14.0, 120)
    scene.add_walkers(9.0, 3.0, -20.0, 0.0)
    for start in scene.event_times(16.0, 4.0):
        scene.add_static_event(
            start, 2.0, lambda g: sources.bark(g, 2.0, scene.rate_hz), 8.0, rng.uniform(-180, 180), 0, -8.0
        )


def _pedestrian_zone(scene: SceneBuilder) -> None:
    """A crowd on both sides, steps, a busker in front, a fountain behind."""
    rng = scene.rng
    scene.add_bed(-5.0, resonance(300, 1.8), scene.lobe_toward(0, 0, 12.0), 2.0, 2.5)
    scene.add_bed(-14.0, resonance(500, 1.3), scene.lobe_toward(110, 0, 6.0), 2.0, 3.0)
    scene.add_bed(-22.0, resonance(2500, 1.5), scene.lobe_toward(-120 + rng.normal(0, 15), -8, 15.0), 0.5, 2.0)
    scene.add_bed(-8.0, slope(-9, 40, 1000), lobe(0, 0, 0.0), 1.0, 0.3)
    scene.add_talkers(0.9, 13.0, -11.0, 80)
    scene.add_walkers(1.8, 8.0, -12.0, 0.9)
    scene.add_music(9.0, -60 + rng.normal(0, 8), 0.0, -9.0, 1.9)


def _quiet_street(scene: SceneBuilder) -> None:
    """A far road to one side, now and then a car, a door, a bird; the microphone's own hiss above 5 kHz."""
    rng = scene.rng
    scene.add_bed(0.0, slope(-10, 35, 1800), scene.lobe_toward(0, 2, 20.0), 2.0, 0.25)
    scene.add_bed(-6.0, slope(-10, 35, 1800), scene.lobe_toward(180, 15, 9.0), 1.5, 0.3)
    scene.add_bed(-12.0, slope(-10, 35, 2500), lobe(0, 0, 0.0), 1.0, 0.3)
    scene.add_birds(5.0, 5.0, -10.0, (2500, 5000))
    scene.add_walkers(10.0, 6.0, -14.0, 0.7)
    for start in scene.event_times(9.0, 2.0):
        scene.add_static_event(
            start, 0.6, lambda g: sources.thud(g, scene.rate_hz), 9.0, rng.uniform(-180, 180), 0, -8.0
        )
    scene.add_vehicles(14.0, 4.0, -14.0)


def _shopping_centre(scene: SceneBuilder) -> None:
    """A reverberant hall: babble, music from the ceiling, an escalator, steps and trolleys."""
    rng = scene.rng
    scene.add_bed(-3.0, resonance(350, 1.6), scene.lobe_toward(0, 8, 10.0), 2.0, 3.0)
    scene.add_bed(-8.0, slope(-9, 30, 800), lobe(0, 0, 0.0), 1.5, 0.5)
    scene.add_bed(-9.0, resonance(450, 1.6), lobe(0, 0, 0.0), 1.5, 2.5)
    scene.add_bed(-6.0, lambda f: slope(-8, 40, 3000)(f) * (1 + 3 * (np.abs(f - 150) < 25)),
              scene.lobe_toward(60 + rng.normal(0, 8), -12, 14.0), 0.5, 1.0)  # fmt: skip
    scene.add_talkers(0.8, 12.0, -6.0, 100)
    scene.add_walkers(2.5, 7.0, -6.0, 1.0)
    scene.add_music(7.0, 150 + rng.normal(0, 10), 60.0, -2.0, 1.4)
    for start in scene.event_times(5.0, 2.0):
        pitch_hz = rng.uniform(700, 2500)
        scene.add_static_event(start, 1.0, lambda g, p=pitch_hz: sources.bell(g, 1.0, scene.rate_hz, p),
                    5.0, rng.uniform(-180, 180), rng.normal(0, 8), -6.0)  # fmt: skip


def _train_station(scene: SceneBuilder) -> None:
    """A long reverberation; an idling diesel, announcements from the roof, brakes, steps, trolleys."""
    rng = scene.rng
    firing_hz = rng.uniform(44, 60)

    def diesel(frequency_hz: ndarray) -> ndarray:
        teeth = np.cos(np.pi * frequency_hz / firing_hz) ** 8
        return slope(-7, 35, 2500)(frequency_hz) * (0.4 + teeth * (frequency_hz < 600))

    scene.add_bed(1.0, diesel, scene.lobe_toward(0, -8, 16.0), 0.8, 1.0)
    scene.add_bed(-3.0, slope(-8, 40, 3000), scene.lobe_toward(150, 60, 1.2), 1.0, 0.4)
    scene.add_bed(-9.0, resonance(450, 1.3), scene.lobe_toward(-40, 0, 6.0), 2.0, 2.5)
    for start in scene.event_times(13.0, 3.0):
        seed, duration = int(rng.integers(2**62)), rng.uniform(6.5, 9.0)
        for azimuth, delay_s, level_db in ((70, 0.0, 13.0), (-40, 0.06, 9.0), (-150, 0.13, 6.0)):
            scene.add_static_event(
                start + delay_s, duration, lambda g, d=duration: sources.announcement(g, d, scene.rate_hz),
                level_db, azimuth, 40, -1.0, seed=seed,
            )  # fmt: skip
    for start in scene.event_times(15.0, 4.0):
        duration = rng.uniform(3.0, 5.5)
        scene.add_passing_event(start, duration, lambda g, n: sources.squeal(g, n / scene.rate_hz, scene.rate_hz),
                     7.0, 0.0, rng.choice([-1, 1]) * 3.0, 6.0, -8.0, -4.0)  # fmt: skip
    scene.add_talkers(2.2, 11.0, -6.0, 90)
    scene.add_walkers(2.5, 8.0, -6.0, 1.0)


def _woodland(scene: SceneBuilder) -> None:
    """Leaves all around and above, a stream, many birds in a slightly reverberant wood."""
    rng = scene.rng
    scene.add_bed(-3.0, resonance(1200, 1.8), scene.lobe_toward(-60 + rng.normal(0, 15), 50, 2.0), 4.0, 0.4)
    scene.add_bed(0.0, slope(-8, 35, 2500), scene.lobe_toward(0, 35, 10.0), 2.5, 0.3)
    scene.add_bed(2.0, slope(-12, 30, 500), lobe(0, 0, 0.0), 1.5, 0.4)
    scene.add_bed(-3.0, resonance(700, 1.4), scene.lobe_toward(30 + rng.normal(0, 8), -15, 20.0), 1.0, 4.0)
    scene.add_birds(0.7, 12.0, -5.0, (1800, 5500))


_SCENE_CLASSES = {
    "Beach": _SceneClass(_beach, _LongTermSpectrum(-3.0, 1100, -13.0, 600, 2.0), -41.0, 0.4),
    "BusyStreet": _SceneClass(_busy_street, _LongTermSpectrum(-4.0, 1200, -10.5, 900, 3.0), -36.0, 1.0),
    "Park": _SceneClass(_park, _LongTermSpectrum(-4.5, 900, -10.0, 3200, 5.0), -46.0, 1.0),
    "PedestrianZone": _SceneClass(_pedestrian_zone, _LongTermSpectrum(-3.0, 900, -10.5, 500, 3.0), -40.0, 0.9),
    "QuietStreet": _SceneClass(_quiet_street, _LongTermSpectrum(-4.0, 1000, -11.0, 400, 0.0), -46.5, 0.8),
    "ShoppingCentre": _SceneClass(_shopping_centre, _LongTermSpectrum(-3.5, 1000, -11.0, 600, 3.0), -39.0, 1.8),
    "TrainStation": _SceneClass(_train_station, _LongTermSpectrum(-4.0, 1100, -11.0, 800, 2.0), -37.0, 2.8),
    "Woodland": _SceneClass(_woodland, _LongTermSpectrum(-4.0, 900, -9.0, 3500, 8.0), -45.0, 1.2),
}
