"""Post-screening of listeners, by BS.1534-3 or by the stricter rules of MPEG's verification tests.

``bs1534-3``     A listener is excluded who rates the hidden reference below 90 on more than 15 % of the items,
                 or the mid anchor above 90 on more than 15 % of the items. An item on which more than 25 % of the
                 listeners rate the mid anchor above 90 is hardly changed by the anchor's filter. Its ratings are
                 not held against anybody, but it still counts among the items of which the 15 % are taken.
``mpeg-strict``  A listener is excluded who on any item rates the hidden reference below 90 or does not rate
                 hidden reference >= mid anchor >= low anchor (verification test of MPEG-H 3D Audio, N16584).
``none``         Nobody is excluded.

Only listeners are excluded, never single ratings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool

from analysis.ratings.cells import Cells
from render.common.errors import InputError

MIN_REFERENCE_SCORE = 90.0
MAX_ANCHOR_SCORE = 90.0
MAX_PERCENT_OF_ITEMS = 15
MAX_PERCENT_OF_LISTENERS = 25


@dataclass(frozen=True)
class Evidence:
    """Why a listener was excluded: the rule, the items that broke it with their scores, and of how many."""

    rule: str
    items: tuple[str, ...]
    scores: tuple[float, ...]
    of: int


@dataclass(frozen=True)
class Screening:
    """Outcome of a preset: the excluded listeners with the evidence, and what could not be applied.

    `flow` counts the listeners that are left after each rule; it begins with ``("all", count)``.
    """

    preset: str
    excluded: dict[str, tuple[Evidence, ...]]
    flow: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict:
        """Return plain values for a JSON file."""
        return {
            "rule": self.preset,
            "excluded": [
                {"listener": listener, "evidence": [asdict(e) for e in evidence]}
                for listener, evidence in self.excluded.items()
            ],
            "flow": [{"after": step, "listeners": count} for step, count in self.flow],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Rule:
    """A rule as it applies to given ratings.

    Attributes
    ----------
    name
        The rule in words.
    condition
        Condition whose scores are the evidence.
    broken
        Where the rule is broken.
    max_percent
        Percentage of the items that a listener rated on which breaking the rule is tolerated.
    """

    name: str
    condition: str
    broken: Bool[np.ndarray, "listener item"]
    max_percent: int


def screen(cube: Cells, preset: str = "bs1534-3") -> Screening:
    """Apply a preset of `PRESETS`; every rule is applied to all listeners.

    Raises
    ------
    InputError
        If no listener would be left.
    """
    rules, notes = PRESETS[preset](cube)
    excluded: dict[str, list[Evidence]] = {}
    flow = [("all", len(cube.listeners))]
    for rule in rules:
        scores = cube.of(rule.condition)
        rated = np.sum(~np.isnan(scores), axis=1)
        for i in np.flatnonzero(100 * rule.broken.sum(axis=1) > rule.max_percent * rated):
            items = np.flatnonzero(rule.broken[i])
            evidence = Evidence(
                rule.name, tuple(cube.items[j] for j in items), tuple(scores[i, items].tolist()), int(rated[i])
            )
            excluded.setdefault(cube.listeners[i], []).append(evidence)
        flow.append((rule.name, len(cube.listeners) - len(excluded)))
    if len(excluded) == len(cube.listeners):
        raise InputError(
            f"post-screening by {preset} leaves no listener; check the ratings, or use --screening none"
        )
    return Screening(preset, {k: tuple(excluded[k]) for k in sorted(excluded)}, tuple(flow), tuple(notes))


def _bs1534(cube: Cells) -> tuple[list[Rule], list[str]]:
    rules: list[Rule] = []
    notes = []
    if "href" in cube.conditions:
        broken = cube.of("href") < MIN_REFERENCE_SCORE
        rules.append(Rule("hidden reference < 90 on > 15 % of items", "href", broken, MAX_PERCENT_OF_ITEMS))
    else:
        notes.append("no hidden reference among the ratings: its rule could not be applied")
    if "ma" in cube.conditions:
        anchor = cube.of("ma")
        above = anchor > MAX_ANCHOR_SCORE
        raters = np.sum(~np.isnan(anchor), axis=0)
        unfiltered = 100 * above.sum(axis=0) > MAX_PERCENT_OF_LISTENERS * raters
        rules.append(Rule("mid anchor > 90 on > 15 % of items", "ma", above & ~unfiltered, MAX_PERCENT_OF_ITEMS))
        if unfiltered.any():
            names = ", ".join(cube.items[j] for j in np.flatnonzero(unfiltered))
            notes.append(f"mid anchor rated > 90 by more than 25 % of listeners, so no evidence: {names}")
    else:
        notes.append("no mid anchor (7 kHz) among the ratings: its rule could not be applied")
    return rules, notes


def _mpeg_strict(cube: Cells) -> tuple[list[Rule], list[str]]:
    if "href" not in cube.conditions:
        return [], ["no hidden reference among the ratings: the rule could not be applied"]
    rules = [Rule("hidden reference < 90 on any item", "href", cube.of("href") < MIN_REFERENCE_SCORE, 0)]
    order = [c for c in ("href", "ma", "la") if c in cube.conditions]
    for better, worse in pairwise(order):
        broken = cube.of(better) < cube.of(worse)
        rules.append(Rule(f"{better} rated below {worse} on any item", better, broken, 0))
    return rules, [f"no condition {c}: left out of the order" for c in ("ma", "la") if c not in order]


PRESETS: dict[str, Callable[[Cells], tuple[list[Rule], list[str]]]] = {
    "bs1534-3": _bs1534,
    "mpeg-strict": _mpeg_strict,
    "none": lambda cube: ([], []),
}
"""Name of a preset -> function that returns its rules for given ratings, and notes on what it could not apply."""
