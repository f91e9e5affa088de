"""What every ``python -m package.verb`` shares: its argument parser and one-line errors."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from render.common.errors import InputError, did_you_mean
from render.common.files import begin_inputs, end_inputs, reads
from render.common.streams import discard_output, prepare_streams, printable

# Options that name what is written; a preset may be a run's own, which is written anew when the run is continued
_WRITTEN = ("output", "json", "preset", "events")


_GROUPS = {
    "items and conditions": (
        "key", "conditions", "reference", "low_anchor", "mid_anchor", "items", "leave_out", "only", "pair",
        "compare",
    ),
    "statistics": (
        "claim", "ci", "screening", "draws", "margin", "test", "correction", "alpha", "power", "laboratory"
    ),
    "output": ("output", "force", "json", "subtype", "dither", "pictures"),
    "computation": ("workers", "engine", "device", "bf16"),
}  # fmt: skip
"""Options that several commands have, by the heading under which --help lists them."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description, and tells every default that the help text does not."""

    def add_argument(self, action: argparse.Action) -> None:
        """Add an argument with its default."""
        told = "default" in (action.help or "")
        empty = action.default is None or action.default is False or action.default in ("", argparse.SUPPRESS)
        if not (told or empty or action.default in ((), [])):
            default = f"default: {action.default}".replace("%", "%%")
            action.help = f"{action.help} ({default})" if action.help else default
        super().add_argument(action)


class CommandParser(argparse.ArgumentParser):
    """Argument parser that also answers the shell's questions for completions, and knows what a command reads."""

    def add_argument(self, *names, **settings):  # pyrefly: ignore
        """Add an argument, under the heading of `_GROUPS` where it belongs to one."""
        option = str(names[-1]).removeprefix("--").replace("-", "_")
        heading = next((title for title, options in _GROUPS.items() if option in options), None)
        if heading is None:
            return super().add_argument(*names, **settings)
        group = next((g for g in self._action_groups if g.title == heading), None)
        return (group or self.add_argument_group(heading)).add_argument(*names, **settings)

    def parse_args(self, args=None, namespace=None):  # pyrefly: ignore
        """Parse as `argparse.ArgumentParser` does, or print completions and exit where the shell asks for them.

        Every file that is named is an input, unless an option of `_WRITTEN` names it: `whole_file` refuses to
        replace it.
        """
        if "_ARGCOMPLETE" in os.environ:
            from argcomplete import autocomplete  # only then: it would delay every command

            autocomplete(self)
        self._refuse_unknown_option(sys.argv[1:] if args is None else args)
        given = super().parse_args(args, namespace)
        for name, value in vars(given).items():
            if name not in _WRITTEN:
                for one in value if isinstance(value, list) else [value]:
                    _note_file(one)
        return given

    def _refuse_unknown_option(self, words: Sequence[str]) -> None:
        """End with the first option that this command does not have.

        argparse reads on, and names the arguments that are missing, often because of the misspelt option, first.
        """
        known = dict(self._option_string_actions)
        verbs = {
            verb: parser
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for verb, parser in action.choices.items()
        }
        for word in words:
            if word == "--":
                return
            if word in verbs:  # from here on its options count, too
                known |= verbs.pop(word)._option_string_actions
            name = word.partition("=")[0]
            is_option = re.match("-[^0-9.]", name) and " " not in name
            has_value = name[:2] in known and name[1:2] != "-"  # as in -oDIR
            if is_option and name not in known and not has_value:
                self.error(f"there is no option {name}{did_you_mean(name, known) or '; --help lists the options'}")


def parser(description: str | None, verb: str) -> CommandParser:
    """Argument parser of ``python -m verb``.

    `description` is the module's docstring; a document that it names as ``docs/NAME.md`` is shown with its address
    on this machine: in the checkout, or where the wheel installed it.
    """
    checkout, wheel = (Path(__file__).parents[up] / "docs" for up in (2, 1))
    place = checkout if checkout.is_dir() else wheel
    description = re.sub(r"docs/([\w-]+\.md)", lambda named: str(place / named[1]), description or "")
    started_by_hoa = sys.argv[0].startswith("hoa ")
    return CommandParser(
        prog=sys.argv[0] if started_by_hoa else f"python -m {verb}",
        description=description,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )


def run(main: Callable[[], None]) -> None:
    """Run a command line; bad input is reported in one line on stderr, with exit status 2.

    Errors of the operating system (no space, no permission) are reported in one line too, with exit status 1.
    Any other exception is a defect of this program and keeps its traceback.
    """
    prepare_streams()
    begin_inputs()
    _let_idle_threads_sleep()
    try:
        try:
            main()
        finally:
            end_inputs()
            if sys.stdout:
                sys.stdout.flush()  # at the end of the process, nobody could catch an error of it
    except InputError as error:
        sys.exit(_report(error, 2))
    except BrokenPipeError:
        discard_output()
        sys.exit(141)
    except OSError as error:
        if error.filename == "standard output":
            discard_output()
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_report(f"{where}{error.strerror or error}", 1))
    except KeyboardInterrupt:
        sys.exit(_report("interrupted; finished results are kept, and the same command continues from there", 130))


def one_thread_for_linear_algebra() -> None:
    """Limit the linear algebra of NumPy to one thread; call this before NumPy is loaded.

    It is for commands whose own threads use the cores: idle threads of OpenBLAS spin and cost more than they gain.
    OPENBLAS_NUM_THREADS and OMP_NUM_THREADS take precedence where they are set.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _let_idle_threads_sleep() -> None:
    """Make threads of OpenMP (PyTorch's) that wait for others sleep, where OMP_WAIT_POLICY says nothing else.

    By default they spin. Where other programs use the cores, too, they then take the time of the thread that they
    wait for: training on two busy cores took four times as long. The library reads this when it is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _note_file(value: Any) -> None:
    with suppress(OSError, ValueError):  # a word too long for a name, a zero byte
        if isinstance(value, (str, Path)) and Path(value).is_file():
            reads(Path(value))


def _report(message: object, status: int) -> int:
    with suppress(OSError):  # standard error itself may be full
        print(f"error: {printable(str(message)).replace(chr(10), ' ')}", file=sys.stderr)
    return status
