"""The checklist of BS.1534-3, section 10, for the report of a MUSHRA test, and the file of facts that fills it.

The command reads this module before it decides whether to load anything heavy, so it imports none of that.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from analysis.ratings.csv_text import read_text
from render.common.errors import InputError

SECTIONS: dict[str, dict[str, str]] = {
    "Purpose": {
        "title": "Title of the test",
        "purpose": "Purpose and hypotheses of the test",
        "laboratory": "Laboratory, responsible persons, dates and place",
    },
    "Assessors": {
        "assessors": "Selection of the assessors, their experience and hearing",
        "training": "Training: stimuli, duration, instructions",
    },
    "Material and systems": {
        "material": "How test material was chosen, by whom, and its level alignment",
        "systems": "Systems under test: versions, bit rates, settings",
        "anchors": "How the anchors were made; for other anchors the code that makes them",
    },
    "Listening conditions": {
        "room": "Room: dimensions, reverberation time, background noise, measured responses",
        "layout": "Loudspeaker layout (named as in BS.2051, or all positions) and distances, or headphones",
        "transducers": "Loudspeakers or headphones: type, equalisation, response at the listening position",
        "level": "Listening level, its calibration, and what listeners could adjust",
        "equipment": "Signal chain: player, converters, sample rate, switching",
    },
    "Procedure": {
        "attribute": "Attribute that was rated, and the instructions given",
        "procedure": "Sessions: number, length, breaks, order of items and conditions, replicates",
        "reliability": "Pre-screening and reliability of the assessors (replicates, BS.2300)",
    },
    "Conclusions": {
        "conclusions": "Conclusions and on what they rest",
    },
}
"""Section of the report -> key in the file of facts -> what must be said there, which ratings cannot tell."""

FACTS = {key: what for points in SECTIONS.values() for key, what in points.items()}


MISSING = "MISSING"
"""Word by which a fact says that a part of its point is not known."""


def facts_text(facts: Mapping[str, str]) -> str:
    """Return the facts as the text of a file that `read_facts` reads."""
    # a JSON string is a basic string of TOML, but for DEL and lone surrogates, which stand in names of files that
    # are no UTF-8
    texts = {key: text.encode("utf-8", "backslashreplace").decode() for key, text in facts.items()}
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()]
    return "\n".join(lines).replace("\x7f", "\\u007F") + "\n"


def template(known: Mapping[str, str]) -> str:
    """Return a file of facts to be filled in, in which what is known stands already."""
    parts = []
    for section, points in SECTIONS.items():
        parts.append(f"# ---- {section}\n")
        parts += [f"# {what}\n{facts_text({key: known.get(key, '')})}" for key, what in points.items()]
    return "".join(parts).rstrip("\n")


def is_given(facts: Mapping[str, str], key: str) -> bool:
    """Whether a point of the checklist is given whole."""
    return bool(facts.get(key)) and MISSING not in facts[key]


def read_facts(path: Path) -> dict[str, str]:
    """Read a file of facts.

    Raises
    ------
    InputError
        If it is not TOML, a key is not one of `FACTS`, or a value is not a text.
    """
    try:
        facts = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML ({error})") from error
    for key, value in facts.items():
        if key not in FACTS:
            raise InputError(f"{path}: '{key[:40]}' is not a point of the checklist, which are {', '.join(FACTS)}")
        if not isinstance(value, str):
            raise InputError(f"{path}: '{key}' is not a text")
    return facts
