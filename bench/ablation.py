"""What each part of the shipped codec contributes, and what coefficients cost in direction.

    python -m stimuli.events --seed 7171 --seconds 6 -o data/events/card
    python bench/ablation.py data/events/card/*.wav [-o out/trade.png]

Every row is the first 5 s of scenes of third order at 44.1 kHz through real bytes, or through what its name says;
columns are those of docs/measures.md, means over the scenes. ``-o`` draws fine structure against direction for
several sizes of the coefficients at the same rate, beside Opus behind the layer and DirAC with Opus.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from analysis.metrics.registry import measure_all
from codec.bitstream.format import Header
from codec.bitstream.sizes import side_info_bytes
from codec.checkpoints.model_file import load
from codec.coding import front_end
from codec.coding.front_end import front_end_of
from codec.coding.pipeline import (
    decode_packets,
    encode_packets,
    front_end_for,
    make_header,
    network_input,
    summarise,
)
from codec.rvqgan.codec import RVQGAN
from codec.side_info.analysis import band_edges
from codec.side_info.klt import InverseKLT, KLTBasis, klt_basis
from codec.side_info.parameter_coding import decode_parameters
from codec.side_info.temporal_envelope import encode_envelope
from listening.conditions.registry import condition
from render.common.figure_style import figure_style, write_figure
from render.fileio.scene_file import read_scene
from render.hoa.scene import Scene

COLUMNS = (
    "fine_W_mid", "fine_ears_mid", "env_W_mid", "env_ears_mid", "env_W_high", "env_ears_high", "tone_noise_db",
    "line_64_db", "musical_db", "pre_25_db", "attack_db", "doa_deg", "covband_mean", "mel_train", "ild_db",
    "snr_lf_db", "stairs_db",
)  # fmt: skip
UNITS = (0, 6, 12, 18, 24, 30)
UNIT_KBPS = 0.3445  # 32 bytes in 0.74 s
SECONDS = 5


def main() -> None:
    """Print the table."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("scenes", nargs="+", type=Path, metavar="SCENE.wav")
    command.add_argument("-o", "--output", type=Path, metavar="TRADE.png")
    given = command.parse_args()
    model, _ = load()
    tables = []
    for name, scene in scenes(given.scenes):
        print(f"measuring {name}", flush=True)
        tests = dict(variants(model, scene))
        table = measure_all(scene, tests)
        tables.append({row: values | {"stairs_db": stairs_db(scene, tests[row])} for row, values in table.items()})
    print(f"{'mean of ' + str(len(tables)):<28}" + "".join(f"{column:>15}" for column in COLUMNS))
    means = {row: [mean(table[row][column] for table in tables) for column in COLUMNS] for row in tables[0]}
    for row, values in means.items():
        print(f"{row:<28}" + "".join(f"{value:>15.3f}" for value in values))
    if given.output:
        draw(means, given.output)


