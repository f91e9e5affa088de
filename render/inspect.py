"""Say what an audio file is.

Prints container, sample format, channels and length; for an Ambisonic file its order, the level of each
order and which normalisation (SN3D, N3D) that speaks for, which channel order (ACN, FuMa) the covariances speak
for, with the evidence; peak, clipping, DC and silent channels. Nothing is converted. A non-finite sample is an
error that names channel and position. With --layout the file is a loudspeaker feed: loudness and true peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from render.command import parser, run

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

# Where recordings of microphone arrays are complete in all orders, below spatial aliasing
_BAND_HZ = (1000.0, 5000.0)
_UNCLEAR_DB = 2.0


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of a file, full scale being 1.

    Attributes
    ----------
    peak, dc : (channel,)
        Largest magnitude and mean of each channel.
    rms, band_rms : (channel,)
        Root mean square of each channel, broadband and from 1 to 5 kHz.
    full_scale : int
        Number of values at or beyond full scale, in all channels.
    covariance : (channel, channel)
        From 1 to 5 kHz.
    first_full_scale : tuple of int, or None
        Channel and sample of the first of the values at full scale.
    """

    peak: Float[ndarray, " channel"]
    dc: Float[ndarray, " channel"]
    rms: Float[ndarray, " channel"]
    band_rms: Float[ndarray, " channel"]
    full_scale: int
    covariance: Float[ndarray, "channel channel"]
    first_full_scale: tuple[int, int] | None


def levels(path: Path) -> Levels:
    """Measure a file block by block; InputError if it is damaged or not finite."""
    import numpy as np
    from scipy.signal import butter, sosfilt

    from render.audio_file import blocks, info

    about = info(path)
    high_hz = min(_BAND_HZ[1], 0.45 * about.sample_rate_hz)
    band = butter(2, (_BAND_HZ[0], high_hz), "bandpass", fs=about.sample_rate_hz, output="sos")
    state = np.zeros((len(band), about.channels, 2))
    peak, total, energy = np.zeros((3, about.channels))
    covariance = np.zeros((about.channels, about.channels))
    full_scale, first, position = 0, None, 0
    # The largest integer of a sample format below 32 bits, as a fraction of full scale
    highest = 1.0 - 2.0**-15 if about.subtype == "PCM_16" else 1.0 - 2.0**-23
    for block in blocks(path):
        magnitude = np.abs(block)
        peak = np.maximum(peak, magnitude.max(axis=1))
        if peak.max() >= highest:
            at = np.argwhere((magnitude >= highest).T)
            if full_scale == 0 and len(at):
                first = (int(at[0, 1]), position + int(at[0, 0]))
            full_scale += len(at)
        position += block.shape[1]
        total += block.sum(axis=1, dtype=np.float64)
        energy += np.square(block, dtype=np.float64).sum(axis=1)
        in_band, state = sosfilt(band, block, axis=1, zi=state)
        covariance += in_band @ in_band.T
    frames = about.frames
    covariance /= frames
    rms, band_rms = np.sqrt(energy / frames), np.sqrt(np.diag(covariance))
    return Levels(peak, total / frames, rms, band_rms, full_scale, covariance, first)


def order_levels_db(rms: Float[ndarray, " acn"]) -> Float[ndarray, " order"]:
    """Level of all channels of each order together, relative to W, in dB.

    In SN3D the squared harmonics of an order sum to 1 in every direction (Unsöld), so each order is as
    strong as W, for one source as for many uncorrelated ones; in N3D order n is 10·lg(2n+1) stronger.
    """
    import numpy as np

    from render.sphere import acn_orders

    power = np.bincount(acn_orders(int(np.sqrt(len(rms))) - 1), np.square(rms))
    return 10 * np.log10(np.maximum(power, 1e-30) / np.maximum(power[0], 1e-30))


