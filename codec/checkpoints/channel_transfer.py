"""Weights for a model of more channels, made from those of a model of fewer: the paper's transfer from mono.

Only the first and the last convolution depend on the number of channels, so their kernels are repeated over the
channels. The paper leaves open what happens to the gain of the first one, which allows two readings:

"gain"
    Of the state dict, weight_v is repeated and weight_g kept. Weight norm divides by the norm of v, which grows by
    √C, so every channel gets the kernel w/√C. In the network, C uncorrelated channels are together as loud as the
    mono signal was, and C equal ones √C times louder.
"weight"
    The weight itself is repeated: C uncorrelated channels are √C times louder, C equal ones C times.

The last convolution has one kernel, gain and bias for each output channel, so all channels are equal at first. The
channels of a model of several are repeated cyclically.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from codec.checkpoints.state_dict import assemble
from codec.rvqgan.codec import RVQGAN, convolutions
from render.common.errors import InputError

READINGS = ("gain", "weight")
# Fields in which a model may differ from the one whose weights it starts with.
_NOT_ARCHITECTURE = ("quantizer_dropout", "side_layers", "layout")


def transfer(model: RVQGAN, channels: int, reading: str = "gain", layout: str = "") -> RVQGAN:
    """Return a model of more channels with the weights of the given one.

    Parameters
    ----------
    model : RVQGAN
        With folded weight norm; it is not changed.
    channels : int
        At least as many as the model has. Channel c gets the kernels of channel c modulo the model's number.
    reading : {"gain", "weight"}
        See the module's documentation.
    layout : str
        Name of the loudspeaker layout of the new model, or "" for Ambisonics.

    Returns
    -------
    RVQGAN
        With folded weight norm, and without a tanh at the output if it has more channels, as in the paper.

    Raises
    ------
    InputError
        If the new model would have fewer channels or an impossible configuration, or the reading is unknown.
    """
    count = model.config.channels
    if not model.is_folded:
        raise ValueError("fold the weight norm first")
    if reading not in READINGS:
        raise InputError(f"reading {reading!r} is unknown; known are {', '.join(READINGS)}")
    if channels < count:
        raise InputError(f"the model already has {count} channels; it cannot be reduced to {channels}")
    tanh = model.config.output_tanh and channels == count
    config = replace(model.config, channels=channels, output_tanh=tanh, layout=layout)
    source = torch.arange(channels) % count
    tensors = dict(model.state_dict())
    names = {layer: name for name, layer in model.named_modules()}
    first, last = names[convolutions(model.encoder)[0]], names[convolutions(model.decoder)[-1]]
    kernels = tensors[f"{first}.weight"]
    repeated = kernels[:, source]
    if reading == "gain":
        norm, repeated_norm = (k.flatten(1).norm(dim=1)[:, None, None] for k in (kernels, repeated))
        repeated = repeated * (norm / repeated_norm.clamp_min(1e-30))  # a filter of zeros stays 0
    tensors[f"{first}.weight"] = repeated
    for name in (f"{last}.weight", f"{last}.bias"):
        tensors[name] = tensors[name][source]
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return assemble(config, shapes, tensors.__getitem__, "transferred weights")


def start_from(model: RVQGAN, start: RVQGAN, where: str) -> None:
    """Overwrite the weights of a model to be trained with those of another.

    Parameters
    ----------
    model : RVQGAN
        With weight norm. Its gains become the norms of the kernels.
    start : RVQGAN
        With folded weight norm. If it has fewer channels, it is transferred with the reading "gain".
    where : str
        Name of its file in error messages.

    Raises
    ------
    InputError
        If the architectures differ in anything but the number of channels.
    """
    if start.config.channels < model.config.channels:
        start = transfer(start, model.config.channels, layout=model.config.layout)
    expected, found = _architecture(model), _architecture(start)
    if differing := [f"{name} {found[name]}" for name in expected if found[name] != expected[name]]:
        raise InputError(f"{where}: has {', '.join(differing)}; the preset differs there")
    layers: dict[str, Any] = dict(model.named_modules())
    with torch.no_grad():
        for name, tensor in start.state_dict().items():
            layer, _, attribute = name.rpartition(".")
            if attribute == "weight" and hasattr(layers[layer], "parametrizations"):
                layers[layer].weight = tensor  # weight norm splits it into gain and direction
            else:
                getattr(layers[layer], attribute).copy_(tensor)


def _architecture(model: RVQGAN) -> dict[str, Any]:
    config = model.config.as_json()
    return {name: config[name] for name in config if name not in _NOT_ARCHITECTURE}
