"""Which envelope above 4.6 kHz keeps most: windows, bands, size, and what it replaces.

    python bench/envelope.py SCENE.wav ...

Every row is the first 5 s of scenes of third order at 44.1 kHz through real bytes, with one setting of
`codec.side_info.temporal_envelope` changed; columns are those of docs/measures.md, means over the scenes. The last
column is the standard deviation of the fluctuations of W in decibels over that of the original: noise whose
fluctuations were replaced by those that few bits describe would have less than 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from ablation import SECONDS, joined, mean

from analysis.metrics.registry import measure_all
from codec.bitstream import format as stream_format
from codec.checkpoints.model_file import load
from codec.coding import front_end
from codec.coding.pipeline import decode_packets, encode_packets, make_header, summarise
from codec.side_info import temporal_envelope
from render.fileio.scene_file import read_scene
from render.hoa.scene import Scene

COLUMNS = (
    "env_W_high", "env_ears_high", "env_ls_high", "mel_train", "covband_mean", "ild_db", "doa_deg", "pre_25_db",
    "attack_db",
)  # fmt: skip
SHIPPED_EDGES = temporal_envelope.envelope_edges(44_100)


def settings() -> dict[str, dict[str, Any]]:
    """Names of settings, and what they change: samples of a window, bands, bytes, share that is replaced."""
    found: dict[str, dict[str, Any]] = {"none": {"sixteenths": 0}, "shipped": {}}
    found |= {f"windows of {n} samples": {"window": n} for n in (256, 1024)}
    found |= {f"{n} bands": {"bands": n} for n in (1, 2, 4)}
    found |= {f"{n} of the bytes": {"sixteenths": n} for n in (0.5, 2)}
    return found | {f"{share} of the own": {"share": share} for share in (0, 0.3, 0.7, 1)}


def coded(scene: Scene, window: int = 512, bands: int = 8, sixteenths: float = 1, share: float = 0.5) -> Scene:
    """The scene through the codec with an envelope that is set otherwise."""
    edges = np.round(SHIPPED_EDGES[:: 8 // bands] * window / 512).astype(np.int64)
    edges[-1] = window // 2 + 1
    shape = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    size = lambda units, frames: int(sixteenths * units * frames) // 32  # noqa: E731
    model, _ = load()
    with (
        patch.multiple(
            temporal_envelope, ENVELOPE_WINDOW=window, ENVELOPE_HOP=window // 2, _WINDOW_SHAPE=shape,
            _OWN_REPLACED=share,
        ),
        patch.multiple(front_end, envelope_edges=lambda _rate: edges, envelope_bytes=size),
        patch.object(stream_format, "envelope_bytes", size),
    ):  # fmt: skip
        header = make_header(model, bytes(8), summarise([scene.samples]))
        packets = encode_packets(model, header, [scene.samples])
        return joined(scene, decode_packets(model, header, packets))


def fluctuation_db(scene: Scene) -> float:
    """Standard deviation of the loudness of W relative to its course, in decibels of power, over all bands."""
    loudness = temporal_envelope.relative_loudness(scene.samples[:1], SHIPPED_EDGES)
    return float(np.std(10 / 0.3 * np.log10(loudness)))


def main() -> None:
    """Print the table."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("scenes", nargs="+", type=Path, metavar="SCENE.wav")
    tables = []
    for path in command.parse_args().scenes:
        print(f"measuring {path.stem}", flush=True)
        whole = read_scene(path)
        scene = Scene(whole.samples[:16, : SECONDS * 44_100], whole.sample_rate_hz)
        tests = {name: coded(scene, **values) for name, values in settings().items()}
        own = fluctuation_db(scene)
        rows = measure_all(scene, tests)
        tables.append({name: rows[name] | {"fluctuation": fluctuation_db(tests[name]) / own} for name in tests})
    columns = (*COLUMNS, "fluctuation")
    print(f"{'mean of ' + str(len(tables)):<24}" + "".join(f"{column:>15}" for column in columns))
    for name in tables[0]:
        values = [mean(table[name][column] for table in tables) for column in columns]
        print(f"{name:<24}" + "".join(f"{value:>15.3f}" for value in values))


if __name__ == "__main__":
    main()
