"""Variance components of a listening test: who and what the scores vary with.

``score ~ condition + (1|listener) + (1|item) + (1|listener:condition) + (1|item:condition) + residual``
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from analysis.ratings.table import Cells
from analysis.statistics.mixed_models import MixedModel, fit


def condition_model(cube: Cells) -> MixedModel:
    """Fit ``score ~ condition + (1|listener) + (1|item) + (1|listener:condition) + (1|item:condition)``.

    For a complete design the analysis of variance gives the same estimates in closed form wherever they are
    all positive, and they are taken from there.
    """
    k = len(cube.conditions)
    components = balanced_components(cube.scores) if cube.complete else None
    if components is not None:
        count_l, count_i, _ = cube.scores.shape
        residual = components.pop("residual")
        shared = components["listener"] / count_l + components["item"] / count_i
        own = (
            components["listener:condition"] / count_l
            + components["item:condition"] / count_i
            + residual / (count_l * count_i)
        )
        beta = cube.scores.mean(axis=(0, 1))
        return MixedModel(components, residual, beta, np.full((k, k), shared) + own * np.eye(k))
    listener, item, condition = np.nonzero(~np.isnan(cube.scores))
    y = cube.scores[listener, item, condition]

    return fit(y, np.eye(k)[condition], {
        "listener": listener,
        "item": item,
        "listener:condition": np.unique(listener * k + condition, return_inverse=True)[1],
        "item:condition": np.unique(item * k + condition, return_inverse=True)[1],
    })  # fmt: skip


def balanced_components(scores: Float64[np.ndarray, "listener item condition"]) -> dict[str, float] | None:
    """Variance components from mean squares, or None where one of them is not positive."""
    listeners, items, conditions = scores.shape
    if min(scores.shape) < 2:
        return None
    deviation = scores - scores.mean(axis=(0, 1))
    by_lc, by_ic = deviation.mean(axis=1), deviation.mean(axis=0)
    by_l, by_i = by_lc.mean(axis=1), by_ic.mean(axis=1)
    error = deviation - by_lc[:, None, :] - by_ic
    ms_l = items * conditions * np.sum(by_l**2) / (listeners - 1)
    ms_i = listeners * conditions * np.sum(by_i**2) / (items - 1)
    ms_lc = items * np.sum((by_lc - by_l[:, None]) ** 2) / ((listeners - 1) * (conditions - 1))
    ms_ic = listeners * np.sum((by_ic - by_i[:, None]) ** 2) / ((items - 1) * (conditions - 1))
    ms_e = np.sum(error**2) / ((listeners - 1) * (items - 1) * conditions)
    components = {
        "listener": (ms_l - ms_lc) / (items * conditions),
        "item": (ms_i - ms_ic) / (listeners * conditions),
        "listener:condition": (ms_lc - ms_e) / items,
        "item:condition": (ms_ic - ms_e) / listeners,
        "residual": ms_e,
    }
    return {k: float(v) for k, v in components.items()} if min(components.values()) > 0 else None
