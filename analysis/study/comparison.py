"""Analysis of BS.1116, AB and ABX tests: a row for each scope (overall, item, listener) and condition or pair."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from analysis.ratings.comparisons import Comparison, Comparisons
from analysis.statistics.binomial import abx_d_prime, binomial_p, clopper_pearson, d_prime_of_share
from analysis.statistics.interval import Estimate, mean_estimate
from analysis.statistics.paired_tests import holm
from analysis.statistics.preference import bradley_terry
from render.common.errors import InputError

CAVEATS = {
    "bs1116": "Intervals, t and sign tests are over the means of the listeners, or of the items where one "
    "listener is alone (column unit). Sign tests leave out means of 0. p_holm is p_t corrected by Holm over the "
    "conditions of a scope. Objects that are the reference itself (href) are controls.",
    "ab": "share, interval and p_binomial are of the decided trials; 'same' is counted and left out, and half of "
    "it counts in share_with_half_ties. Trials of one listener are not independent: p_listeners is the sign test "
    "over the listeners' majorities and does not suppose it.",
    "abx": "p_binomial is one-sided (more than half correct). Trials pooled over listeners are not independent: "
    "their interval and p suppose equal listeners; read the rows by listener too.",
}
"""Method -> what its reader must know."""

Row = dict[str, Any]


def summary(test: Comparisons) -> list[Row]:
    """Rows of the analysis of a test."""
    describe = {"bs1116": _grades, "ab": _preference, "abx": _recognition}[test.method]
    rows: list[Row] = []
    for (attribute, transducer), trials in _grouped(test.trials, lambda trial: trial.group):
        for scope, name in (
            ("overall", lambda t: ""),
            ("item", lambda t: t.item),
            ("listener", lambda t: t.listener),
        ):
            for of, part in _grouped(trials, name):
                found = [
                    {"attribute": attribute, "transducer": transducer, "scope": scope, "of": of, **pair, **row}
                    for pair, row in _by_pair(test.method, part, describe)
                ]  # fmt: skip
                if test.method == "bs1116":
                    _correct(found)
                rows += found
    return rows


def preference_scale(test: Comparisons) -> tuple[list[Row], list[str]]:
    """Place the systems of an AB test on one scale, where three or more were compared; also say what cannot be.

    Returns
    -------
    rows, notes
        For each attribute, transducer and condition: ``strength``, the log of its odds against a system of average
        strength, with a 95 % interval over listeners (t, of one listener over trials); ``share``, the share of
        preferences against such a system; ``p_fit`` of the model (`analysis.statistics.preference`).
    """
    rows: list[Row] = []
    notes = []
    for (attribute, transducer), trials in _grouped(test.trials, lambda trial: trial.group):
        names = sorted({name for trial in trials for name in (trial.first, trial.second)})
        if len(names) < 3:
            continue
        listeners = sorted({trial.listener for trial in trials})
        wins = np.zeros((len(listeners), len(names), len(names)))
        for trial in trials:
            of, a, b = listeners.index(trial.listener), names.index(trial.first), names.index(trial.second)
            wins[of, a, b] += trial.value
            wins[of, b, a] += 1 - trial.value
        try:
            found = bradley_terry(wins)
        except InputError as error:
            notes.append(f"{attribute}, {transducer}: no scale of preference: {error}")
            continue
        covariance, df = (
            (found.covariance, np.inf) if found.clustered is None else (found.clustered, len(listeners) - 1.0)
        )
        for name, value, variance in zip(names, found.values, np.diag(covariance), strict=True):
            interval = Estimate(float(value), float(variance**0.5), df).interval()
            rows.append({
                "attribute": attribute, "transducer": transducer, "condition": name, "listeners": len(listeners),
                "strength": interval.mean, "ci_low": interval.low, "ci_high": interval.high,
                "share": 1 / (1 + math.exp(-interval.mean)), "deviance": found.deviance, "df": found.df,
                "p_fit": found.p,
            })  # fmt: skip
    return rows, notes


def expertise(test: Comparisons) -> list[Row]:
    """Whether each listener of a BS.1116 test identified the hidden reference more often than by chance.

    It is identified where the object got the lower grade; equal grades count as not identified. The test is
    one-sided and exact. Controls are left out.
    """
    rows: list[Row] = []
    for (attribute, transducer), trials in _grouped(test.trials, lambda trial: trial.group):
        objects = [trial for trial in trials if trial.first != "href"]
        for listener, own in _grouped(objects, lambda trial: trial.listener):
            identified = sum(trial.value < 0 for trial in own)
            p = binomial_p(identified, len(own), "greater")
            rows.append({
                "attribute": attribute, "transducer": transducer, "listener": listener, "trials": len(own),
                "identified": identified, "equal": sum(trial.value == 0 for trial in own), "p": p,
                "expert": p < 0.05,
            })  # fmt: skip
    return rows


def _grouped(
    trials: Sequence[Comparison], name: Callable[[Comparison], Any]
) -> list[tuple[Any, list[Comparison]]]:
    groups: dict[Any, list[Comparison]] = defaultdict(list)
    for trial in trials:
        groups[name(trial)].append(trial)
    return sorted(groups.items())


def _by_pair(
    method: str, trials: Sequence[Comparison], describe: Callable[[Sequence[Comparison]], Row]
) -> Iterator[tuple[Row, Row]]:
    for (first, second), own in _grouped(trials, lambda trial: (trial.first, trial.second)):
        pair = {"condition": first} if method == "bs1116" else {"first": first, "second": second}
        yield pair, describe(own)


def _means(trials: Iterable[Comparison]) -> tuple[str, np.ndarray]:
    """Means of the listeners over their items; of the items, if one listener is alone. Replicates count as one."""
    by: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        by[trial.listener][trial.item].append(trial.value)
    of_items = [[float(np.mean(values)) for values in items.values()] for items in by.values()]
    if len(of_items) == 1:
        return "items", np.array(of_items[0])
    return "listeners", np.array([np.mean(items) for items in of_items])


def _grades(trials: Sequence[Comparison]) -> Row:
    unit, means = _means(trials)
    estimate = mean_estimate(means)
    interval = estimate.interval()
    below, above = int(np.sum(means < 0)), int(np.sum(means > 0))
    return {
        "unit": unit, "units": len(means), "trials": len(trials), "mean": estimate.value,
        "ci_low": interval.low, "ci_high": interval.high, "median": float(np.median(means)),
        "t": estimate.value / estimate.se if estimate.se > 0 else math.nan, "df": estimate.df, "p_t": estimate.p,
        "below_0": below, "above_0": above, "p_sign": binomial_p(below, below + above),
    }  # fmt: skip


def _correct(rows: list[Row]) -> None:
    """Add Holm's correction over the conditions of one scope, controls left out."""
    tested = [row for row in rows if row["condition"] != "href" and not math.isnan(row["p_t"])]
    corrected = holm([row["p_t"] for row in tested]) if tested else []
    for row in rows:
        row["p_holm"] = math.nan
    for row, p in zip(tested, corrected, strict=True):
        row["p_holm"] = float(p)


