"""Ratings of one test from several laboratories: whose listeners are whose, screening, means and tests of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.ratings.cells import Cells
from analysis.ratings.record import listed
from analysis.statistics.anova import Effect
from analysis.statistics.interval import t_interval
from analysis.statistics.intervals import means_over_items
from analysis.statistics.laboratories import split_plot
from analysis.statistics.screening import Screening, screen
from render.common.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Laboratories:
    """The laboratories of a test, after post-screening.

    Attributes
    ----------
    listeners
        Laboratory -> number of its listeners.
    means
        ``laboratory, condition, n`` (listeners), ``mean, ci_low, ci_high``: the t interval over their means.
    effects
        Laboratory, condition and their interaction (`analysis.statistics.laboratories.split_plot`), on the
        listeners who rated every cell; empty if they cannot be tested.
    """

    listeners: Mapping[str, int]
    means: pd.DataFrame
    effects: tuple[Effect, ...]


def tell_apart(table: pd.DataFrame, column: str | None) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """Find out which laboratory each listener belongs to.

    Parameters
    ----------
    table
        Tidy table of ratings.
    column
        Its column that names the laboratories; None for the column ``laboratory``, if there is one.

    Returns
    -------
    table, laboratory, notes
        The table, in which listeners that have one name in several laboratories are named ``laboratory/listener``;
        listener -> laboratory, empty if all ratings come from one; and what a reader must know.

    Raises
    ------
    InputError
        If there is no such column, or some ratings name no laboratory and others do.
    """
    named = column or "laboratory"
    if named not in table:
        if column is None:
            return table, {}, []
        raise InputError(f"--laboratory {column}: the ratings have no such column"
                         f"{did_you_mean(column, map(str, table.columns))}")  # fmt: skip
    of_rating = table[named].astype(str)
    if of_rating.nunique() < 2:
        return table, {}, []
    if lacking := int((of_rating == "").sum()):
        raise InputError(f"{lacking} ratings have no laboratory in the column {named}; fill it in, or rename it")
    by_listener = of_rating.groupby(table["listener"]).unique()
    shared = [str(name) for name, laboratories in by_listener.items() if len(laboratories) > 1]
    renamed = table["listener"].where(~table["listener"].isin(shared), of_rating + "/" + table["listener"])
    notes = (
        [f"listeners of one name in several laboratories are told apart: {', '.join(shared[:10])}"]
        if shared
        else []
    )
    table = table.assign(listener=renamed)
    return table, dict(zip(renamed, of_rating, strict=True)), notes


def screen_each(cube: Cells, laboratory: Mapping[str, str], preset: str) -> Screening:
    """Apply a preset of `analysis.statistics.screening.PRESETS` in each laboratory by itself.

    Which items are no evidence is decided by a laboratory's own listeners, since another one may have other
    rooms and devices.

    Raises
    ------
    InputError
        If no listener of a laboratory would be left.
    """
    names = sorted(set(laboratory.values()))
    found = {}
    for name in names:
        others = [listener for listener in cube.listeners if laboratory[listener] != name]
        try:
            found[name] = screen(cube.without(others), preset)
        except InputError as error:
            raise InputError(f"laboratory {name}: {error}") from None
    flow: dict[str, int] = {}
    for screening in found.values():
        for step, count in screening.flow:
            flow[step] = flow.get(step, 0) + count
    notes = dict.fromkeys(
        note if all(note in other.notes for other in found.values()) else f"laboratory {name}: {note}"
        for name, screening in found.items()
        for note in screening.notes
    )
    excluded = {listener: e for screening in found.values() for listener, e in screening.excluded.items()}
    return Screening(preset, {k: excluded[k] for k in sorted(excluded)}, tuple(flow.items()), tuple(notes))


def compare_laboratories(cube: Cells, laboratory: Mapping[str, str]) -> tuple[Laboratories, list[str]]:
    """Return means and tests of each laboratory; also what a reader must be warned of.

    Parameters
    ----------
    cube
        The scores of the listeners that post-screening left.
    laboratory
        Listener -> laboratory.
    """
    of_listener = np.array([laboratory[listener] for listener in cube.listeners])
    names, code, count = np.unique(of_listener, return_inverse=True, return_counts=True)
    sizes = dict(zip(names.tolist(), count.tolist(), strict=True))
    means = means_over_items(cube.scores)
    rows = []
    for number, name in enumerate(names.tolist()):
        for k, condition in enumerate(cube.conditions):
            own = means[code == number, k]
            interval = t_interval(own)
            rows.append((name, condition, int(np.sum(~np.isnan(own))), interval.mean, interval.low, interval.high))
    table = pd.DataFrame(rows, columns=["laboratory", "condition", "n", "mean", "ci_low", "ci_high"])
    named = listed([f"{name} ({size} listeners)" for name, size in sizes.items()])
    warnings = [
        f"{len(sizes)} laboratories: {named}. Post-screening was made in each; results hold for other listeners "
        "of these laboratories"
    ]
    complete = ~np.isnan(cube.scores).any(axis=(1, 2))
    try:
        effects = split_plot(means[complete], np.unique(code[complete], return_inverse=True)[1])
    except InputError as error:
        return Laboratories(sizes, table, ()), [*warnings, str(error)]
    if len(set(code[complete])) < len(sizes):
        left_out = [name for number, name in enumerate(names) if number not in code[complete]]
        warnings.append(
            f"laboratories without a listener who rated every cell are not compared: {', '.join(left_out)}"
        )
    level, _, interaction = effects
    if interaction.p_gg < 0.05:
        warnings.append(
            f"laboratories and conditions interact (p = {interaction.p_gg:.2g}, Greenhouse-Geisser): the "
            "differences between conditions depend on the laboratory, so read those of each"
        )
    if level.p < 0.05:
        warnings.append(f"the laboratories use the scale at different heights (p = {level.p:.2g})")
    return Laboratories(sizes, table, effects), warnings
