"""The command ``hoa`` and the lists of commands: ``hoa codec encode ...`` is ``python -m codec.encode ...``.

Names and first lines of the commands are read from their source, so that a list answers at once.
"""

from __future__ import annotations

import ast
import os
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from render.common.cli import CommandParser, run
from render.common.errors import InputError, did_you_mean

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "codec", "listening", "render", "stimuli")


def commands_of(package: str) -> dict[str, str]:
    """Verbs of a package, sorted, each with the first line of what it says about itself."""
    modules = sorted(path for path in (ROOT / package).glob("*.py") if not path.name.startswith("_"))
    texts = {path.stem: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in modules}
    return {verb: text.partition("\n")[0].partition(": ``")[0] for verb, text in texts.items()}


def print_commands(package: str, beginning: str = "python -m {package}.{verb}") -> None:
    """Print the commands of a package as they are typed, one line for each."""
    verbs = commands_of(package)
    typed = {verb: beginning.format(package=package, verb=verb) for verb in verbs}
    width = max(map(len, typed.values()))
    for verb, line in verbs.items():
        print(f"  {typed[verb]:<{width}}  {line}")


def print_package(package: str) -> None:
    """Print what ``python -m package`` answers: the commands of the package."""

    def answer() -> None:
        print(f"usage: python -m {package}.VERB ...; each VERB answers --help\n")
        print_commands(package)

    run(answer)


def main() -> None:
    """Run the command line ``hoa``."""
    run(_main)


def _main() -> None:
    if "_ARGCOMPLETE" in os.environ:
        _complete()
        return
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"hoa-rvqgan {version('hoa-rvqgan')}")
        return
    if not words or words[0] in ("-h", "--help"):
        print("usage: hoa PACKAGE VERB ...; each VERB answers --help (hoa codec encode --help)\n")
        for package in PACKAGES:
            print_commands(package, "hoa {package} {verb}")
        print('\ncompletion of names and options in bash and zsh: eval "$(register-python-argcomplete hoa)"')
        return
    package, *rest = words
    if package not in PACKAGES:
        raise InputError(
            f"hoa {package}: there is no such package{did_you_mean(package, PACKAGES)}; "
            f"there are {', '.join(PACKAGES)}"
        )
    if not rest or rest[0] in ("-h", "--help"):
        print_commands(package, "hoa {package} {verb}")
        return
    verb, *arguments = rest
    verbs = commands_of(package)
    if verb not in verbs:
        raise InputError(
            f"hoa {package} {verb}: there is no such command{did_you_mean(verb, verbs)}; "
            f"{package} has {', '.join(verbs)}"
        )
    sys.argv = [f"hoa {package} {verb}", *arguments]
    import_module(f"{package}.{verb}").main()


def _complete() -> None:
    """Answer the shell: packages and verbs from here, options and files from the parser of the command."""
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    package, verb = [*line.split()[1:3], "", ""][:2]
    if len((line + ".").split()) > 3 and package in PACKAGES and verb in commands_of(package):
        os.environ["_ARGCOMPLETE"] = "3"  # the command's own words begin with the third one
        import_module(f"{package}.{verb}").main()
        return
    parser = CommandParser("hoa")
    packages = parser.add_subparsers()
    for name in PACKAGES:
        packages.add_parser(name).add_argument("verb", choices=tuple(commands_of(name)))
    parser.parse_args()
