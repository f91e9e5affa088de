"""The systems of a test by a model that takes scores as ordered categories, beside the means."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd

from analysis.ratings.cells import Cells
from analysis.ratings.conditions import REFERENCE_AND_ANCHORS
from analysis.statistics.cumulative import fit_cumulative
from analysis.statistics.mixed_models import NoFit
from analysis.statistics.paired_tests import every_pair, holm


@dataclass(frozen=True)
class Ordinal:
    """The systems by `analysis.statistics.cumulative`; it holds for such material.

    Attributes
    ----------
    means
        ``condition, mean, ci_low, ci_high``: expected scores, whose intervals stay within 0 to 100.
    pairs
        ``a, b, log_odds`` by which a is rated above b, ``ci_low, ci_high, p``, and ``p_holm`` over these pairs.
    deviations
        Random effect -> its standard deviation in log odds; that of a single rating is 1.81.
    """

    means: pd.DataFrame
    pairs: pd.DataFrame
    deviations: dict[str, float]


def ordinal_model(cube: Cells) -> Ordinal:
    """Fit the model to the cells of the systems; reference and anchors crowd at the ends of the scale.

    Raises
    ------
    NoFit
        If there are fewer than 2 systems, listeners or items, or the ratings allow no fit.
    """
    systems = tuple(c for c in cube.conditions if c not in REFERENCE_AND_ANCHORS)
    if min(len(systems), len(cube.listeners), len(cube.items)) < 2:
        raise NoFit("a cumulative model needs 2 systems besides reference and anchors, 2 listeners and 2 items")
    scores = cube.scores[:, :, [cube.conditions.index(c) for c in systems]]
    listener, item, condition = np.nonzero(~np.isnan(scores))
    y, k = scores[listener, item, condition], len(systems)
    effects = {
        "listener": listener,
        "item": item,
        "listener:condition": listener * k + condition,
        "item:condition": item * k + condition,
    }
    groups = {name: np.unique(codes, return_inverse=True)[1] for name, codes in effects.items()}
    groups = {name: codes for name, codes in groups.items() if codes.max() + 1 < y.size}
    df = min(len(cube.listeners), len(cube.items)) - 1.0
    model = fit_cumulative(y, condition, groups, df)
    means = [(name, *astuple(model.mean(i))) for i, name in enumerate(systems)]
    rows = []
    for a, b in every_pair(systems)[0]:
        estimate = model.difference(systems.index(a), systems.index(b))
        interval = estimate.interval()
        rows.append((a, b, estimate.value, interval.low, interval.high, estimate.p))
    pairs = pd.DataFrame(rows, columns=["a", "b", "log_odds", "ci_low", "ci_high", "p"])
    return Ordinal(
        pd.DataFrame(means, columns=["condition", "mean", "ci_low", "ci_high"]),
        pairs.assign(p_holm=holm(pairs["p"])),
        model.deviations,
    )
