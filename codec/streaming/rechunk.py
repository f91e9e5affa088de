"""A stream of blocks, cut anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray


def recut(
    parts: Iterable[Shaped[ndarray, "row column"]], lengths: Iterable[int], context: int = 0
) -> Iterator[tuple[Shaped[ndarray, "row column"], int, int]]:
    """Re-cut a stream into blocks of the lengths given, with `context` on each side.

    Yields the columns of a block with its context, how many columns of context come before, and the number of
    columns of the block itself. At the ends of the stream there is less context; the last block may be shorter.
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
