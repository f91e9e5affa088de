"""The writer's thread: order, transactions that are joined, errors for whom they concern."""

import asyncio
import threading
from itertools import chain

import pytest

from listening.server.writer import Writer


class Storage:
    """Appends lists to a log."""

    def __init__(self):
        self.transactions = []
        self.released = threading.Event()

    def append_many(self, jobs):
        for _, _, events in jobs:
            if events == ["defect"]:
                raise KeyError("defect")
        self.transactions.append([events for _, _, events in jobs])
        return [f"{listener}:{window}:{len(events)}" for listener, window, events in jobs]


@pytest.fixture
def storage():
    return Storage()


@pytest.fixture
def writer(storage):
    made = Writer(storage.append_many)
    yield made
    storage.released.set()
    made.close()


async def gathered(storage, writer, requests):
    """Outcomes of requests that gather behind a change that takes long."""
    long = asyncio.create_task(writer.change(storage.released.wait, 10))
    tasks = [asyncio.create_task(request) for request in requests]
    await asyncio.sleep(0.05)
    storage.released.set()
    await long
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_waits_is_stored_in_one_transaction_in_the_order_in_which_it_came(storage, writer):
    requests = [writer.append(f"L{n}", "w", [n] * (n + 1)) for n in range(5)]
    outcomes = asyncio.run(gathered(storage, writer, requests))
    assert outcomes == [f"L{n}:w:{n + 1}" for n in range(5)]
    assert storage.transactions == [[[n] * (n + 1) for n in range(5)]]


def test_other_changes_keep_their_place_between_appends_and_run_in_the_same_thread(storage, writer):
    seen = []

    def change(name):
        seen.append((name, threading.current_thread().name, len(storage.transactions)))
        return name

    requests = [
        writer.append("L1", "w", [0]), writer.append("L1", "w", [1]), writer.change(change, "pause"),
        writer.append("L1", "w", [2]), writer.change(change, "go on"),
    ]  # fmt: skip
    outcomes = asyncio.run(gathered(storage, writer, requests))
    assert outcomes == ["L1:w:1", "L1:w:1", "pause", "L1:w:1", "go on"]
    assert seen == [("pause", "writer", 1), ("go on", "writer", 2)]


def test_a_defect_meets_him_alone_whose_events_it_meets_and_the_writer_goes_on(storage, writer):
    requests = [writer.append("L1", "w", [1]), writer.append("L2", "w", ["defect"]), writer.append("L3", "w", [3])]
    first, second, third = asyncio.run(gathered(storage, writer, requests))
    assert (first, third) == ("L1:w:1", "L3:w:1")
    assert isinstance(second, KeyError)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(writer.change(lambda: 1 / 0))
    assert asyncio.run(writer.append("L1", "w", [1])) == "L1:w:1"


def test_what_a_client_that_went_away_had_sent_is_stored(storage, writer):
    async def cut_off():
        long = asyncio.create_task(writer.change(storage.released.wait, 10))
        task = asyncio.create_task(writer.append("L1", "w", [1]))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        storage.released.set()
        await long
        return await writer.append("L1", "w", [2])

    asyncio.run(cut_off())
    assert list(chain(*storage.transactions)) == [[1], [2]]


def test_closing_waits_for_all_that_was_given(storage):
    writer = Writer(storage.append_many)

    begun = threading.Event()

    def hold():
        begun.set()
        storage.released.wait(10)

    async def give():
        asyncio.create_task(writer.change(hold))  # noqa: RUF006
        await asyncio.to_thread(begun.wait, 10)
        for n in range(300):
            asyncio.create_task(writer.append("L1", "w", [n]))  # noqa: RUF006
        await asyncio.sleep(0.05)

    asyncio.run(give())
    storage.released.set()
    writer.close()
    assert list(chain(*storage.transactions)) == [[n] for n in range(300)]
    assert max(map(len, storage.transactions)) >= 199
