"""Collect the sources of a synthetic scene: textures, people, birds, vehicles, music.

Levels are relative within a scene, before the common filter that gives W its long-term spectrum. Azimuths are
relative to the front, the direction of the scene's main feature, and in degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy import ndarray
from numpy.random import Generator

from stimuli.synthesis import sound_sources as sources
from stimuli.synthesis.sound_field import Bed, Event, lobe
from stimuli.synthesis.sound_sources import smooth_curve


class SceneBuilder:
    """Collects the beds and events of one scene.

    Attributes
    ----------
    rng : Generator
        Decides everything that varies between recordings of a class.
    seconds, rate_hz, front_deg : float, int, float
        Length and sample rate of the scene, and azimuth of its front.
    beds : list of Bed
    events : list of Event
    """

    def __init__(self, rng: Generator, seconds: float, rate_hz: int, front_deg: float):
        self.rng, self.seconds, self.rate_hz, self.front_deg = rng, seconds, rate_hz, front_deg
        self.beds: list[Bed] = []
        self.events: list[Event] = []

    def add_bed(
        self,
        level_db: float,
        spectrum: Callable[[ndarray], ndarray],
        spread: ndarray,
        swing_db: float = 0.0,
        swing_hz: float = 0.5,
    ) -> None:
        """Add a texture whose level fluctuates by `swing_db` (standard deviation), at a rate of `swing_hz`."""
        fluctuation_db = smooth_curve(self.rng, self.seconds, swing_hz, swing_db)
        self.beds.append(Bed(level_db, spectrum, spread, lambda times: 10 ** (fluctuation_db(times) / 20)))

    def lobe_toward(self, azimuth_deg: float, elevation_deg: float, concentration: float) -> ndarray:
        """Power over the directions of a lobe whose azimuth is relative to the scene's front."""
        return lobe(self.front_deg + azimuth_deg, elevation_deg, concentration)

    def event_times(self, interval_s: float, lead_s: float) -> Iterator[float]:
        """Start times in s of one kind of event; the first may lie up to `lead_s` before the recording."""
        time = self.rng.uniform(-lead_s, 0.6 * interval_s)
        while time < self.seconds:
            yield time
            time += interval_s * self.rng.uniform(0.4, 1.6)

    def add_static_event(
        self,
        start_s: float,
        duration_s: float,
        make: Callable[[Generator], ndarray],
        level_db: float,
        azimuth_deg: float,
        elevation_deg: float = 0.0,
        send_db: float = -120.0,
        seed: int | None = None,
    ) -> None:
        """Add an event that stays in one direction; `send_db` is its level in the reverberation."""
        seed = int(self.rng.integers(2**62)) if seed is None else seed
        azimuth, elevation = np.radians(self.front_deg + azimuth_deg), np.radians(elevation_deg)
        self.events.append(
            Event(
                start_s,
                duration_s,
                lambda: make(np.random.default_rng(seed)),
                level_db,
                lambda since: (np.full(len(since), azimuth), np.full(len(since), elevation)),
                send_db,
            )
        )

    def add_passing_event(
        self,
        start_s: float,
        duration_s: float,
        make: Callable[[Generator, int], ndarray],
        level_db: float,
        azimuth_deg: float,
        speed_m_s: float,
        distance_m: float,
        elevation_deg: float = 0.0,
        send_db: float = -120.0,
    ) -> None:
        """Add an event that passes on a straight line, closest at `azimuth_deg`; the speed may be negative."""
        seed, length = int(self.rng.integers(2**62)), int(duration_s * self.rate_hz)
        passage = sources.Passage(duration_s, abs(speed_m_s), distance_m)
        centre, sign = np.radians(self.front_deg + azimuth_deg), np.sign(speed_m_s)

        def signal() -> ndarray:
            return passage.received(make(np.random.default_rng(seed), length), self.rate_hz)

        def path(since: ndarray) -> tuple[ndarray, ndarray]:
            return centre + sign * passage.bearing(since), np.full(len(since), np.radians(elevation_deg))

        self.events.append(Event(start_s, duration_s, signal, level_db, path, send_db))

    def add_birds(
        self, interval_s: float, level_db: float, send_db: float, centre_hz: tuple[float, float]
    ) -> None:
        """Add six birds, each with its own perch and pitch."""
        perches = [
            (
                self.rng.uniform(-180, 180),
                self.rng.uniform(8, 55),
                np.exp(self.rng.uniform(*np.log(centre_hz))),
            )
            for _ in range(6)
        ]
        for start in self.event_times(interval_s, 2.0):
            azimuth, elevation, pitch_hz = perches[self.rng.integers(len(perches))]
            duration = self.rng.uniform(0.8, 2.5)
            self.add_static_event(
                start,
                duration,
                lambda rng, d=duration, p=pitch_hz: sources.bird(rng, d, self.rate_hz, p),
                level_db + self.rng.uniform(-9, 0),
                azimuth,
                elevation,
                send_db,
            )

    def add_talkers(self, interval_s: float, level_db: float, send_db: float, arc_deg: float = 180.0) -> None:
        """Add people who speak a few words, up to `arc_deg` to either side of the front."""
        for start in self.event_times(interval_s, 2.0):
            duration = self.rng.uniform(1.5, 4.0)
            pitch_hz = self.rng.choice([115.0, 205.0]) * self.rng.uniform(0.85, 1.2)
            self.add_static_event(
                start,
                duration,
                lambda rng, d=duration, p=pitch_hz: sources.voice(rng, d, self.rate_hz, p),
                level_db + self.rng.uniform(-10, 0),
                self.rng.uniform(-arc_deg, arc_deg),
                self.rng.normal(0, 5),
                send_db,
            )

    def add_walkers(self, interval_s: float, level_db: float, send_db: float, hardness: float) -> None:
        """Add people who walk past."""
        for start in self.event_times(interval_s, 5.0):
            pace_hz = self.rng.uniform(1.6, 2.1)
            self.add_passing_event(
                start,
                self.rng.uniform(5, 9),
                lambda rng, n, p=pace_hz: sources.steps(rng, n / self.rate_hz, self.rate_hz, p, hardness),
                level_db + self.rng.uniform(-6, 0),
                self.rng.uniform(-180, 180),
                self.rng.choice([-1, 1]) * pace_hz * 0.75,
                self.rng.uniform(1.5, 4.0),
                -25.0,
                send_db,
            )

    def add_music(
        self, level_db: float, azimuth_deg: float, elevation_deg: float, send_db: float, beat_hz: float
    ) -> None:
        """Add pieces of music that follow each other from one place."""
        start = 0.0
        while start < self.seconds:
            duration = min(self.rng.uniform(25, 40), self.seconds - start)
            self.add_static_event(
                start,
                duration,
                lambda rng, d=duration: sources.music(rng, d, self.rate_hz, beat_hz),
                level_db,
                azimuth_deg,
                elevation_deg,
                send_db,
            )
            start += duration + self.rng.uniform(1, 3)

    def add_vehicles(self, interval_s: float, level_db: float, send_db: float) -> None:
        """Add vehicles on a road that runs across the front."""
        for start in self.event_times(interval_s, 4.0):
            heavy = self.rng.random() < 0.25
            firing_hz = self.rng.uniform(28, 40) if heavy else self.rng.uniform(55, 95)
            sign = self.rng.choice([-1, 1])
            self.add_passing_event(
                start,
                self.rng.uniform(6, 9),
                lambda rng, n, f=firing_hz, h=heavy: sources.engine(rng, n, self.rate_hz, f, 0.9 if h else 0.4),
                level_db + (3 if heavy else self.rng.uniform(-5, 0)),
                self.rng.normal(0, 4),
                sign * self.rng.uniform(7, 15),
                5.5 + 3.0 * (sign > 0),
                -6.0,
                send_db,
            )