def normalisation(level_db: Float[ndarray, " order"]) -> tuple[str, dict[str, float]]:
    """Guess the normalisation from the levels of the orders.

    Returns
    -------
    name : str
        SN3D, N3D, or unclear if the mean deviations from both differ by less than 2 dB.
    deviation_db : dict
        Mean absolute deviation of the orders from each hypothesis.
    """
    import numpy as np

    orders = np.arange(1, len(level_db))
    expected = {"SN3D": np.zeros(len(orders)), "N3D": 10 * np.log10(2 * orders + 1)}
    deviation = {name: float(np.abs(level_db[1:] - level).mean()) for name, level in expected.items()}
    best, second = sorted(deviation, key=deviation.__getitem__)
    return (best if deviation[second] - deviation[best] >= _UNCLEAR_DB else "unclear"), deviation


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.inspect")
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--layout", metavar="L", help="the file is a feed of this layout: 7.1.4, 5.1, ...")
    arguments.add_argument(
        "--order", default="bs2051", help="of its channels: bs2051 (default), wav or a list of labels"
    )
    given = arguments.parse_args()
    path = given.file

    from render.audio_file import info

    about = info(path)
    mask = f", channel mask {about.channel_mask:#x}" if about.channel_mask else ""
    print(f"{path}: {about.container} {about.subtype}, {about.channels} channels{mask}")
    print(f"  {about.frames} samples at {about.sample_rate_hz} Hz, {about.duration_s:.3f} s")
    measured = levels(path)
    lines = _level_lines(measured, about.sample_rate_hz)
    lines += (
        _feed_lines(path, given.layout, given.order)
        if given.layout
        else _ambisonic_lines(measured, about.channels)
    )
    print("\n".join(lines))


def _feed_lines(path: Path, layout_name: str, order: str) -> list[str]:
    from render.audio_file import blocks, info
    from render.errors import InputError
    from render.layout import Layout, file_order, layout
    from render.loudness import Meter, PeakMeter

    of, about = layout(layout_name), info(path)
    if about.channels != len(of.loudspeakers):
        raise InputError(f"{path}: {about.channels} channels, layout {of.name} has {len(of.loudspeakers)}")
    permutation, _ = file_order(of, order)
    meter = Meter(Layout(of.name, tuple(of.loudspeakers[index] for index in permutation)), about.sample_rate_hz)
    peak = PeakMeter(about.channels)
    for block in blocks(path):
        meter.add(block)
        peak.add(block)
    loudness = (
        f"{meter.integrated_lufs():.2f} LUFS" if meter.gated else f"{meter.ungated_lufs():.2f} LUFS, ungated"
    )
    return [f"  as a feed of {of.name}: {loudness}, true peak {peak.true_peak_dbtp():.2f} dBTP"]


def _level_lines(measured: Levels, sample_rate_hz: int) -> list[str]:
    loudest = int(measured.peak.argmax())
    offset = int(abs(measured.dc).argmax())
    where = ""
    if measured.first_full_scale:
        channel, sample = measured.first_full_scale
        where = f", the first in channel {channel} at {sample / sample_rate_hz:.4f} s"
    silent = [str(channel) for channel, peak in enumerate(measured.peak) if peak == 0]
    return [
        f"  peak {_db(measured.peak[loudest])} dBFS (channel {loudest})",
        f"  values at full scale: {measured.full_scale}{where}",
        f"  largest DC {_db(abs(measured.dc[offset]))} dBFS (channel {offset})",
        f"  silent channels: {' '.join(silent) or 'none'}",
    ]


def _ambisonic_lines(measured: Levels, channels: int) -> list[str]:
    from render.errors import InputError
    from render.scene import order_of

    try:
        order = order_of(channels)
    except InputError:
        return [f"  {channels} channels: no full-sphere Ambisonic order"]
    if order == 0 or measured.band_rms[0] == 0:
        return [f"  as Ambisonics: order {order}"]
    broadband, in_band = order_levels_db(measured.rms), order_levels_db(measured.band_rms)
    name, deviation = normalisation(in_band)
    return [
        f"  as Ambisonics: order {order}; level of each order relative to W in dB:",
        "    order   all  1-5 kHz  expected in SN3D   in N3D",
        *(
            f"    {n:5d} {broadband[n]:5.1f}  {in_band[n]:7.1f}  {0:16.1f}  {10 * math.log10(2 * n + 1):7.1f}"
            for n in range(order + 1)
        ),
        f"  likely normalisation: {name} "
        f"(1-5 kHz deviates from SN3D by {deviation['SN3D']:.1f} dB, from N3D by {deviation['N3D']:.1f} dB)",
        *_sequence_lines(measured.covariance, order),
    ]


def _sequence_lines(covariance: ndarray, order: int) -> list[str]:
    from render.convention import likely, misfits

    if order < 2:
        return ["  likely channel order: cannot be told at first order"]
    found = misfits(covariance)
    evidence = ", ".join(f"{name} {misfit:.2f}" for name, misfit in found.items())
    return [
        f"  likely channel order: {likely(found)} (misfit of the covariances between orders 1 and 2: {evidence})"
    ]


def _db(value: float) -> str:
    return f"{20 * math.log10(value):.1f}" if value > 0 else "-inf"


if __name__ == "__main__":
    run(main)
