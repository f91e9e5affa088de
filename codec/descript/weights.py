"""Read published mono models: Descript's checkpoints and those of the `DacModel` of transformers.

A convolution may be stored in three ways: with the weight norm of old PyTorch (``weight_g``, ``weight_v``), with
its parametrisation (``parametrizations.weight.original0``, ``original1``), or folded (``weight``). The layers have
Descript's names, which are also those of this package, or the names of transformers. The architecture is derived
from the shapes of the tensors, and any settings in the file must agree with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from codec.checkpoints.state_dict import assemble
from codec.descript.torch_file import StoredTensor, open_torch_file
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.common.files import read_json

DROPOUT = 0.5  # of all published configurations; the stock package does not store it
_SETTINGS = {  # names of the stock package to those of this one
    "encoder_dim": "encoder_dim", "encoder_rates": "strides", "latent_dim": "latent_dim",
    "decoder_dim": "decoder_dim", "n_codebooks": "codebooks", "codebook_size": "codebook_size",
    "codebook_dim": "codebook_dim",
}  # fmt: skip
_FLOATS = frozenset({"F16", "BF16", "F32", "F64"})


@dataclass(frozen=True)
class _Source:
    """Named tensors in a file, which have not been read yet, and the settings stored with them."""

    shapes: Mapping[str, tuple[int, ...]]
    tensor: Callable[[str], Tensor]
    settings: Mapping[str, Any]


def read_published(path: Path, sample_rate_hz: int | None = None) -> RVQGAN:
    """Read a published checkpoint.

    Parameters
    ----------
    path : Path
        A ``.pth`` file of the stock package, or a ``.safetensors`` file with the ``config.json`` of transformers
        beside it.
    sample_rate_hz : int, optional
        For files that do not state it.

    Returns
    -------
    RVQGAN
        Ready to run. Models of one channel have a tanh at the output.

    Raises
    ------
    InputError
        If the file is missing, damaged, holds anything but the tensors of one model, or contradicts itself.
        Names, shapes and sizes are checked before tensors are read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with _source(path) as source:
        names = _our_names(source.shapes, str(path))
        shapes = {ours: source.shapes[theirs] for ours, theirs in names.items()}
        config = _configuration(shapes, source.settings, sample_rate_hz, str(path))
        return assemble(config, shapes, lambda name: source.tensor(names[name]), str(path))


@contextmanager
def _source(path: Path) -> Iterator[_Source]:
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                if other := [name for name, part in slices.items() if part.get_dtype() not in _FLOATS]:
                    raise InputError(f"{path}: {other[0][:100]} does not hold floating-point numbers")
                shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
                yield _Source(shapes, file.get_tensor, _transformers_settings(path))
        except SafetensorError as error:
            raise InputError(f"{path}: not a safetensors file ({error})") from error
        return
    with open_torch_file(path) as file:
        content = file.content if type(file.content) is dict else {}
        state = content.get("state_dict", content)
        if type(state) is not dict or not state or not all(isinstance(v, StoredTensor) for v in state.values()):
            raise InputError(f"{path}: not a checkpoint of Descript's codec (it has no state_dict of tensors)")
        metadata = content.get("metadata")
        settings = metadata.get("kwargs") if type(metadata) is dict else None
        yield _Source(
            {str(name): tensor.shape for name, tensor in state.items()},
            lambda name: file.tensor(state[name]),
            settings if type(settings) is dict else {},
        )


def _transformers_settings(path: Path) -> dict[str, Any]:
    """Return the settings in ``config.json`` under the names of the stock package."""
    file = path.with_name("config.json")
    content = read_json(file) if file.is_file() else {}
    content = content if isinstance(content, dict) else {}
    theirs = dict(
        encoder_dim="encoder_hidden_size", encoder_rates="downsampling_ratios", decoder_dim="decoder_hidden_size",
        latent_dim="hidden_size", n_codebooks="n_codebooks", codebook_size="codebook_size",
        codebook_dim="codebook_dim", sample_rate="sampling_rate",
    )  # fmt: skip
    return {ours: content[name] for ours, name in theirs.items() if name in content}


