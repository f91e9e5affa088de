"""Orders of presentation: balanced over the listeners by Williams squares, kept with their seed.

E. J. Williams, "Experimental designs balanced for the estimation of residual effects of treatments",
Australian Journal of Scientific Research A 2 (1949): n sequences (2 n for odd n) in which everything stands
equally often at every place, and follows everything else equally often.
"""

from __future__ import annotations

import hashlib
import math
import random
from typing import Any


def williams(count: int) -> list[list[int]]:
    """Rows of a Williams square of `count` things; for odd counts the mirrored square follows."""
    if count < 1:
        raise ValueError("a square needs at least one thing")
    first = [0]
    for step in range(1, count):
        first.append(first[-1] + (step if step % 2 else -step))
    square = [[(place + row) % count for place in first] for row in range(count)]
    return square + [row[::-1] for row in square] if count % 2 and count > 1 else square


def balanced_row(listener: int, items: int, each: int) -> int:
    """Row of a Williams square whose first `each` items a listener (from 0) rates.

    The first places of a row are neighbours on the circle of items, and those of successive listeners follow one
    another around it: after any number of listeners the items were rated equally often, up to one. After as many
    listeners as items every row was taken once, so every item stood at each of these places equally often.
    """
    listeners_of_a_turn = items // math.gcd(items, each)
    return (listener * each + listener // listeners_of_a_turn) % items


def orders(
    listeners: int, stimuli: dict[str, list[str]], secret: bytes, seed: int, each: int | None = None
) -> list[dict[str, Any]]:
    """Order of the items, and of the stimuli within each, for every listener.

    Parameters
    ----------
    listeners : int
    stimuli : dict
        Item -> its blind names.
    secret : bytes
        Secret of the build: without it the order reveals nothing about the conditions.
    seed : int
    each : int, optional
        How many of the items a listener rates; None for all of them.

    Returns
    -------
    list of dict
        ``listener``, ``items`` (in order; with `each` as many of them as that, balanced over the listeners by
        `balanced_row`) and ``stimuli`` (item -> blind names in order). Over the rows of a
        square, each item stands at every place, and each stimulus of an item in every slot, equally often.
    """
    items = list(stimuli)
    shuffled = _shuffled(items, secret, seed, "items")
    places = {item: _shuffled(names, secret, seed, item) for item, names in stimuli.items()}
    item_rows = williams(len(items))
    # Every item has a start of its own in its square, or a listener would meet the same slots in all trials
    starts = {item: number for number, item in enumerate(_shuffled(items, secret, seed, "starts"))}
    result = []
    for listener in range(listeners):
        if each is None or each == len(items):
            row = item_rows[listener % len(item_rows)]
        else:
            row = item_rows[balanced_row(listener, len(items), each)][:each]
        slots = {}
        for item in items:
            rows = williams(len(places[item]))
            slots[item] = [places[item][k] for k in rows[(listener + starts[item]) % len(rows)]]
        name = f"L{listener + 1:02d}"
        result.append({"listener": name, "items": [shuffled[k] for k in row], "stimuli": slots})
    return result


def _shuffled(things: list[str], secret: bytes, seed: int, purpose: str) -> list[str]:
    """Shuffle, the same for equal arguments."""
    key = hashlib.sha256(secret + f"\0{seed}\0{purpose}".encode()).digest()
    result = sorted(things)
    random.Random(key).shuffle(result)
    return result
