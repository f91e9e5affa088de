"""Model files: fetch published weights, convert them to files of our own.

    python -m codec.weights fetch                     # Descript's mono model, 44.1 kHz, 16 kbit/s, 257 MB
    python -m codec.weights convert weights_44khz_16kbps.pth -o data/mono.safetensors

fetch needs a network, once; it records the SHA-256 of what it got beside the file and from then on accepts
nothing else. convert reads Descript's checkpoints and those of transformers' DacModel (.pth, .safetensors).
Converted files go into codec.encode, codec.decode (--model) and codec.transfer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from codec.checkpoints.state_dict import assemble
from codec.descript.weights import read_published
from codec.rvqgan.codec import RVQGAN, count_parameters
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.common.files import read_json, read_record, sha256, whole_file, write_json

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "hoa16-small.safetensors"


def save(path: Path, model: RVQGAN, card: dict[str, Any], force: bool = False, exact: bool = False) -> None:
    """Write a model (weight norm folded) and its card ``<name>.json`` with the SHA-256.

    Half precision is exact for what is run: the weights are rounded once here, and every machine
    computes in float32 with the rounded values. `exact` keeps float32, for weights of others.
    """
    if not model.is_folded:
        raise ValueError("fold the weight norm first")
    kind = torch.float32 if exact else torch.float16
    tensors = {name: tensor.to(kind).contiguous() for name, tensor in model.state_dict().items()}
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise ValueError("weights do not fit half precision")
    with whole_file(path, force=force) as temporary:
        save_file(tensors, temporary, {"config": json.dumps(model.config.as_json())})
        temporary.chmod(0o644)  # safetensors makes files that only their owner may read
    write_json(path.with_suffix(".json"), {"sha256": sha256(path), **card}, force=force)


def load(path: Path | None = None, device: str = "cpu") -> tuple[RVQGAN, bytes]:
    """Read a model, ready to run: float32, evaluation mode, no gradients.

    Parameters
    ----------
    path : Path, optional
        A file written by `save`; the shipped 16-channel model by default.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    model : RVQGAN
    digest : bytes
        First 8 bytes of the SHA-256 of the file, as they stand in the bit stream.

    Raises
    ------
    InputError
        If the file is missing, damaged, differs from the digest in its card, or if a tensor is not of
        the shape that its configuration asks for (checked before anything is allocated), or if there is
        no such device.
    """
    if device not in ("cpu", "cuda"):
        raise InputError(f"device {device!r}; possible are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch finds none here; leave it out, or install PyTorch's CUDA build")
    path = path or PRETRAINED
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    digest = sha256(path)
    card = path.with_suffix(".json")
    content = read_json(card) if card.is_file() else {"sha256": digest}
    if not isinstance(content, dict) or content.get("sha256") != digest:
        raise InputError(f"{path}: its SHA-256 is not the one in {card.name}; the file is damaged or changed")
    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get("config")
            if described is None:
                raise InputError(
                    f"{path}: no model file of ours; python -m codec.weights convert makes one of published ones"
                )
            config = _configuration(described, path)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            model = assemble(config, shapes, file.get_tensor, str(path))
    except SafetensorError as error:
        raise InputError(
            f"{path}: no model file ({error}); python -m codec.weights convert makes one of published weights"
        ) from error
    return model.to(device), bytes.fromhex(digest[:16])


def _configuration(described: str, path: Path) -> ModelConfig:

    try:
        return ModelConfig.from_json(json.loads(described))
    except (ValueError, RecursionError) as error:  # no JSON, numbers of thousands of digits, a tower of brackets
        raise InputError(f"{path}: {error}") from error


def read(path: Path, sample_rate_hz: int | None = None) -> RVQGAN:
    """Read a model from a file of ours or from one that others published (`codec.descript.weights`)."""
    if path.suffix == ".safetensors" and path.is_file():
        try:
            with safe_open(path, framework="pt") as file:
                ours = "config" in (file.metadata() or {})
        except SafetensorError as error:
            raise InputError(f"{path}: no safetensors file ({error})") from error
        if ours:
            return load(path)[0]
    return read_published(path, sample_rate_hz)


def convert(source: Path, target: Path, sample_rate_hz: int | None = None, force: bool = False) -> RVQGAN:
    """Write published weights as a file of ours, number for number; the card tells where they come from."""
    model = read_published(source, sample_rate_hz)
    card = {
        "origin": read_record(source).get("url", source.name),
        "origin_sha256": sha256(source),
        "parameters": count_parameters(model),
        "code_bps": round(model.config.bitrate_bps(), 1),
    }
    save(target, model, card, force, exact=True)
    return model
