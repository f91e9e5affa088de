"""Progress of long loops, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from render.common.streams import printable

Item = TypeVar("Item")


def progress(items: Iterable[Item], what: str, total: int, interval_s: float = 10.0) -> Iterator[Item]:
    """Pass `items` on and report their count, rate and remaining time on stderr.

    On a terminal a bar is redrawn in place; elsewhere one line is written every `interval_s` seconds
    and one at the end.

    Parameters
    ----------
    items : iterable
    what : str
        Name of the work and its items, such as "decode scene.wav in blocks".
    total : int
        Expected number of items.
    interval_s : float
    """
    terminal = sys.stderr.isatty()
    begin = shown = time.monotonic()
    done = 0
    for item in items:  # not enumerated, which would hold an item until the next one is there
        yield item
        del item
        done += 1
        now = time.monotonic()
        last = done >= total
        if now - shown < (0.1 if terminal else interval_s) and not last:
            continue
        shown = now
        rate = done / max(now - begin, 1e-9)
        left = f"{max(total - done, 0) / rate:.0f} s left" if not last else f"took {now - begin:.1f} s"
        if terminal:
            # Control sequences of our own pass beside the filter of names
            terminal_stream = getattr(sys.stderr, "unfiltered", sys.stderr)
            filled = round(24 * min(done / total, 1))
            bar = "█" * filled + "·" * (24 - filled)
            line = f"\r\x1b[K{printable(what)} {bar} {done}/{total}  {rate:.2g}/s  {left}"
            print(line, end="\n" if last else "", file=terminal_stream, flush=True)
        else:
            print(f"{what}: {done}/{total}, {rate:.2g}/s, {left}", file=sys.stderr, flush=True)
