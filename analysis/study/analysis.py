"""From ratings to results: screening, summary, both tracks of tests, and what a reader must be warned of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.ratings.table import Cells, cells, is_simulated, labels, missing
from analysis.statistics import anova
from analysis.statistics import paired_tests as paired
from analysis.statistics.bootstrap import bootstrap
from analysis.statistics.interval import Interval, t_interval
from analysis.statistics.intervals import CONVENTIONS, means_over_items, shape, summarise
from analysis.statistics.mixed_models import MixedModel
from analysis.statistics.screening import Screening, bimodality, outliers, screen
from analysis.statistics.variance_components import condition_model
from analysis.study.preregistration import Plan
from render.common.errors import InputError


@dataclass(frozen=True)
class Results:
    """Everything that is printed, written and drawn of one test.

    `ratings` and `cube` hold the listeners that post-screening left; what is None could not be computed, for
    a reason that stands in `warnings`. `planned` are the comparisons of a plan; None without one. `residuals`
    are skewness and excess kurtosis of the residuals.
    """

    ratings: pd.DataFrame
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
    outliers: pd.DataFrame
    effects: tuple[anova.Effect, ...]
    chosen: dict[str, str]
    friedman: paired.Friedman | None
    residuals: tuple[float, float]
    mixed: MixedModel | None
    bootstraps: Mapping[str, Mapping[str, Interval]]
    warnings: tuple[str, ...]

    @property
    def design(self) -> str:
        """Size of the analysed design in words."""
        return f"{len(self.cube.listeners)} listeners x {len(self.cube.items)} items"

    @property
    def screened(self) -> str:
        """Post-screening in words, for captions."""
        if self.screening.preset == "none":
            return "No post-screening"
        gone = len(self.screening.excluded)
        named = {"bs1534-3": "BS.1534-3", "mpeg-strict": "MPEG strict"}[self.screening.preset]
        return f"Post-screening {named}: {gone} of {gone + len(self.cube.listeners)} left out"


def analyse(
    ratings: pd.DataFrame,
    ci: str = "listener",
    screening: str = "bs1534-3",
    draws: int = 0,
    seed: int = 1,
    margin: float | None = None,
    plan: Plan | None = None,
) -> Results:
    """Analyse the ratings of one test.

    Parameters
    ----------
    ratings
        Tidy table as `analysis.ratings.table.read` gives it.
    ci
        Convention of the intervals, one of `analysis.statistics.intervals.CONVENTIONS`.
    screening
        Preset of `analysis.statistics.screening`.
    draws
        Draws of the bootstrap intervals and permutation tests; 0 leaves both out.
    seed
        Seed of the draws.
    margin
        Points within which two conditions count as equivalent; None leaves those tests out.
    plan
        Whose comparisons, test, correction and level are to be carried out (`Results.planned`).
    """
    everybody = cells(ratings)
    outcome = screen(everybody, screening)
    kept = ratings[~ratings["listener"].isin(outcome.excluded)] if outcome.excluded else ratings
    cube = cells(kept) if outcome.excluded else everybody
    warnings = list(outcome.notes)
    if blank := ratings.attrs.get("blank"):
        places = ", ".join(ratings.attrs["blanks"])
        more = f" and {blank - len(ratings.attrs['blanks'])} more" if blank > len(ratings.attrs["blanks"]) else ""
        warnings.append(f"no score in {places}{more}: those cells count as not rated")
    means = means_over_items(cube.scores)
    complete = np.asarray(~np.isnan(cube.scores).any(axis=(1, 2)))
    absent = tuple(missing(cube))
    if absent:
        warnings.append(
            f"{len(absent)} cells of the design not rated: analysis of variance and Friedman's test use the "
            f"{complete.sum()} listeners who rated all of it"
        )
    effects, chosen, ranks, residuals = _tests(cube, means, complete, warnings)
    pairs = paired.compare_pairs(means, cube.conditions, margin)
    bootstraps = {}
    if draws:
        bootstraps = bootstrap(kept, cube, draws, seed)
        pairs = pairs.assign(p_permutation=_permutation(kept, pairs, draws, seed))
        pairs = pairs.assign(p_permutation_holm=paired.holm(pairs["p_permutation"]))
    planned = None
    if plan:
        planned = paired.compare_pairs(means, cube.conditions, margin, plan.pairs(cube.conditions))
        if plan.test == "permutation":
            planned = planned.assign(p_permutation=_permutation(kept, planned, draws or plan.draws, seed))
        planned = paired.decide(planned, plan.test, plan.correction, plan.alpha)
    try:
        mixed = condition_model(cube)
    except InputError as error:
        mixed = None
        warnings.append(str(error))
    summary = summarise(kept, ci, cube)
    if lacking := summary["condition"][summary["ci_low"].isna()].tolist():
        warnings.append(f"no interval for {', '.join(lacking)}: its ratings are too few for this convention")
    spread = _spread(kept, cube)
    _warn_of_scale(summary, spread, warnings)
    return Results(
        ratings=kept,
        cube=cube,
        ci=ci,
        simulated=is_simulated(ratings),
        screening=outcome,
        not_rated=absent,
        summary=summary,
        summary_unscreened=summarise(ratings, ci, everybody) if outcome.excluded else summary,
        spread=spread,
        per_item=_per_item(cube),
        pairs=pairs,
        planned=planned,
        outliers=outliers(kept),
        effects=effects,
        chosen=chosen,
        friedman=ranks,
        residuals=residuals,
        mixed=mixed,
        bootstraps=bootstraps,
        warnings=tuple(warnings),
    )


def _tests(
    cube: Cells, means: np.ndarray, complete: np.ndarray, warnings: list[str]
) -> tuple[tuple[anova.Effect, ...], dict[str, str], paired.Friedman | None, tuple[float, float]]:
    """Omnibus tests of both tracks, and the residuals' shape, on the listeners who rated every cell."""
    if complete.sum() < 2 or len(cube.conditions) < 2:
        warnings.append("tests of all conditions together need 2 listeners who rated every cell, and 2 conditions")
        return (), {}, None, (np.nan, np.nan)
    scores, listener_means = cube.scores[complete], means[complete]
    if len(cube.items) > 1:
        effects: tuple[anova.Effect, ...] = anova.two_way(scores)
        interaction = effects[2]
        if interaction.p_gg < 0.05:
            warnings.append(
                f"conditions and items interact (p = {interaction.p_gg:.2g}, Greenhouse-Geisser): "
                "differences depend on the item, so look at each item before trusting the means over items"
            )
    else:
        effects = (anova.one_way(listener_means),)
    chosen = {effect.name: anova.chosen_test(effect, int(complete.sum())) for effect in effects}
    residuals = shape(anova.residuals(scores))
    if (worst := max(map(abs, residuals))) > 0.5:
        degree = "severely " if worst > 1 else ""
        warnings.append(
            f"residuals are {degree}off the normal distribution (skewness {residuals[0]:.2f}, excess kurtosis "
            f"{residuals[1]:.2f}; BS.1534-3 flags 0.5, and 1.0 as severe): prefer the tests by ranks"
        )
    friedman = paired.friedman(listener_means.round(9))
    quoted = effects[0].quoted(chosen[effects[0].name])
    if (quoted < 0.05) != (friedman.p < 0.05):
        warnings.append(
            f"analysis of variance (p = {quoted:.2g}) and Friedman's test (p = {friedman.p:.2g}) disagree at 5 %"
        )
    return effects, chosen, friedman, residuals


