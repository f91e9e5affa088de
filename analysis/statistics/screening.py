"""Post-screening of listeners and reports on single ratings, as BS.1534-3 says and as others do.

The presets

``bs1534-3``     A listener is left out who rates the hidden reference below 90 on more than 15 % of the
                 items, or the mid anchor above 90 on more than 15 % of the items. An item on which more than
                 25 % of the listeners rate the mid anchor above 90 was not processed significantly by the
                 anchor's filter and is no evidence against anybody; it stays among the items that the 15 %
                 are of.
``mpeg-strict``  A listener is left out who on any item rates the hidden reference below 90 or does not rate
                 hidden reference >= mid anchor >= low anchor (verification test of MPEG-H 3D Audio, N16584).
``none``         Nobody is left out.

Outlying ratings are reported; none is ever dropped here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from analysis.ratings.table import Cells
from analysis.statistics.intervals import shape
from render.common.errors import InputError

REFERENCE_MIN = 90.0
ANCHOR_MAX = 90.0
PERCENT_OF_ITEMS = 15
PERCENT_OF_LISTENERS = 25


@dataclass(frozen=True)
class Evidence:
    """Why a listener was left out: the rule, the items it was broken on, and of how many."""

    rule: str
    items: tuple[str, ...]
    scores: tuple[float, ...]
    of: int


@dataclass(frozen=True)
class Screening:
    """Outcome of a preset: the excluded listeners with their evidence, and what could not be applied.

    `flow` counts the listeners after each rule, from all to those who remain.
    """

    preset: str
    excluded: dict[str, tuple[Evidence, ...]]
    flow: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict:
        """Plain values for a JSON file."""
        return {
            "rule": self.preset,
            "excluded": [
                {"listener": listener, "evidence": [asdict(e) for e in evidence]}
                for listener, evidence in self.excluded.items()
            ],
            "flow": [{"after": step, "listeners": count} for step, count in self.flow],
            "notes": list(self.notes),
        }


Table = Float64[np.ndarray, "listener item"]
Broken = Bool[np.ndarray, "listener item"]


def screen(cube: Cells, preset: str = "bs1534-3") -> Screening:
    """Apply a preset of `PRESETS` to the ratings (repeated ratings of a cell averaged)."""
    rules, notes = PRESETS[preset](cube)
    excluded: dict[str, list[Evidence]] = {}
    flow = [("all", len(cube.listeners))]
    for rule, condition, broken, percent in rules:
        scores = _of(cube, condition)
        rated = np.sum(~np.isnan(scores), axis=1)
        for i in np.flatnonzero(100 * broken.sum(axis=1) > percent * rated):
            items = np.flatnonzero(broken[i])
            evidence = Evidence(
                rule, tuple(cube.items[j] for j in items), tuple(scores[i, items].tolist()), int(rated[i])
            )
            excluded.setdefault(cube.listeners[i], []).append(evidence)
        flow.append((rule, len(cube.listeners) - len(excluded)))
    if len(excluded) == len(cube.listeners):
        raise InputError(
            f"post-screening by {preset} leaves no listener; look at the ratings, or use --screening none"
        )
    return Screening(preset, {k: tuple(excluded[k]) for k in sorted(excluded)}, tuple(flow), tuple(notes))


Rule = tuple[str, str, Broken, int]
"""Name, condition of the evidence, where it is broken, and on how many % of the items that is tolerated."""


def _bs1534(cube: Cells) -> tuple[list[Rule], list[str]]:
    rules: list[Rule] = []
    notes = []
    if "href" in cube.conditions:
        broken = _of(cube, "href") < REFERENCE_MIN
        rules.append(("hidden reference < 90 on > 15 % of items", "href", broken, PERCENT_OF_ITEMS))
    else:
        notes.append("no hidden reference among the ratings: its rule could not be applied")
    if "ma" in cube.conditions:
        anchor = _of(cube, "ma")
        above = anchor > ANCHOR_MAX
        raters = np.sum(~np.isnan(anchor), axis=0)
        weak = 100 * above.sum(axis=0) > PERCENT_OF_LISTENERS * raters
        rules.append(("mid anchor > 90 on > 15 % of items", "ma", above & ~weak, PERCENT_OF_ITEMS))
        if weak.any():
            names = ", ".join(cube.items[j] for j in np.flatnonzero(weak))
            notes.append(f"mid anchor rated > 90 by more than 25 % of listeners, so no evidence: {names}")
    else:
        notes.append("no mid anchor (7 kHz) among the ratings: its rule could not be applied")
    return rules, notes


def _mpeg_strict(cube: Cells) -> tuple[list[Rule], list[str]]:
    if "href" not in cube.conditions:
        return [], ["no hidden reference among the ratings: the rule could not be applied"]
    rules: list[Rule] = [("hidden reference < 90 on any item", "href", _of(cube, "href") < REFERENCE_MIN, 0)]
    order = [c for c in ("href", "ma", "la") if c in cube.conditions]
    for better, worse in pairwise(order):
        broken = _of(cube, better) < _of(cube, worse)
        rules.append((f"{better} rated below {worse} on any item", better, broken, 0))
    return rules, [f"no condition {c}: left out of the order" for c in ("ma", "la") if c not in order]


PRESETS: dict[str, Callable[[Cells], tuple[list[Rule], list[str]]]] = {
    "bs1534-3": _bs1534,
    "mpeg-strict": _mpeg_strict,
    "none": lambda cube: ([], []),
}


def _of(cube: Cells, condition: str) -> Table:
    return cube.scores[:, :, cube.conditions.index(condition)]


def hinges(values: Float64[np.ndarray, " n"]) -> tuple[float, float, float]:
    """Lower hinge, median, upper hinge: medians of the halves, each with the middle value where n is odd."""
    ordered = np.sort(values)
    half = (ordered.size + 1) // 2
    return float(np.median(ordered[:half])), float(np.median(ordered)), float(np.median(ordered[-half:]))


def outliers(ratings: pd.DataFrame) -> pd.DataFrame:
    """Ratings of an item and condition that lie more than 1.5 interquartile ranges beyond the hinges.

    BS.1534-3 lets such a rating be removed only where it is shown to be an error, so they are listed only.
    """
    scores = ratings["score"].to_numpy(float)
    group = ratings.groupby(["item", "condition"], sort=True).ngroup().to_numpy()
    order = np.argsort(group, kind="stable")
    found: list[tuple[int, float, float]] = []
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        low, _, high = hinges(scores[rows])
        reach = 1.5 * (high - low)
        outside = rows[(scores[rows] < low - reach) | (scores[rows] > high + reach)]
        found += [(int(row), low, high) for row in outside]
    at = [row for row, _, _ in found]
    table = ratings.iloc[at][["session", "listener", "item", "condition", "score"]].reset_index(drop=True)
    return table.assign(lower_hinge=[low for _, low, _ in found], upper_hinge=[high for _, _, high in found])


def bimodality(values: Float64[np.ndarray, " n"]) -> float:
    """Coefficient ``(g^2 + 1) / (k + 3 (n-1)^2 / ((n-2)(n-3)))``; above 5/9 suggests several modes.

    g and k are the sample skewness and excess kurtosis, corrected for sample size as in SAS, where the
    coefficient comes from. NaN for fewer than 4 values or for equal ones.
    """
    n = values.size
    g, k = shape(values)
    return (g**2 + 1) / (k + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))) if n > 3 else g
