"""Put a model together from named tensors of a file, after checking that they are exactly what it consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from codec.rvqgan.codec import Codec, ModelConfig
from render.common.errors import InputError

_FIRST = "encoder.block.0"


def assemble(
    config: ModelConfig, shapes: Mapping[str, tuple[int, ...]], tensor: Callable[[str], Tensor], where: str
) -> Codec:
    """Make a model, ready to run: float32, weight norm folded, evaluation mode, no gradients.

    Parameters
    ----------
    config : ModelConfig
    shapes : mapping of str to tuple of int
        Names and shapes in the file, with weight norm or folded.
    tensor : callable
        Reads one of them; called only after all names and shapes were found right.
    where : str
        What the error messages call the file.

    Raises
    ------
    InputError
        If a name is missing, unexpected, of another shape, or a weight is not finite.
    """
    expected = shapes_of(config, folded=not any("parametrizations" in name for name in shapes))
    missing, unexpected = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    if missing or unexpected:
        raise InputError(
            f"{where}: does not fit the configuration; {_listed(missing=missing, unexpected=unexpected)}"
        )
    if wrong := [name for name in expected if tuple(shapes[name]) != expected[name]]:
        name = wrong[0]
        raise InputError(
            f"{where}: {len(wrong)} tensors do not fit the configuration, first {name}: shape "
            f"{tuple(shapes[name])}, need {expected[name]}"
        )
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten, and nobody's seed is used up
        model = Codec(config)
    if f"{_FIRST}.weight" in expected:
        model.fold_weight_norm()
    for name, parameter in model.state_dict().items():
        parameter.copy_(tensor(name))
        if not parameter.isfinite().all():
            raise InputError(f"{where}: {name} is not finite; train or download the model again")
    # folding makes parameters of what has gradients, so they are switched off last
    model.fold_weight_norm().eval().requires_grad_(False)
    for name, parameter in model.state_dict().items():  # a zero kernel has no direction to give a gain to
        if not parameter.isfinite().all():
            raise InputError(f"{where}: {name} is not finite once its weight norm is folded")
    return model


def shapes_of(config: ModelConfig, folded: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of everything that a model of this configuration consists of.

    The same as those of `Codec(config).state_dict()`, without the memory, and without the seconds that
    PyTorch takes to import what it needs for modules on its "meta" device.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, channels_in: int, channels_out: int, kernel: int, transposed: bool = False) -> None:
        rows, columns = (channels_in, channels_out) if transposed else (channels_out, channels_in)
        if folded:
            shapes[f"{name}.weight"] = (rows, columns, kernel)
        else:
            shapes[f"{name}.parametrizations.weight.original0"] = (rows, 1, 1)
            shapes[f"{name}.parametrizations.weight.original1"] = (rows, columns, kernel)
        shapes[f"{name}.bias"] = (channels_out,)

    def snake(name: str, width: int) -> None:
        shapes[f"{name}.alpha"] = (1, width, 1)

    def residual_units(name: str, first: int, width: int) -> None:
        for unit in range(first, first + len(config.dilations)):
            snake(f"{name}.{unit}.block.0", width)
            conv(f"{name}.{unit}.block.1", width, width, 7)
            snake(f"{name}.{unit}.block.2", width)
            conv(f"{name}.{unit}.block.3", width, width, 1)

    units, last = len(config.dilations), len(config.strides) + 1
    width = config.encoder_dim
    conv(_FIRST, config.channels, width, 7)
    for index, stride in enumerate(config.strides, start=1):
        residual_units(f"encoder.block.{index}.block", 0, width)
        snake(f"encoder.block.{index}.block.{units}", width)
        conv(f"encoder.block.{index}.block.{units + 1}", width, 2 * width, 2 * stride)
        width *= 2
    snake(f"encoder.block.{last}", width)
    conv(f"encoder.block.{last + 1}", width, config.latent_dim, 3)

    for index in range(config.codebooks):
        conv(f"quantizer.quantizers.{index}.in_proj", config.latent_dim, config.codebook_dim, 1)
        conv(f"quantizer.quantizers.{index}.out_proj", config.codebook_dim, config.latent_dim, 1)
        shapes[f"quantizer.quantizers.{index}.codebook.weight"] = (config.codebook_size, config.codebook_dim)

    width = config.decoder_dim
    conv("decoder.model.0", config.latent_dim, width, 7)
    for index, stride in enumerate(reversed(config.strides), start=1):
        snake(f"decoder.model.{index}.block.0", width)
        conv(f"decoder.model.{index}.block.1", width, width // 2, 2 * stride, transposed=True)
        width //= 2
        residual_units(f"decoder.model.{index}.block", 2, width)
    snake(f"decoder.model.{last}", width)
    conv(f"decoder.model.{last + 1}", width, config.channels, 7)
    return shapes


def _listed(**kinds: list[str]) -> str:
    parts = []
    for kind, names in kinds.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{kind}: {', '.join(name[:100] for name in names[:3])}{more}")
    return "; ".join(parts)
