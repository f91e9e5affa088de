"""README.md of a package: what its files are, which player they need, and how the ratings come back.

It lies in the package, so it says nothing of the conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

NAME = "README.md"
BESIDE = "| `headphones/ITEM/` | the same under the same names for headphones, 2 channels: left, right |\n"


def readme(
    folder: Path, kind: str, title: str, layout: Mapping[str, Any], key: str, stimuli: int, test: str, beside: bool
) -> str:
    """Text of the README of a package.

    Parameters
    ----------
    folder : Path
        The package.
    kind : str
        As in `listening.packaging.package.Package`.
    title : str
        Of the session.
    layout : dict
        As in the session: name and channels.
    key : str
        Name of the key's file.
    stimuli : int
        Of each item.
    test : str
        Id of the test for webMUSHRA.
    beside : bool
        Whether a package for loudspeakers holds headphone feeds too.
    """
    labels = [channel["label"] for channel in layout["channels"]]
    name = "package_readme_webmushra.md" if kind == "webmushra" else "package_readme.md"
    return Template(Path(__file__).with_name(name).read_text(encoding="utf-8")).substitute(
        title=title,
        key=key,
        label=key.removeprefix("key-").removesuffix(".json"),
        folder=folder.name,
        stimuli=stimuli,
        test=test,
        channels=len(labels),
        order=", ".join(f"{number} {label}" for number, label in enumerate(labels, start=1)),
        device="headphones" if layout["name"] == "binaural" else "loudspeakers",
        beside=BESIDE if beside else "",
    )
