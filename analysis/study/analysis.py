"""From rating files to results: read, screen, summarise, test, and say what a reader must be warned of."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.ratings.cells import Cells, cells
from analysis.ratings.conditions import REFERENCE_AND_ANCHORS
from analysis.ratings.importers.detect import source_digest
from analysis.ratings.record import listed
from analysis.ratings.table import Ratings, read, read_key
from analysis.statistics import paired_tests
from analysis.statistics.bootstrap import bootstrap
from analysis.statistics.condition_models import (
    CLAIMS,
    ConditionModel,
    contrast_table,
    fit_condition_model,
    marginal_means,
)
from analysis.statistics.distribution import bimodality, hinges, looks_bimodal, outliers
from analysis.statistics.interval import bounded_limits, t_interval
from analysis.statistics.intervals import means_over_items, summarise
from analysis.statistics.mixed_inference import METHODS
from analysis.statistics.screening import screen
from analysis.study.claims import quoted_test
from analysis.study.design_warnings import (
    attainable_warnings,
    balance_warnings,
    item_set_warnings,
    residuals_warned,
    spread_warnings,
)
from analysis.study.laboratories import compare_laboratories, screen_each, tell_apart
from analysis.study.omnibus import differences_on_items, item_pair_warnings, omnibus_tests
from analysis.study.options import DEFAULTS, INTERVAL_OF_CLAIM, Settings, chosen_settings, renamed_conditions
from analysis.study.ordinal import Ordinal, ordinal_model
from analysis.study.panel import describe_panel
from analysis.study.preregistration import Plan, deviations, read_plan
from analysis.study.results import Results
from render.common.errors import InputError, did_you_mean


@dataclass(frozen=True)
class AnalysedTest:
    """Results of a test, with the files that they come from and the plan that was followed.

    Attributes
    ----------
    results
        The results.
    sources
        Name and SHA-256 of every rating file.
    formats
        Formats of these files.
    plan, deviations
        The plan, if there was one, and every deviation from it in words.
    """

    results: Results
    sources: tuple[tuple[str, str], ...] = ()
    formats: tuple[str, ...] = ()
    plan: Plan | None = None
    deviations: tuple[str, ...] = ()


def analyse_files(arguments: argparse.Namespace) -> AnalysedTest:
    """Analyse rating files by the options of `analysis.study.options.add_options`.

    Settings of the command line take precedence over those of a plan, and are then listed as deviations.

    Raises
    ------
    InputError
        For bad options, ratings, keys or plans.
    """
    if arguments.package and not arguments.plan:
        raise InputError("--package is compared with a plan; give --plan too")
    plan, found = read_plan(arguments.plan) if arguments.plan else (None, [])
    settings = chosen_settings(arguments, plan.settings if plan else DEFAULTS)
    key = read_key(arguments.key) if arguments.key else None
    only = _only(arguments.only)
    ratings = read(arguments.results, key, renamed_conditions(arguments), arguments.conditions, only)
    if plan:
        found += deviations(plan, ratings.table, settings, arguments.package)
        found += [f"analysed were only ratings with {column} = {value}" for column, value in only.items()]
    return AnalysedTest(
        results=analyse(ratings, settings, plan),
        sources=tuple((path.name, source_digest(path)) for path in arguments.results),
        formats=ratings.formats,
        plan=plan,
        deviations=tuple(found),
    )


def _only(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Columns and the values that are analysed; InputError where one column is given two values."""
    only = dict(given)
    for column, value in given:
        if only[column] != value:
            raise InputError(f"--only {column}={value} {column}={only[column]}: no rating has both; choose one")
    return only


