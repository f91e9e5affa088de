"""What becomes of a request of a listener's page: of its window, and of its events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Opened:
    """The window is the listener's; `stored` is its last event that is stored."""

    window: str
    stored: int


@dataclass(frozen=True)
class Stored:
    """All events up to number `stored` are on the disk."""

    stored: int


@dataclass(frozen=True)
class Gap:
    """Events are missing before those that were sent; `stored` is the last one that is stored."""

    stored: int


@dataclass(frozen=True)
class Refused:
    """Event `stored` + 1 cannot be, and was not stored."""

    why: str
    stored: int


@dataclass(frozen=True)
class Elsewhere:
    """Another window of the listener is in use; it was last heard of `last_seen_s` ago."""

    last_seen_s: float


@dataclass(frozen=True)
class Withdrawn:
    """The listener was withdrawn; nothing more is stored of him."""


@dataclass(frozen=True)
class NotStored:
    """The disk did not take it; nothing of the request was stored, and it may be sent again."""

    why: str


@dataclass(frozen=True)
class TooMuch:
    """More is stored of the listener than any session has; nothing more is stored of him."""

    why: str


Outcome = Stored | Gap | Refused | Elsewhere | Withdrawn | NotStored | TooMuch
"""Of a batch of events."""
