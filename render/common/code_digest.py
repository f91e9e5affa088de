"""Digest of the code that a result depends on: a module and all modules of this project that it imports.

Results kept on disk are computed again when this digest changes, and only then: editing a figure must not render
audio again, editing the codec must. Import statements are read from the source, wherever they are, so that nothing
has to be imported and lazy imports count too.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from render.common.files import sha256, sha256_of

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "codec", "listening", "render", "stimuli")


def code_digest(*modules: str) -> str:
    """SHA-256 over names and contents of the source files that `modules` consist of and import.

    Parameters
    ----------
    *modules : str
        Dotted names of modules of this project, such as ``"listening.conditions.anchors"``.

    Raises
    ------
    ModuleNotFoundError
        If one of them, or a module of this project that they import, does not exist: a misspelt name must not
        silently leave code out of the digest.
    """
    return sha256_of({path.relative_to(ROOT).as_posix(): sha256(path) for path in source_files(*modules)})


def source_files(*modules: str) -> list[Path]:
    """Source files of `modules` and of all modules of this project that they import, sorted."""
    found: set[Path] = set()
    to_visit = [_file_of(module) for module in modules]
    while to_visit:
        path = to_visit.pop()
        if path not in found:
            found.add(path)
            to_visit += _imported_by(path)
    return sorted(found)


@cache
def _imported_by(path: Path) -> tuple[Path, ...]:
    """Files of this project that a file imports, including the ``__init__`` files of their packages."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            names |= {name for name in inner if name.partition(".")[0] in PACKAGES and _is_module(name)}
    ours = (name.split(".") for name in names if name.partition(".")[0] in PACKAGES)
    return tuple({_file_of(".".join(parts[:depth])) for parts in ours for depth in range(1, len(parts) + 1)})


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _file_of(name: str) -> Path:
    place = ROOT.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    raise ModuleNotFoundError(f"{name}: not a module of this project")
