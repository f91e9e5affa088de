"""Measure a model on named sets of recordings and write its card.

    python -m listening.card --set unseen=data/prepared/seed-1 -o out/card
    python -m listening.card --set unseen=data/prepared/seed-1 --set concert=a.wav b.wav -o out/card

Every recording (ambiX of third order or higher, any rate) gives one item: its first 10 seconds, the first 16
channels, at 44.1 kHz, with W at -24 dBFS rms. The codec with 1, 2, 4, 9 and all codebooks that a file has, its
spatial layer with Opus and with noise, first-order DirAC with Opus at 16, 24 and 32 kbit/s, PCA with one Opus
channel at 16 kbit/s, Opus at 160 kbit/s by family 3 and by family 2, the 3.5 kHz anchor and noise with the same
covariance are made of it as listening.build does, through real bit streams, and measured as analysis.objective
does. A file of a model with side information has fewer codebooks than the model, since that takes the place
of the others; card.json gives both numbers. Writes card.csv (a row per set, item and condition), card.json (means
with 95 % confidence intervals over the items, perplexity of every codebook, what is better than what, which goals
are met) and card.md (two tables for each set). What listening.build would refuse is measured all the same, and
reported. Built files and measurements are kept in DIR/work: the command can be interrupted and repeated.
"""

from __future__ import annotations

import os
from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    command = parser(__doc__, "listening.card")
    command.add_argument("--model", type=Path, metavar="M.safetensors", help="default: the shipped model")
    command.add_argument(
        "--set",
        action="append",
        nargs="+",
        required=True,
        metavar="NAME=PATH",
        help="recordings, or folders of them",
    )
    command.add_argument(
        "--note", action="append", default=[], metavar="NAME=TEXT", help="what a set is, its licence"
    )
    command.add_argument("--seconds", type=float, default=10.0, help="of each recording, 1 to 60 (default 10)")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    command.add_argument(
        "--engine", metavar="E", help="of listening.build: local:N, inline, dask:ADDRESS or slurm"
    )
    command.add_argument("--force", action="store_true", help="replace a card that differs")
    given = command.parse_args()

    from listening.model_card.card import make_card, recording_sets

    sets = recording_sets(given.set, given.note)
    workers = max(1, given.workers or 1)
    count = make_card(sets, given.model, given.seconds, given.output, (given.engine, workers), given.force)
    print(f"{given.output / 'card.md'}: {len(sets)} sets, {count} rows")


if __name__ == "__main__":
    run(main)
