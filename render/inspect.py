"""Describe an audio file.

    python -m render.inspect data/prepared/seed-1/Beach.8.wav

Prints container, sample format, channels and length; peak, clipping, DC and silent channels; for an Ambisonic
file its order, the level of each order, and the normalisation (SN3D, N3D) and channel order (ACN, FuMa) that
these levels and the covariances suggest, with the evidence. Nothing is converted. A non-finite sample is an
error that names channel and position. With --layout the file is a loudspeaker feed, of which loudness and true
peak are printed.
"""

from __future__ import annotations

import math
from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.inspect")
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--layout", metavar="L", help="the file is a feed of this layout: 7.1.4, 5.1, ...")
    arguments.add_argument(
        "--order",
        help="of its channels, against the file: bs2051, wav or a list of labels (default: what its mask, "
        "layout tag or record says, else bs2051)",
    )
    given = arguments.parse_args()

    from render.fileio.channel_levels import channel_levels
    from render.fileio.scene_file import scene_files, split_info

    paths = scene_files(given.file)
    about = split_info(paths)
    mask = f", channel mask {about.channel_mask:#x}" if about.channel_mask else ""
    print(f"{given.file}: {about.container} {about.subtype}, {about.channels} channels{mask}")
    if len(paths) > 1:
        print(f"  one signal in {len(paths)} files: {', '.join(path.name for path in paths)}")
    for statement in about.statements:
        components = dict.fromkeys(component.normalisation for component in statement.components)
        said = f"Ambisonics, {', '.join(components)}" if components else statement.what
        print(f"  {statement.source} says: {said}")
    print(f"  {about.length} samples at {about.sample_rate_hz} Hz, {about.duration_s:.3f} s")
    levels = channel_levels(given.file)
    _print_levels(levels, about.sample_rate_hz)
    if given.layout:
        _print_feed(given.file, given.layout, given.order)
    else:
        _print_ambisonics(levels, about.channels)


def _print_levels(levels, sample_rate_hz: int) -> None:
    loudest, offset = int(levels.peak.argmax()), int(abs(levels.dc).argmax())
    where = ""
    if levels.first_full_scale:
        channel, sample = levels.first_full_scale
        where = f", the first in channel {channel} at {sample / sample_rate_hz:.4f} s"
    silent = [str(channel) for channel, peak in enumerate(levels.peak) if peak == 0]
    print(f"  peak {_db(levels.peak[loudest])} dBFS (channel {loudest})")
    print(f"  values at full scale: {levels.full_scale}{where}")
    print(f"  largest DC {_db(abs(levels.dc[offset]))} dBFS (channel {offset})")
    print(f"  silent channels: {' '.join(silent) or 'none'}")


def _print_feed(path: Path, layout_name: str, order: str | None) -> None:
    from render.dsp.loudness import LoudnessMeter, TruePeakMeter
    from render.fileio.feed_file import feed_blocks, feed_info
    from render.hoa.layout import layout

    of = layout(layout_name)
    feed = feed_info(path, of, order)
    loudness = LoudnessMeter(of, feed.about.sample_rate_hz)
    peak = TruePeakMeter(feed.about.channels)
    for block in feed_blocks(feed):
        loudness.add(block)
        peak.add(block)
    text = f"{loudness.loudness_lufs():.2f} LUFS{'' if loudness.gated else ', ungated'}"
    print(f"  as a feed of {of.name}: {text}, true peak {peak.true_peak_dbtp():.2f} dBTP")
    print(f"  channel order: {' '.join(of.permuted(feed.permutation).labels)} (from {feed.origin})")
    if feed.contradiction:
        print(f"  warning: {feed.contradiction} contradicts --order, which was obeyed")


def _print_ambisonics(levels, channels: int) -> None:
    from render.common.errors import InputError
    from render.hoa.convention_detection import (
        channel_order_misfits,
        likely_channel_order,
        likely_normalisation,
        order_levels_db,
    )
    from render.hoa.scene import order_of

    try:
        order = order_of(channels)
    except InputError as error:
        print(f"  {channels} channels: no full-sphere Ambisonic order ({error})")
        return
    if order == 0 or levels.band_rms[0] == 0:
        print(f"  as Ambisonics: order {order}")
        return
    broadband, in_band = order_levels_db(levels.rms), order_levels_db(levels.band_rms)
    print(f"  as Ambisonics: order {order}; level of each order relative to W in dB:")
    print("    order   all  1-5 kHz  expected in SN3D   in N3D")
    for n in range(order + 1):
        print(f"    {n:5d} {broadband[n]:5.1f}  {in_band[n]:7.1f}  {0:16.1f}  {10 * math.log10(2 * n + 1):7.1f}")
    name, deviation = likely_normalisation(in_band)
    print(
        f"  likely normalisation: {name} "
        f"(1-5 kHz deviates from SN3D by {deviation['SN3D']:.1f} dB, from N3D by {deviation['N3D']:.1f} dB)"
    )
    if order < 2:
        print("  likely channel order: cannot be determined at first order")
        return
    misfits = channel_order_misfits(levels.covariance)
    evidence = ", ".join(f"{name} {misfit:.2f}" for name, misfit in misfits.items())
    print(
        f"  likely channel order: {likely_channel_order(misfits)} "
        f"(misfit of the covariances between orders 1 and 2: {evidence})"
    )


def _db(value: float) -> str:
    return f"{20 * math.log10(value):.1f}" if value > 0 else "-inf"


if __name__ == "__main__":
    run(main)
