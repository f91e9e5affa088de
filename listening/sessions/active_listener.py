"""A listener while the test runs: his pages, the names of his files, his state and his window."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Sequence

from listening.sessions.package import SIGNALS
from listening.sessions.pages import Page
from listening.sessions.progress import Progress, Session
from listening.sessions.store import Listener


class ActiveListener:
    """A listener in memory: his pages and files, his state, and which window is his."""

    def __init__(self, row: Listener, session: Session):
        self.row = row
        self.session = session
        self.files = _files_of(row.secret, session.pages)
        self.progress = Progress()
        self.window: str | None = None
        self.last: dict[str, int] = {}  # window -> last event that is stored
        self.characters = 0  # of the JSON of his events
        self.seen: float | None = None  # by time.monotonic()
        self.seen_ms: int | None = None

    @property
    def seen_ago_s(self) -> float:
        """Seconds since the listener's window was heard of, by this process."""
        return math.inf if self.seen is None else time.monotonic() - self.seen

    def note_seen(self) -> None:
        """The window was heard of now."""
        self.seen, self.seen_ms = time.monotonic(), now_ms()


def _files_of(secret: bytes, all_pages: Sequence[Page]) -> dict[str, tuple[int | None, int | str]]:
    """File id -> page and slot, or None and the name of a signal of the room."""
    result: dict[str, tuple[int | None, int | str]] = {
        file_id(secret, "signals", name): (None, name) for name in SIGNALS
    }
    for number, page in enumerate(all_pages):
        if page.trial:
            for slot in range(0 if page.trial.has_reference else 1, len(page.trial.slots) + 1):
                result[file_id(secret, number, slot)] = (number, slot)
    return result


def file_id(secret: bytes, page: int | str, slot: int | str) -> str:
    """Name of a file for one listener on one page: it says nothing, and none is used twice."""
    return hmac.new(secret, f"{page}/{slot}".encode(), hashlib.sha256).hexdigest()[:32]


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
