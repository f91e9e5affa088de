"""The measures prove themselves: closed forms, edge cases, and what each measure makes of every change.

The scene is made of seeded noise, so that the table is the same everywhere; a golden file keeps it. Closed forms
are derived in docs/measures.md.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from analysis.metrics.covariance import correlation, correlation_distance
from analysis.metrics.registry import measure_all
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import (
    fibonacci_sphere,
    mirror_signs,
    sn3d_to_n3d,
    spherical_harmonics,
    yaw_matrix,
)

GOLDEN = Path(__file__).with_name("invariances.csv")
"""The table of changes, as it was when it was looked at."""
TOLERANCE = 0.05
"""Relative deviation from the golden table that is accepted, or an absolute one where that is more."""
ABSOLUTE_TOLERANCE = {"itd_us": 6.0, "sisdr_mean_db": 2.0}
"""One step of lag; what rounding does to channels that match exactly. 0.02 for the other measures."""
RATE_HZ = 44100
ORDER = 3
COLUMNS = ("cov_sum", "covband_mean", "covu_rel", "mel_train", "sisdr_mean_db", "ord0_db", "ord1_db", "ord3_db",
           "chlvl_db", "doa_deg", "diff_mae", "map_corr", "ls_lvl_db", "ild_db", "itd_us", "iacc",
           "aq_lq", "aq_la")  # fmt: skip

# Directions of a plane wave (azimuth, elevation in degrees) before and after
_PANS = (
    ((40, 20), (44, 20)),
    ((40, 20), (60, 20)),
    ((10, 10), (80, 10)),
    ((40, 20), (130, 20)),
    ((0, 0), (180, 0)),
)


@dataclass(frozen=True)
class Proof:
    """A measured value against the one that theory gives."""

    name: str
    found: float
    expected: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether they agree."""
        return abs(self.found - self.expected) <= self.tolerance


def plane_wave(signal: Float64[ndarray, " time"], azimuth_deg: float, elevation_deg: float) -> ndarray:
    """Third-order scene of one source (acn, time)."""
    gains = spherical_harmonics(ORDER, np.deg2rad([azimuth_deg]), np.deg2rad([elevation_deg]))[0]
    return gains[:, None] * signal


@cache
def scene(seconds: float = 1.2, seed: int = 1) -> Scene:
    """Three sources with envelopes of their own in anisotropic diffuse noise, everything pink; W at -26 dBFS."""
    rng = np.random.Generator(np.random.Philox(seed))
    frames = int(seconds * RATE_HZ)
    time_s = np.arange(frames) / RATE_HZ
    azimuth, elevation = fibonacci_sphere(48)
    level = 10 ** ((4 * np.cos(azimuth - 0.35) * np.cos(elevation) - 4 * (elevation > 0.3)) / 20)
    field = (spherical_harmonics(ORDER, azimuth, elevation) * level[:, None]).T @ _pink(48, frames, rng)
    for direction, rate_hz, gain in (((35, 0), 3.1, 6.0), ((-50, 10), 1.7, 5.0), ((120, 25), 0.9, 4.0)):
        envelope = np.maximum(np.sin(2 * np.pi * rate_hz * time_s + direction[0]), 0) ** 2
        field += plane_wave(gain * envelope * _pink(1, frames, rng)[0], *direction)
    field *= 10 ** (-26 / 20) / np.sqrt(np.mean(np.square(field[0])))
    return Scene(field.astype(np.float32), RATE_HZ)


def _pink(count: int, frames: int, rng: np.random.Generator) -> Float64[ndarray, "signal time"]:
    spectrum = np.fft.rfft(rng.standard_normal((count, frames)))
    bins = np.arange(spectrum.shape[1])
    lowest = max(int(50 * frames / RATE_HZ), 1)
    spectrum *= (bins >= lowest) / np.sqrt(np.maximum(bins, lowest))
    signal = np.fft.irfft(spectrum, frames)
    return signal / np.sqrt(np.mean(np.square(signal), axis=1, keepdims=True))


