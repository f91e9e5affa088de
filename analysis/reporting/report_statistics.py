"""Sections of the report that hold statistics: panel, all conditions, laboratories, pairs, single items."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from analysis.ratings.conditions import labels
from analysis.reporting.html_table import html_table, p_text
from analysis.statistics.anova import Effect
from analysis.statistics.condition_models import ConditionModel
from analysis.statistics.mixed_inference import METHODS
from analysis.statistics.paired_tests import PERMUTATION_REMARK
from analysis.statistics.reliability import Icc
from analysis.study.analysis import AnalysedTest
from analysis.study.claims import sentence
from analysis.study.results import Results


def panel_section(results: Results) -> list[str]:
    """Report how far the listeners agree, and each of them."""
    panel = results.panel
    parts = ["<h2>Panel</h2>"]
    one, other = panel.agreement, panel.consistency
    if isinstance(one, Icc) and isinstance(other, Icc):
        parts.append(
            f"<p>Over the {panel.stimuli} stimuli of the systems that all rated, one listener's scores agree with "
            f"another's by an intraclass correlation of {one.single:.2f} [{one.single_low:.2f}, "
            f"{one.single_high:.2f}] (ICC(2,1)), and by {other.single:.2f} [{other.single_low:.2f}, "
            f"{other.single_high:.2f}] if their levels do not count (ICC(3,1)). The mean of these "
            f"{len(panel.listeners)} listeners is reliable by {one.panel:.2f} [{one.panel_low:.2f}, "
            f"{one.panel_high:.2f}] and {other.panel:.2f} [{other.panel_low:.2f}, {other.panel_high:.2f}].</p>"
        )
    else:
        found = "; ".join(f"{name} {_coefficient(of)}" for name, of in (("ICC(2,1)", one), ("ICC(3,1)", other)))
        parts.append(
            f"<p>Intraclass correlations over the {panel.stimuli} stimuli of the systems that all rated: "
            f"{escape(found)}.</p>"
        )
    if not np.isnan(panel.repeat_sd):
        parts.append(
            f"<p>Repeated ratings of a stimulus by one listener scatter by {panel.repeat_sd:.1f} points "
            "(standard deviation).</p>"
        )
    shown = panel.listeners.drop(columns=["df", "df_error"]).dropna(axis=1, how="all")
    repeated = " of the stimuli, against repeated ratings" if (shown["repeated"] > 0).any() else " of the systems"
    parts += [
        "<p>Each listener: use of the scale (at ends: share of 0 and 100); offset in points, stretch (slope) and "
        "agreement (correlation) against the mean of the others over the systems; what repeated ratings scatter "
        "and "
        f"their reliability (ICC(1,1)), if there are any; discrimination (F{repeated}), with its p.</p>",
        html_table(shown if (shown["repeated"] > 0).any() else shown.drop(columns="repeated"), "wide"),
    ]
    return parts


def _coefficient(found: Icc | str) -> str:
    """Return the coefficient of one listener with its limits, or why there is none."""
    if isinstance(found, str):
        return f"not computed, {found}"
    return f"{found.single:.2f} [{found.single_low:.2f}, {found.single_high:.2f}]"


def omnibus_section(results: Results) -> list[str]:
    """Report the tests of all conditions together, variance components and bootstraps."""
    parts = ["<h2>Tests of all conditions</h2>"]
    omnibus = results.omnibus
    if omnibus.effects:
        parts.append("<p>Repeated-measures analysis of variance; the last column is the choice of BS.1534-3, "
                     "attachment 4.</p>")  # fmt: skip
        table = _effects(omnibus.effects)
        chosen = [omnibus.chosen[effect.name] for effect in omnibus.effects]
        parts.append(html_table(table.assign(**{"to be quoted": chosen}), "wide"))
        rows = [(e.name, e.multivariate.wilks, e.multivariate.f, f"{e.multivariate.df}, {e.multivariate.df_error}",
                 e.multivariate.p) for e in omnibus.effects if e.multivariate]  # fmt: skip
        if rows:
            parts.append(html_table(pd.DataFrame(rows, columns=["multivariate", "Wilks", "F", "df", "p"])))
        parts.append(f"<p>Residuals: skewness {omnibus.residuals[0]:.2f}, excess kurtosis "
                     f"{omnibus.residuals[1]:.2f} (BS.1534-3 flags 0.5, and 1.0 as severe).</p>")  # fmt: skip
    if f := omnibus.friedman:
        parts.append(f"<p>Friedman's test: chi² = {f.chi2:.3f}, {f.df} degrees of freedom, {escape(p_text(f.p))}; "
                     f"Kendall's W = {f.kendall_w:.3f}.</p>")  # fmt: skip
    if omnibus.aligned:
        parts.append("<p>The same analysis on aligned ranks, which needs no normal distribution:</p>")
        parts.append(html_table(_effects(omnibus.aligned), "wide"))
    parts += _mixed_models(results)
    if results.bootstraps:
        named = labels(results.cube.conditions)
        bounds = {scheme: [f"[{i.low:.1f}, {i.high:.1f}]" for i in found.values()]
                  for scheme, found in results.bootstraps.items()}  # fmt: skip
        parts.append("<p>Bootstrap 95 % intervals of the means, by what is drawn:</p>")
        parts.append(html_table(pd.DataFrame({"condition": list(named.values()), **bounds})))
    if len(parts) == 1:
        parts.append("<p>None could be computed; the summary says why.</p>")
    return parts


def _effects(effects: tuple[Effect, ...]) -> pd.DataFrame:
    rows = [
        (e.name, e.f, f"{e.df}, {e.df_error}", e.p, e.gg, e.p_gg, e.hf, e.p_hf, e.partial_eta2) for e in effects
    ]
    columns = ["effect", "F", "df", "p", "GG eps", "p GG", "HF eps", "p HF", "partial eta²"]
    return pd.DataFrame(rows, columns=columns)


def _mixed_models(results: Results) -> list[str]:
    """Report the mixed models of both claims: F by both kinds of degrees of freedom, and components."""
    rows = []
    for claim, model in results.models.items():
        for method in METHODS:
            test = model.omnibus(method)
            rows.append((f"{claim}, {method}", test.f, f"{test.df}, {test.df_error:.1f}", test.p))
    if not rows:
        return []
    parts = ["<p>Mixed models of the conditions, by claim and kind of degrees of freedom:</p>",
             html_table(pd.DataFrame(rows, columns=["claim", "F", "df", "p"]))]  # fmt: skip
    if model := results.models.get("material"):
        parts += _components(results, model)
    return parts


def _components(results: Results, model: ConditionModel) -> list[str]:
    """Report the variance components, and what the error of a difference of two means consists of."""
    values = model.model.variances | {"residual": model.model.residual}
    total = sum(values.values())
    rows = [(name, value, float(np.sqrt(value)), f"{100 * value / total:.0f} %") for name, value in values.items()]
    parts = [
        "<p>Variance components, listeners and items both random: how much a score varies with each, in points "
        "squared, as a standard deviation in points, and as a share.</p>",
        html_table(pd.DataFrame(rows, columns=["component", "variance", "sd", "share"])),
    ]
    listeners, items, _ = results.cube.scores.shape
    cells = np.mean(np.sum(~np.isnan(results.cube.scores), axis=(0, 1)))
    of = {
        "listeners": 2 * values.get("listener:condition", 0.0) / listeners,
        "items": 2 * values.get("item:condition", 0.0) / items,
        "the residual": 2 * values["residual"] / float(cells),
    }
    shares = ", ".join(f"{100 * value / sum(of.values()):.0f} % from {name}" for name, value in of.items())
    parts.append(
        f"<p>By these the difference of two conditions' means has over such material a standard error of "
        f"{np.sqrt(sum(of.values())):.1f} points: {shares}. More listeners lessen the first and the last, more "
        f"items "
        "the second and the last.</p>"
    )
    return parts


def laboratories_section(results: Results) -> list[str]:
    """Report the means of each laboratory and the tests between them; nothing for one laboratory."""
    laboratories = results.laboratories
    if laboratories is None:
        return []
    named = labels(results.cube.conditions)
    means = laboratories.means
    shown = pd.DataFrame({"condition": [named[c] for c in results.cube.conditions]})
    for name, own in means.groupby("laboratory", sort=False):
        shown[f"{name} ({laboratories.listeners[str(name)]} listeners)"] = [
            f"{row.mean:.1f} [{row.ci_low:.1f}, {row.ci_high:.1f}]"
            if row.ci_low == row.ci_low
            else f"{row.mean:.1f}"
            for row in own.itertuples()
        ]
    parts = [
        "<h2>Laboratories</h2>",
        "<p>Means of each laboratory with t intervals over its own listeners.</p>",
        html_table(shown),
    ]
    if laboratories.effects:
        parts += [
            "<p>Split-plot analysis of variance on the listeners' means: do the laboratories use the scale alike "
            "(laboratory), do the conditions differ over the unweighted laboratories (condition), and do the "
            "differences depend on the laboratory (laboratory:condition)?</p>",
            html_table(_effects(laboratories.effects), "wide"),
        ]
    return parts


def comparisons_section(test: AnalysedTest, figures: Sequence[str]) -> list[str]:
    """Report the planned comparisons and all pairs, with the HTML of their figures below."""
    results = test.results
    named = labels(results.cube.conditions)

    def pair_table(pairs: pd.DataFrame, columns: list[str], kind: str = "") -> str:
        names = [f"{named[a]} − {named[b]}" for a, b in zip(pairs["a"], pairs["b"], strict=True)]
        return html_table(pairs.assign(pair=names)[["pair", *columns]], kind)

    found = ["n", "difference", "ci_low", "ci_high"]
    margin_tests = [c for c in ("p_equivalent", "p_non_inferior") if c in results.pairs]
    parts = ["<h2>Comparisons</h2>"]
    if test.plan and results.planned is not None:
        plan = test.plan
        holds = sentence(plan.claim, len(results.cube.items)) if plan.claim else PERMUTATION_REMARK
        parts.append(f"<p>Planned: {escape(plan.test)} test, {escape(plan.correction)} over these "
                     f"{len(results.planned)} pairs, alpha = {plan.alpha:g}; {escape(holds)}.</p>")  # fmt: skip
        parts.append(pair_table(results.planned, [*found, "p", "p_adjusted", "different", *margin_tests]))
        parts.append("<p>All pairs, exploratory:</p>")
    quoted = {"items": "paired t", "material": "crossed"}[results.claim]
    parts.append(
        f"<p>Claim {escape(results.claim)}: differences within listener and item with their 95 % interval, each "
        f"pair "
        "by itself, and with intervals that hold at 95 % all together (adjusted, Bonferroni); p by the "
        f"{quoted} test after Holm; dz, the mean of the listeners' mean differences over their standard "
        f"deviation, and "
        f"Cliff's delta. This {escape(results.holds)}.</p>"
    )
    columns = [*found, "ci_low_adjusted", "ci_high_adjusted", "p_adjusted", "dz", "cliffs_delta", *margin_tests]
    parts.append(pair_table(results.pairs, columns, "wide"))
    parts += figures
    others = {"p_t_holm": "p t", "p_t_hochberg": "p t, Hochberg", "p_w_exact_holm": "p Wilcoxon",
              "p_sign_flip_holm": "p sign flip", "p_crossed_holm": "p crossed",
              "p_permutation_holm": "p permutation", "agree": "t and Wilcoxon agree"}  # fmt: skip
    others = {column: title for column, title in others.items() if column in results.pairs}
    agreeing = int(results.pairs["agree"].sum())
    parts.append(
        f"<p>Does the choice of the test matter? t and Wilcoxon's test decide alike at 5 % on {agreeing} of "
        f"{len(results.pairs)} pairs. All p are after Holm unless named otherwise; t, Wilcoxon and sign flip hold "
        f"for "
        "these items, crossed for such material.</p>"
    )
    parts.append(pair_table(results.pairs.rename(columns=others), list(others.values()), "wide"))
    return parts


def ordinal_section(results: Results) -> list[str]:
    """Report the model of ordered categories, if it was asked for."""
    ordinal = results.ordinal
    if ordinal is None:
        return []
    named = labels(results.cube.conditions)
    pair = [f"{named[a]} − {named[b]}" for a, b in zip(ordinal.pairs["a"], ordinal.pairs["b"], strict=True)]
    return [
        "<h2>Scores as ordered categories</h2>",
        "<p>A cumulative mixed model uses the order of the systems' scores alone and knows the ends of the scale; "
        "listeners and items are random, so that it holds for other items of the kind. Expected scores with 95 % "
        "intervals:</p>",
        html_table(ordinal.means.assign(condition=ordinal.means["condition"].map(named))),
        "<p>Log odds by which the first of a pair is rated above the second; p after Holm over these pairs:</p>",
        html_table(ordinal.pairs.assign(pair=pair)[["pair", "log_odds", "ci_low", "ci_high", "p", "p_holm"]]),
    ]


def items_section(results: Results) -> list[str]:
    """Report the significant differences on single items, if conditions and items interact."""
    if results.item_pairs is None:
        return []
    named = labels(results.cube.conditions)
    found = results.item_pairs[results.item_pairs["p_adjusted"] < 0.05]
    parts = [
        "<h2>Single items</h2>",
        f"<p>Conditions and items interact, so each item is compared by itself (paired t, Holm over all "
        f"{len(results.item_pairs)} differences; each holds for other listeners and that item). Significant are "
        f"{len(found)}; item_pairs.csv has all of them.</p>",
    ]
    if len(found):
        pair = [f"{named[a]} − {named[b]}" for a, b in zip(found["a"], found["b"], strict=True)]
        columns = ["item", "pair", "n", "difference", "ci_low", "ci_high", "p_adjusted"]
        parts.append(html_table(found.assign(pair=pair)[columns], "wide"))
    return parts
