"""How conditions are ordered and named in tables and figures."""

from __future__ import annotations

import re
from collections.abc import Iterable

REFERENCE_AND_ANCHORS = {
    "href": "hidden reference",
    "la": "low anchor (3.5 kHz)",
    "ma": "mid anchor (7 kHz)",
}
"""Ids that every test shares -> what they are."""

ANCHORS = ("la", "ma")


_LOOKS_LIKE = {
    "href": re.compile(r"ref|orig|hidden|unprocessed|uncompressed", re.IGNORECASE),
    "la": re.compile(r"(low.?)?anch|3[.,_]?5 ?k|lp.?3[.,_]?5|lowpass", re.IGNORECASE),
    "ma": re.compile(r"mid.?anch|anch.*7|(^|[^0-9])7(000)? ?k|lp.?70?", re.IGNORECASE),
}
_OPTION = {"href": "--reference", "la": "--low-anchor", "ma": "--mid-anchor"}


def looking_like_reference_or_anchor(conditions: Iterable[str]) -> list[str]:
    """Warn of names that look like a reference or an anchor that the ratings have not under its id."""
    names = sorted(set(conditions))
    found: dict[str, str] = {}
    for identity in ("href", "ma", "la"):
        for name in [] if identity in names else names:
            if name not in (*REFERENCE_AND_ANCHORS, *found) and _LOOKS_LIKE[identity].search(name):
                found[name] = identity
    return [f"{name} is taken for a system; if it is the {REFERENCE_AND_ANCHORS[identity]}, give "
            f"{_OPTION[identity]} '{name}'" for name, identity in sorted(found.items())]  # fmt: skip


def condition_order(conditions: Iterable[str]) -> list[str]:
    """Order conditions as in the paper's Figure 2.

    The anchors come first, then the systems in the natural order of their names (9 before 12), then the hidden
    reference.
    """
    groups = {"la": 0, "ma": 1, "href": 3}

    def natural(name: str) -> list[tuple[int, str]]:
        parts = re.split(r"([0-9]+)", name.lower())  # every second part is digits
        return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)]

    return sorted(set(conditions), key=lambda c: (groups.get(c, 2), natural(c), c))


def labels(conditions: Iterable[str]) -> dict[str, str]:
    """Map each condition to its name in tables and figures.

    The paper's conditions have the paper's names; other lower-case ids are printed in capitals.
    """
    known = {"href": "H-REF", "la": "LA", "ma": "MA", "opus3_160": "OPUS", "prop": "PROP"}
    return {c: known.get(c, c.upper() if re.fullmatch("[a-z0-9_-]+", c) else c) for c in conditions}


def shorten(name: str, length: int) -> str:
    """Shorten a name to at most `length` characters, the last of which is then an ellipsis."""
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"
