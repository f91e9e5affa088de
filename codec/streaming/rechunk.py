"""Cut a stream of blocks into blocks of other lengths."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray


def rechunk(
    parts: Iterable[Shaped[ndarray, "row column"]], lengths: Iterable[int], context: int = 0
) -> Iterator[tuple[Shaped[ndarray, "row column"], int, int]]:
    """Cut a stream into blocks of the given lengths (at least 1), with `context` columns on each side.

    At the ends of the stream there is less context, and the last block may be shorter.

    Yields
    ------
    block : (row, column)
        The block with its context; it must not be written to.
    before : int
        Columns of context before the block.
    length : int
        Columns of the block without its context.
    """
    waiting: deque[ndarray] = deque()
    before, columns, exhausted = 0, 0, False
    iterator = iter(parts)
    for block in lengths:
        while not exhausted and columns < before + block + context:
            part = next(iterator, None)
            if part is None:
                exhausted = True
            else:
                waiting.append(part)
                columns += part.shape[1]
        part = None  # what `waiting` drops is then freed
        if columns == before:
            return
        length = min(block, columns - before)
        yield _first_columns(waiting, before + block + context), before, length
        passed = max(0, before + length - context)
        before, columns = before + length - passed, columns - passed
        _drop_columns(waiting, passed)


def _first_columns(parts: Iterable[Shaped[ndarray, "row column"]], count: int) -> Shaped[ndarray, "row column"]:
    """Return the first `count` columns of parts that follow one another, or as many as there are."""
    first = []
    for part in parts:
        if count <= 0:
            break
        first.append(part[:, :count])
        count -= part.shape[1]
    return first[0] if len(first) == 1 else np.concatenate(first, axis=1)


def _drop_columns(parts: deque[Shaped[ndarray, "row column"]], count: int) -> None:
    """Remove the first columns, and their memory, which a view of a few that are left would hold."""
    while count:
        first = parts[0]
        if first.shape[1] <= count:
            count -= parts.popleft().shape[1]
            continue
        left = first[:, count:]
        parts[0] = left.copy() if left.shape[1] < count else left
        return


def whole_units(
    parts: Iterable[Shaped[ndarray, "row column"]], unit: int, context: int
) -> Iterator[tuple[Shaped[ndarray, "row column"], int, int]]:
    """Cut a stream into blocks of as many units of columns as can be had without waiting for more parts.

    It yields what `rechunk` yields, at the end all the rest.
    """
    buffer, before = None, 0
    for part in parts:
        buffer = part if buffer is None else np.concatenate([buffer, part], axis=1)
        length = (buffer.shape[1] - before - context) // unit * unit
        if length > 0:
            yield buffer[:, : before + length + context], before, length
            keep_from = max(0, before + length - context)
            before, buffer = before + length - keep_from, buffer[:, keep_from:].copy()
    if buffer is not None and buffer.shape[1] > before:
        yield buffer, before, buffer.shape[1] - before
