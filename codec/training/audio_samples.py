"""What a run sounds and looks like: a held-out excerpt before and after, its energy over the sphere."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Float32, Float64
from matplotlib.figure import Figure
from numpy import ndarray

from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.training import validation as validate
from codec.training.excerpts import Excerpts
from render.common.files import whole_file
from render.fileio.audio_file import writer
from render.hoa.beams import beam_power, beam_weights
from render.hoa.scene import order_of

BANDS_HZ = ((60, 500), (500, 2000), (2000, 8000))
RANGE_DB = 20.0
AZIMUTH_DEG, ELEVATION_DEG = np.linspace(180, -180, 73), np.linspace(-90, 90, 37)


def write_samples(model: RVQGAN, material: Excerpts, quantized: bool, folder: Path, step: int) -> None:
    """Write the first held-out excerpt as reference.wav, what the network makes of it and the picture of both."""
    device = next(model.parameters()).device
    item = next(validate.held_out(material, 1)).to(device)
    model.eval()
    decoded = validate.through(model, item, quantized)[0].float().cpu().numpy()
    model.train()
    reference, config = item[0].cpu().numpy(), model.config
    for name, samples in (("reference", reference), (f"{step:07d}", decoded)):
        with writer(folder / f"{name}.wav", config.channels, config.sample_rate_hz, "PCM_16", force=True) as file:
            file.write(samples)
    source = material.paths[0]
    seconds = reference.shape[1] / config.sample_rate_hz
    title = f"step {step}: {source.parent.name}/{source.stem} (held out), {seconds:.1f} s"
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = picture(reference, decoded, config, title)
        with whole_file(folder / f"{step:07d}.png", force=True) as temporary:
            figure.savefig(temporary, dpi=130, metadata={"Software": None})


def picture(
    reference: Float32[ndarray, "channel time"],
    decoded: Float32[ndarray, "channel time"],
    config: ModelConfig,
    title: str,
) -> Figure:
    """Energy over the sphere in three bands, reference above decoded; for feeds the level of each loudspeaker."""
    if config.signal_layout == "ambiX" and config.channels >= 4:
        return _maps(reference, decoded, config, title)
    return _levels(reference, decoded, config, title)


def band_covariances(
    samples: Float32[ndarray, "channel time"], sample_rate_hz: int
) -> list[Float64[ndarray, "channel channel"]]:
    """Covariance between the channels in each of `BANDS_HZ`, whose edges the spectrum of the excerpt has."""
    spectrum = np.fft.rfft(samples)
    found = []
    for low, high in BANDS_HZ:
        edges = (round(f * samples.shape[1] / sample_rate_hz) for f in (low, high))
        part = spectrum[:, slice(*edges)].astype(np.complex128)
        found.append((part @ part.conj().T).real)
    return found


def energy_map_db(covariance: Float64[ndarray, "acn acn"]) -> Float64[ndarray, "elevation azimuth"]:
    """Energy in dB that a beam of the scene's order (plane-wave decomposition) picks up from each direction."""
    azimuth, elevation = np.meshgrid(np.radians(AZIMUTH_DEG), np.radians(ELEVATION_DEG))
    beams = beam_weights(azimuth.ravel(), elevation.ravel(), np.ones(order_of(len(covariance)) + 1))
    energy = beam_power(covariance, beams)
    return 10 * np.log10(np.maximum(energy, 1e-30)).reshape(azimuth.shape)


def _maps(reference: ndarray, decoded: ndarray, config: ModelConfig, title: str) -> Figure:
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    axes = figure.subplots(2, len(BANDS_HZ), sharex=True, sharey=True)
    rows = [[energy_map_db(c) for c in band_covariances(s, config.sample_rate_hz)] for s in (reference, decoded)]
    for row, name in enumerate(("reference", "decoded")):
        for column, (low, high) in enumerate(BANDS_HZ):
            one = axes[row, column]
            level = rows[row][column] - rows[0][column].max()
            one.pcolormesh(AZIMUTH_DEG, ELEVATION_DEG, level, vmin=-RANGE_DB, vmax=0, cmap="cividis",
                                   shading="gouraud", rasterized=True)  # fmt: skip
            one.set_title(f"{name}, {low} to {high} Hz", fontsize=8)
            one.set_xlim(180, -180)
            one.set_xticks([180, 90, 0, -90, -180])
            one.set_yticks([-90, 0, 90])
    for one in axes[:, 0]:
        one.set_ylabel("elevation (deg)")
    for one in axes[1]:
        one.set_xlabel("azimuth (deg), left is positive")
    label = "dB re loudest direction\nof the reference"
    figure.colorbar(axes[0, 0].collections[0], ax=axes, label=label, shrink=0.8)
    figure.suptitle(title, fontsize=9)
    return figure


def _levels(reference: ndarray, decoded: ndarray, config: ModelConfig, title: str) -> Figure:
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    names = list(validate.groups(config))
    place = np.arange(len(names))
    for offset, samples, name, colour in (
        (-0.2, reference, "reference", "#0072B2"),
        (0.2, decoded, "decoded", "#E69F00"),
    ):
        level_db = 10 * np.log10(np.square(samples, dtype=np.float64).mean(axis=1) + 1e-10)
        axes.bar(place + offset, level_db + 100, 0.4, bottom=-100, label=name, color=colour)
    axes.set_xticks(place, names, rotation=45 if len(names) > 6 else 0)
    axes.set_ylim(-100, 0)
    axes.set_ylabel("level (dBFS, rms)")
    axes.set_xlabel("channel")
    axes.legend(frameon=False, ncols=2, loc="upper right")
    figure.suptitle(title, fontsize=9)
    return figure
