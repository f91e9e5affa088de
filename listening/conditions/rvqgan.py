"""``prop``, ``prop_<n>cb`` and ``prop_low_delay``: the proposed codec as a condition.

Besides `layer_opus` and the model card, this is the only module of `listening` that imports `codec`, and with it
PyTorch: only where it is applied, since the import takes longer than many a build of other conditions.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from codec.checkpoints.pretrained import PRETRAINED
from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId, IdForm
from render.common.errors import InputError
from render.common.files import read_json, sha256
from render.hoa.scene import Scene

if TYPE_CHECKING:
    from codec.rvqgan.codec import RVQGAN

ALL_CODEBOOKS = IdForm("prop")
FIRST_CODEBOOKS = IdForm("prop_<n>cb", range(1, 100), 4)
LOW_DELAY = IdForm("prop_low_delay")


def create(condition_id: ConditionId, parameters: Mapping[str, Any]) -> Condition:
    """Condition that sends a scene through the codec and its bit stream.

    Parameters
    ----------
    condition_id : ConditionId
        ``prop_<n>cb`` sets the number of codebooks; every other id means all that the model has.
        ``prop_low_delay`` makes streams for live use.
    parameters : mapping
        ``model``: path of a model file, by default the shipped one. ``codebooks``: goes before the id's number.

    Raises
    ------
    InputError
        If there is no such model file, or the model has fewer codebooks or no side information for low delay.
    """
    model = Path(parameters["model"]) if "model" in parameters else shipped_model()
    codebooks = parameters.get("codebooks") or condition_id.number
    check_codebooks(model, codebooks)
    values: dict[str, Any] = {"model_sha256": sha256(model), "codebooks": codebooks}
    low_delay = LOW_DELAY.parse(condition_id.text) is not None
    if low_delay:
        values["low_delay"] = True
        if not _model_config(model).get("side_layers", True):
            raise InputError(f"{model}: has no side information, which a stream of low delay needs")
    return Condition(
        condition_id.text,
        __name__,
        lambda scene: _rendition(scene, model, codebooks, low_delay),
        values,
        ExpectedProperties(is_codec=True),
    )


def _rendition(scene: Scene, path: Path, codebooks: int | None, low_delay: bool) -> Rendition:
    from codec.coding.model import Model
    from codec.coding.pipeline import decode

    model, digest = _load(path)
    if low_delay:
        payload = Model(model, digest).encode(scene, codebooks, low_delay=True).data
    else:
        payload = _first_codebooks(_encoded(scene, path), codebooks)
    decoded = decode(model, digest, payload)
    if not isinstance(decoded, Scene):
        raise InputError(
            f"{path}: this model codes loudspeaker feeds, not Ambisonics; train one with --channels 16"
        )
    return Rendition(decoded, payload, ".arvq")


# The conditions of an item, which differ in their codebooks alone, get the same Scene object, which the cache
# knows by its identity: they share a stream.
@lru_cache(maxsize=1)
def _encoded(scene: Scene, path: Path) -> bytes:
    """Stream of a scene with all codebooks of the model."""
    from codec.coding.pipeline import encode

    return encode(*_load(path), scene)


def _first_codebooks(stream: bytes, codebooks: int | None) -> bytes:
    """What the encoder makes with these codebooks only; None: all of them."""
    from codec.bitstream.file import keep_codebooks, read_header, read_packets, write_stream

    if codebooks is None:
        return stream
    source, target = io.BytesIO(stream), io.BytesIO()
    header = read_header(source, "stream")
    packets = read_packets(source, header, "stream")
    write_stream(target, *keep_codebooks(header, packets, codebooks, "stream"))
    return target.getvalue()


@cache  # the items that one process builds share a model
def _load(path: Path) -> tuple[RVQGAN, bytes]:
    from codec.checkpoints.model_file import load

    return load(path, streamed=True)


def shipped_model() -> Path:
    """Path of the model that comes with the package."""
    return PRETRAINED


def check_codebooks(path: Path, codebooks: int | None) -> None:
    """Raise `InputError` unless `path` is a model file with at least `codebooks` codebooks.

    Only the header of the file is read, not its weights.
    """
    available = _model_config(path)["codebooks"]
    if codebooks is not None and not 1 <= codebooks <= available:
        raise InputError(f"{path}: has {available} codebooks, {codebooks} are asked for")


def _model_config(path: Path) -> dict[str, Any]:
    """Entries of the configuration that a model file holds, `codebooks` as an integer."""
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="np") as file:
            config = json.loads((file.metadata() or {})["config"])
        return {**config, "codebooks": int(config["codebooks"])}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a model file of this codec ({error})") from None


def model_card(path: Path) -> dict[str, Any]:
    """Content of the JSON card beside a model file; empty if there is none."""
    card = path.with_suffix(".json")
    content = read_json(card) if card.is_file() else {}
    return content if isinstance(content, dict) else {}


KIND = ConditionKind(create, (ALL_CODEBOOKS, FIRST_CODEBOOKS, LOW_DELAY), needs_codec=True)
