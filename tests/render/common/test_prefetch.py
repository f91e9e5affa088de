"""Items that a second thread prepares in advance."""

import time

import pytest

from render.common.errors import InputError
from render.common.prefetch import prefetched


def test_blocks_prepared_ahead_are_the_same_and_errors_arrive():
    assert [int(block) for block in prefetched(iter(range(50)))] == list(range(50))

    def failing():
        yield 1
        raise InputError("sample 7 is NaN")

    with pytest.raises(InputError, match="sample 7"):
        list(prefetched(failing()))


def test_whoever_stops_early_does_not_wait():
    def endless():
        while True:
            yield 0

    begin = time.monotonic()
    stream = prefetched(endless())
    next(stream)
    stream.close()
    assert time.monotonic() - begin < 2
