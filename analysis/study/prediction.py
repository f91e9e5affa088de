"""Objective measures as predictors of the mean scores of a test, by Recommendation ITU-T P.1401."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

from analysis.ratings.conditions import ANCHORS
from analysis.statistics.binomial import clopper_pearson
from analysis.statistics.paired_tests import holm
from analysis.statistics.prediction import (
    beyond_interval,
    dependent_correlations,
    monotone_mapping,
    noise_ceiling,
    rmse,
)
from analysis.study.correlation import OTHER_COLUMNS


def predictions(scores: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """Describe how well every measure predicts the scores after a monotone mapping.

    Parameters
    ----------
    scores
        Columns ``item, condition, n, mean, ci_low, ci_high`` (95 % t interval over n listeners). The hidden
        reference is left out, and so are scores without an interval.
    measures
        Columns ``item, condition`` and measures.

    Returns
    -------
    DataFrame
        ``measure, conditions`` (``all``, or ``systems`` without the anchors), ``n``; ``mapping``; ``r``, Pearson's
        correlation of mapped measure and scores; ``rmse`` and ``rmse_epsilon`` in points; ``outliers``, the share
        of predictions outside the scores' intervals, with its exact 95 % limits; ``ceiling``, the r that a
        measure of the true scores would reach; ``noise``, its error in points; and of the test against the
        measure with the largest r of the same ``conditions``: ``t_best, p_best`` and ``p_best_holm``, empty for
        that measure itself.
    """
    joined = scores.merge(measures, on=["item", "condition"])
    joined = joined[joined["condition"] != "href"].dropna(subset=["mean", "ci_low"])
    names = [c for c in measures.columns if c not in OTHER_COLUMNS]
    anchors = joined["condition"].isin(ANCHORS)
    parts = {"all": joined} | ({"systems": joined[~anchors]} if anchors.any() else {})
    rows = []
    for kind, part in parts.items():
        found, mapped = [], {}
        for name in names:
            pairs = part.dropna(subset=[name])
            if len(pairs) >= 3:
                mapped[name] = pd.Series(np.nan, part.index)
                found.append({"measure": name, "conditions": kind, **_quality(pairs, name, mapped[name])})
        rows += _against_the_best(found, mapped, part["mean"])
    return pd.DataFrame(rows)


def _quality(pairs: pd.DataFrame, name: str, mapped: pd.Series) -> dict[str, float | str]:
    """Return the qualities of one measure, and fill in the scores that it predicts."""
    y, half = pairs["mean"].to_numpy(float), (pairs["ci_high"] - pairs["ci_low"]).to_numpy(float) / 2
    mapping = monotone_mapping(pairs[name].to_numpy(float), y)
    mapped.loc[pairs.index] = mapping.predicted
    error = y - mapping.predicted
    beyond = beyond_interval(error, half)
    outliers = int(np.sum(beyond > 0))
    low, high = clopper_pearson(outliers, len(y))
    se = half / special.stdtrit(pairs["n"].to_numpy(float) - 1, 0.975)
    return {
        "n": len(y), "mapping": mapping.name, "r": _pearson(mapping.predicted, y),
        "rmse": rmse(error, mapping.coefficients), "rmse_epsilon": rmse(beyond, mapping.coefficients),
        "outliers": outliers / len(y), "outliers_low": low, "outliers_high": high,
        "ceiling": noise_ceiling(y, se), "noise": float(np.sqrt(np.mean(se**2))),
    }  # fmt: skip


def _against_the_best(found: list[dict], mapped: dict[str, pd.Series], scores: pd.Series) -> list[dict]:
    """Add the tests of each measure against the one with the largest r, over the stimuli that both have."""
    defined = [row for row in found if not np.isnan(row["r"])]
    best = max(defined, key=lambda row: row["r"])["measure"] if defined else None
    for row in found:
        row |= {"t_best": np.nan, "p_best": np.nan}
        if best is not None and row["measure"] != best:
            both = mapped[row["measure"]].notna() & mapped[best].notna()
            own, other, y = (v[both].to_numpy(float) for v in (mapped[row["measure"]], mapped[best], scores))
            row["t_best"], row["p_best"] = dependent_correlations(
                _pearson(own, y), _pearson(other, y), _pearson(own, other), len(y)
            )
    adjusted = holm([row["p_best"] for row in found])
    return [row | {"p_best_holm": float(p)} for row, p in zip(found, adjusted, strict=True)]


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 3 or min(np.ptp(a), np.ptp(b)) <= 1e-12:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
