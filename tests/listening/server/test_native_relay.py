"""The relay between a page and a player outside the browser: order, waiting, replacing, losing."""

import asyncio
import time

from listening.server import native_relay
from listening.server.native_relay import NativeRelay


def test_commands_reach_the_player_in_order_and_once():
    async def talk():
        relay = NativeRelay()
        assert relay.send([{"type": "stop"}]) is None  # nobody is there
        assert relay.report("a", {"status": "starting"}) == 0
        assert relay.send([{"type": "play"}, {"type": "seek"}]) == 2
        assert relay.send([{"type": "stop"}]) == 3
        first = await relay.commands("a", 0, 1)
        assert [(command["number"], command["type"]) for command in first] == [
            (1, "play"),
            (2, "seek"),
            (3, "stop"),
        ]
        begin = time.monotonic()
        assert await relay.commands("a", 3, 0.2) == []
        assert time.monotonic() - begin >= 0.19

    asyncio.run(talk())


def test_a_waiting_player_and_a_waiting_page_are_told_at_once():
    async def talk():
        relay = NativeRelay()
        relay.report("a", {"status": "starting"})
        waiting = asyncio.create_task(relay.commands("a", 0, 2))
        watching = asyncio.create_task(relay.state(1, 2))
        await asyncio.sleep(0.05)
        begin = time.monotonic()
        relay.send([{"type": "play"}])
        assert (await waiting)[0]["type"] == "play"
        relay.report("a", {"status": "ready", "playing": 1})
        state = await watching
        assert time.monotonic() - begin < 0.5
        assert state == {
            "connected": True, "revision": 2, "player": "a", "state": {"status": "ready", "playing": 1},
        }  # fmt: skip

    asyncio.run(talk())


def test_a_second_player_takes_the_place_and_the_first_is_told():
    async def talk():
        relay = NativeRelay()
        relay.report("a", {"status": "starting"})
        relay.send([{"type": "play"}])
        waiting = asyncio.create_task(relay.commands("a", 1, 2))
        await asyncio.sleep(0.05)
        assert relay.report("b", {"status": "starting"}) == 1
        assert await waiting is None
        assert relay.report("a", {"status": "ready"}) is None
        assert await relay.commands("b", 0, 0) == []  # not what was meant for the first

    asyncio.run(talk())


def test_a_player_that_ends_or_falls_silent_is_no_longer_connected(monkeypatch):
    async def talk():
        relay = NativeRelay()
        relay.report("a", {"status": "starting"})
        relay.report("a", {"status": "ended"})
        assert not (await relay.state(2, 0))["connected"]
        relay.report("b", {"status": "starting"})
        monkeypatch.setattr(native_relay, "CONNECTED_S", 0.3)
        state = await relay.state(3, 5)  # ends when the player has not been heard for CONNECTED_S
        assert not state["connected"]
        assert relay.send([{"type": "play"}]) is None

    asyncio.run(talk())


def test_a_player_goes_on_after_a_restart_of_the_server():
    async def talk():
        relay = NativeRelay()
        assert relay.report("a", {"status": "ready", "done": 7}) == 0
        assert relay.send([{"type": "stop"}]) == 1

    asyncio.run(talk())
