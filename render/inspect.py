"""Say what an audio file is.

Prints container, sample format, channels and length; for an Ambisonic file its order, the level of each
order and which normalisation (SN3D, N3D) that speaks for, which channel order (ACN, FuMa) the covariances speak
for, with the evidence; peak, clipping, DC and silent channels. Nothing is converted. A non-finite sample is an
error that names channel and position. With --layout the file is a loudspeaker feed: loudness and true peak.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from render.common.cli import parser, run

if TYPE_CHECKING:
    from numpy import ndarray

if TYPE_CHECKING:
    from render.fileio.levels import Levels


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

    from render.fileio.audio_file import info

    about = info(path)
    mask = f", channel mask {about.channel_mask:#x}" if about.channel_mask else ""
    print(f"{path}: {about.container} {about.subtype}, {about.channels} channels{mask}")
    print(f"  {about.length} samples at {about.sample_rate_hz} Hz, {about.duration_s:.3f} s")
    from render.fileio.levels import levels

    measured = levels(path)
    lines = _level_lines(measured, about.sample_rate_hz)
    lines += (
        _feed_lines(path, given.layout, given.order)
        if given.layout
        else _ambisonic_lines(measured, about.channels)
    )
    print("\n".join(lines))


def _feed_lines(path: Path, layout_name: str, order: str) -> list[str]:
    from render.common.errors import InputError
    from render.dsp.loudness import Meter, PeakMeter
    from render.fileio.audio_file import blocks, info
    from render.hoa.layout import Layout, file_order, layout

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
    from render.fileio.levels import _db

    return [
        f"  peak {_db(measured.peak[loudest])} dBFS (channel {loudest})",
        f"  values at full scale: {measured.full_scale}{where}",
        f"  largest DC {_db(abs(measured.dc[offset]))} dBFS (channel {offset})",
        f"  silent channels: {' '.join(silent) or 'none'}",
    ]


def _ambisonic_lines(measured: Levels, channels: int) -> list[str]:
    from render.common.errors import InputError
    from render.hoa.scene import order_of

    try:
        order = order_of(channels)
    except InputError:
        return [f"  {channels} channels: no full-sphere Ambisonic order"]
    if order == 0 or measured.band_rms[0] == 0:
        return [f"  as Ambisonics: order {order}"]
    from render.fileio.levels import normalisation, order_levels_db

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
    from render.hoa.channel_order import likely, misfits

    if order < 2:
        return ["  likely channel order: cannot be told at first order"]
    found = misfits(covariance)
    evidence = ", ".join(f"{name} {misfit:.2f}" for name, misfit in found.items())
    return [
        f"  likely channel order: {likely(found)} (misfit of the covariances between orders 1 and 2: {evidence})"
    ]


if __name__ == "__main__":
    run(main)
