"""Render an Ambisonic scene to headphones.

    python -m render.binaural data/prepared/seed-1/Beach.8.wav -o out/headphones.wav

Reads a file block by block (ACN/SN3D, unless it says that it is N3D or FuMa), filters it with head-related
responses and writes two channels, with a record beside them (OUT.json). A scene in several files is named by any
one of them. The head is a rigid sphere, computed, or any set of responses in a SOFA file.
By default the scene's channels are filtered directly (magnitude least squares); --via 7.1.4 decodes them to
virtual loudspeakers, which the head hears as a listener in a loudspeaker room would. --yaw, --pitch and --roll
turn the head while loudspeakers stay where they are; --trajectory moves it as a head tracker has recorded it, by a
CSV file with the columns time_s, yaw_deg, pitch_deg, roll_deg. --filters takes ready filters (render.filters) in
place of a head. There is no limiter and no gain.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import one_thread_for_linear_algebra, parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.binaural")
    arguments.add_argument("scene", type=Path, help="Ambisonic file")
    arguments.add_argument(
        "--sofa", type=Path, metavar="FILE", help="head-related impulse responses (default: sphere)"
    )
    arguments.add_argument(
        "--yaw", type=float, default=0.0, metavar="DEG", help="angle by which the head is turned to the left"
    )
    arguments.add_argument("--pitch", type=float, default=0.0, metavar="DEG", help="angle by which it is raised")
    arguments.add_argument(
        "--roll", type=float, default=0.0, metavar="DEG", help="angle by which it is tilted to the right shoulder"
    )
    arguments.add_argument("--trajectory", type=Path, metavar="CSV", help="orientations of the head over time")
    arguments.add_argument("--filters", type=Path, metavar="WAV", help="ready filters from channels to ears")
    arguments.add_argument("--via", metavar="LAYOUT", help="decode to virtual loudspeakers, e.g. 7.1.4")
    arguments.add_argument("--decoder", default="adm", help="decoder of --via (default adm)")
    arguments.add_argument(
        "--subtype", choices=("PCM_16", "PCM_24", "PCM_32", "FLOAT"), default="PCM_24", help="default PCM_24"
    )
    arguments.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help=".wav .rf64 .w64 .caf .flac"
    )
    given = arguments.parse_args()
    one_thread_for_linear_algebra()

    from render.headphones.renderer import HeadphoneRendering, binaural_file
    from render.hoa.layout import layout

    via = layout(given.via) if given.via else None
    turns = given.pitch, given.roll, given.trajectory
    rendering = HeadphoneRendering(given.sofa, given.yaw, via, given.decoder, *turns, given.filters)
    record = binaural_file(given.scene, given.output, rendering, given.subtype, given.force)
    head = record["head"] if isinstance(record["head"], str) else next(iter(record["head"].values()))
    peak = "silent" if record["peak_dbfs"] is None else f"peak {record['peak_dbfs']:.2f} dBFS"
    errors = record["errors"]
    print(
        f"{given.output}: {record['method']}, {head}, {record['frames'] / record['sample_rate_hz']:.3f} s, {peak}"
    )
    if errors:
        print(
            f"order {record['ambisonic_order']} against this head, mean over directions and 36 ERB bands: "
            f"magnitude {errors['magnitude_db']:.2f} dB "
            f"(below 1.5 kHz {errors['magnitude_below_1500_hz_db']:.2f}), ILD {errors['ild_db']:.2f} dB"
        )
    if record["clipped_values"]:
        first = record["first_clipped"]
        print(
            f"warning: {record['clipped_values']} values beyond full scale were clipped, the first in "
            f"{('left', 'right')[first['channel']]} at {first['time_s']:.4f} s (peak {record['peak_dbfs']:+.2f} "
            "dBFS); write --subtype FLOAT or lower the scene's level",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
