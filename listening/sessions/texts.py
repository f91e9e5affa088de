"""Texts of the listener's page: one TOML file a language, all with the same keys, and a user's own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from render.common.errors import InputError, did_you_mean

TEXTS = Path(__file__).with_name("texts")

Texts = Mapping[str, Mapping[str, str]]
"""Language -> key -> text."""

NAME = "language"
"""Key under which a file names its language in that language."""

_ENGLISH = "en"


def load_texts(languages: Iterable[str] = (), own: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """Texts by language and key.

    Parameters
    ----------
    languages : iterable of str
        Languages that are offered; empty: all that there are.
    own : iterable of str
        A user's own files, named by their language (``en.toml``, ``sv.toml``). The file of a language that there
        is already replaces the texts that it holds; that of a new one holds all texts.

    Raises
    ------
    InputError
        If a file lacks a text, holds one that English does not have, or is not TOML; or if a language is unknown.
    """
    texts = {path.stem: _read(path) for path in sorted(TEXTS.glob("*.toml"))}
    english = texts[_ENGLISH]
    for path in (Path(name) for name in own):
        given = _read(path)
        if strange := sorted(set(given) - set(english)):
            raise InputError(f"{path}: no such text: {strange[0]!r}{did_you_mean(strange[0], english)}")
        texts[path.stem] = texts.get(path.stem, {}) | given
    for language, held in texts.items():
        if lacking := sorted(set(english) - set(held)):
            raise InputError(f"texts of the language {language} lack {', '.join(lacking[:5])}; English has them")
    offered = list(languages) or [_ENGLISH, *(name for name in texts if name != _ENGLISH)]
    for language in offered:
        if language not in texts:
            raise InputError(f"plan: languages: {language!r} has no texts (known are {', '.join(texts)})")
    return {language: texts[language] for language in offered}


def language_names(texts: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Language -> its own name."""
    return {language: held[NAME] for language, held in texts.items()}


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of texts")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error
    for key, text in values.items():
        if not isinstance(text, str) or not text:
            raise InputError(f"{path}: {key} is no text")
    return values
