"""Mixed models of a listening test: what its ratings say of all conditions together, for one of two claims.

``material``  The result is to hold for other listeners and other items of the same kind. Both are random:
              ``score ~ condition + (1|listener) + (1|item) + (1|listener:condition) + (1|item:condition)``.
``items``     It is to hold for other listeners and these items. The items are fixed, and the mean of a condition
              is the mean over them, each counted once: ``score ~ condition * item + (1|listener) +
              (1|listener:condition)``.

An effect of which every level was rated once is the residual and is left out, and so are the random effects of a
single item. All ratings have one residual variance in these models. Where that of the conditions differs (the
hidden reference hardly varies), the tests of single pairs (`analysis.statistics.paired_tests`) are the safer
ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.cells import Cells
from analysis.statistics.interval import Estimate, Interval
from analysis.statistics.mixed_inference import MixedInference, OmnibusF
from analysis.statistics.mixed_models import MixedModel, NoFit, ProfiledDeviance, fit
from analysis.statistics.simultaneous import tukey_limit, tukey_p

CLAIMS = ("items", "material")


@dataclass(frozen=True)
class ConditionModel:
    """A fitted model and the weights by which its fixed effects make the mean of each condition.

    Attributes
    ----------
    claim
        One of `CLAIMS`.
    conditions
        Names of the conditions.
    items
        Names of the items that the means are over; for the claim ``items`` those that were rated under all
        conditions.
    model, inference
        The fitted model, and what tests of its fixed effects need.
    weights
        Weights of the fixed effects in each condition's mean.
    """

    claim: str
    conditions: tuple[str, ...]
    items: tuple[str, ...]
    model: MixedModel
    inference: MixedInference
    weights: Float64[np.ndarray, "condition fixed"]

    def mean(self, condition: int, method: str = "kenward-roger") -> Estimate:
        """Return the marginal mean of a condition."""
        return self.inference.contrast(self.weights[condition], method)

    def difference(self, first: int, second: int, method: str = "kenward-roger") -> Estimate:
        """Return the difference of two conditions' marginal means."""
        return self.inference.contrast(self.weights[first] - self.weights[second], method)

    def omnibus(self, method: str = "kenward-roger") -> OmnibusF:
        """Test whether all conditions have one marginal mean."""
        return self.inference.f_test(self.weights[1:] - self.weights[0], method)  # the contrasts of R


def fit_condition_model(cube: Cells, claim: str = "material") -> ConditionModel:
    """Fit the model of one of `CLAIMS` by REML to the cells that were rated; a complete design has a closed form.

    Raises
    ------
    InputError
        If the design has more than `analysis.statistics.mixed_models.MAX_LEVELS` levels of random effects.
    NoFit
        If the ratings are too few, or too regular, for the model, or no item was rated under all conditions.
    """
    if min(len(cube.listeners), len(cube.conditions)) < 2:
        raise NoFit("a mixed model of the conditions needs 2 listeners and 2 conditions")
    scores: np.ndarray = cube.scores
    items = np.arange(len(cube.items))
    if claim == "items":
        items = np.flatnonzero(np.all(np.any(~np.isnan(scores), axis=0), axis=1))
        if not items.size:
            raise NoFit(
                "no item was rated under all conditions, so their means over these items cannot be compared"
            )
        scores = scores[:, items]
        scores = scores[(~np.isnan(scores)).any(axis=(1, 2))]
    listener, item, condition = np.nonzero(~np.isnan(scores))
    y, k = scores[listener, item, condition], scores.shape[2]
    effects = {"listener": listener, "listener:condition": listener * k + condition}
    if claim == "material":
        x, weights = np.eye(k)[condition], np.eye(k)
        if len(items) > 1:
            effects |= {"item": item, "item:condition": item * k + condition}
    else:
        x = np.eye(items.size * k)[item * k + condition]
        weights = np.tile(np.eye(k), items.size) / items.size
    groups = {name: np.unique(codes, return_inverse=True)[1] for name, codes in effects.items()}
    groups = {name: groups[name] for name in ("listener", "item", "listener:condition", "item:condition")
              if name in groups and groups[name].max() + 1 < y.size}  # fmt: skip
    if "listener" not in groups:
        raise NoFit("a mixed model of the conditions needs listeners who rated more than one cell")
    closed = _complete(scores, claim) if cube.complete and len(items) > 1 else None
    if closed is None:
        model = fit(y, x, groups)
    else:
        residual = closed.pop("residual")
        model = MixedModel({name: closed[name] for name in groups}, residual, ProfiledDeviance(y, x, groups))
    if model.residual <= 1e-9:
        raise NoFit("a mixed model of the conditions needs ratings that vary")
    names = tuple(cube.items[i] for i in items)
    return ConditionModel(claim, cube.conditions, names, model, MixedInference(model), weights)