def mean(values: Iterator[float | None]) -> float:
    """Mean of the values that there are."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def stairs_db(reference: Scene, test: Scene) -> float:
    """Mean step at the edges of level bands from 4.6 kHz on, in the long-term spectra of W, Y, Z, X."""
    ratio_db = 10 * np.log10(spectrum(test) / spectrum(reference))
    edges = band_edges(reference.sample_rate_hz)[16:-1]
    steps = [ratio_db[:, edge : edge + 8].mean(1) - ratio_db[:, edge - 8 : edge].mean(1) for edge in edges]
    return float(np.abs(steps).mean())


def spectrum(scene: Scene) -> np.ndarray:
    """Mean power spectra of the first four channels in windows of 2048 samples."""
    windows = np.lib.stride_tricks.sliding_window_view(scene.samples[:4], 2048, axis=1)[:, ::512]
    return np.square(np.abs(np.fft.rfft(windows * np.hanning(2048)))).mean(1) + 1e-20


def scenes(paths: list[Path]) -> Iterator[tuple[str, Scene]]:
    """The first seconds of scenes of third order at 44.1 kHz."""
    for path in paths:
        scene = read_scene(path)
        yield path.stem, Scene(scene.samples[:16, : SECONDS * 44_100], scene.sample_rate_hz)


def variants(model: RVQGAN, scene: Scene) -> Iterator[tuple[str, Scene]]:
    """The codec in parts, with several sizes of the coefficients, and its rivals."""
    for units in UNITS:
        header = make_header(model, bytes(8), summarise([scene.samples]), coefficient_units=units)
        packets = list(encode_packets(model, header, [scene.samples]))
        yield f"coefficients {units * UNIT_KBPS:.1f} kbit/s", joined(scene, decode_packets(model, header, packets))
    header = make_header(model, bytes(8), summarise([scene.samples]))
    counts = header.packet_frame_counts
    packets = list(encode_packets(model, header, [scene.samples]))
    steady = [packet._replace(side_info=without_envelope(packet.side_info, header)) for packet in packets]
    yield "no envelope", joined(scene, decode_packets(model, header, steady))
    with patch.object(front_end, "nearest_laws", lambda power, _: np.zeros(power.shape[:2], np.int64)):
        unlimited = list(encode_packets(model, header, [scene.samples]))
    yield "weak components as rounded", joined(scene, decode_packets(model, header, unlimited))
    with patch.object(front_end, "set_slopes", lambda *_: None):
        yield "bands with their own slopes", joined(scene, decode_packets(model, header, packets))
    side_info = [packet.side_info for packet in packets]
    without = make_header(model, bytes(8), summarise([scene.samples]), coefficient_units=0)
    inputs = list(network_input(model, without, [scene.samples]))
    exact = np.concatenate([packet.samples for packet in inputs], axis=1)
    with torch.inference_mode():
        tensor = torch.from_numpy(exact)[None]
        unquantised = model.decoder(model.encoder(tensor))[0].numpy()[:, : exact.shape[1]]
        latents = model.quantizer.decode(model.quantizer.encode(model.encoder(tensor), None))
        coded = model.decoder(latents)[0].numpy()[:, : exact.shape[1]]
    full, parts = front_end_for(header, model.config), front_end_of(model.config)
    parameters = [packet.side_info for packet in inputs]
    gain = np.float32(header.gain)
    for name, network, ends, data in (
        ("exact components", exact, parts, parameters),
        ("network not quantised", unquantised, parts, parameters),
        ("18 codebooks, 18.7 kbit/s", coded, parts, parameters),
        ("coefficients, no network", np.zeros_like(exact), full, side_info),
    ):
        yield name, joined(scene, (part / gain for part in ends.inverse([network], counts, iter(data))))
    yield (
        "network, layer's axes only",
        joined(scene, (part / gain for part in along_axes(coded, counts, parameters))),
    )
    for name in ("layer_only", "layer_opus_16", "dirac_opus_16"):
        yield name, condition(name).apply(scene).scene


def without_envelope(side_info: bytes, header: Header) -> bytes:
    """Side information of a packet of the whole scene that says that it has no envelope."""
    size = header.envelope_bytes(header.frames)
    first = side_info_bytes(header.channels, header.frames)
    return side_info[:first] + encode_envelope(None, size) + side_info[first + size :]


def joined(scene: Scene, parts: Iterator[np.ndarray]) -> Scene:
    """Blocks of a decoder as a scene of the same length."""
    return Scene(np.concatenate(list(parts), axis=1)[:, : scene.length].astype(np.float32), scene.sample_rate_hz)


def along_axes(network: np.ndarray, counts: list[int], parameters: list[bytes]) -> Iterator[np.ndarray]:
    """The network's components along their axes, with neither powers nor levels restored, and without noise."""
    transform, start, hop = InverseKLT(512, 44_100), 0, 512
    for frames, data in zip(counts, parameters, strict=True):
        length = frames * hop
        sent = decode_parameters(data, 16, (24, max(1, frames // 8)), (12, max(1, frames // 64)), ambisonic=True)
        basis = klt_basis(sent, 16, length, hop, 44_100)
        known = network[:, max(start - 1024, 0) : start + length + 1024]
        yield transform(known, min(start, 1024), length, KLTBasis(basis.vectors, None, basis.gain))
        start += length


def draw(means: dict[str, list[float]], path: Path) -> None:
    """Fine structure against direction."""
    import matplotlib.pyplot as plt

    at: dict[str, Any] = {row: dict(zip(COLUMNS, values, strict=True)) for row, values in means.items()}
    sizes = [row for row in at if row.startswith("coefficients ") and row.endswith("kbit/s")]
    with figure_style(8):
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), sharex=True, layout="constrained")
        for axis, (column, label) in zip(
            axes, (("fine_W_mid", "W, 0.9 to 4.5 kHz"), ("fine_ears_mid", "ears, 0.9 to 4.5 kHz")), strict=True
        ):
            x, y = ([at[row][c] for row in sizes] for c in ("doa_deg", column))
            axis.plot(x, y, "o-", label="codec, 15.6 kbit/s, by kbit/s of coefficients")
            for row, px, py in zip(sizes, x, y, strict=True):
                axis.annotate(row.split()[1], (px, py), xytext=(4, -10), textcoords="offset points", fontsize=7)
            for row, marker in (("layer_opus_16", "s"), ("dirac_opus_16", "^"), ("layer_only", "v")):
                axis.plot(at[row]["doa_deg"], at[row][column], marker, label=row)
            axis.set_xlabel("direction error / degrees")
            axis.set_ylabel(f"fine structure kept\n{label}")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, fontsize=7, loc="outside lower center", ncols=4)
        write_figure(figure, path, force=True)


if __name__ == "__main__":
    main()
