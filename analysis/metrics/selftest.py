"""Self-test of the measures: closed forms, and the effect of known changes of a scene on every measure.

The scene consists of noise with a fixed seed, so that the table of changes is the same on every machine; it is
compared with a golden file. docs/measures.md derives the closed forms.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.special import spence

from analysis.metrics import fine_structure, onsets, tonality
from analysis.metrics.covariance import correlation, correlation_distance
from analysis.metrics.framing import WINDOW, hann
from analysis.metrics.intelligibility import estoi
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
"""The table of changes, as it was when it was verified."""
TOLERANCE = 0.05
"""Accepted relative deviation from the golden table, where it is larger than the absolute one."""
ABSOLUTE_TOLERANCE = {"itd_us": 6.0, "sisdr_mean_db": 2.0}
"""Accepted absolute deviation, else 0.02: one step of the lag; rounding in channels that match exactly."""
RATE_HZ = 44100
ORDER = 3
COLUMNS = ("cov_sum", "covband_mean", "covu_rel", "mel_train", "sisdr_mean_db", "ord0_db", "ord1_db", "ord3_db",
           "chlvl_db", "doa_deg", "diff_mae", "map_corr", "ls_lvl_db", "ild_db", "itd_us", "iacc",
           "aq_lq", "aq_la", "fine_W_mid", "fine_ears_mid", "fine_ls_mid", "env_W_mid", "env_ears_mid",
           "line_64_db")  # fmt: skip

# Directions of a plane wave (azimuth, elevation in degrees) before and after
_PANS = (
    ((40, 20), (44, 20)),
    ((40, 20), (60, 20)),
    ((10, 10), (80, 10)),
    ((40, 20), (130, 20)),
    ((0, 0), (180, 0)),
)


@dataclass(frozen=True)
class ClosedForm:
    """A measured value and the one that theory gives."""

    name: str
    found: float
    expected: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether they agree within the tolerance."""
        return abs(self.found - self.expected) <= self.tolerance


def plane_wave(signal: Float64[ndarray, " time"], azimuth_deg: float, elevation_deg: float) -> ndarray:
    """Return a third-order scene (acn, time) of a plane wave with this signal."""
    gains = spherical_harmonics(ORDER, np.deg2rad([azimuth_deg]), np.deg2rad([elevation_deg]))[0]
    return gains[:, None] * signal


@cache
def scene(seconds: float = 1.2, seed: int = 1) -> Scene:
    """Return three sources with different envelopes in anisotropic diffuse noise; all pink, W at -26 dBFS."""
    rng = np.random.Generator(np.random.Philox(seed))
    length = int(seconds * RATE_HZ)
    time_s = np.arange(length) / RATE_HZ
    azimuth, elevation = fibonacci_sphere(48)
    level = 10 ** ((4 * np.cos(azimuth - 0.35) * np.cos(elevation) - 4 * (elevation > 0.3)) / 20)
    field = (spherical_harmonics(ORDER, azimuth, elevation) * level[:, None]).T @ _pink(48, length, rng)
    for direction, rate_hz, gain in (((35, 0), 3.1, 6.0), ((-50, 10), 1.7, 5.0), ((120, 25), 0.9, 4.0)):
        envelope = np.maximum(np.sin(2 * np.pi * rate_hz * time_s + direction[0]), 0) ** 2
        field += plane_wave(gain * envelope * _pink(1, length, rng)[0], *direction)
    field *= 10 ** (-26 / 20) / np.sqrt(np.mean(np.square(field[0])))
    return Scene(field.astype(np.float32), RATE_HZ)


def _pink(count: int, length: int, rng: np.random.Generator) -> Float64[ndarray, "signal time"]:
    spectrum = np.fft.rfft(rng.standard_normal((count, length)))
    bins = np.arange(spectrum.shape[1])
    lowest = max(int(50 * length / RATE_HZ), 1)
    spectrum *= (bins >= lowest) / np.sqrt(np.maximum(bins, lowest))
    signal = np.fft.irfft(spectrum, length)
    return signal / np.sqrt(np.mean(np.square(signal), axis=1, keepdims=True))


def changes() -> dict[str, Callable[[ndarray], ndarray]]:
    """Return faults and transformations of a third-order scene (acn, time) by their names."""
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
    """Return all measures for the changes of these names (default: all); nothing is aligned, to show delays."""
    reference = scene()
    wide = reference.samples.astype(np.float64)
    chosen = {name: change for name, change in changes().items() if names is None or name in names}
    tests = {name: Scene(change(wide).astype(np.float32), RATE_HZ) for name, change in chosen.items()}
    return measure_all(reference, tests)


def _distance(x: ndarray, y: ndarray) -> float:
    return float(correlation_distance(np.cov(x), np.cov(y))[0])