def _complete(scores: Float64[np.ndarray, "listener item condition"], claim: str) -> dict[str, float] | None:
    """Return the REML estimates of a complete design from its mean squares; None if there is no residual.

    The expectations of the mean squares are sums of variances that are not negative, so that of a listener is at
    least that of listener x condition, which is at least the residual's, and likewise for the items. REML
    maximises over expectations in this order: it pools mean squares that violate it (Thompson, Ann. Math. Stat.
    33, 1962).
    """
    listeners, items, conditions = scores.shape
    deviation = scores - scores.mean(axis=(0, 1))
    by_lc, by_ic = deviation.mean(axis=1), deviation.mean(axis=0)
    by_l, by_i = by_lc.mean(axis=1), by_ic.mean(axis=1)
    squares = {
        "residual": np.sum((deviation - by_lc[:, None, :] - by_ic) ** 2),
        "listener:condition": items * np.sum((by_lc - by_l[:, None]) ** 2),
        "listener": items * conditions * np.sum(by_l**2),
        "item:condition": listeners * np.sum((by_ic - by_i[:, None]) ** 2),
        "item": listeners * conditions * np.sum(by_i**2),
    }
    freedom = {
        "residual": (listeners - 1) * (items - 1) * conditions,
        "listener:condition": (listeners - 1) * (conditions - 1),
        "listener": listeners - 1,
        "item:condition": (items - 1) * (conditions - 1),
        "item": items - 1,
    }
    below = {"listener": "listener:condition", "listener:condition": "residual",
             "item": "item:condition", "item:condition": "residual"}  # fmt: skip
    if squares["residual"] <= 1e-12 * (1 + np.sum(deviation**2)):
        return None
    if claim == "items":
        squares = {name: squares[name] for name in ("residual", "listener:condition", "listener")}
    expected = pool_mean_squares(squares, freedom, below)
    ratings = {"listener": items * conditions, "listener:condition": items,
               "item": listeners * conditions, "item:condition": listeners}  # fmt: skip
    components = {name: (expected[name] - expected[below[name]]) / ratings[name]
                  for name in squares if name != "residual"}  # fmt: skip
    return {name: float(value) for name, value in (components | {"residual": expected["residual"]}).items()}


def pool_mean_squares(
    squares: dict[str, float], freedom: dict[str, int], below: dict[str, str]
) -> dict[str, float]:
    """Return the expectations of mean squares that are most likely under an order.

    Parameters
    ----------
    squares, freedom
        Sums of squares and their degrees of freedom.
    below
        Name -> the name whose expectation is not larger; the one without an entry is the smallest.
    """
    pools = {name: [name] for name in squares}
    total = {name: (squares[name], freedom[name]) for name in squares}
    lower = {name: below[name] for name in squares if name in below}
    left = set(squares)
    expected: dict[str, float] = {}
    while left:
        smallest = min(left, key=lambda name: total[name][0] / total[name][1])
        parent = lower.get(smallest)
        if parent not in left:  # nothing that must be smaller is left: its mean square is its expectation
            left.remove(smallest)
            expected |= dict.fromkeys(pools[smallest], total[smallest][0] / total[smallest][1])
            continue
        pools[parent] += pools.pop(smallest)
        squares_of, freedom_of = total.pop(smallest)
        total[parent] = total[parent][0] + squares_of, total[parent][1] + freedom_of
        left.remove(smallest)
        lower = {name: parent if to == smallest else to for name, to in lower.items()}
    return expected


MEAN_COLUMNS = ("condition", "mean", "se", "df", "ci_low", "ci_high")


def marginal_means(model: ConditionModel, method: str = "kenward-roger", level: float = 0.95) -> pd.DataFrame:
    """Return the marginal mean of every condition with its standard error and interval (`MEAN_COLUMNS`)."""
    rows = []
    for i, condition in enumerate(model.conditions):
        estimate = model.mean(i, method)
        interval = estimate.interval(level)
        rows.append((condition, estimate.value, estimate.se, estimate.df, interval.low, interval.high))
    return pd.DataFrame(rows, columns=MEAN_COLUMNS)


def contrast_table(
    model: ConditionModel, pairs: list[tuple[str, str]], method: str = "kenward-roger", level: float = 0.95
) -> pd.DataFrame:
    """Compare pairs of the model's conditions.

    Returns
    -------
    DataFrame
        ``a, b, difference, se, df, t, ci_low, ci_high`` (each pair by itself), ``p``, and for the family of all
        pairs of the model's conditions Tukey's ``p_tukey`` and simultaneous ``tukey_low, tukey_high``.
    """
    rows = []
    count = len(model.conditions)
    limits: dict[float, float] = {}
    for a, b in pairs:
        estimate = model.difference(model.conditions.index(a), model.conditions.index(b), method)
        single: Interval = estimate.interval(level)
        key = round(estimate.df, 6)
        if key not in limits:
            limits[key] = tukey_limit(count, estimate.df, level)
        limit = limits[key]
        t = estimate.value / estimate.se
        rows.append({
            "a": a, "b": b, "difference": estimate.value, "se": estimate.se, "df": estimate.df, "t": t,
            "ci_low": single.low, "ci_high": single.high, "p": estimate.p,
            "p_tukey": tukey_p(t, count, estimate.df),
            "tukey_low": estimate.value - limit * estimate.se, "tukey_high": estimate.value + limit * estimate.se,
        })  # fmt: skip
    return pd.DataFrame(rows)
