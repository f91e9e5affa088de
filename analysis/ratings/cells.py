"""The scores of a test as an array: listener x item x condition."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.conditions import condition_order
from render.common.errors import InputError

MAX_DESIGN_CELLS = 50_000_000
"""Largest number of cells (listener x item x condition) that are held in memory."""


MAX_CONDITIONS = 400
"""Largest number of conditions; what compares or draws them grows with its square. A trial has 12 (BS.1534-3)."""


@dataclass(frozen=True)
class Cells:
    """The scores, repeated ratings of a cell averaged; NaN where a cell was not rated.

    `listeners` and `items` are sorted, `conditions` are in the order of `condition_order`.
    """

    listeners: tuple[str, ...]
    items: tuple[str, ...]
    conditions: tuple[str, ...]
    scores: Float64[np.ndarray, "listener item condition"]

    @property
    def complete(self) -> bool:
        """Whether every listener rated every condition of every item."""
        return not np.isnan(self.scores).any()

    @property
    def items_each(self) -> str:
        """How many of the items each listener rated, as ``8 of 16 each``; empty if it is all of them."""
        count = np.any(~np.isnan(self.scores), axis=2).sum(axis=1)
        low, high, items = int(count.min()), int(count.max()), len(self.items)
        if low == items:
            return ""
        return f"{low} of {items} each" if low == high else f"{low} to {high} of {items} each"

    def of(self, condition: str) -> Float64[np.ndarray, "listener item"]:
        """Return the scores of one condition."""
        return self.scores[:, :, self.conditions.index(condition)]

    def missing(self) -> Iterator[tuple[str, str, str]]:
        """Yield listener, item and condition of every cell of the complete design that was not rated."""
        for listener, item, condition in np.argwhere(np.isnan(self.scores)):
            yield self.listeners[listener], self.items[item], self.conditions[condition]

    def without(self, listeners: Collection[str]) -> Cells:
        """Leave listeners out, and with them the items and conditions that nobody else rated."""
        scores = self.scores[[name not in listeners for name in self.listeners]]
        rated = ~np.isnan(scores)
        items = np.flatnonzero(rated.any(axis=(0, 2)))
        conditions = np.flatnonzero(rated.any(axis=(0, 1)))
        return Cells(
            tuple(name for name in self.listeners if name not in listeners),
            tuple(self.items[j] for j in items),
            tuple(self.conditions[k] for k in conditions),
            np.ascontiguousarray(scores[:, items][:, :, conditions]),
        )


def cells(table: pd.DataFrame) -> Cells:
    """Arrange the rows of a tidy table (`analysis.ratings.table`) by listener, item and condition.

    Raises
    ------
    InputError
        If the design has more than `MAX_CONDITIONS` conditions or `MAX_DESIGN_CELLS` cells.
    """
    listeners, items = sorted(table["listener"].unique()), sorted(table["item"].unique())
    conditions = condition_order(table["condition"].unique())
    shape = len(listeners), len(items), len(conditions)
    if len(conditions) > MAX_CONDITIONS or np.prod(shape, dtype=float) > MAX_DESIGN_CELLS:
        raise InputError(
            f"{shape[0]} listeners x {shape[1]} items x {shape[2]} conditions are too many (possible are "
            f"{MAX_CONDITIONS} conditions and {MAX_DESIGN_CELLS} cells); check that the columns listener, item "
            "and condition hold what their names say"
        )
    cell = np.ravel_multi_index(
        tuple(pd.Index(names).get_indexer(pd.Index(table[column])) for names, column in
              ((listeners, "listener"), (items, "item"), (conditions, "condition"))),
        shape,
    )  # fmt: skip
    size = int(np.prod(shape))
    count = np.bincount(cell, minlength=size)
    total = np.bincount(cell, weights=table["score"].to_numpy(float), minlength=size)
    mean = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    return Cells(tuple(listeners), tuple(items), tuple(conditions), mean.reshape(shape))
