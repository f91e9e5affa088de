"""Blind names: which file of a package is which condition, told by the key alone."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.metrics.built_test import MANIFEST, read_built_test
from analysis.ratings.portable_names import is_portable
from listening.test_design.test_plan import Plan, plan_of
from render.common.errors import InputError
from render.common.files import sha256

BLIND_NAME = re.compile(r"reference|[0-9a-f]{8}")
"""Names of the audio files in a package, without their suffix."""


@dataclass(frozen=True)
class BlindTest:
    """A built test whose stimuli have blind names.

    Attributes
    ----------
    build : Path
        Folder of the built test.
    plan : Plan
    items : dict
        Item -> its entry in the manifest.
    names : dict
        Item -> blind name -> condition.
    secret : bytes
        SHA-256 of the manifest. Names and orders derive from it, so nobody can tell them without the manifest.
    """

    build: Path
    plan: Plan
    items: dict[str, dict[str, Any]]
    names: dict[str, dict[str, str]]
    secret: bytes


def read_blind_test(build: Path) -> BlindTest:
    """Read a built test and give its stimuli blind names.

    Raises
    ------
    InputError
        If the folder holds no valid manifest, or an item's name would not come back unchanged from a spreadsheet.
    """
    test = read_built_test(build)
    for item in test.items:
        if not is_portable(item):
            raise InputError(
                f"{build / MANIFEST}: a spreadsheet would take the item {item} for a number, a date or a truth "
                "value; run listening.build again, which gives it another name"
            )
    secret = bytes.fromhex(sha256(build / MANIFEST))
    names = {item: blind_names(secret, item, list(entry["conditions"])) for item, entry in test.items.items()}
    return BlindTest(build, plan_of(test), test.items, names, secret)


def blind_names(secret: bytes, item: str, conditions: list[str]) -> dict[str, str]:
    """Condition by blind name, in an order that reveals nothing."""
    names = {_blind_name(secret, f"{item}/{condition}"): condition for condition in conditions}
    if len(names) != len(conditions):
        raise RuntimeError(f"two blind names of item {item} are equal")
    return dict(sorted(names.items()))


def _blind_name(secret: bytes, stimulus: str) -> str:
    """Eight hexadecimal digits of an HMAC: the first that come back unchanged from spreadsheets and casts.

    A name that begins with a digit may be taken for a number (06820837, 4e073329), and dec01999 for a date.
    """
    digits = hmac.new(secret, stimulus.encode(), hashlib.sha256).hexdigest()
    while not is_portable(digits[:8]):
        digits = hmac.new(secret, digits.encode(), hashlib.sha256).hexdigest()
    return digits[:8]


def key_path(build: Path, package: Path) -> Path:
    """Path of the key, which lies beside the package and never inside it.

    Raises
    ------
    InputError
        If the package's folder would contain the build, whose file names reveal the conditions.
    """
    package, build = package.resolve(), build.resolve()
    if package == build or package in build.parents:
        raise InputError(f"{package}: would hold the build, which reveals the conditions; choose another folder")
    return package.parent / f"key-{package.name.removeprefix('package-')}.json"