def changes() -> dict[str, Callable[[ndarray], ndarray]]:
    """Faults and transformations of a third-order scene (acn, time)."""
    swapped = [0, 3, 1, 2, *range(4, 16)]
    return {
        "identity": lambda x: x,
        "delay 1 sample": lambda x: np.roll(x, 1, axis=1),
        "delay 1 ms": lambda x: np.roll(x, 44, axis=1),
        "gain +1 dB": lambda x: x * 10 ** (1 / 20),
        "polarity": lambda x: -x,
        "yaw 5 deg": lambda x: yaw_matrix(ORDER, np.deg2rad(5)) @ x,
        "yaw 15 deg": lambda x: yaw_matrix(ORDER, np.deg2rad(15)) @ x,
        "yaw 90 deg": lambda x: yaw_matrix(ORDER, np.deg2rad(90)) @ x,
        "mirror left/right": lambda x: mirror_signs(ORDER)[:, None] * x,
        "SN3D as N3D": lambda x: x * sn3d_to_n3d(ORDER)[:, None],
        "axes XYZ for YZX": lambda x: x[swapped],
        "order 3 dropped": lambda x: x * (np.arange(16) < 9)[:, None],
        "W lost": lambda x: x * (np.arange(16) > 0)[:, None],
        "noise at 20 dB SNR": lambda x: _with_noise(x, 20.0),
        "unrelated noise": lambda x: scene(seed=2).samples.astype(float),
    }


def _with_noise(x: ndarray, snr_db: float) -> ndarray:
    rng = np.random.Generator(np.random.Philox(3))
    noise = rng.standard_normal(x.shape)
    return x + noise * np.sqrt(np.mean(np.square(x), axis=1, keepdims=True)) * 10 ** (-snr_db / 20)


def invariances(names: Collection[str] | None = None) -> dict[str, dict[str, float | None]]:
    """Every measure of the changes of these names (default: all); nothing is aligned, so that delays show."""
    reference = scene()
    wide = reference.samples.astype(np.float64)
    chosen = {name: change for name, change in changes().items() if names is None or name in names}
    tests = {name: Scene(change(wide).astype(np.float32), RATE_HZ) for name, change in chosen.items()}
    return measure_all(reference, tests)


def _distance(x: ndarray, y: ndarray) -> float:
    return float(correlation_distance(np.cov(x), np.cov(y))[0])


