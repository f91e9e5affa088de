"""Comparisons of conditions on each item by itself, for tests in which differences depend on the item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.statistics.interval import mean_estimate
from analysis.statistics.paired_tests import holm

COLUMNS = ("item", "a", "b", "n", "difference", "ci_low", "ci_high", "p")


def compare_on_items(
    scores: Float64[np.ndarray, "listener item condition"],
    items: Sequence[str],
    conditions: Sequence[str],
    pairs: Sequence[tuple[str, str]],
) -> pd.DataFrame:
    """Compare pairs of conditions on every item by the paired t test of the listeners who rated both.

    Returns
    -------
    DataFrame
        ``item, a, b``; ``n`` listeners; ``difference`` (a - b) with its 95 % interval; ``p``, and ``p_adjusted``
        by Holm's method over all items and pairs. It holds for other listeners and that item.
    """
    rows = []
    for j, item in enumerate(items):
        for a, b in pairs:
            difference = scores[:, j, conditions.index(a)] - scores[:, j, conditions.index(b)]
            estimate = mean_estimate(difference)
            interval = estimate.interval()
            count = int(np.sum(~np.isnan(difference)))
            rows.append((item, a, b, count, estimate.value, interval.low, interval.high, estimate.p))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_adjusted=holm(table["p"]))
