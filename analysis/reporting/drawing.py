"""A listening test as figures, LaTeX tables and sentences show it: which conditions, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.ratings.conditions import ANCHORS, labels
from analysis.reporting.figure_options import BY_MEAN, Choices
from analysis.study.results import Results
from render.common.errors import InputError, did_you_mean
from render.common.figure_style import Look

LEVEL = 0.05
"""Level of the adjusted tests by which figures mark conditions that differ."""

PAIR_COLUMNS = ["a", "b", "difference", "ci_low", "ci_high", "ci_low_adjusted", "ci_high_adjusted", "p_adjusted"]

TEST_NAMES = {"items": "paired t test", "material": "test with listeners and items crossed"}


@dataclass(frozen=True)
class Drawing:
    """The results of a test, and what is shown of them.

    Attributes
    ----------
    results
        The results.
    choices
        What was chosen.
    conditions
        Conditions that are shown, from left to right.
    names
        Name of each condition.
    """

    results: Results
    choices: Choices
    conditions: tuple[str, ...]
    names: Mapping[str, str]

    @property
    def look(self) -> Look:
        """Look of the figures."""
        return self.choices.look

    @property
    def tick_names(self) -> list[str]:
        """Names of the conditions that are shown."""
        return [self.names[condition] for condition in self.conditions]

    @property
    def test_name(self) -> str:
        """The tests of all pairs in words."""
        return f"{TEST_NAMES[self.results.claim]}, Holm over {len(self.results.pairs)} pairs"

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a table with one row a condition, in the order of `conditions`."""
        return table.set_index("condition").reindex(list(self.conditions)).reset_index()

    def caption(self, text: str) -> str:
        """Complete a caption: simulated or not, conditions that are not drawn, the design, the post-screening."""
        results = self.results
        simulated = "SIMULATED RATINGS. " if results.simulated else ""
        absent = [self.names[c] for c in results.cube.conditions if c not in self.conditions]
        left_out = f" Not drawn: {', '.join(absent)}." if absent else ""
        return f"{simulated}{text}{left_out} {results.design}. {results.screened}."

    def differences(self, anchors: bool = False) -> pd.DataFrame:
        """Return the pairs as ``a - b`` (`PAIR_COLUMNS`), those that matter most first.

        A condition minus those to its left, from the rightmost one on; the paper's system counts as the rightmost
        one unless an order was chosen. The differences to the hidden reference come last. If the others are
        compared to one condition, only these pairs are returned.

        Parameters
        ----------
        anchors
            Whether pairs with an anchor are kept. They are if there are no others.
        """
        systems = [c for c in self.conditions if c != "href"]
        if not self.choices.order:
            systems.sort(key=lambda c: c == "prop")
        reference = [c for c in self.conditions if c == "href"]
        ordered = [(a, b) for i, a in reversed(list(enumerate(systems))) for b in reversed(systems[:i])]
        ordered += [(a, b) for b in reference for a in reversed(systems)]
        if to := self.choices.compared_to:
            ordered = [(a, to) for pair in ordered for a in pair if to in pair and a != to]
        without = [pair for pair in ordered if not set(pair) & set(ANCHORS) - {to}]
        return _oriented(self.results.pairs, ordered if anchors else without or ordered)


def _oriented(pairs: pd.DataFrame, ordered: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Return the pairs in an order, their differences as those of the first condition minus the second."""
    by_pair = {(row["a"], row["b"]): row for row in pairs.reindex(columns=PAIR_COLUMNS).to_dict("records")}
    rows = [by_pair[pair] if pair in by_pair else _turned(by_pair[pair[::-1]])
            for pair in ordered if by_pair.keys() & {pair, pair[::-1]}]  # fmt: skip
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def _turned(row: dict) -> dict:
    turned = {"a": row["b"], "b": row["a"], "difference": -row["difference"]}
    for kind in ("", "_adjusted"):
        turned |= {f"ci_low{kind}": -row[f"ci_high{kind}"], f"ci_high{kind}": -row[f"ci_low{kind}"]}
    return row | turned


def drawing(results: Results, choices: Choices | None = None) -> Drawing:
    """Prepare a test for its figures.

    Raises
    ------
    InputError
        If a label, the order or the comparison names a condition that was not rated.
    """
    choices = choices or Choices()
    known = results.cube.conditions
    named = {"--labels": choices.labels, "--order": choices.order if choices.order != (BY_MEAN,) else (),
             "--compared-to": [choices.compared_to] if choices.compared_to else ()}  # fmt: skip
    for option, conditions in named.items():
        for condition in conditions:
            if condition not in known:
                raise InputError(f"{option}: no condition {condition} was rated{did_you_mean(condition, known)}")
    if choices.order == (BY_MEAN,):
        shown = tuple(results.summary.sort_values("mean", kind="stable")["condition"])
    else:
        shown = tuple(dict.fromkeys(choices.order)) or known
    if choices.compared_to and choices.compared_to not in shown:
        raise InputError(f"--compared-to {choices.compared_to}: --order leaves this condition out")
    return Drawing(results, choices, shown, labels(known) | dict(choices.labels))
