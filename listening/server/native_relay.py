"""What goes between a listener's page and the player outside the browser (`listening.play`), through the server.

Both poll: the page sends commands and waits for a state, the player waits for commands and sends its state.
Nothing of it is stored. A command is what ``static/player.js`` sends to its audio thread, with file ids in place
of samples:

    {"type": "prepare", "item": n, "stimuli": [{"id": slot, "audio": file id}, ...]}, {"type": "use"},
    {"type": "play", "slot": slot, "position": int or null}, {"type": "stop"}, {"type": "seek", "position": int},
    {"type": "loop", "start": int or null, "end": int or null}, {"type": "gain", "gain": float},
    {"type": "map", "map": [int or null, ...]}

The state is what `listening.native_player.remote` reports. Its "status" is "starting" in a player's first report,
by which it takes the place of a former one, then "ready", at last "ended" or "failed". A player is connected while
it was heard within 5 s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

CONNECTED_S = 5.0
KEPT = 1000  # commands for a player that does not fetch them


class NativeRelay:
    """Commands of one listener's page, and the state of his player outside the browser.

    All methods run in one event loop.
    """

    def __init__(self) -> None:
        self._player: str | None = None
        self._state: dict[str, Any] | None = None
        self._revision = 0
        self._heard_s = -CONNECTED_S
        self._commands: list[dict[str, Any]] = []
        self._last = 0
        self._changed = asyncio.Event()  # set, and replaced by a new one, at each change

    def send(self, commands: list[dict[str, Any]]) -> int | None:
        """Add commands of the page; the number of the last one, or None if no player is connected."""
        if not self._connected():
            return None
        for command in commands:
            self._last += 1
            self._commands.append(command | {"number": self._last})
        del self._commands[:-KEPT]
        self._wake()
        return self._last

    async def state(self, after: int, wait_s: float) -> dict[str, Any]:
        """State of the player: at once if its revision is not `after`, else at a change or after a wait."""
        connected = self._connected()
        await self._until(lambda: self._revision != after or self._connected() != connected, wait_s)
        return {
            "connected": self._connected(),
            "revision": self._revision,
            "player": self._player,
            "state": self._state,
        }

    def report(self, player: str, state: dict[str, Any]) -> int | None:
        """Take over a player's state; the number of the last command, or None if it is not his place any more."""
        if player != self._player:
            if self._player is not None and state.get("status") != "starting":
                return None
            self._player = player
            self._commands.clear()
        self._state = state
        self._revision += 1
        self._heard_s = -CONNECTED_S if state.get("status") in ("ended", "failed") else time.monotonic()
        self._wake()
        return self._last

    async def commands(self, player: str, after: int, wait_s: float) -> list[dict[str, Any]] | None:
        """Commands after number `after`, at once or when one comes; None if another took this player's place."""
        after = after if after <= self._last else 0  # the server was started anew, and counts from 0 again
        self._heard_s = time.monotonic() if player == self._player else self._heard_s
        await self._until(lambda: player != self._player or self._last > after, min(wait_s, CONNECTED_S / 2))
        if player != self._player:
            return None
        self._heard_s = time.monotonic()
        return [command for command in self._commands if command["number"] > after]

    def _connected(self) -> bool:
        return time.monotonic() - self._heard_s < CONNECTED_S

    async def _until(self, predicate: Callable[[], bool], wait_s: float) -> None:
        """Wait until `predicate` holds; nobody reports a player that falls silent, so look every second."""
        end = time.monotonic() + wait_s
        while True:
            changed = self._changed
            left = end - time.monotonic()
            if predicate() or left <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left, 1.0))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