def _preference(trials: Sequence[Comparison]) -> Row:
    first, second = sum(t.value == 1 for t in trials), sum(t.value == 0 for t in trials)
    decided, same = first + second, len(trials) - first - second
    low, high = clopper_pearson(first, decided)
    net = [sum(t.value - 0.5 for t in own) for _, own in _grouped(trials, lambda trial: trial.listener)]
    for_first, for_second = sum(n > 0 for n in net), sum(n < 0 for n in net)
    return {
        "listeners": len(net), "trials": len(trials), "prefer_first": first, "prefer_second": second, "same": same,
        "share": first / decided if decided else math.nan, "ci_low": low, "ci_high": high,
        "share_with_half_ties": (first + same / 2) / len(trials), "p_binomial": binomial_p(first, decided),
        "listeners_first": for_first, "listeners_second": for_second,
        "p_listeners": binomial_p(for_first, for_first + for_second),
    }  # fmt: skip


def _recognition(trials: Sequence[Comparison]) -> Row:
    correct, count = int(sum(trial.value for trial in trials)), len(trials)
    low, high = clopper_pearson(correct, count)
    return {
        "listeners": len({trial.listener for trial in trials}), "trials": count, "correct": correct,
        "share": correct / count, "ci_low": low, "ci_high": high,
        "p_binomial": binomial_p(correct, count, "greater"),
        **_d_primes(correct, count, (low, high)),
    }  # fmt: skip


def _d_primes(correct: int, count: int, shares: tuple[float, float]) -> Row:
    """Return d' by both models with the limits that follow from those of the share correct."""
    row: Row = {}
    for strategy in ("independent", "differencing"):
        low, high = (d_prime_of_share(share, strategy) for share in shares)
        row |= {f"d_{strategy}": abx_d_prime(correct, count, strategy),
                f"d_{strategy}_low": low, f"d_{strategy}_high": high}  # fmt: skip
    return row
