"""Tables of measures: those of `analysis.objective`, and values of other programs (PEAQ, 2f-model, BAM-Q, ...).

A table has one row for each rated stimulus and one numeric column for each measure. The stimulus is named by
columns ``item`` and ``condition``, or by a column ``file`` whose path ends in ``<item>/<condition>.wav`` or
``<item>_<condition>.wav``, as the folders of a build have it; with a key also in ``<item>/<stimulus>.wav`` of a
blinded package.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from analysis.ratings.csv_text import read_table, read_text
from analysis.ratings.record import Key, canonical
from analysis.study.correlation import TEXT_COLUMNS, number, read_measures
from render.common.errors import InputError


def read_tables(
    paths: Sequence[Path], stimuli: Collection[tuple[str, str]], key: Key | None = None
) -> pd.DataFrame:
    """Read tables of measures into one: ``item, condition`` and a column for each measure; empty is missing.

    Parameters
    ----------
    paths
        The tables; what the first says of ``material`` is kept.
    stimuli
        Item and condition of everything that was rated.
    key
        Key of the blinded package, if its files were measured.

    Raises
    ------
    InputError
        With file and line: a stimulus that is not named, not rated or occurs twice, a cell that is no number, a
        measure that two tables have.
    """
    first, *others = paths
    measures = _read(first, stimuli, key)
    for path in others:
        other = _read(path, stimuli, key).drop(columns="material", errors="ignore")
        if twice := sorted((set(other.columns) & set(measures.columns)) - set(TEXT_COLUMNS)):
            raise InputError(f"{path}: {', '.join(twice)} is in another table too; rename one of the columns")
        measures = measures.merge(other, on=["item", "condition"], how="outer")
    return measures


def _read(path: Path, stimuli: Collection[tuple[str, str]], key: Key | None) -> pd.DataFrame:
    content = read_table(path, read_text(path))
    header = [name for name in content.header if name]
    if {"item", "condition"} <= set(header):
        return read_measures(path)
    if header.count("file") != 1 or len(set(header)) < len(header) or len(header) < 2:
        raise InputError(
            f"{path}:{content.line}: needs the columns item and condition, or file, and at least one measure, "
            "each once"
        )
    names = _names(stimuli, key)
    found = []
    for line, row in content.named().rows():
        cells = dict(zip(header, row, strict=True))
        stimulus = names.get(_ending(cells["file"], names))
        if stimulus is None:
            raise InputError(
                f"{path}:{line}: {cells['file'][:80]} is no rated stimulus; its path must end in "
                "item/condition.wav or item_condition.wav (with --key in item/stimulus.wav)"
            )
        values = {name: number(path, line, name, cell) for name, cell in cells.items() if name != "file"}
        found.append({"item": stimulus[0], "condition": stimulus[1], **values})
    table = pd.DataFrame(found, columns=["item", "condition", *(name for name in header if name != "file")])
    if table.duplicated(["item", "condition"]).any():
        raise InputError(f"{path}: one item and condition occurs twice")
    return table


def _names(stimuli: Collection[tuple[str, str]], key: Key | None) -> dict[str, tuple[str, str]]:
    """Return how a path may end (without its suffix) -> item and condition."""
    names = {}
    for item, condition in stimuli:
        names |= {f"{item}/{condition}": (item, condition), f"{item}_{condition}": (item, condition)}
    for item, of_item in (key or {}).items():
        names |= {f"{item}/{stimulus}": (item, condition) for stimulus, condition in of_item.items()}
    return names


def _ending(file: str, names: Collection[str]) -> str:
    path = PurePosixPath(canonical(file).replace("\\", "/"))
    joined = f"{path.parent.name}/{path.stem}"
    return joined if joined in names else path.stem
