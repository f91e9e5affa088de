"""Own model files: safetensors with the configuration inside, a digest and a card beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from codec.model import Codec, ModelConfig
from render.artefact import read_json, sha256, whole_file, write_json
from render.errors import InputError

PRETRAINED = Path(__file__).parent / "pretrained" / "hoa16-small.safetensors"


def save(path: Path, model: Codec, card: dict[str, Any], force: bool = False) -> None:
    """Write a model (weight norm folded, half precision) and its card ``<name>.json`` with the SHA-256.

    Half precision is exact for what is run: the weights are rounded once here, and every machine
    computes in float32 with the rounded values.
    """
    if not model.is_folded:
        raise ValueError("fold the weight norm first")
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise ValueError("weights do not fit half precision")
    with whole_file(path, force=force) as temporary:
        save_file(tensors, temporary, {"config": json.dumps(model.config.as_json())})
    write_json(path.with_suffix(".json"), {"sha256": sha256(path), **card}, force=force)


def load(path: Path | None = None) -> tuple[Codec, bytes]:
    """Read a model, ready to run: float32, evaluation mode, no gradients.

    Parameters
    ----------
    path : Path, optional
        A file written by `save`; the shipped 16-channel model by default.

    Returns
    -------
    model : Codec
    digest : bytes
        First 8 bytes of the SHA-256 of the file, as they stand in the bit stream.

    Raises
    ------
    InputError
        If the file is missing, damaged, differs from the digest in its card, or if a tensor is not of
        the shape that its configuration asks for (checked before anything is allocated).
    """
    path = path or PRETRAINED
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    digest = sha256(path)
    card = path.with_suffix(".json")
    if card.is_file() and read_json(card).get("sha256") != digest:
        raise InputError(f"{path}: its SHA-256 is not the one in {card.name}; the file is damaged or changed")
    try:
        with safe_open(path, framework="pt") as file:
            config = ModelConfig.from_json(json.loads((file.metadata() or {}).get("config", "null")))
            with torch.device("meta"):
                model = Codec(config).fold_weight_norm()
            expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
            found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            if found != expected:
                wrong = sorted(n for n in set(found) | set(expected) if found.get(n) != expected.get(n))
                raise InputError(f"{path}: {len(wrong)} tensors do not fit the configuration, first {wrong[0]}")
            tensors = {name: file.get_tensor(name).float() for name in expected}
    except (SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: no model file ({error})") from error
    if bad := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise InputError(f"{path}: {bad[0]} is not finite; train or download the model again")
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False), bytes.fromhex(digest[:16])
