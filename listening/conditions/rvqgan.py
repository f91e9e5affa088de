"""The proposed codec as a condition: the one place where a listening test touches `codec`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from codec.checkpoints.model_file import PRETRAINED, load
from codec.coding.pipeline import decode, encode
from render.common.errors import InputError
from render.common.files import read_json
from render.hoa.scene import Scene


def shipped_model() -> Path:
    """Path of the model that comes with the package."""
    return PRETRAINED


def check_codebooks(path: Path, codebooks: int | None) -> None:
    """Raise `InputError` unless a model file is there and has so many codebooks; its weights are not read."""
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    available = _codebooks(path)
    if codebooks is not None and not 1 <= codebooks <= available:
        raise InputError(f"{path}: has {available} codebooks, {codebooks} are asked for")


def _codebooks(path: Path) -> int:

    try:
        with safe_open(path, framework="np") as file:
            return int(json.loads((file.metadata() or {})["config"])["codebooks"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: no model file of this codec ({error})") from None


def round_trip(path: Path, scene: Scene, codebooks: int | None) -> tuple[Scene, bytes]:
    """Encode and decode a scene with a model; return the decoding and the ``.arvq`` file."""
    model, digest = _loaded(path)
    payload = encode(model, digest, scene, codebooks)
    decoded = decode(model, digest, payload)
    if not isinstance(decoded, Scene):
        raise InputError(f"{path}: codes loudspeaker feeds, no Ambisonics; train one with --channels 16")
    return decoded, payload


@cache
def _loaded(path: Path):

    return load(path)


def card_of(path: Path) -> dict[str, Any]:
    """Card beside a model file; empty where there is none."""
    card = path.with_suffix(".json")
    content = read_json(card) if card.is_file() else {}
    return content if isinstance(content, dict) else {}
