"""Which conditions differ, as the marks of a figure: letters, and brackets one above the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from string import ascii_lowercase


def letters(conditions: Sequence[str], different: Collection[tuple[str, str]]) -> dict[str, str]:
    """Give conditions letters so that two share one exactly if they are not shown to differ.

    The method is "insert and absorb" (Piepho 2004, Journal of Computational and Graphical Statistics 13, 456).

    Parameters
    ----------
    conditions
        The conditions; those that come first have the first letters.
    different
        Pairs that differ, each in either order.
    """
    groups = [frozenset(conditions)]
    for a, b in different:
        split = [group - {c} for group in groups if {a, b} <= group for c in (a, b)]
        groups = [group for group in groups if not {a, b} <= group]
        groups += [group for group in dict.fromkeys(split) if group]
        groups = [group for group in groups if not any(group < other for other in groups)]
    groups.sort(key=lambda group: sorted(conditions.index(c) for c in group))
    names = [first + second for first in ("", *ascii_lowercase) for second in ascii_lowercase]
    return {c: "".join(name for name, group in zip(names, groups, strict=False) if c in group) for c in conditions}


def levels(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return the level, from 0, of each bracket, the short ones below, so that no two of a level touch."""
    taken: list[list[tuple[int, int]]] = []
    found = [0] * len(spans)
    for number in sorted(range(len(spans)), key=lambda n: spans[n][1] - spans[n][0]):
        low, high = spans[number]
        level = next((k for k, row in enumerate(taken) if all(high < a or b < low for a, b in row)), len(taken))
        taken += [[]] if level == len(taken) else []
        taken[level].append((low, high))
        found[number] = level
    return found


def p_text(p: float) -> str:
    """Write a p value as a paper does: ``p = .012``, or ``p < .001``."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)
