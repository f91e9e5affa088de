"""Audio samples of a run: a held-out excerpt before and after the codec, with a picture of where its energy is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.training.validation import ValidationSet, channel_groups, decoded_excerpt
from render.common.figure_style import figure_style, write_figure
from render.fileio.audio_file import writer
from render.hoa.beams import beam_power, beam_weights
from render.hoa.scene import order_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BANDS_HZ = ((60, 500), (500, 2000), (2000, 8000))
RANGE_DB = 20.0
AZIMUTH_DEG, ELEVATION_DEG = np.linspace(180, -180, 73), np.linspace(-90, 90, 37)


def write_samples(model: RVQGAN, validation: ValidationSet, quantized: bool, folder: Path, step: int) -> None:
    """Write a held-out excerpt before and after the codec, and a picture of both.

    The excerpt is the middle one of the first held-out recording.

    Parameters
    ----------
    model : RVQGAN
    validation : ValidationSet
    quantized : bool
        Whether the excerpt passes the codes or only encoder and decoder.
    folder : Path
        Receives ``reference.wav``, ``<step>.wav`` and ``<step>.png``.
    step : int
    """
    device = next(model.parameters()).device
    excerpt = next(replace(validation, per_recording=1).excerpts()).to(device)
    model.eval()
    decoded = decoded_excerpt(model, excerpt, quantized)[0].float().cpu().numpy()
    model.train()
    reference, config = excerpt[0].cpu().numpy(), model.config
    for name, samples in (("reference", reference), (f"{step:07d}", decoded)):
        with writer(folder / f"{name}.wav", config.channels, config.sample_rate_hz, "PCM_16", force=True) as file:
            file.write(samples)
    source = validation.recordings[0].path
    seconds = reference.shape[1] / config.sample_rate_hz
    title = f"step {step}: {source.parent.name}/{source.stem} (held out), {seconds:.1f} s"
    with figure_style(8, **{"savefig.dpi": 130}):
        write_figure(draw_comparison(reference, decoded, config, title), folder / f"{step:07d}.png", force=True)


def draw_comparison(
    reference: Float32[ndarray, "channel time"],
    decoded: Float32[ndarray, "channel time"],
    config: ModelConfig,
    title: str,
) -> Figure:
    """Draw energy maps over the sphere in three bands, reference above decoded; for feeds levels per channel."""
    if config.signal_layout == "ambiX" and config.channels >= 4:
        return _energy_maps(reference, decoded, config, title)
    return _channel_levels(reference, decoded, config, title)


def band_covariances(
    samples: Float32[ndarray, "channel time"], sample_rate_hz: int
) -> list[Float64[ndarray, "channel channel"]]:
    """Return the covariance of the channels in each of `BANDS_HZ`, from one spectrum of the whole excerpt."""
    spectrum = np.fft.rfft(samples)
    found = []
    for low, high in BANDS_HZ:
        edges = (round(f * samples.shape[1] / sample_rate_hz) for f in (low, high))
        part = spectrum[:, slice(*edges)].astype(np.complex128)
        found.append((part @ part.conj().T).real)
    return found


def energy_map_db(covariance: Float64[ndarray, "acn acn"]) -> Float64[ndarray, "elevation azimuth"]:
    """Return the energy in dB of a beam of the scene's order (plane-wave decomposition) in every direction."""
    azimuth, elevation = np.meshgrid(np.radians(AZIMUTH_DEG), np.radians(ELEVATION_DEG))
    beams = beam_weights(azimuth.ravel(), elevation.ravel(), np.ones(order_of(len(covariance)) + 1))
    energy = beam_power(covariance, beams)
    return 10 * np.log10(np.maximum(energy, 1e-30)).reshape(azimuth.shape)


def _energy_maps(reference: ndarray, decoded: ndarray, config: ModelConfig, title: str) -> Figure:
    from matplotlib.figure import Figure  # takes 0.5 s to import, which a run without pictures saves

    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    axes = figure.subplots(2, len(BANDS_HZ), sharex=True, sharey=True)
    rows = [[energy_map_db(c) for c in band_covariances(s, config.sample_rate_hz)] for s in (reference, decoded)]
    for row, name in enumerate(("reference", "decoded")):
        for column, (low, high) in enumerate(BANDS_HZ):
            panel = axes[row, column]
            level = rows[row][column] - rows[0][column].max()
            panel.pcolormesh(AZIMUTH_DEG, ELEVATION_DEG, level, vmin=-RANGE_DB, vmax=0, cmap="cividis",
                                   shading="gouraud", rasterized=True)  # fmt: skip
            panel.set_title(f"{name}, {low} to {high} Hz", fontsize=8)
            panel.set_xlim(180, -180)
            panel.set_xticks([180, 90, 0, -90, -180])
            panel.set_yticks([-90, 0, 90])
    for panel in axes[:, 0]:
        panel.set_ylabel("elevation (deg)")
    for panel in axes[1]:
        panel.set_xlabel("azimuth (deg), left is positive")
    label = "dB re loudest direction\nof the reference"
    figure.colorbar(axes[0, 0].collections[0], ax=axes, label=label, shrink=0.8)
    figure.suptitle(title, fontsize=9)
    return figure


def _channel_levels(reference: ndarray, decoded: ndarray, config: ModelConfig, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    names = list(channel_groups(config))
    positions = np.arange(len(names))
    for offset, samples, name, colour in (
        (-0.2, reference, "reference", "#0072B2"),
        (0.2, decoded, "decoded", "#E69F00"),
    ):
        level_db = 10 * np.log10(np.square(samples, dtype=np.float64).mean(axis=1) + 1e-10)
        axes.bar(positions + offset, level_db + 100, 0.4, bottom=-100, label=name, color=colour)
    axes.set_xticks(positions, names, rotation=45 if len(names) > 6 else 0)
    axes.set_ylim(-100, 0)
    axes.set_ylabel("level (dBFS, rms)")
    axes.set_xlabel("channel")
    axes.legend(frameon=False, ncols=2, loc="upper right")
    figure.suptitle(title, fontsize=9)
    return figure
