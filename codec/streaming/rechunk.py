"""Cut a stream of blocks into blocks of other lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray


def rechunk(
    parts: Iterable[Shaped[ndarray, "row column"]], lengths: Iterable[int], context: int = 0
) -> Iterator[tuple[Shaped[ndarray, "row column"], int, int]]:
    """Cut a stream into blocks of the given lengths, with `context` columns on each side.

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
    buffer, before, exhausted = None, 0, False
    iterator = iter(parts)
    for block in lengths:
        while not exhausted and (buffer is None or buffer.shape[1] < before + block + context):
            part = next(iterator, None)
            if part is None:
                exhausted = True
            else:
                buffer = part if buffer is None else np.concatenate([buffer, part], axis=1)
        if buffer is None or buffer.shape[1] == before:
            return
        length = min(block, buffer.shape[1] - before)
        yield buffer[:, : before + length + context], before, length
        keep_from = max(0, before + length - context)
        before = before + length - keep_from
        buffer = buffer[:, keep_from:]
