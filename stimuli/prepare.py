"""Bring recordings into the form of the paper: third order, 44.1 kHz, 16 bit.

    python -m stimuli.prepare EIGENSCAPE -o data/eigenscape
    python -m stimuli.prepare EIGENSCAPE --split scene --fold Beach -o data/no-beach

Takes a folder of recordings with EigenScape's names, flat, in folders or in its zip files, or any other file
or folder of ambiX (ACN/SN3D) of third order or higher. Keeps the first 16 channels, resamples (soxr VHQ),
multiplies by one recorded gain, a multiple of 6 dB, that leaves 3 dB of headroom, and adds triangular
dither. A recording whose statistics say that it is N3D or FuMa is refused. Finished files are kept: the
command can be interrupted and repeated.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    import os

    arguments = parser(__doc__, "stimuli.prepare")
    arguments.add_argument("root", type=Path, metavar="ROOT", help="folder of recordings, one file or zip file")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    arguments.add_argument("--recordings", metavar="1,8", help="only these numbers of each class")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="files at the same time")
    arguments.add_argument("--bits", type=int, choices=(16, 24), default=16, help="default 16, as in the paper")
    arguments.add_argument(
        "--gain-db", type=float, help="one gain for all files (default: per file, in 6 dB steps)"
    )
    arguments.add_argument(
        "--convention",
        choices=("auto", "sn3d", "n3d"),
        default="auto",
        help="normalisation of the files; n3d is converted (default auto: SN3D, refused if statistics differ)",
    )
    arguments.add_argument("--verify", action="store_true", help="compare with EigenScape's MD5 sums")
    arguments.add_argument(
        "--split",
        choices=("recording", "scene"),
        help="write to training/ and held-out/: one recording of each class held out, or a whole class",
    )
    arguments.add_argument("--fold", metavar="F", help="which one: 1 to 8 (default 8), or a class")
    given = arguments.parse_args()
    numbers = None
    if given.recordings:
        try:
            numbers = {int(number) for number in given.recordings.split(",")}
        except ValueError:
            raise InputError(f"--recordings {given.recordings}: need numbers like 1,8") from None
    from stimuli.preparation.corpus_preparation import fold_of, prepare

    holdout = fold_of(given.split, given.fold)
    workers = max(1, given.workers or 1)
    prepare(
        given.root,
        given.output,
        numbers,
        workers,
        given.bits,
        given.gain_db,
        given.convention,
        given.verify,
        holdout,
    )


if __name__ == "__main__":
    run(main)