def analyse(ratings: Ratings, settings: Settings = DEFAULTS, plan: Plan | None = None) -> Results:
    """Analyse the ratings of one test.

    Parameters
    ----------
    ratings
        As `analysis.ratings.table.read` returns them.
    settings
        How they are analysed.
    plan
        Plan whose comparisons, test, correction and level fill `Results.planned`; `settings` are followed even
        where the plan's differ.

    Raises
    ------
    InputError
        If post-screening leaves no listener, an item to be left out was not rated, or the design is too large.
    """
    rated, notes = _without(ratings.table, settings.leave_out)
    rated, laboratory, laboratory_notes = tell_apart(rated, settings.laboratory)
    everybody = cells(rated)
    if laboratory:
        screening = screen_each(everybody, laboratory, settings.screening)
    else:
        screening = screen(everybody, settings.screening)
    table = rated[~rated["listener"].isin(screening.excluded)]
    cube = everybody.without(screening.excluded) if screening.excluded else everybody
    summary = summarise(table, cube, settings.ci)
    means = means_over_items(cube.scores)
    not_rated = tuple(cube.missing())
    complete = np.asarray(~np.isnan(cube.scores).any(axis=(1, 2)))
    omnibus, omnibus_warnings = omnibus_tests(cube.scores[complete], means[complete])
    models, model_warnings = _mixed_models(cube)
    spread = _spread(table, cube)
    pairs = _all_pairs(table, cube, settings)
    planned = _planned_pairs(table, cube, settings, plan) if plan else None
    effect = omnibus.effects[0] if omnibus.effects else None
    laboratories, laboratory_warnings = compare_laboratories(cube, laboratory) if laboratory else (None, [])
    item_pairs = differences_on_items(cube, omnibus)
    ordinal, ordinal_warnings = _ordinal(cube) if settings.ordinal else (None, [])
    return Results(
        table=table,
        cube=cube,
        ci=settings.ci,
        simulated=ratings.simulated,
        screening=screening,
        not_rated=not_rated,
        summary=_with_further_means(summary, models.get(settings.claim)),
        summary_unscreened=summarise(rated, everybody, settings.ci) if screening.excluded else summary,
        spread=spread,
        per_item=_per_item(cube),
        pairs=pairs,
        planned=planned,
        item_pairs=item_pairs,
        panel=describe_panel(table, cube),
        laboratories=laboratories,
        ordinal=ordinal,
        outliers=outliers(table),
        omnibus=omnibus,
        claim=settings.claim,
        quoted=quoted_test(cube, settings.claim, effect, models.get(settings.claim)),
        models=models,
        contrasts=_contrasts(models, cube.conditions),
        bootstraps=bootstrap(table, cube, settings.draws, settings.seed) if settings.draws else {},
        warnings=(
            *ratings.notes,
            *notes,
            *laboratory_notes,
            *laboratory_warnings,
            *screening.notes,
            *_missing_score_warnings(ratings.unscored, len(not_rated), int(complete.sum())),
            *item_set_warnings(cube),
            *balance_warnings(cube),
            *spread_warnings(cube),
            *omnibus_warnings,
            *item_pair_warnings(item_pairs),
            *_pair_warnings(cube.conditions),
            *attainable_warnings(pairs, planned, plan, residuals_warned(omnibus), settings.claim),
            *_claim_warnings(settings, plan, len(cube.items)),
            *model_warnings,
            *ordinal_warnings,
            *_scale_warnings(summary, spread, len(cube.items)),
        ),
    )


