"""The pages' files, read once when the server starts.

A request names a key of a dictionary and no path of the file system: nothing outside of it can be reached.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


class StaticFile(NamedTuple):
    """Content and media type of a file."""

    content: bytes
    media_type: str


def static_files(folder: Path) -> dict[str, StaticFile]:
    """Read the files of a folder and of those in it: name with slashes -> file.

    Files of other types than pages are made of, hidden files and links are left out.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        linked = any(folder.joinpath(*parts[:depth]).is_symlink() for depth in range(1, len(parts) + 1))
        hidden = any(part.startswith(".") for part in parts)
        if path.suffix in _TYPES and path.is_file() and not linked and not hidden:
            found["/".join(parts)] = StaticFile(path.read_bytes(), _TYPES[path.suffix])
    return found
