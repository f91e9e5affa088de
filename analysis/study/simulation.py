"""Simulated ratings, for planning, teaching and tests.

A score is the mean of its condition plus effects of the listener, the item and of both with the condition plus
noise, cut to 0..100 and rounded. The variances are those of a published test of Ambisonics coding (22 listeners x
13 items); the means are guesses in the order that the paper reports. Sessions and listeners are named
``simulated-...``, by which everything that is made from the ratings says SIMULATED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from render.common.errors import InputError

EFFECTS = {"la": 22.0, "ma": 45.0, "opus3_160": 58.0, "prop": 72.0, "href": 99.0}
"""Default means, in points; only their order is taken from the paper, which prints no numbers."""

VARIANCES = {
    "listener": 54.3,
    "item": 29.3,
    "listener_condition": 65.5,
    "item_condition": 73.8,
    "residual": 170.1,
}
"""Variance components, in points squared, of ``score ~ condition + (1|listener) + (1|item)`` + interactions."""


LABORATORY_VARIANCES = {"laboratory": 20.0, "laboratory_condition": 40.0}
"""Guesses of what simulated laboratories differ by, in points squared."""


def linear_scores(
    rng: np.random.Generator,
    means: Sequence[float] | np.ndarray,
    listeners: int,
    items: int,
    variances: Mapping[str, float],
) -> Float64[np.ndarray, "listener item condition"]:
    """Draw ``mean + listener + item + listener:condition + item:condition + residual``, without limits.

    Parameters
    ----------
    rng
        Source of all effects, which are normal.
    means
        Mean of each condition.
    listeners, items
        Their numbers.
    variances
        As `VARIANCES`.
    """
    sd = {name: value**0.5 for name, value in variances.items()}
    conditions = len(means)
    return (
        rng.normal(0, sd["listener"], (listeners, 1, 1))
        + rng.normal(0, sd["item"], (1, items, 1))
        + rng.normal(0, sd["listener_condition"], (listeners, 1, conditions))
        + rng.normal(0, sd["item_condition"], (1, items, conditions))
        + rng.normal(0, sd["residual"], (listeners, items, conditions))
        + means
    )


def simulate(
    effects: Mapping[str, float],
    listeners: int,
    items: Sequence[str],
    seed: int,
    variances: Mapping[str, float] = VARIANCES,
    laboratories: int = 1,
    replicates: int = 1,
    items_per_listener: int | None = None,
) -> pd.DataFrame:
    """Return a tidy table of simulated ratings, whole numbers from 0 to 100.

    All random effects shrink towards the ends of the scale, by ``sqrt(m (100 - m)) / 50`` for a condition's mean
    m: listeners agree on what is bad and on what equals the reference.

    Parameters
    ----------
    effects
        Condition -> its mean.
    listeners
        Number of listeners.
    items
        Names of the items.
    seed
        The same seed gives the same ratings.
    variances
        As `VARIANCES`.
    laboratories
        Number of laboratories among which the listeners are divided (column ``laboratory`` for more than one);
        they differ by `LABORATORY_VARIANCES`.
    replicates
        How often each cell is rated; half the residual variance is then the cell's and half that of each rating.
    items_per_listener
        How many of the items each listener rates, in turn; None for all.
    """
    means = np.array(list(effects.values()))
    rng = np.random.Generator(np.random.Philox(seed))
    spread = np.sqrt(means * (100 - means)) / 50
    repeated = replicates > 1
    of_cells = dict(variances) | ({"residual": variances["residual"] / 2} if repeated else {})
    linear = linear_scores(rng, np.zeros(means.size), listeners, len(items), of_cells)
    laboratory = np.arange(listeners) * laboratories // listeners
    if laboratories > 1:
        for name, shape in (
            ("laboratory", (laboratories, 1)),
            ("laboratory_condition", (laboratories, means.size)),
        ):
            linear += rng.normal(0, LABORATORY_VARIANCES[name] ** 0.5, shape)[laboratory][:, None]
    ratings = np.repeat(linear[..., None], replicates, axis=-1)
    if repeated:
        ratings += rng.normal(0, (variances["residual"] / 2) ** 0.5, ratings.shape)
    scores = np.clip(np.round(ratings * spread[:, None] + means[:, None]), 0, 100)
    index = [(f"simulated-seed{seed}", f"simulated-{1 + i:02d}", item, condition, 1 + k)
             for i in range(listeners) for item in items for condition in effects
             for k in range(replicates)]  # fmt: skip
    table = pd.DataFrame(index, columns=["session", "listener", "item", "condition", "replicate"])
    table = table.assign(score=scores.ravel())
    if laboratories > 1:
        names = np.repeat(laboratory, len(table) // listeners)
        table = table.assign(laboratory=[f"laboratory {1 + number}" for number in names])
    if items_per_listener is not None:
        turn = (np.arange(len(items)) - np.arange(listeners)[:, None]) % len(items)
        rated = np.repeat((turn < items_per_listener).ravel(), means.size * replicates)
        table = table[rated].reset_index(drop=True)
    return table


def effects_of(given: Sequence[str], conditions: Sequence[str]) -> dict[str, float]:
    """Return the means of `conditions`, in this order: as given in ``condition=mean``, else from `EFFECTS`.

    Raises
    ------
    InputError
        If a text is malformed, a mean is outside 0 to 100, or a condition has none.
    """
    effects = dict(EFFECTS)
    for text in given:
        name, _, mean = text.partition("=")
        try:
            effects[name] = float(mean)
        except ValueError:
            raise InputError(f"--effect {text}: must be CONDITION=MEAN") from None
        if not 0 <= effects[name] <= 100:
            raise InputError(f"--effect {text}: the mean must be from 0 to 100")
    if unknown := [c for c in conditions if c not in effects]:
        raise InputError(f"no mean for condition {', '.join(unknown)}; give --effect {unknown[0]}=MEAN")
    return {c: effects[c] for c in conditions}


def variances_of(given: Sequence[str]) -> dict[str, float]:
    """Return the variance components: as given in ``component=points squared``, else from `VARIANCES`.

    Raises
    ------
    InputError
        If a text is malformed, a component is unknown, or a variance is outside 0 to 10000.
    """
    variances = dict(VARIANCES)
    for text in given:
        name, _, value = text.partition("=")
        if name not in variances:
            raise InputError(f"--variance {text}: the components are {', '.join(variances)}")
        try:
            variances[name] = float(value)
        except ValueError:
            raise InputError(f"--variance {text}: must be COMPONENT=VALUE") from None
        if not 0 <= variances[name] <= 10_000:
            raise InputError(f"--variance {text}: must be from 0 to 10000 points squared")
    return variances