def _without(table: pd.DataFrame, items: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Leave items out; also return what a reader must know of this, and of items that look like training."""
    rated = sorted(table["item"].unique())
    for item in items:
        if item not in rated:
            raise InputError(f"--leave-out {item}: no such item was rated{did_you_mean(item, rated)}")
    if set(rated) <= set(items):
        raise InputError("--leave-out leaves no item")
    notes = [f"items left out: {', '.join(items)}"] if items else []
    if training := [item for item in rated if "training" in item.lower() and item not in items]:
        notes.append(f"analysed like any other item: {', '.join(training)}; --leave-out leaves a training out")
    return table[~table["item"].isin(items)] if items else table, notes


def _all_pairs(table: pd.DataFrame, cube: Cells, settings: Settings) -> pd.DataFrame:
    pairs = paired_tests.compare_pairs(
        cube.scores, cube.conditions, settings.margin, claim=settings.claim, seed=settings.seed
    )
    if settings.draws:
        p = paired_tests.permute_pairs(table, cube, pairs, settings.draws, settings.seed)
        pairs = pairs.assign(p_permutation=p, p_permutation_holm=paired_tests.holm(p))
    return pairs


def _planned_pairs(table: pd.DataFrame, cube: Cells, settings: Settings, plan: Plan) -> pd.DataFrame:
    planned = paired_tests.compare_pairs(
        cube.scores,
        cube.conditions,
        settings.margin,
        plan.pairs(cube.conditions),
        plan.claim or "items",
        settings.seed,
    )
    if plan.test == "permutation":
        p = paired_tests.permute_pairs(table, cube, planned, settings.draws or plan.draws, settings.seed)
        planned = planned.assign(p_permutation=p)
    return paired_tests.decide(planned, plan.test, plan.correction, plan.alpha).assign(
        claim=plan.claim or "neither"
    )


def _with_further_means(summary: pd.DataFrame, model: ConditionModel | None) -> pd.DataFrame:
    """Add bounded intervals, and the means by the claim's mixed model, which allow for who rated which item."""
    limits = [bounded_limits(*row) for row in summary[["mean", "ci_low", "ci_high"]].itertuples(index=False)]
    bounded = summary.assign(
        bounded_ci_low=[low for low, _ in limits], bounded_ci_high=[high for _, high in limits]
    )
    if model is None:
        return bounded.assign(marginal_mean=np.nan, marginal_ci_low=np.nan, marginal_ci_high=np.nan)
    means = marginal_means(model)
    return bounded.assign(
        marginal_mean=means["mean"], marginal_ci_low=means["ci_low"], marginal_ci_high=means["ci_high"]
    )


def _contrasts(models: Mapping[str, ConditionModel], conditions: tuple[str, ...]) -> pd.DataFrame:
    """Compare all pairs by every model and method; none if they are too many to be fitted one by one."""
    pairs = paired_tests.every_pair(conditions)[0]
    if len(pairs) > paired_tests.MAX_FITTED_PAIRS:
        models = {}
    tables = [
        contrast_table(model, pairs, method).assign(claim=claim, method=method)
        for claim, model in models.items()
        for method in METHODS
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["a", "b"])


def _mixed_models(cube: Cells) -> tuple[dict[str, ConditionModel], list[str]]:
    """Fit the models of both claims; also return why one could not be fitted."""
    models: dict[str, ConditionModel] = {}
    warnings: list[str] = []
    for claim in CLAIMS:
        try:
            models[claim] = fit_condition_model(cube, claim)
        except InputError as error:
            if str(error) not in warnings:
                warnings.append(str(error))
    return models, warnings


def _ordinal(cube: Cells) -> tuple[Ordinal | None, list[str]]:
    """Fit the model of ordered categories; also return why it could not be fitted."""
    try:
        return ordinal_model(cube), []
    except InputError as error:
        return None, [str(error)]


def _missing_score_warnings(unscored: tuple[str, ...], not_rated: int, complete: int) -> list[str]:
    warnings = []
    if unscored:
        warnings.append(f"no score in {listed(unscored)}: those cells count as not rated")
    if not_rated:
        use = f"use the {complete} listeners who rated all of it" if complete > 1 else "cannot be made"
        warnings.append(
            f"{not_rated} cells of the complete design not rated: analysis of variance and Friedman's test {use}, "
            "the mixed models use all ratings"
        )
    return warnings


def _pair_warnings(conditions: tuple[str, ...]) -> list[str]:
    _, too_many = paired_tests.every_pair(conditions)
    return [too_many] if too_many else []


def _claim_warnings(settings: Settings, plan: Plan | None, items: int) -> list[str]:
    warnings = []
    if settings.claim == "material" and items < 2:
        warnings.append(
            "one item is no sample of material: nothing here holds for other items, whatever the claim"
        )
    if settings.ci == "paper":
        warnings.append("the intervals of the means take all ratings as independent, so they support no claim")
    elif settings.ci != INTERVAL_OF_CLAIM[settings.claim]:
        warnings.append(f"the intervals of the means ({settings.ci}) and the tests (claim {settings.claim}) hold "
                        "for different things")  # fmt: skip
    if settings.draws or (plan and plan.test == "permutation"):
        warnings.append(paired_tests.PERMUTATION_REMARK)
    return warnings


def _scale_warnings(summary: pd.DataFrame, spread: pd.DataFrame, items: int) -> list[str]:
    """Warn of intervals that are missing or leave the scale, of systems crowded at its top, and of several modes.

    Reference and anchors are left out of the latter two: they lie at the ends of the scale.
    """
    warnings = []
    if lacking := summary["condition"][summary["ci_low"].isna()].tolist():
        warnings.append(f"no interval for {listed(lacking)}: its ratings are too few for this convention")
    if outside := summary["condition"][(summary["ci_low"] < 0) | (summary["ci_high"] > 100)].tolist():
        warnings.append(
            f"intervals that leave the scale of 0 to 100: {listed(outside)}; bounded_ci_low and bounded_ci_high "
            "in summary.csv are limits on the logistic scale, which do not; --ordinal fits a model that knows them"
        )
    systems = summary[~summary["condition"].isin(list(REFERENCE_AND_ANCHORS))]
    if len(systems) and (systems["mean"] > 80).mean() > 0.5:
        warnings.append(
            "most systems have means in 80..100: the test may not be able to tell them apart (BS.1534-3)"
        )
    several = spread[(spread["bimodal_items"] > 0) & spread["condition"].isin(systems["condition"])]
    if len(several):
        counts = listed(
            [f"{c} on {n}" for c, n in zip(several["condition"], several["bimodal_items"], strict=True)]
        )
        warnings.append(
            f"ratings may have several modes on single items, where a mean may stand for nobody: {counts} of "
            f"{items} (coefficient of bimodality > 5/9 with light tails; items.csv)"
        )
    return warnings


def _spread(table: pd.DataFrame, cube: Cells) -> pd.DataFrame:
    rows = []
    by_condition = table.groupby("condition")["score"]
    for condition in cube.conditions:
        scores = by_condition.get_group(condition).to_numpy(float)
        q1, median, q3 = hinges(scores)
        sd = scores.std(ddof=1) if scores.size > 1 else np.nan
        of_items = cube.of(condition).T
        several = sum(looks_bimodal(values[~np.isnan(values)]) for values in of_items)
        rows.append((condition, scores.min(), q1, median, q3, scores.max(), sd, several))
    return pd.DataFrame(rows, columns=["condition", "min", "q1", "median", "q3", "max", "sd", "bimodal_items"])


def _per_item(cube: Cells) -> pd.DataFrame:
    rows = []
    for j, item in enumerate(cube.items):
        for k, condition in enumerate(cube.conditions):
            values = cube.scores[:, j, k]
            mean = t_interval(values)
            rated = values[~np.isnan(values)]
            q1, median, q3 = hinges(rated) if rated.size else (np.nan, np.nan, np.nan)
            rows.append((item, condition, rated.size, mean.mean, mean.low, mean.high, median, q1, q3,
                         bimodality(rated)))  # fmt: skip
    columns = ["item", "condition", "n", "mean", "ci_low", "ci_high", "median", "q1", "q3", "bimodality"]
    return pd.DataFrame(rows, columns=columns)
