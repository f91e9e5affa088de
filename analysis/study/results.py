"""The results of a test, as values and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.ratings.cells import Cells
from analysis.ratings.conditions import labels
from analysis.statistics.anova import Effect
from analysis.statistics.condition_models import ConditionModel, marginal_means
from analysis.statistics.interval import Interval
from analysis.statistics.intervals import CONVENTIONS
from analysis.statistics.mixed_inference import METHODS
from analysis.statistics.paired_tests import Friedman
from analysis.statistics.reliability import Icc
from analysis.statistics.screening import Screening
from analysis.study.claims import QuotedTest, sentence
from analysis.study.laboratories import Laboratories
from analysis.study.ordinal import Ordinal
from analysis.study.panel import Panel


@dataclass(frozen=True)
class OmnibusTests:
    """Tests of all conditions together, on the listeners who rated every cell.

    Attributes
    ----------
    effects
        Analysis of variance; empty for too few listeners or conditions.
    chosen
        Name of each effect -> result that is to be quoted (`analysis.statistics.anova.chosen_test`).
    friedman
        Friedman's test; None for too few listeners or conditions.
    residuals
        Skewness and excess kurtosis of the residuals.
    aligned
        The same effects on aligned ranks; empty for one item.
    """

    effects: tuple[Effect, ...] = ()
    chosen: Mapping[str, str] = field(default_factory=dict)
    friedman: Friedman | None = None
    residuals: tuple[float, float] = (np.nan, np.nan)
    aligned: tuple[Effect, ...] = ()


@dataclass(frozen=True)
class Results:
    """Everything that is printed, written and drawn of one test.

    What could not be computed is None, for a reason given in `warnings`.

    Attributes
    ----------
    table, cube
        The ratings of the listeners that post-screening left.
    ci
        Convention of means and intervals.
    simulated
        Whether any rating was simulated.
    screening
        Who was excluded, and why.
    not_rated
        Listener, item and condition of every cell that was not rated.
    summary, summary_unscreened
        Mean, interval and median of every condition, after and before post-screening; the former with bounded
        intervals and marginal means.
    spread
        Hinges, extremes and standard deviation of every condition's ratings, and on how many items several modes
        are suspected.
    per_item
        Mean of every item and condition over the listeners, with the t interval, hinges and bimodality.
    pairs
        Comparisons of all pairs of conditions.
    planned
        Comparisons of the plan; None without a plan.
    item_pairs
        Comparisons on each item, if conditions and items interact; else None.
    panel
        The listeners, how far they agree, and what repeated ratings scatter.
    laboratories
        Means and tests of each laboratory; None if there is one.
    ordinal
        The systems by a model of ordered categories; None if it was not asked for or could not be fitted.
    outliers
        Ratings far from the others of their item and condition.
    omnibus
        Tests of all conditions together.
    claim
        What the quoted tests and intervals are to hold for, one of `analysis.study.options.CLAIMS`.
    quoted
        The test of all conditions together that supports the claim.
    models
        Claim -> mixed model of the conditions, as far as it could be fitted.
    contrasts
        All pairs by these models, with Satterthwaite's and Kenward-Roger's degrees of freedom.
    bootstraps
        Bootstrap intervals by scheme and condition; empty if none were drawn.
    warnings
        What a reader must be warned of.
    """

    table: pd.DataFrame
    cube: Cells
    ci: str
    simulated: bool
    screening: Screening
    not_rated: tuple[tuple[str, str, str], ...]
    summary: pd.DataFrame
    summary_unscreened: pd.DataFrame
    spread: pd.DataFrame
    per_item: pd.DataFrame
    pairs: pd.DataFrame
    planned: pd.DataFrame | None
    item_pairs: pd.DataFrame | None
    panel: Panel
    laboratories: Laboratories | None
    ordinal: Ordinal | None
    outliers: pd.DataFrame
    omnibus: OmnibusTests
    claim: str
    quoted: QuotedTest | None
    models: Mapping[str, ConditionModel]
    contrasts: pd.DataFrame
    bootstraps: Mapping[str, Mapping[str, Interval]]
    warnings: tuple[str, ...]

    @property
    def design(self) -> str:
        """The size of the analysed design in words."""
        each = self.cube.items_each
        return f"{len(self.cube.listeners)} listeners x {len(self.cube.items)} items" + (
            f" ({each})" if each else ""
        )

    @property
    def holds(self) -> str:
        """For what the quoted tests and intervals hold, in words."""
        return sentence(self.claim, len(self.cube.items))

    @property
    def screened(self) -> str:
        """The post-screening in words, for captions."""
        if self.screening.preset == "none":
            return "No post-screening"
        excluded = len(self.screening.excluded)
        name = {"bs1534-3": "BS.1534-3", "mpeg-strict": "MPEG strict"}[self.screening.preset]
        return f"Post-screening {name}: {excluded} of {excluded + len(self.cube.listeners)} left out"


def as_json(results: Results) -> dict[str, Any]:
    """Return the results as plain values for a JSON file; NaN becomes None."""
    omnibus = results.omnibus
    return _plain({
        "rows": results.summary.to_dict("records"),
        "screening": results.screening.as_json(),
        "rows_without_screening": results.summary_unscreened.to_dict("records"),
        "ci": {"convention": results.ci, "meaning": CONVENTIONS[results.ci]},
        "simulated": results.simulated,
        "labels": labels(results.cube.conditions),
        "listeners": results.cube.listeners,
        "items": results.cube.items,
        "not_rated": results.not_rated,
        "warnings": results.warnings,
        "spread": results.spread.to_dict("records"),
        "anova": [asdict(effect) | {"quote": omnibus.chosen[effect.name]} for effect in omnibus.effects],
        "residuals": dict(zip(("skewness", "excess_kurtosis"), omnibus.residuals, strict=True)),
        "friedman": omnibus.friedman,
        "aligned_ranks": [asdict(effect) for effect in omnibus.aligned],
        "claim": {"claim": results.claim, "holds": results.holds, "quoted": results.quoted},
        "mixed_model": _components(results.models.get("material")),
        "mixed_models": {claim: _model(model) for claim, model in results.models.items()},
        "pairs": results.pairs.to_dict("records"),
        "planned": None if results.planned is None else results.planned.to_dict("records"),
        "tracks_agree": bool(results.pairs["agree"].all()) if len(results.pairs) else None,
        "item_pairs": None if results.item_pairs is None else results.item_pairs.to_dict("records"),
        "panel": _panel(results.panel),
        "laboratories": None if results.laboratories is None else _laboratories(results.laboratories),
        "ordinal": None if results.ordinal is None else _ordinal(results.ordinal),
        "outliers": results.outliers.to_dict("records"),
        "bootstraps": results.bootstraps,
    })  # fmt: skip


def _components(model: ConditionModel | None) -> dict[str, Any] | None:
    return None if model is None else {"variances": model.model.variances, "residual": model.model.residual}


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "stimuli": panel.stimuli,
        "icc_agreement": panel.agreement if isinstance(panel.agreement, Icc) else None,
        "icc_consistency": panel.consistency if isinstance(panel.consistency, Icc) else None,
        "repeat_sd": panel.repeat_sd,
        "listeners": panel.listeners.to_dict("records"),
    }


def _ordinal(ordinal: Ordinal) -> dict[str, Any]:
    return {
        "means": ordinal.means.to_dict("records"),
        "pairs": ordinal.pairs.to_dict("records"),
        "deviations": ordinal.deviations,
    }


def _laboratories(laboratories: Laboratories) -> dict[str, Any]:
    return {
        "listeners": laboratories.listeners,
        "means": laboratories.means.to_dict("records"),
        "tests": [asdict(effect) for effect in laboratories.effects],
    }


def _model(model: ConditionModel) -> dict[str, Any]:
    return {
        "components": _components(model),
        "items": model.items,
        "omnibus": {method: asdict(model.omnibus(method)) for method in METHODS},
        "marginal_means": {method: marginal_means(model, method).to_dict("records") for method in METHODS},
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