def closed_forms() -> list[Proof]:
    """Values of eq. 3 that theory gives, measured."""
    x = scene().samples.astype(np.float64)
    rng = np.random.Generator(np.random.Philox(4))
    r = np.abs(correlation(np.cov(x)))
    pairs = r.sum() / 2
    gains = rng.uniform(0.1, 10, (16, 1))
    inverted = np.where(np.arange(16) == 3, -1, 1)[:, None]
    from_w = float((1 - correlation(np.cov(x)))[np.triu_indices(16, 1)].sum())
    proofs = [
        Proof("eq. 3: a gain for each channel", _distance(x, gains * x), 0.0, 1e-9),
        Proof("eq. 3: common polarity", _distance(x, -x), 0.0, 1e-9),
        Proof("eq. 3: common circular delay", _distance(x, np.roll(x, 4321, axis=1)), 0.0, 1e-9),
        Proof("eq. 3: channel 3 inverted, 2 Σ|R_3j|", _distance(x, x * inverted), 2 * r[3].sum(), 1e-9),
        Proof("eq. 3: all channels W, Σ (1 - R_ij)", _distance(x, np.repeat(x[:1], 16, axis=0)), from_w, 1e-9),
    ]
    for snr_db in (20.0, 10.0, 0.0):
        name = f"eq. 3: noise at {snr_db:g} dB, Σ|R| / (1 + 10^(s/10))"
        expected = pairs / (1 + 10 ** (snr_db / 10))
        proofs.append(Proof(name, _distance(x, _with_noise(x, snr_db)), expected, 0.02 * expected + 0.05))
    for seconds in (0.38, 1.0, 5.0):
        name, samples = f"eq. 3: two white draws of {seconds:g} s, 240 / √(πT)", round(seconds * RATE_HZ)
        found = float(np.mean([_distance(*rng.standard_normal((2, 16, samples))) for _ in range(4)]))
        floor = 240 / np.sqrt(np.pi * samples)
        proofs.append(Proof(name, found, floor, 0.08 * floor))
    signal = rng.standard_normal(RATE_HZ) * 0.1
    for a, b in _PANS:
        signs = [np.sign(np.round(plane_wave(np.ones(1), *direction)[:, 0], 9)) for direction in (a, b)]
        # 2k(16-k) for k changed signs where no coefficient is 0; a channel that is 0 correlates with nothing
        expected = np.abs(np.subtract(*(np.outer(s, s) for s in signs)))[np.triu_indices(16, 1)].sum()
        found = _distance(plane_wave(signal, *a), plane_wave(signal, *b))
        proofs.append(Proof(f"eq. 3: plane wave {a} -> {b}, Σ|s_i s_j - t_i t_j|", found, float(expected), 1e-6))
    panned = [np.cov(plane_wave(signal, azimuth, 20)) for azimuth in (40, 44)]
    gains_of = [plane_wave(np.ones(1), azimuth, 20)[:, 0] for azimuth in (40, 44)]
    outer = [np.outer(g, g) for g in gains_of]
    proofs.append(Proof("covu_rel: the same pan, which eq. 3 cannot see",
                        float(np.abs(panned[0] - panned[1]).sum() / np.abs(panned[0]).sum()),
                        float(np.abs(outer[0] - outer[1]).sum() / np.abs(outer[0]).sum()), 1e-9))  # fmt: skip
    return proofs


def as_csv(table: dict[str, dict[str, float | None]]) -> str:
    """Write the golden table: four digits."""
    lines: list[str] = [",".join(["change", *COLUMNS])]
    for name, values in table.items():
        lines.append(",".join([name, *(_cell(values[column], ".4g") for column in COLUMNS)]))
    return "\n".join(lines) + "\n"


def _cell(value: float | None, form: str) -> str:
    """Four decimals, without a minus before 0."""
    return "" if value is None else format(round(value, 4) + 0.0, form)


def deviations(table: dict[str, dict[str, float | None]], golden: str) -> list[str]:
    """What differs from the golden table by more than the tolerances."""
    found = []
    for row in csv.DictReader(io.StringIO(golden)):
        values = table.get(row["change"])
        if values is None:
            found.append(f"{row['change']}: is missing")
            continue
        for name in COLUMNS:
            expected, value = float(row[name]) if row[name] else None, values[name]
            if (expected is None) != (value is None) or (
                expected is not None and value is not None
                and abs(value - expected) > max(TOLERANCE * abs(expected), ABSOLUTE_TOLERANCE.get(name, 0.02))
            ):  # fmt: skip
                found.append(f"{row['change']}: {name} is {value}, was {expected}")
    return found


def print_selftest() -> bool:
    """Print closed forms and the table of changes; whether everything is as it should be."""
    good = True
    print("Closed forms (found, expected)\n")
    for proof in closed_forms():
        good &= proof.holds
        print(f"{'ok  ' if proof.holds else 'FAIL'} {proof.name:<62}{proof.found:>10.4f}{proof.expected:>10.4f}")
    table = invariances()
    print("\nWhat each change does to a scene of three sources in diffuse noise (synthetic, nothing aligned)\n")
    width = max(map(len, table)) + 1
    print(" " * width + "".join(f"{name:>{len(name) + 2}}" for name in COLUMNS))
    for name, values in table.items():
        print(
            f"{name:<{width}}"
            + "".join(f"{_cell(values[column], '.3g') or '-':>{len(column) + 2}}" for column in COLUMNS)
        )
    wrong = deviations(table, GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else ["no golden table"]
    for line in wrong:
        print(f"FAIL {line}")
    print("\nall as it should be" if good and not wrong else "\nNOT as it should be")
    return good and not wrong
