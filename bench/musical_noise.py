"""What keeps noise from sounding like short tones, and what that costs where there are tones.

    make card
    python bench/musical_noise.py data/prepared/card/*.wav

Every row is the first 5 s of scenes of third order at 44.1 kHz through real bytes, with parts of the codec
changed, or through a rival; columns are those of docs/measures.md, means over the scenes. *flutter* is by how much
the level of W fluctuates between 4 and 12.5 Hz, from 1 to 4.6 and 5 to 15 kHz, in decibels re the original.
Without scenes, it is stationary Gaussian noise from eight directions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from ablation import SECONDS, joined, mean, scenes

from analysis.metrics.registry import measure_all
from codec.checkpoints.model_file import load
from codec.coding.pipeline import decode_packets, encode_packets, make_header, summarise
from codec.rvqgan.codec import RVQGAN
from codec.side_info import coefficient_coding, klt
from listening.conditions.registry import condition
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics

COLUMNS = (
    "musical_db", "flutter_mid", "flutter_high", "fine_W_mid", "fine_ears_mid", "env_W_mid", "env_ears_mid",
    "env_W_high", "tone_noise_db", "doa_deg", "covband_mean", "mel_train", "ild_db", "snr_lf_db",
)  # fmt: skip
RANGES_HZ = {"flutter_mid": (1000, 4600), "flutter_high": (5000, 15_000)}
Changes = list[tuple[Any, str, Any]]


def all_that_are_not_zero(worth: np.ndarray) -> np.ndarray:
    """Components up to the last one that has a coefficient that is not 0."""
    return (worth.shape[2] - (worth != 0)[:, :, ::-1].argmax(2)) * (worth != 0).any(2)


def everywhere(value: float) -> Callable[..., np.ndarray]:
    """Noisiness that is the same in all bands where it is measured."""
    return lambda sent, grid: value * (np.arange(8) >= coefficient_coding.WIDE_BANDS.start) + 0 * sent.counts


def settings() -> dict[str, Changes]:
    """Names of settings, and what they change."""
    gain = (klt, "noisiness", everywhere(0.0))
    peaks = (coefficient_coding, "_last_positive", all_that_are_not_zero)
    follows = (klt, "_STEADY", 0.0)
    return {
        "shipped": [],
        "gain in the place of noise": [gain],
        "noise also between partials": [(klt, "noisiness", everywhere(1.0))],
        "all of the missing power": [(klt, "_FILL", 1.0)],
        "half of it": [(klt, "_FILL", 0.5)],
        "components of single peaks sent": [peaks],
        "noise follows the network": [follows],
        "none of all that (before)": [gain, peaks, follows],
    }


def coded(model: RVQGAN, scene: Scene, changes: Changes) -> Scene:
    """The scene through the codec with these changes."""
    with ExitStack() as stack:
        for change in changes:
            stack.enter_context(patch.object(*change))
        header = make_header(model, bytes(8), summarise([scene.samples]))
        packets = encode_packets(model, header, [scene.samples])
        return joined(scene, decode_packets(model, header, packets))


def flutter(scene: Scene) -> dict[str, float]:
    """Power of the fluctuations of the level of W, in decibels, between 4 and 12.5 Hz."""
    views = np.lib.stride_tricks.sliding_window_view(scene.samples[0], 512)[::128]
    power = np.square(np.abs(np.fft.rfft(views * np.hanning(512))))
    hz, found = np.fft.rfftfreq(len(power), 128 / scene.sample_rate_hz), {}
    for name, range_hz in RANGES_HZ.items():
        low, high = (round(edge * 512 / scene.sample_rate_hz) for edge in range_hz)
        level_db = 10 * np.log10(power[:, low:high].mean(1) + 1e-12)
        spectrum = np.square(np.abs(np.fft.rfft((level_db - level_db.mean()) * np.hanning(len(level_db)))))
        found[name] = 10 * np.log10(spectrum[(hz >= 4) & (hz < 12.5)].sum())
    return found


def noise() -> Iterator[tuple[str, Scene]]:
    """Gaussian noise from eight directions that falls by 6 dB per octave from 0.7 kHz on."""
    white = np.random.default_rng(5).standard_normal((8, SECONDS * 44_100))
    hz = np.fft.rfftfreq(white.shape[1], 1 / 44_100)
    sources = np.fft.irfft(np.fft.rfft(white) / np.sqrt(1 + np.square(hz / 700)), white.shape[1])
    samples = spherical_harmonics(3, *fibonacci_sphere(8)).T @ sources
    yield "noise", Scene((samples * 10 ** (-24 / 20) / samples[0].std()).astype(np.float32), 44_100)


def main() -> None:
    """Print the table."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("scenes", nargs="*", type=Path, metavar="SCENE.wav")
    given = command.parse_args()
    model, _ = load()
    tables = []
    for name, scene in scenes(given.scenes) if given.scenes else noise():
        print(f"measuring {name}", flush=True)
        tests = {row: coded(model, scene, changes) for row, changes in settings().items()}
        tests |= {rival: condition(rival).apply(scene).scene for rival in ("layer_opus_16", "dirac_opus_16")}
        own, rows = flutter(scene), measure_all(scene, tests)
        for row, test in tests.items():
            rows[row] |= {column: value - own[column] for column, value in flutter(test).items()}
        tables.append(rows)
    print(f"{'mean of ' + str(len(tables)):<28}" + "".join(f"{column:>15}" for column in COLUMNS))
    for row in tables[0]:
        values = [mean(table[row][column] for table in tables) for column in COLUMNS]
        print(f"{row:<28}" + "".join(f"{value:>15.3f}" for value in values))


if __name__ == "__main__":
    main()