def _our_names(found: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return the names in the file by the names of this package."""
    blocks = [int(m[1]) for name in found if (m := re.match(r"encoder\.block\.(\d{1,2})\.conv1\.", name))]
    renamed: dict[str, str] = {}
    for name in found:
        ours = _from_transformers(name, 1 + max(blocks)) if blocks else name
        ours = re.sub(r"\.weight_g$", ".parametrizations.weight.original0", ours)
        ours = re.sub(r"\.weight_v$", ".parametrizations.weight.original1", ours)
        if ours in renamed:
            raise InputError(f"{where}: {name[:100]} and {renamed[ours][:100]} are the same tensor")
        renamed[ours] = name
    return renamed


def _from_transformers(name: str, blocks: int) -> str:
    """Return the name in this package for a name in the `DacModel` of transformers with so many blocks."""
    unit = {"snake1": 0, "conv1": 1, "snake2": 2, "conv2": 3}
    part, _, rest = name.partition(".")
    chain = {"encoder": "block", "decoder": "model"}.get(part)
    if chain is None:
        return name
    ends = {"conv1": 0, "snake1": blocks + 1, "conv2": blocks + 2}
    if m := re.fullmatch(r"(conv1|snake1|conv2)\.(.+)", rest):
        return f"{part}.{chain}.{ends[m[1]]}.{m[2]}"
    # The residual units come before the resampling in the encoder, and after it in the decoder.
    if m := re.fullmatch(r"block\.(\d{1,2})\.res_unit([1-9])\.(snake1|conv1|snake2|conv2)\.(.+)", rest):
        first = -1 if part == "encoder" else 1
        return f"{part}.{chain}.{int(m[1]) + 1}.block.{int(m[2]) + first}.block.{unit[m[3]]}.{m[4]}"
    resampling = {"encoder": {"snake1": 3, "conv1": 4}, "decoder": {"snake1": 0, "conv_t1": 1}}[part]
    m = re.fullmatch(r"block\.(\d{1,2})\.(\w+)\.(.+)", rest)
    if m and m[2] in resampling:
        return f"{part}.{chain}.{int(m[1]) + 1}.block.{resampling[m[2]]}.{m[3]}"
    return name


def _configuration(
    shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any], sample_rate_hz: int | None, where: str
) -> ModelConfig:
    """Derive the configuration from the shapes; settings that contradict it raise `InputError`."""

    def kernel(layer: str) -> tuple[int, ...]:
        for name in (f"{layer}.weight", f"{layer}.parametrizations.weight.original1"):
            if len(shapes.get(name, ())) == 3:
                return shapes[name]
        raise InputError(f"{where}: not a checkpoint of Descript's codec; missing: {layer}.weight")

    strides: list[int] = []
    while any(name.startswith(f"encoder.block.{len(strides) + 1}.block.") for name in shapes):
        strides.append(kernel(f"encoder.block.{len(strides) + 1}.block.4")[2] // 2)
    codebook = shapes.get("quantizer.quantizers.0.codebook.weight", ())
    if len(codebook) != 2:
        raise InputError(
            f"{where}: not a checkpoint of Descript's codec; missing: quantizer.quantizers.0.codebook.weight"
        )
    rate = settings.get("sample_rate", sample_rate_hz)
    if type(rate) is not int:
        raise InputError(f"{where}: does not state its sample rate; give it with --sample-rate")
    width, channels, _ = kernel("encoder.block.0")
    config = ModelConfig(
        channels=channels,
        sample_rate_hz=rate,
        encoder_dim=width,
        decoder_dim=kernel("decoder.model.0")[0],
        strides=tuple(strides),
        latent_dim=kernel("decoder.model.0")[1],
        codebooks=sum(name.endswith(".codebook.weight") for name in shapes),
        codebook_size=codebook[0],
        codebook_dim=codebook[1],
        quantizer_dropout=DROPOUT,
        output_tanh=channels == 1,  # the paper's models of more channels have none
    )
    has = config.as_json()
    for theirs, ours in _SETTINGS.items():
        says = settings.get(theirs)
        if says is not None and says != has[ours]:
            said = says if type(says) in (int, float) else "something else"
            raise InputError(f"{where}: by its tensors {theirs} is {has[ours]}, by its settings {said}")
    return config
