"""What ideal coding of the coefficients could reach behind the spatial layer's transform: least squared error.

    python bench/ideal_coding.py [SCENE.wav ...] [--kbps 11.3]

The channels are transformed as before the network: MDCT of 2048 samples, principal components in 12 bands and
slots of 0.74 s, here exact and sent for nothing. The components are then coded at the rate by Gaussian test
channels with reverse water-filling over all components, bands and slots (Cover and Thomas 2006, section 10.3.3),
which no coder of independent Gaussian coefficients can beat in squared error. Beside it the same without
principal components.

What the figures are: the *SNR* below 500 Hz is that of the least squared error over the whole spectrum, for
these scenes, this transform and stationary Gaussian slots. It is not a bound of quality: a coder that weights
the error by bands, as ears do, has less SNR there and more elsewhere. The *direction* error is that of this
coder's output and bounds nothing: least squares drop every component under the water level, so that a coder, or
a decoder with side information, that keeps the levels can have a smaller direction error at the same rate.
Without scenes, two synthetic ones are made.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from analysis.metrics import banded, spatial, waveform
from codec.bitstream.sizes import SLOT_FRAMES
from codec.side_info.analysis import band_edges
from codec.side_info.klt import MDCT_HOP, inverse_mdct, mdct
from render.fileio.scene_file import read_scene
from stimuli.synthesis.synthesiser import synthesise

CODEC_HOP = 512


def main() -> None:
    """Print a row for each scene."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("scenes", nargs="*", type=Path, metavar="SCENE.wav")
    command.add_argument("--kbps", type=float, default=11.3, help="rate of the coefficients (default 11.3)")
    given = command.parse_args()
    print(f"{given.kbps:g} kbit/s, ideal coding  SNR < 500 Hz  doa_deg  doa_band_deg | without PCA: SNR  doa_deg")
    for name, samples, rate_hz in scenes(given.scenes):
        found = [measured(samples, rate_hz, given.kbps, with_pca) for with_pca in (True, False)]
        snr, doa, banded_doa = found[0]
        print(f"{name:<26}{snr:>13.1f}{doa:>9.1f}{banded_doa:>14.1f} |{found[1][0]:>16.1f}{found[1][1]:>9.1f}")


def scenes(paths: list[Path]) -> Iterator[tuple[str, np.ndarray, int]]:
    """Names, samples of third order and rates."""
    for path in paths:
        scene = read_scene(path)
        yield path.stem[:26], scene.samples[:16], scene.sample_rate_hz
    if not paths:
        for name in ("Beach", "TrainStation"):
            yield f"{name} (synthetic)", synthesise(name, 8, 7171, 6.0, order=3, sample_rate_hz=44_100), 44_100


def measured(samples: np.ndarray, rate_hz: int, kbps: float, with_pca: bool) -> list[float]:
    """SNR below 500 Hz and the direction errors of a scene that is coded ideally."""
    decoded = ideally_coded(samples, rate_hz, kbps, with_pca)
    values = [module.evaluate(samples, decoded, rate_hz) for module in (waveform, spatial, banded)]
    return [values[0]["snr_lf_db"] or 0.0, values[1]["doa_deg"] or 0.0, values[2]["doa_band_deg"] or 0.0]


def ideally_coded(samples: np.ndarray, rate_hz: int, kbps: float, with_pca: bool) -> np.ndarray:
    """Output of Gaussian test channels at the water level of the rate."""
    length = samples.shape[1]
    frames = -(-length // MDCT_HOP) + 1
    padded = np.pad(samples, ((0, 0), (MDCT_HOP, (frames + 1) * MDCT_HOP - length - MDCT_HOP)))
    coefficients = mdct(padded.astype(np.float32)).astype(np.float64)
    tiles = list(tiles_of(coefficients.shape[1], rate_hz))
    bases, variances, counts = [], [], []
    for frame, bins in tiles:
        part = coefficients[:, frame, bins].reshape(len(coefficients), -1)
        covariance = part @ part.T / part.shape[1]
        basis = np.linalg.eigh(covariance)[1] if with_pca else np.eye(len(covariance))
        bases.append(basis)
        variances.append(np.maximum(np.einsum("ic,ij,jc->c", basis, covariance, basis), 1e-20))
        counts.append(part.shape[1])
    level = water_level(np.stack(variances), np.array(counts), kbps * 1000 * length / rate_hz)
    random = np.random.default_rng(1)
    result = np.zeros_like(coefficients)
    for (frame, bins), basis, variance in zip(tiles, bases, variances, strict=True):
        part = coefficients[:, frame, bins]
        components = basis.T @ part.reshape(len(part), -1)
        kept = 1 - np.minimum(level, variance) / variance  # the forward test channel: D = min(level, variance)
        noise = random.standard_normal(components.shape) * np.sqrt(np.minimum(level, variance) * kept)[:, None]
        result[:, frame, bins] = (basis @ (kept[:, None] * components + noise)).reshape(part.shape)
    return inverse_mdct(result.astype(np.float32))[:, :length]


def tiles_of(frames: int, rate_hz: int) -> Iterator[tuple[slice, slice]]:
    """Frames and coefficients of each slot and band; the lowest band also takes what lies under it."""
    edges = [0, *band_edges(rate_hz)[2:-1:2], MDCT_HOP]
    per_slot = SLOT_FRAMES * CODEC_HOP // MDCT_HOP
    for first in range(0, frames, per_slot):
        for low, high in pairwise(edges):
            yield slice(first, first + per_slot), slice(low, high)


def water_level(variances: np.ndarray, counts: np.ndarray, bits: float) -> float:
    """Distortion at which Σ n/2 log2(σ²/D) over the components with σ² > D takes the bits, by bisection."""
    low, high = np.log2(variances.min()) - 100, np.log2(variances.max())
    for _ in range(80):
        middle = (low + high) / 2
        needed = (counts[:, None] * np.maximum(np.log2(variances) - middle, 0)).sum() / 2
        low, high = (middle, high) if needed > bits else (low, middle)
    return float(2**high)


if __name__ == "__main__":
    main()
