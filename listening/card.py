"""Measure a model on named sets of recordings and write its card: the table, whether it flatters or not.

    python -m listening.card --set held-out=data/prepared/seed-1 --set concert=a.wav b.wav -o out/card

Every recording (ambiX of third order or higher, any rate) gives one item: its first 10 seconds, the first 16
channels, at 44.1 kHz, with W at -24 dBFS rms. The codec with 1, 2, 4, 9 and all codebooks, PCA with one Opus
channel at 16 kbit/s, Opus at 160 kbit/s, the 3.5 kHz anchor and noise with the same covariance are made of it as
listening.build does, through real bit streams, and measured as analysis.objective does. Writes card.csv (a row per
set, item and condition), card.json (means with 95 % confidence intervals over the items, perplexity of every
codebook, what is better than what, which goals are met) and card.md (a table for each set). What listening.build
would refuse is measured all the same, and told. What is made and measured is kept in DIR/work: the command can be
interrupted and repeated.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from render.common.cli import parser, run
from render.common.errors import InputError


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

    from codec.checkpoints.model_file import load
    from codec.coding.pipeline import LEVEL_DBFS
    from listening.conditions.rvqgan import model_card, shipped_model
    from listening.model_card.card import EXCERPTS, items_of, measured, named, recordings, refused, usage_of, write
    from listening.model_card.report import OTHERS, ladder_of, report_of
    from listening.stimulus_build.cache_key import LIBRARIES
    from listening.stimulus_build.executors import parse_engine
    from listening.stimulus_build.plan_builder import build_plan, rate_lines
    from listening.test_design.test_plan import Plan
    from render.common.files import sha256, versions
    from stimuli.preparation.conversion import CHANNELS, RATE_HZ

    sets = {name: recordings(paths) for name, paths in named(given.set).items()}
    notes = {name: text for name, (text,) in named([[text] for text in given.note]).items()}
    if unknown := set(notes) - set(sets):
        raise InputError(f"--note {sorted(unknown)[0]}: there is no such --set")
    path = given.model or shipped_model()
    config = load(path)[0].config
    if (config.channels, config.sample_rate_hz) != (CHANNELS, RATE_HZ):
        raise InputError(
            f"{path}: codes {config.channels} channels at {config.sample_rate_hz} Hz; cards are for 16 at 44100"
        )
    plan = Plan(("href", *ladder_of(config.codebooks), *OTHERS), seconds=given.seconds)
    workers = max(1, given.workers or 1)
    rows: dict[str, list[dict[str, Any]]] = {}
    reports = {}
    for name, files in sets.items():
        folder = given.output / "work" / name
        where = parse_engine(given.engine, workers, folder)
        items = items_of(files, folder / EXCERPTS, given.seconds, where)
        print(*rate_lines(build_plan(items, plan, folder, path, where, strict=False)), sep="\n")
        rows[name] = [row for row in measured(folder, workers) if row["condition"] != "href"]
        reports[name] = report_of(
            rows[name], config.codebooks, notes.get(name, ""), usage_of(folder, path), refused(folder)
        )
    about = {
        "model": {
            "file": path.name,
            "sha256": sha256(path),
            "codebooks": config.codebooks,
            "card": model_card(path),
        },
        "seconds": given.seconds,
        "level_dbfs": LEVEL_DBFS,
        "versions": versions(*LIBRARIES),
    }
    write(reports, rows, about, given.output, given.force)
    print(f"{given.output / 'card.md'}: {len(reports)} sets, {sum(map(len, rows.values()))} rows")


if __name__ == "__main__":
    run(main)
