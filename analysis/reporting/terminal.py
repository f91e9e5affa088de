"""What `analysis.mushra` prints of a test, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.ratings.conditions import ANCHORS, labels, shorten
from analysis.ratings.record import listed
from analysis.statistics.intervals import CONVENTIONS
from analysis.statistics.paired_tests import PERMUTATION_REMARK
from analysis.statistics.reliability import Icc
from analysis.study.analysis import AnalysedTest
from analysis.study.claims import sentence
from analysis.study.results import Results

MAX_PAIRS = 30
"""Largest number of pairs that are printed."""

MAX_CELLS = 10
"""Largest number of cells without a rating that are printed."""


def lines(test: AnalysedTest) -> Iterator[str]:
    """Yield what a reader needs before looking at any file: design, screening, means, tests, warnings."""
    results = test.results
    if results.simulated:
        yield "SIMULATED RATINGS: no listener heard anything\n"
    yield f"{results.design}, {len(results.table)} ratings. {results.screened}. {CONVENTIONS[results.ci]}.\n"
    yield f"Claim {results.claim}: what is quoted {results.holds}.\n"
    names = {c: shorten(name, 40) for c, name in labels(results.cube.conditions).items()}
    yield from _summary(results.summary, names, marginal=not results.cube.complete)
    yield from _screening(results, names)
    yield from _panel(results)
    yield from _laboratories(results, names)
    yield from _omnibus_tests(results)
    yield from _planned(test, names)
    yield from _pairs(results, names)
    yield from _ordinal(results, names)
    yield from _bootstraps(results, names)
    if len(results.outliers):
        yield (
            f"\n{len(results.outliers)} ratings lie 1.5 IQR beyond the hinges of their item and condition:"
            " outliers.csv"
        )
    for warning in results.warnings:
        yield f"note: {warning}"
    pages = {
        (listener, item) for listener, item in zip(results.table["listener"], results.table["item"], strict=True)
    }
    partial = bool(results.cube.items_each)
    missing = [cell for cell in results.not_rated if not partial or cell[:2] in pages]
    for listener, item, condition in missing[:MAX_CELLS]:
        yield f"not rated: listener {listener}, item {item}, condition {condition}"
    if len(results.not_rated) > len(missing[:MAX_CELLS]):
        yield f"not rated: {len(results.not_rated) - len(missing[:MAX_CELLS])} more, in summary.json"


def _summary(summary: pd.DataFrame, names: Mapping[str, str], marginal: bool = False) -> Iterator[str]:
    width = max(9, *map(len, names.values())) + 1
    by_model = f"{'by model':>11}{'95 % CI':>20}" if marginal else ""
    yield f"{'condition':<{width}}{'n':>8}{'mean':>9}{'95 % CI':>20}{'median':>9}{by_model}"
    for row in summary.itertuples():
        name = names[str(row.condition)]
        if marginal:
            limits = f"[{row.marginal_ci_low:7.2f}, {row.marginal_ci_high:7.2f}]"
            by_model = f"{row.marginal_mean:>11.2f}{limits:>20}"
        yield f"{name:<{width}}{row.n:>8}{row.mean:>9.2f}{_interval(row):>20}{row.median:>9.1f}{by_model}"


def _screening(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    yield "\nListeners: " + ", ".join(
        f"{count} after '{step}'" if step != "all" else f"{count} rated" for step, count in results.screening.flow
    )
    if not results.screening.excluded:
        return
    yield "Left out by post-screening:"
    for listener, evidence in results.screening.excluded.items():
        for e in evidence:
            yield (
                f"  {listener}: {e.rule}: {len(e.items)} of {e.of} items, "
                f"scores {min(e.scores):g} to {max(e.scores):g}"
            )
    yield "\nWith all listeners:"
    yield from _summary(results.summary_unscreened, names)


def _panel(results: Results) -> Iterator[str]:
    panel = results.panel
    if isinstance(panel.agreement, Icc) and isinstance(panel.consistency, Icc):
        yield (
            f"\nPanel, {panel.stimuli} stimuli of the systems: ICC(2,1) {panel.agreement.single:.2f}, "
            f"ICC(3,1) {panel.consistency.single:.2f}; of the mean {panel.agreement.panel:.2f}, "
            f"{panel.consistency.panel:.2f}"
        )
    if panel.repeat_sd == panel.repeat_sd:
        yield f"repeated ratings of a stimulus scatter by {panel.repeat_sd:.1f} points (standard deviation)"
    listeners = panel.listeners
    blind = listeners["listener"][listeners["p_discrimination"] > 0.05].tolist()
    if blind:
        yield f"not shown to tell the systems apart (p > 0.05, listeners.csv): {listed(blind)}"


def _laboratories(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    laboratories = results.laboratories
    if laboratories is None:
        return
    means = laboratories.means
    titles = [shorten(name, 20) for name in laboratories.listeners]
    width = max(9, *map(len, names.values())) + 1
    yield f"\n{'condition':<{width}}" + "".join(f"{title:>28}" for title in titles)
    for condition, name in names.items():
        own = means[means["condition"] == condition]
        yield f"{name:<{width}}" + "".join(f"{row.mean:>8.2f}{_interval(row):>20}" for row in own.itertuples())
    for e in laboratories.effects:
        yield f"{e.name:<22}F({e.df}, {e.df_error}) = {e.f:.3f}, p = {e.p_gg:.2g} (Greenhouse-Geisser)"


def _omnibus_tests(results: Results) -> Iterator[str]:
    omnibus = results.omnibus
    if omnibus.effects:
        yield (f"\n{'repeated measures':<18}{'F':>10}{'df':>12}{'p':>11}{'p (GG)':>11}{'p (HF)':>11}"
               f"{'part. eta2':>12}  BS.1534-3 quotes")  # fmt: skip
    for e in omnibus.effects:
        df = f"{e.df}, {e.df_error}"
        yield (f"{e.name:<18}{e.f:>10.3f}{df:>12}{e.p:>11.3g}{e.p_gg:>11.3g}{e.p_hf:>11.3g}{e.partial_eta2:>12.3f}"
               f"  {omnibus.chosen[e.name]}")  # fmt: skip
        if m := e.multivariate:
            df = f"{m.df}, {m.df_error}"
            yield f"{'  multivariate':<18}{m.f:>10.3f}{df:>12}{m.p:>11.3g}   Wilks {m.wilks:.4g}"
    if f := omnibus.friedman:
        yield f"{'Friedman chi2':<18}{f.chi2:>10.3f}{f.df:>12}{f.p:>11.3g}   Kendall's W {f.kendall_w:.3f}"
    for e in omnibus.aligned:
        df = f"{e.df}, {e.df_error}"
        yield (
            f"{'ranks ' + e.name:<20}{e.f:>8.3f}{df:>12}{e.p:>11.3g}{e.p_gg:>11.3g}{e.p_hf:>11.3g}"
            f"{e.partial_eta2:>12.3f}  (aligned ranks)"
        )
    if omnibus.effects:
        yield "these tests hold for other listeners and these items"
    if results.models:
        yield f"\n{'mixed models of the conditions':<32}{'F':>10}{'df':>14}{'p':>11}"
    for claim, model in results.models.items():
        for method, short in (("satterthwaite", "Satterthwaite"), ("kenward-roger", "Kenward-Roger")):
            test = model.omnibus(method)
            df = f"{test.df}, {test.df_error:.1f}"
            yield f"{f'{claim}, {short}':<32}{test.f:>10.3f}{df:>14}{test.p:>11.3g}"
    if q := results.quoted:
        yield (f"\nAll conditions alike? F({q.df:.3g}, {q.df_error:.3g}) = {q.f:.3f}, p = {q.p:.2g} ({q.name}); "
               f"{results.holds}")  # fmt: skip


def _planned(test: AnalysedTest, names: Mapping[str, str]) -> Iterator[str]:
    plan, planned = test.plan, test.results.planned
    if plan is None or planned is None:
        return
    claim = sentence(plan.claim, len(test.results.cube.items)) if plan.claim else PERMUTATION_REMARK
    yield f"\nPlan frozen on {plan.frozen}: {plan.test}, {plan.correction}, alpha {plan.alpha:g}; {claim}"
    for row in planned.itertuples():
        pair = f"{names[str(row.a)]} - {names[str(row.b)]}"
        verdict = "different" if row.different else "not shown to be different"
        yield f"{pair:<34}{row.difference:>11.2f}{_interval(row):>20}   p {row.p_adjusted:.2g}  {verdict}"
    yield f"{len(test.deviations) or 'no'} deviation{'s' * (len(test.deviations) != 1)} from the plan"
    yield from (f"  {deviation}" for deviation in test.deviations)


def _pairs(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    pairs = results.pairs
    systems = pairs[~pairs[["a", "b"]].isin(ANCHORS).any(axis=1)]
    if not len(systems):
        return
    shown = systems.head(MAX_PAIRS)
    titles = [f"{shorten(names[a], 24)} - {shorten(names[b], 24)}"
              for a, b in zip(shown["a"], shown["b"], strict=True)]  # fmt: skip
    width = max(*map(len, titles), 4)
    quoted = {"items": "t, Holm", "material": "crossed"}[results.claim]
    columns = (f"{'difference':>12}{'95 % CI':>20}{'all at 95 %':>20}{'dz':>7}{'delta':>7}{quoted:>10}"
               f"{'Wilcoxon':>10}{'sign flip':>11}")  # fmt: skip
    yield f"\n{'pair':<{width}}{columns}"
    for title, row in zip(titles, shown.itertuples(), strict=True):
        remarks = "" if row.agree else "  t and Wilcoxon disagree"
        if "p_equivalent" in systems:
            remarks += f"  equivalent p {row.p_equivalent:.2g}, not inferior p {row.p_non_inferior:.2g}"
        adjusted = f"[{row.ci_low_adjusted:7.2f}, {row.ci_high_adjusted:7.2f}]"
        yield (f"{title:<{width}}{row.difference:>12.2f}{_interval(row):>20}{adjusted:>20}{row.dz:>7.2f}"
               f"{row.cliffs_delta:>7.2f}{row.p_adjusted:>10.2g}{row.p_w_exact_holm:>10.2g}"
               f"{row.p_sign_flip_holm:>11.2g}{remarks}")  # fmt: skip
    if len(systems) > MAX_PAIRS:
        yield f"... and {len(systems) - MAX_PAIRS} more in pairs.csv"
    yield f"differences within listener and item; p adjusted over {len(pairs)} pairs (Holm)"
    yield f"{quoted}: {results.holds}"
    if results.claim == "material":
        yield f"Wilcoxon and sign flip: {sentence('items', len(results.cube.items))}"
    agreeing = int(pairs["agree"].sum())
    yield f"t and Wilcoxon tests (Holm, 5 %) agree on {agreeing} of {len(pairs)} pairs"


def _ordinal(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    ordinal = results.ordinal
    if ordinal is None:
        return
    yield "\nscores as ordered categories (cumulative mixed model, listeners and items random)"
    for row in ordinal.means.itertuples():
        yield f"{names[str(row.condition)]:<34}expected score {row.mean:.2f} {_interval(row)}"
    for row in ordinal.pairs.head(MAX_PAIRS).itertuples():
        pair = f"{shorten(names[str(row.a)], 24)} - {shorten(names[str(row.b)], 24)}"
        yield f"{pair:<34}log odds {row.log_odds:.2f} {_interval(row)}   p {row.p_holm:.2g} (Holm)"


def _bootstraps(results: Results, names: Mapping[str, str]) -> Iterator[str]:
    if not results.bootstraps:
        return
    width = max(map(len, names.values()))
    yield f"\n{'bootstrap of':<{width}}" + "".join(f"{scheme:>20}" for scheme in results.bootstraps)
    for c, name in names.items():
        limits = [f"[{of[c].low:7.2f}, {of[c].high:7.2f}]" for of in results.bootstraps.values()]
        yield f"{name:<{width}}" + "".join(f"{limit:>20}" for limit in limits)


def _interval(row: Any) -> str:
    return f"[{row.ci_low:7.2f}, {row.ci_high:7.2f}]"
