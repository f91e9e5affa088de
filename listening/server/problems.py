"""What went wrong while the test runs, for the desk to see."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import suppress
from datetime import datetime
from typing import Any

from render.common.streams import printable

_KEPT = 200


class Problems:
    """The last problems, each with its time; the same one again is counted, not repeated."""

    def __init__(self) -> None:
        self._problems: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def add(self, kind: str, listener: str | None, what: str) -> None:
        """Note a problem, and print it the first time.

        Parameters
        ----------
        kind
            ``storage``, ``audio`` or ``defect``.
        listener
            Whom it met; None for all.
        what
            A sentence that says what happened and what to do.
        """
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        for problem in self._problems:
            if (problem["kind"], problem["listener"], problem["what"]) == (kind, listener, what):
                problem["last"], problem["times"] = now, problem["times"] + 1
                return
        self._problems.append(
            {"kind": kind, "listener": listener, "what": what, "first": now, "last": now, "times": 1}
        )
        with suppress(OSError):  # a test does not end because nobody reads its log
            print(
                f"{now} {kind}{f' ({listener})' if listener else ''}: {printable(what)}",
                file=sys.stderr,
                flush=True,
            )

    def newest_first(self) -> list[dict[str, Any]]:
        """Return the problems as the desk gets them."""
        return sorted(self._problems, key=lambda problem: problem["last"], reverse=True)
