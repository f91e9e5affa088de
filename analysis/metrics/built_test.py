"""The folder of a listening test that `listening.build` has made: its manifest, checked before it is used.

A manifest may come from someone else, so nothing in it is trusted: every name must be safe as the name of a folder
or file, and every scene must lie where `listening.build` writes it. No path leads out of the folder of the test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.common.errors import InputError
from render.common.files import read_json

MANIFEST = "manifest.json"
REFERENCE = "href"
"""The condition that is the hidden reference."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BuiltTest:
    """The manifest of a built listening test.

    Attributes
    ----------
    folder : Path
        Where the test was built, ``out/<plan>``.
    plan : dict
        Settings of the test as they stand in the manifest; `listening.test_design` checks and interprets them.
    items : dict
        Item id -> its entry: ``material`` and ``conditions``, a dict of condition id -> entry of the stimulus with
        at least ``file`` and ``sha256``.
    """

    folder: Path
    plan: Any
    items: dict[str, dict[str, Any]]

    def scene(self, item: str, condition: str) -> Path:
        """Return the audio file of a stimulus."""
        return self.folder / scene_file(item, condition)


def scene_file(item: str, condition: str) -> str:
    """Path of the audio file of a stimulus, relative to the folder of the test."""
    return f"scenes/{item}/{condition}.w64"


def read_built_test(folder: Path) -> BuiltTest:
    """Read and check the manifest of a built test.

    Raises
    ------
    InputError
        If there is no manifest, if `listening.build` cannot have written it, or if it holds no items.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{path}: no such file; run listening.build first")
    manifest = read_json(path)
    try:
        plan, items = manifest["plan"], dict(manifest["items"])
        for item, entry in items.items():
            _check(item, entry)
    except InputError as error:
        raise InputError(f"{path}: not a manifest of listening.build: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path}: not a manifest of listening.build: an entry is missing or of the wrong kind"
        ) from error
    if not items:
        raise InputError(f"{path}: holds no items")
    return BuiltTest(folder, plan, items)


def _check(item: str, entry: dict[str, Any]) -> None:
    conditions = entry["conditions"]
    for name in (item, *conditions):
        if not _ID.fullmatch(name):
            raise InputError(f"{name[:70]!r} is not the name of an item or condition")
    if not isinstance(entry["material"], str):
        raise InputError(f"the material of item {item} is not text")
    if REFERENCE not in conditions:
        raise InputError(f"item {item} has no condition {REFERENCE}")
    for name, stimulus in conditions.items():
        if stimulus["file"] != scene_file(item, name):
            raise InputError(f"the file of {item}, {name} is {stimulus['file']!r}, not {scene_file(item, name)}")
        if not _SHA256.fullmatch(stimulus["sha256"]):
            raise InputError(f"the SHA-256 of {item}, {name} is not 64 hexadecimal digits")