def closed_forms() -> list[ClosedForm]:
    """Measure scenes for which theory gives the value of eq. 3 (of ``covu_rel`` in the last one)."""
    x = scene().samples.astype(np.float64)
    rng = np.random.Generator(np.random.Philox(4))
    r = np.abs(correlation(np.cov(x)))
    pairs = r.sum() / 2
    gains = rng.uniform(0.1, 10, (16, 1))
    inverted = np.where(np.arange(16) == 3, -1, 1)[:, None]
    from_w = float((1 - correlation(np.cov(x)))[np.triu_indices(16, 1)].sum())
    forms = [
        ClosedForm("eq. 3: a gain for each channel", _distance(x, gains * x), 0.0, 1e-9),
        ClosedForm("eq. 3: common polarity", _distance(x, -x), 0.0, 1e-9),
        ClosedForm("eq. 3: common circular delay", _distance(x, np.roll(x, 4321, axis=1)), 0.0, 1e-9),
        ClosedForm("eq. 3: channel 3 inverted, 2 Σ|R_3j|", _distance(x, x * inverted), 2 * r[3].sum(), 1e-9),
        ClosedForm(
            "eq. 3: all channels W, Σ (1 - R_ij)", _distance(x, np.repeat(x[:1], 16, axis=0)), from_w, 1e-9
        ),
    ]
    for snr_db in (20.0, 10.0, 0.0):
        name = f"eq. 3: noise at {snr_db:g} dB, Σ|R| / (1 + 10^(s/10))"
        expected = pairs / (1 + 10 ** (snr_db / 10))
        forms.append(ClosedForm(name, _distance(x, _with_noise(x, snr_db)), expected, 0.02 * expected + 0.05))
    for seconds in (0.38, 1.0, 5.0):
        name, samples = f"eq. 3: two white draws of {seconds:g} s, 240 / √(πT)", round(seconds * RATE_HZ)
        found = float(np.mean([_distance(*rng.standard_normal((2, 16, samples))) for _ in range(4)]))
        floor = 240 / np.sqrt(np.pi * samples)
        forms.append(ClosedForm(name, found, floor, 0.08 * floor))
    signal = rng.standard_normal(RATE_HZ) * 0.1
    for a, b in _PANS:
        signs = [np.sign(np.round(plane_wave(np.ones(1), *direction)[:, 0], 9)) for direction in (a, b)]
        # 2k(16-k) for k changed signs if no coefficient is 0; a channel that is 0 has no correlation
        expected = np.abs(np.subtract(*(np.outer(s, s) for s in signs)))[np.triu_indices(16, 1)].sum()
        found = _distance(plane_wave(signal, *a), plane_wave(signal, *b))
        forms.append(
            ClosedForm(f"eq. 3: plane wave {a} -> {b}, Σ|s_i s_j - t_i t_j|", found, float(expected), 1e-6)
        )
    panned = [np.cov(plane_wave(signal, azimuth, 20)) for azimuth in (40, 44)]
    gains_of = [plane_wave(np.ones(1), azimuth, 20)[:, 0] for azimuth in (40, 44)]
    outer = [np.outer(g, g) for g in gains_of]
    forms.append(ClosedForm("covu_rel: the same pan, which eq. 3 cannot see",
                        float(np.abs(panned[0] - panned[1]).sum() / np.abs(panned[0]).sum()),
                        float(np.abs(outer[0] - outer[1]).sum() / np.abs(outer[0]).sum()), 1e-9))  # fmt: skip
    return forms


def fine_structure_forms() -> list[ClosedForm]:
    """Measure W of signals for which theory gives pre-echo, tone to noise, lines and fine structure."""
    forms = []
    signs = np.where(np.arange(2 * RATE_HZ) % 2, 1.0, -1.0)  # whose first difference has the power 4a²
    burst, early = 0 * signs, 0 * signs
    onset = 900 * onsets.STEP
    burst[onset : onset + 30 * onsets.STEP] = 1.0
    # 25 to 10 ms before the onset, in whole steps
    early[onset - 23 * onsets.STEP : onset - 9 * onsets.STEP] = 0.01
    found = _of_w(onsets.evaluate, 0.3 * signs * burst, 0.3 * signs * (burst + early))
    forms.append(ClosedForm("pre_25_db: an early part 40 dB under its attack", found["pre_25_db"], -40.0, 0.1))
    found = _of_w(onsets.evaluate, 0.3 * signs * burst, 0.15 * signs * burst)
    forms.append(
        ClosedForm("attack_db: attacks at half the amplitude", found["attack_db"], 20 * np.log10(2), 0.01)
    )

    rng = np.random.Generator(np.random.Philox(5))
    time, bin_hz = np.arange(4 * RATE_HZ) / RATE_HZ, RATE_HZ / WINDOW
    tones = sum(0.01 * np.sin(2 * np.pi * k * bin_hz * time) for k in (40, 75, 120, 200))
    noises = 0.01 * rng.standard_normal((2, len(time)))
    found = _of_w(tonality.evaluate, tones + noises[0], tones + 10**0.4 * noises[1])
    # three bins of a Hann window hold (1 + 1/4 + 1/4) (A N / 4)² of a tone, every bin of noise 3 N σ² / 8
    ratios = [0.5 * (0.01 * WINDOW / 4) ** 2 / (power * 0.01**2 * 3 * WINDOW / 8) for power in (1.0, 10**0.8)]
    expected = 10 * np.log10((1 + ratios[1]) / (1 + ratios[0]))
    forms.append(
        ClosedForm("tone_noise_db: 8 dB more noise around partials", found["tone_noise_db"], expected, 1.0)
    )
    lines = sum(0.001 * np.sin(2 * np.pi * m * RATE_HZ / 64 * time) for m in range(1, 23))
    found = _of_w(tonality.evaluate, noises[0], noises[0] + lines)
    density = 0.01**2 * 3 * tonality.LINE_WINDOW / 8
    expected = 10 * np.log10(1 + (0.001 * tonality.LINE_WINDOW / 4) ** 2 / density)
    forms.append(
        ClosedForm("line_64_db: lines in noise, 1 + (A N / 4)² / (3 N σ² / 8)", found["line_64_db"], expected, 0.6)
    )
    for snr_db in (6.0, 0.0):
        found = _of_w(fine_structure.evaluate, noises[0], noises[0] + 10 ** (-snr_db / 20) * noises[1])
        name = f"fine_W_mid: noise at {snr_db:g} dB, by the dilogarithm"
        expected = fine_structure_of_noise(1 / (1 + 10 ** (-snr_db / 10)))
        forms.append(ClosedForm(name, found["fine_W_mid"], expected, 0.03))
    return forms


