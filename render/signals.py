"""Write test signals for checking the loudspeakers of a listening room, for any layout.

    python -m render.signals identification --layout 7.1.4 -o out/identification.wav

identification: pink noise from each loudspeaker in turn, to hear whether every channel arrives where it should.
alignment: the same, long enough for a sound level meter; set every loudspeaker to the printed level (BS.1116-3,
clause 8.4). polarity: one positive pulse from each loudspeaker, for an oscilloscope. LFE channels carry pink noise
from 20 to 120 Hz. The record beside the file (OUT.json) gives the time at which each channel sounds.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.signals")
    arguments.add_argument("kind", choices=("identification", "alignment", "polarity"))
    arguments.add_argument("--layout", required=True, metavar="L", help="7.1.4, 5.1, ... or a .toml file")
    arguments.add_argument(
        "--order", default="bs2051", help="channel order: bs2051 (default), wav, or a list of labels"
    )
    arguments.add_argument("--rate", type=int, default=48_000, metavar="HZ", help="default 48000")
    arguments.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    given = arguments.parse_args()

    from render.hoa.layout import layout
    from render.hoa.scene import check_rate
    from render.loudspeakers.test_signals import write_signal

    check_rate(given.rate)
    record = write_signal(layout(given.layout), given.kind, given.output, given.rate, given.order, given.force)
    print(f"{given.output}: {given.kind} of {record['layout']}, {record['level']}")
    for entry in record["channels"]:
        print(f"  {entry['from_s']:6.1f} s  channel {entry['channel']:2d}  {entry['label']}")
    if record["listening_level_dba"] is not None:
        print(
            f"set each loudspeaker to {record['listening_level_dba']:.1f} dB(A) at the listener, slow (BS.1116-3)"
        )


if __name__ == "__main__":
    run(main)
