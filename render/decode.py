"""Render an Ambisonic scene to loudspeakers.

    python -m render.decode data/prepared/seed-1/Beach.8.wav --layout 7.1.4 -o out/feed.wav

Reads a file of any order up to 7 (WAV, RF64, BW64, W64, CAF, FLAC) block by block, decodes it to a layout of
ITU-R BS.2051 or IAMF and writes the loudspeaker signals, with a record of the processing beside them (FEED.json).
A file that says that it is N3D or FuMa (.amb, CAF layout tag, ADM) is converted, one of loudspeaker signals is
refused. A scene that is split over several files (a_01-08ch.wav, a_09-16ch.wav) is named by any one of them. There
is no limiter and no gain: values beyond full scale are clipped in integer files and reported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from render.common.cli import one_thread_for_linear_algebra, parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.decode")
    arguments.add_argument("scene", type=Path, help="Ambisonic file")
    arguments.add_argument(
        "--layout",
        required=True,
        help="7.1.4, 4+7+0, 5.1, stereo, mono, ... or a .toml or .json file of loudspeaker positions",
    )
    arguments.add_argument(
        "--decoder",
        default="adm",
        help="adm: the decoder of ITU-R BS.2127 and IAMF (default); maxre: the same with max-rE weights; pareto: "
        "even energy, optimised for the loudspeaker positions; pareto:1 (or any share from 0): wider sources, "
        "smaller errors of direction; dual: exact velocity below 500 Hz, pareto above; FILE.json: of IEM "
        "AllRADecoder; allrad: by spaudiopy, with max-rE; epad, mode-matching, sampling: the classical designs",
    )
    arguments.add_argument(
        "--input",
        choices=("sn3d", "n3d", "fuma"),
        help="convention of the scene: ACN with SN3D or N3D, or FuMa up to third order (default: what the file "
        "says, and SN3D where it says nothing)",
    )
    arguments.add_argument(
        "--order",
        default="bs2051",
        help="channel order: the standard's (bs2051, default), WAV's, rear before side, with channel mask (wav), "
        "or a list of all labels: M+030,M-030,...",
    )
    arguments.add_argument(
        "--lfe", default="off", help="off (default), or libiamf: W below 120 Hz, an option of libiamf"
    )
    arguments.add_argument("--rate", type=int, metavar="HZ", help="sample rate of the feed (default: the scene's)")
    arguments.add_argument(
        "--trim", action="store_true", help="apply the distances, gains and delays in the file of --layout"
    )
    arguments.add_argument(
        "--subtype",
        choices=("PCM_16", "PCM_24", "PCM_32", "FLOAT"),
        default="PCM_24",
        help="sample format of the feed (default PCM_24)",
    )
    arguments.add_argument("--dither", action="store_true", help="triangular dither, for PCM_16")
    arguments.add_argument(
        "--no-loudness", action="store_true", help="do not measure the loudness, which takes about half a second"
    )
    arguments.add_argument("--force", action="store_true", help="replace an existing feed that differs")
    arguments.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FEED",
        help="feed to write: .wav .rf64 .w64 .caf .flac",
    )
    given = arguments.parse_args()
    one_thread_for_linear_algebra()

    from render.hoa.layout import is_layout_file, layout
    from render.hoa.scene import check_rate
    from render.loudspeakers.calibration import read_trims
    from render.loudspeakers.renderer import Decoding, FeedFormat, decode_file

    if given.rate is not None:
        check_rate(given.rate)
    if given.trim and not is_layout_file(given.layout):
        raise InputError(f"--trim needs a .toml or .json file of loudspeaker positions, not layout {given.layout}")
    trims = read_trims(Path(given.layout)) if given.trim else None
    decoding = Decoding(layout(given.layout), given.decoder, given.input, given.lfe, trims)
    feed_format = FeedFormat(given.subtype, given.order, given.rate, given.dither)
    record = decode_file(given.scene, given.output, decoding, feed_format, not given.no_loudness, given.force)
    print(f"{given.output}: {record['layout']}, {' '.join(c['label'] for c in record['channels'])}")
    print(f"{record['frames'] / record['sample_rate_hz']:.3f} s, {_levels(record)}")
    if record["contradicts"]:
        print(
            f"warning: {given.scene}: {record['contradicts']} contradicts --input {given.input}, which was obeyed",
            file=sys.stderr,
        )
    if record["clipped_values"]:
        first = record["first_clipped"]
        print(
            f"warning: {record['clipped_values']} values beyond full scale were clipped, the first in "
            f"{first['channel']} at {first['time_s']:.4f} s (peak {record['peak_dbfs']:+.2f} dBFS); "
            "write --subtype FLOAT or lower the scene's level",
            file=sys.stderr,
        )


def _levels(record: dict[str, Any]) -> str:
    if record["peak_dbfs"] is None:
        return "silent"
    text = f"peak {record['peak_dbfs']:.2f} dBFS"
    if record["loudness_lufs"] is not None:
        text += f", {record['loudness_lufs']:.2f} LUFS"
    return text if record["loudness_gated"] is not False else f"{text} (shorter than 0.4 s: not gated)"


if __name__ == "__main__":
    run(main)
