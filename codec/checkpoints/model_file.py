"""Model files: safetensors with the configuration in their metadata, and a card with the SHA-256 beside them."""

from __future__ import annotations

import hashlib
import json
import os
from mmap import mmap
from pathlib import Path
from typing import Any
from weakref import finalize

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from codec.checkpoints.pretrained import PRETRAINED
from codec.checkpoints.state_dict import assemble
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.common.files import read_json, sha256, whole_file, write_json

_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
_CONVERT = "python -m codec.weights convert makes one of published weights"


def save(path: Path, model: RVQGAN, card: dict[str, Any], force: bool = False, exact: bool = False) -> None:
    """Write a model with folded weight norm, and its card ``<name>.json`` with the SHA-256 of the file.

    The weights are rounded to half precision here, once; every machine then computes in float32 with the rounded
    values. With `exact` they stay in float32, as the weights of others should.

    Raises
    ------
    ValueError
        If the weight norm is not folded, or a weight is not finite in half precision.
    """
    if not model.is_folded:
        raise ValueError("fold the weight norm first")
    dtype = torch.float32 if exact else torch.float16
    tensors = {name: tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise ValueError("weights do not fit half precision")
    with whole_file(path, force=force) as temporary:
        save_file(tensors, temporary, {"config": json.dumps(model.config.as_json())})
        temporary.chmod(0o644)  # safetensors writes files that only their owner may read
    write_json(path.with_suffix(".json"), {"sha256": sha256(path), **card}, force=force)


def load(path: Path | None = None, device: str = "cpu", streamed: bool = False) -> tuple[RVQGAN, bytes]:
    """Read a model, ready to run: float32, evaluation mode, no gradients.

    Parameters
    ----------
    path : Path, optional
        A file written by `save`; the shipped 16-channel model by default.
    device : {"cpu", "cuda"}
    streamed : bool
        Whether the model shall only run as a stream (`codec.streaming`). On a CPU, encoder and decoder then stay
        in the file until a stream reads them, so that no weight is held twice. The file is kept open: it may be
        replaced or removed, but not overwritten.

    Returns
    -------
    model : RVQGAN
    digest : bytes
        First 8 bytes of the SHA-256 of the file, which identify the model in the bit stream.

    Raises
    ------
    InputError
        If the file is missing or damaged, differs from the digest in its card, or has a tensor whose shape is not
        the one that its configuration demands (this is checked before anything is allocated), or if there is no
        such device.
    """
    if device not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is unknown; known are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA device here; leave --device out, or install PyTorch's CUDA build")
    path = path or PRETRAINED
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    tensors = _Tensors(path)
    digest = tensors.sha256()
    card = path.with_suffix(".json")
    content = read_json(card) if card.is_file() else {"sha256": digest}
    if not isinstance(content, dict) or content.get("sha256") != digest:
        raise InputError(f"{path}: its SHA-256 is not the one in {card.name}; the file is damaged or was changed")
    try:
        with safe_open(path, framework="pt") as file:
            description = (file.metadata() or {}).get("config")
            if description is None:
                raise InputError(f"{path}: not a model file of this package; {_CONVERT}")
            config = _configuration(description, path)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        tensors.read_header()
        model = assemble(config, shapes, tensors, str(path), streamed and device == "cpu")
    except SafetensorError as error:
        raise InputError(f"{path}: not a model file ({error}); {_CONVERT}") from error
    model.takes_channels = not config.side_layers
    return model if device == "cpu" else model.to(device), bytes.fromhex(digest[:16])


class _Tensors:
    """Reads tensors of a safetensors file, which stays open, into memory of their own.

    safetensors maps the file, and what is read of a map counts as memory of the process as long as it is mapped.
    """

    def __init__(self, path: Path):
        self._path, self._file = path, os.open(path, os.O_RDONLY)
        finalize(self, os.close, self._file)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Tensors:
        """Return the same reader: the copy of a model must not lose the file with the original."""
        return self

    def sha256(self) -> str:
        """SHA-256 of the file that is open, whatever has its name by now, in hexadecimal."""
        with open(self._file, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read_header(self) -> None:
        """Read where the tensors lie, once the header is known to be sound."""
        length = int.from_bytes(os.pread(self._file, 8, 0), "little")
        self._begin = 8 + length
        self._about = json.loads(os.pread(self._file, length, 8))

    def __call__(self, name: str) -> Tensor:
        about = self._about[name]
        if about["dtype"] not in _DTYPES:
            raise InputError(f"{self._path}: {name} has elements of type {about['dtype']}, not floating point")
        begin, end = about["data_offsets"]
        data = mmap(-1, end - begin)  # which leaves no hole in the heap
        if os.preadv(self._file, [data], self._begin + begin) < len(data):
            raise InputError(f"{self._path}: changed while it was in use")
        return torch.frombuffer(data, dtype=_DTYPES[about["dtype"]]).reshape(about["shape"])


def is_model_file(path: Path) -> bool:
    """Return whether a file was written by `save`, as far as its metadata tell."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return "config" in (file.metadata() or {})
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from error


def _configuration(description: str, path: Path) -> ModelConfig:
    try:
        return ModelConfig.from_json(json.loads(description))
    # not JSON, integers of thousands of digits, or brackets nested too deeply
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error
