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
    """
    means = np.array(list(effects.values()))
    rng = np.random.Generator(np.random.Philox(seed))
    spread = np.sqrt(means * (100 - means)) / 50
    scores = linear_scores(rng, np.zeros(means.size), listeners, len(items), variances) * spread + means
    scores = np.clip(np.round(scores), 0, 100)
    index = [(f"simulated-seed{seed}", f"simulated-{1 + i:02d}", item, condition, 1)
             for i in range(listeners) for item in items for condition in effects]  # fmt: skip
    table = pd.DataFrame(index, columns=["session", "listener", "item", "condition", "replicate"])
    return table.assign(score=scores.ravel())


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
