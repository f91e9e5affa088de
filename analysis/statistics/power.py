"""How many listeners a test needs, and what difference a number of listeners can find.

For the paired comparison of two conditions on the listeners' means over the items (two-sided t test). What it
depends on is the standard deviation, over listeners, of the difference of their means: taken from a pilot's
ratings, given with --sd, or from two published tests of codecs, whose systems have medians of 8.0 (4.7 to
13.0) and 10.9 (5.6 to 19.9) points. With --items it follows from variance components (the pilot's, else those
of a published test) for that number of items, sd^2 = 2 (listener:condition + residual / items).

With --margin the listeners needed to show equivalence (two one-sided tests) and non-inferiority within that
margin are counted too, should the conditions truly be equal: a claim of transparency needs these, not a
difference that was not found. With --pilot, --pair and --margin these tests are also made on the ratings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy import special

from analysis.ratings.table import cells, is_simulated, read
from analysis.statistics.intervals import means_over_items
from analysis.statistics.paired_tests import compare_pairs
from analysis.statistics.variance_components import condition_model
from render.common.errors import InputError

MAX_LISTENERS = 1000


def t_power(listeners: int, difference: float, sd: float, alpha: float = 0.05) -> float:
    """Probability that a two-sided paired t test finds a true difference."""
    df, shift = listeners - 1, abs(difference) / sd * listeners**0.5
    limit = special.stdtrit(df, 1 - alpha / 2)
    return float(1 - special.nctdtr(df, shift, limit) + special.nctdtr(df, shift, -limit))


def non_inferiority_power(listeners: int, margin: float, sd: float, alpha: float = 0.05) -> float:
    """Probability of showing non-inferiority within `margin` where the true difference is 0."""
    df = listeners - 1
    return float(1 - special.nctdtr(df, margin / sd * listeners**0.5, special.stdtrit(df, 1 - alpha)))


def equivalence_power(listeners: int, margin: float, sd: float, alpha: float = 0.05) -> float:
    """Probability of showing equivalence within ``-margin..margin`` where the true difference is 0.

    Given the sample's standard deviation s the mean must lie within ``margin - t s / sqrt(n)`` of 0, a normal
    probability, which is averaged over the distribution of s.
    """
    df = listeners - 1
    quantile = (np.arange(4000) + 0.5) / 4000
    s = np.sqrt(special.chdtri(df, quantile) / df)
    room = margin / sd * np.sqrt(listeners) - special.stdtrit(df, 1 - alpha) * s
    return float(np.mean(np.where(room > 0, 2 * special.ndtr(room) - 1, 0)))


def listeners_needed(power_of: Callable[[int], float], power: float) -> int | None:
    """Return the smallest number of listeners with this power; None if `MAX_LISTENERS` are too few."""
    low, high = 1, 2
    while power_of(high) < power:
        low, high = high, 2 * high
        if low > MAX_LISTENERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def detectable(listeners: int, sd: float, power: float, alpha: float = 0.05) -> float:
    """Return the smallest true difference that is found with this power."""
    low, high = 0.0, sd
    while t_power(listeners, high, sd, alpha) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if t_power(listeners, middle, sd, alpha) >= power else (middle, high)
    return high


def pilot_sd(paths: list[Path], pair: list[str] | None) -> tuple[float, str]:
    """Standard deviation of the paired differences in a pilot: of a pair, or the median over its systems."""
    ratings = read(paths)
    cube = cells(ratings)
    pairs = compare_pairs(means_over_items(cube.scores), cube.conditions)
    if pair:
        if unknown := set(pair) - set(cube.conditions):
            raise InputError(f"the pilot has no condition {', '.join(sorted(unknown))}")
        chosen = pairs[pairs["a"].isin(pair) & pairs["b"].isin(pair)]
    else:
        chosen = pairs[~pairs[["a", "b"]].isin(["href", "la", "ma"]).any(axis=1)]
    sds = (chosen["difference"] / chosen["dz"]).dropna()
    if not len(sds):
        raise InputError("the pilot has no pair of systems whose differences vary; name one with --pair A B")
    kind = "SIMULATED pilot" if is_simulated(ratings) else "pilot"
    return float(np.median(sds)), f"{kind}, {len(cube.listeners)} listeners x {len(cube.items)} items"


def sd_of_items(components: Mapping[str, float], items: int) -> float:
    """Standard deviation of the difference of two of a listener's means over `items` items.

    ``sqrt(2 (s2_listener:condition + s2_residual / items))``: what listener and item share cancels in the
    difference, and so does what these items do to both conditions for every listener.
    """
    return (2 * (components["listener:condition"] + components["residual"] / items)) ** 0.5


def pilot_components(paths: list[Path], pair: list[str] | None) -> tuple[dict[str, float], str]:
    """Variance components of a pilot, of a pair of its conditions or of its systems, and what the pilot is."""
    ratings = read(paths)
    known = set(ratings["condition"])
    if pair and (unknown := set(pair) - known):
        raise InputError(f"the pilot has no condition {', '.join(sorted(unknown))}")
    chosen = set(pair) if pair else known - {"href", "la", "ma"}
    cube = cells(ratings[ratings["condition"].isin(chosen)])
    if min(len(cube.listeners), len(cube.items), len(cube.conditions)) < 2:
        raise InputError(
            "variance components need 2 listeners, 2 items and 2 systems; name a pair with --pair A B"
        )
    model = condition_model(cube)
    kind = "SIMULATED pilot" if is_simulated(ratings) else "pilot"
    return model.variances | {"residual": model.residual}, kind


def tests_of_claims(paths: list[Path], pair: list[str], margin: float) -> list[str]:
    """Equivalence and non-inferiority of a pair within `margin`, tested on ratings; in words."""
    cube = cells(read(paths))
    first, second = pair
    tests = compare_pairs(
        means_over_items(cube.scores), cube.conditions, margin, [(first, second), (second, first)]
    )
    row, back = tests.itertuples()
    return [
        f"{first} - {second}: {row.difference:.2f} points, 95 % CI [{row.ci_low:.2f}, {row.ci_high:.2f}], "
        f"{row.n} listeners, no post-screening",
        f"  equivalent within {margin:g} points: p = {row.p_equivalent:.3g} (two one-sided t tests)",
        f"  {first} no worse than {second} by {margin:g} points: p = {row.p_non_inferior:.3g}",
        f"  {second} no worse than {first} by {margin:g} points: p = {back.p_non_inferior:.3g}",
    ]