def intelligibility_forms() -> list[ClosedForm]:
    """Measure the ESTOI of noises, where theory gives it."""
    signal, unrelated = np.random.Generator(np.random.Philox(6)).standard_normal((2, 8 * RATE_HZ))
    late = np.where(np.arange(8 * RATE_HZ) < 4 * RATE_HZ, signal, unrelated)
    cases = (
        ("estoi_W: a gain", 0.1 * signal, 1.0, 1e-9),
        ("estoi_W: unrelated noise", unrelated, 0.0, 0.02),
        ("estoi_W: one half unrelated, mean of both", late, 0.5, 0.02),
    )
    found = (estoi(signal, test, RATE_HZ) for _, test, _, _ in cases)
    return [
        ClosedForm(name, np.nan if value is None else value, expected, tolerance)
        for value, (name, _, expected, tolerance) in zip(found, cases, strict=True)
    ]


def _of_w(evaluate: Callable[..., dict[str, Any]], x: ndarray, y: ndarray) -> dict[str, Any]:
    return evaluate(x[None].astype(np.float32), y[None].astype(np.float32), RATE_HZ)


def fine_structure_of_noise(coherence: float) -> float:
    """Correlation of the fine structures of the spectra of two Gaussian noises with this squared coherence.

    The logarithms of |X|² and |Y|² of two complex Gaussian variables with the squared coherence c have the
    covariance Li2(c). Bins that are k apart have the coherence of the spectrum of the window's square.
    """
    smoothing = fine_structure.SMOOTHING_BINS
    window = np.square(hann(WINDOW).astype(float))
    between = np.abs(np.fft.fft(window)[: smoothing + 1] / window.sum()) ** 2
    taps = -hann(smoothing + 1)[1:].astype(float) / ((smoothing + 1) / 2)
    taps[smoothing // 2] += 1
    lag = np.abs(np.subtract.outer(np.arange(smoothing), np.arange(smoothing)))

    def variance(c: float) -> float:
        return taps @ spence(1 - c * between[lag]) @ taps

    return float(variance(coherence) / variance(1.0))


def as_csv(table: dict[str, dict[str, float | None]]) -> str:
    """Return the golden table as text, with four digits."""
    lines: list[str] = [",".join(["change", *COLUMNS])]
    for name, values in table.items():
        lines.append(",".join([name, *(_cell(values[column], ".4g") for column in COLUMNS)]))
    return "\n".join(lines) + "\n"


def _cell(value: float | None, form: str) -> str:
    """Return a value with four decimals, and 0 without a sign."""
    return "" if value is None else format(round(value, 4) + 0.0, form)


def deviations(table: dict[str, dict[str, float | None]], golden: str) -> list[str]:
    """Return descriptions of the values that deviate from the golden table by more than the tolerances."""
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
    """Print the closed forms and the table of changes; return whether all values are as they should be."""
    closed_forms_hold = True
    print("Closed forms (found, expected)\n")
    for form in closed_forms() + fine_structure_forms() + intelligibility_forms():
        closed_forms_hold &= form.holds
        print(f"{'ok  ' if form.holds else 'FAIL'} {form.name:<62}{form.found:>10.4f}{form.expected:>10.4f}")
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
    is_good = closed_forms_hold and not wrong
    print("\nall as it should be" if is_good else "\nNOT as it should be")
    return is_good