def _permutation(ratings: pd.DataFrame, pairs: pd.DataFrame, draws: int, seed: int) -> np.ndarray:
    """BS.1534-3, attachment 3, for every row of a table of pairs, on single ratings."""
    scores = {str(c): group.to_numpy(float) for c, group in ratings.groupby("condition")["score"]}
    pooled = [(scores[a], scores[b]) for a, b in zip(pairs["a"], pairs["b"], strict=True)]
    return paired.median_permutation(pooled, draws, np.random.Generator(np.random.Philox(seed)))


def _warn_of_scale(summary: pd.DataFrame, spread: pd.DataFrame, warnings: list[str]) -> None:
    """BS.1534-3: systems mostly in the uppermost fifth may not be told apart; ratings may have several modes.

    Reference and anchors lie at the ends of the scale, where the coefficient is high for skewness alone.
    """
    systems = summary[~summary["condition"].isin(["href", "la", "ma"])]
    if len(systems) and (systems["mean"] > 80).mean() > 0.5:
        warnings.append(
            "most systems have means in 80..100: the test may not be able to tell them apart (BS.1534-3)"
        )
    several = spread[(spread["bimodality"] > 5 / 9) & spread["condition"].isin(systems["condition"])]
    for condition, b in zip(several["condition"], several["bimodality"], strict=True):
        warnings.append(
            f"ratings of {condition} may have several modes (coefficient of bimodality {b:.2f} > 5/9): "
            "a mean may stand for nobody"
        )


def _spread(ratings: pd.DataFrame, cube: Cells) -> pd.DataFrame:
    """Quartiles, extremes and coefficient of bimodality of each condition's ratings."""
    rows = []
    by_condition = ratings.groupby("condition")["score"]
    for condition in cube.conditions:
        scores = by_condition.get_group(condition).to_numpy(float)
        q1, median, q3 = np.quantile(scores, [0.25, 0.5, 0.75])
        sd = scores.std(ddof=1) if scores.size > 1 else np.nan
        rows.append((condition, scores.min(), q1, median, q3, scores.max(), sd, bimodality(scores)))
    return pd.DataFrame(rows, columns=["condition", "min", "q1", "median", "q3", "max", "sd", "bimodality"])


def _per_item(cube: Cells) -> pd.DataFrame:
    """Mean of every item and condition over the listeners, with the t interval."""
    rows = []
    for j, item in enumerate(cube.items):
        for k, condition in enumerate(cube.conditions):
            values = cube.scores[:, j, k]
            found = t_interval(values)
            rows.append((item, condition, int(np.sum(~np.isnan(values))), found.mean, found.low, found.high))
    return pd.DataFrame(rows, columns=["item", "condition", "n", "mean", "ci_low", "ci_high"])


def as_json(results: Results) -> dict[str, Any]:
    """Results as plain values; NaN becomes null."""
    value = {
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
        "anova": [asdict(effect) | {"quote": results.chosen[effect.name]} for effect in results.effects],
        "residuals": dict(zip(("skewness", "excess_kurtosis"), results.residuals, strict=True)),
        "friedman": results.friedman,
        "mixed_model": None if results.mixed is None else
            {"variances": results.mixed.variances, "residual": results.mixed.residual},
        "pairs": results.pairs.to_dict("records"),
        "planned": None if results.planned is None else results.planned.to_dict("records"),
        "tracks_agree": bool(results.pairs["agree"].all()) if len(results.pairs) else None,
        "outliers": results.outliers.to_dict("records"),
        "bootstraps": results.bootstraps,
    }  # fmt: skip
    return _plain(value)


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
