"""What every ``python -m package.verb`` shares: one-line errors and visible progress."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from render.common.errors import InputError

Item = TypeVar("Item")


class CommandParser(argparse.ArgumentParser):
    """Argument parser that also answers the shell's questions for completions."""

    def parse_args(self, args=None, namespace=None):  # pyrefly: ignore
        """Parse as `argparse.ArgumentParser` does, or print completions and exit where the shell asks for them."""
        if "_ARGCOMPLETE" in os.environ:
            from argcomplete import autocomplete  # only then: it would delay every command

            autocomplete(self)
        return super().parse_args(args, namespace)


def parser(description: str | None, verb: str) -> CommandParser:
    """Argument parser of ``python -m verb``.

    `description` is the module's docstring; a document that it names as ``docs/NAME.md`` is shown with its address
    on this machine: in the checkout, or where the wheel installed it.
    """
    checkout, wheel = (Path(__file__).parents[up] / "docs" for up in (2, 1))
    place = checkout if checkout.is_dir() else wheel
    description = re.sub(r"docs/(\w+\.md)", lambda named: str(place / named[1]), description or "")
    started_by_hoa = sys.argv[0].startswith("hoa ")
    return CommandParser(
        prog=sys.argv[0] if started_by_hoa else f"python -m {verb}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def run(main: Callable[[], None]) -> None:
    """Run a command line: bad input becomes one line on stderr and exit status 2.

    Errors of the operating system (no space, no permission) also become one line, with exit status 1.
    Anything else is a defect of ours and keeps its traceback.
    """
    try:
        main()
    except InputError as error:
        sys.exit(_say(error, 2))
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_say(f"{where}{error.strerror or error}", 1))
    except KeyboardInterrupt:
        sys.exit(_say("interrupted; what was finished is kept, the same command goes on from there", 130))


def one_thread_for_linear_algebra() -> None:
    """Call before numpy is loaded, where threads of our own use the cores: its idle threads spin and cost more.

    Whoever sets OPENBLAS_NUM_THREADS or OMP_NUM_THREADS is obeyed.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _say(message: object, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status


def progress(items: Iterable[Item], what: str, total: int, interval_s: float = 10.0) -> Iterator[Item]:
    """Pass `items` on and report count, rate and time left on stderr.

    On a terminal a bar is redrawn in place; elsewhere one line is written every `interval_s` seconds
    and one at the end.
    """
    terminal = sys.stderr.isatty()
    begin = shown = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        last = done >= total
        if now - shown < (0.1 if terminal else interval_s) and not last:
            continue
        shown = now
        rate = done / max(now - begin, 1e-9)
        left = f"{max(total - done, 0) / rate:.0f} s left" if not last else f"took {now - begin:.1f} s"
        if terminal:
            filled = round(24 * min(done / total, 1))
            bar = "█" * filled + "·" * (24 - filled)
            line = f"\r\x1b[K{what} {bar} {done}/{total}  {rate:.2g}/s  {left}"
            print(line, end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(f"{what}: {done}/{total}, {rate:.2g}/s, {left}", file=sys.stderr, flush=True)
