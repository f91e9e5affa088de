"""Assemble a model from the named tensors of a file, after checking that they are exactly the right ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from codec.rvqgan.codec import RVQGAN, convolutions, meta_model
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError

GAIN, DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"  # of weight norm


def assemble(
    config: ModelConfig,
    shapes: Mapping[str, tuple[int, ...]],
    tensor: Callable[[str], Tensor],
    where: str,
    streamed: bool = False,
) -> RVQGAN:
    """Return a model ready to run: float32, weight norm folded, evaluation mode, no gradients.

    Parameters
    ----------
    config : ModelConfig
    shapes : mapping of str to tuple of int
        Names and shapes of the tensors in the file, with weight norm or folded.
    tensor : callable
        Reads the tensor of a name. It is called only after all names and shapes have been checked.
    where : str
        Name of the file in error messages.
    streamed : bool
        Whether encoder and decoder stay without memory for their weights, which `RVQGAN.stored` reads with
        `tensor`. It concerns folded weights only.

    Raises
    ------
    InputError
        If a name is missing or unexpected, a shape differs, or a weight is not finite.
    """
    weight_norm = any("parametrizations" in name for name in shapes)
    expected = shapes_of(config, weight_norm)
    missing, unexpected = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    if missing or unexpected:
        raise InputError(
            f"{where}: does not fit the configuration; {_listed(missing=missing, unexpected=unexpected)}"
        )
    if wrong := [name for name in expected if tuple(shapes[name]) != expected[name]]:
        name = wrong[0]
        raise InputError(
            f"{where}: {len(wrong)} tensors do not fit the configuration, the first is {name}: its shape is "
            f"{tuple(shapes[name])}, expected is {expected[name]}"
        )
    if streamed and not weight_norm:
        model = meta_model(config)
        # without the model itself, which would hold itself and be freed only by the cycle collector
        names = {layer: name for name, layer in model.named_modules() if name}
        # PyTorch's `to_empty` would need a second to import what it needs on the "meta" device
        model.quantizer.load_state_dict(_weights_of(names, tensor, model.quantizer), assign=True)
        model.stored = partial(_with_weights, names, tensor)
    else:
        with torch.random.fork_rng(devices=[]):  # initialisation must not advance the caller's random generator
            model = RVQGAN(config, weight_norm)
    for name, parameter in model.state_dict().items():
        values = tensor(name)
        if not all(bound.float().isfinite() for bound in torch.aminmax(values)):  # without a copy of the values
            raise InputError(f"{where}: {name} is not finite; train or download the model again")
        if not parameter.is_meta:
            parameter.copy_(values)
    # Folding makes parameters only of weights with gradients, so these are switched off afterwards.
    model.fold_weight_norm().eval().requires_grad_(False)
    for name, parameter in model.state_dict().items():  # a zero kernel has no direction
        if not parameter.is_meta and not parameter.isfinite().all():
            raise InputError(f"{where}: {name} is not finite after its weight norm is folded")
    return model


def _with_weights(names: Mapping[nn.Module, str], tensor: Callable[[str], Tensor], layer: nn.Module) -> nn.Module:
    """Return a copy of a layer that has no memory for its weights, with the weights."""
    present = deepcopy(layer)
    present.load_state_dict(_weights_of(names, tensor, layer), assign=True)
    return present.requires_grad_(False)


def _weights_of(
    names: Mapping[nn.Module, str], tensor: Callable[[str], Tensor], layer: nn.Module
) -> dict[str, Tensor]:
    return {name: tensor(f"{names[layer]}.{name}").float() for name in layer.state_dict()}


def shapes_of(config: ModelConfig, weight_norm: bool) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all tensors of a model, those of `RVQGAN(config, weight_norm).state_dict()`.

    Nothing of these sizes is allocated. PyTorch takes seconds to import what weight norm needs on the "meta"
    device, so its tensors are derived from the folded ones.
    """
    model = meta_model(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if weight_norm:
        normalised = {id(layer) for layer in convolutions(model)}
        for name in (name for name, layer in model.named_modules() if id(layer) in normalised):
            shape = shapes.pop(f"{name}.weight")
            shapes |= {f"{name}.{GAIN}": (shape[0], 1, 1), f"{name}.{DIRECTION}": shape}
    return shapes


def _listed(**kinds: list[str]) -> str:
    parts = []
    for kind, names in kinds.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{kind}: {', '.join(name[:100] for name in names[:3])}{more}")
    return "; ".join(parts)
