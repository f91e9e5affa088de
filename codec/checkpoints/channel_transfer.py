"""Begin a model of more channels from one of fewer, a published mono model above all.

    python -m codec.transfer mono.safetensors --channels 16 -o hoa16-start.safetensors
    python -m codec.transfer mono.safetensors --layout 7.1.4 -o feed-start.safetensors

Only the first and the last convolution know how many channels there are; their kernels are repeated over the
channels. The paper does not say what happens to the gain of the first one, so there are two readings:

  gain      the state dict with weight_v repeated and weight_g as it is. Weight norm divides by the norm of v,
            which grows by √C, so every channel gets the kernel w/√C: C uncorrelated channels together are as loud
            in the network as mono was, C equal ones √C times louder.
  weight    the weights themselves are repeated: C uncorrelated channels are √C times louder, C equal ones C times.

The last convolution has one kernel, gain and bias per channel, so at the beginning all channels come out equal. A
model of C channels can be extended in the same way; its kernels are repeated in turn. What comes out is a model
file; training takes it as initialisation = "transfer:FILE" in a preset.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from codec.checkpoints.model_file import read
from codec.checkpoints.state_dict import assemble
from codec.rvqgan.codec import RVQGAN
from render.common.errors import InputError

READINGS = ("gain", "weight")


def transfer(model: RVQGAN, channels: int, reading: str = "gain", layout: str = "") -> RVQGAN:
    """Make a model of more channels.

    Parameters
    ----------
    model : RVQGAN
        With folded weight norm; it stays as it is.
    channels : int
        Not fewer than the model has. Channel c takes the kernels of channel c modulo the model's.
    reading : {"gain", "weight"}
        See the module.
    layout : str
        Loudspeaker layout of the new model, if it is one for a Feed.

    Returns
    -------
    RVQGAN
        Folded; without a Tanh at the output if it has more than one channel, as in the paper.
    """
    count = model.config.channels
    if not model.is_folded:
        raise ValueError("fold the weight norm first")
    if reading not in READINGS:
        raise InputError(f"reading {reading!r}; known are {', '.join(READINGS)}")
    if channels < count:
        raise InputError(f"{channels} channels; the model has {count} already, and they cannot become fewer")
    tanh = model.config.output_tanh and channels == count
    config = replace(model.config, channels=channels, output_tanh=tanh, layout=layout)
    source = torch.arange(channels) % count
    tensors = dict(model.state_dict())
    kernels = tensors["encoder.block.0.weight"]
    repeated = kernels[:, source]
    if reading == "gain":
        before, after = (k.flatten(1).norm(dim=1)[:, None, None] for k in (kernels, repeated))
        # a filter that is 0 stays 0
        repeated = repeated * (before / after.clamp_min(1e-30))
    tensors["encoder.block.0.weight"] = repeated
    last = f"decoder.model.{len(config.strides) + 2}"
    for name in (f"{last}.weight", f"{last}.bias"):
        tensors[name] = tensors[name][source]
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return assemble(config, shapes, tensors.__getitem__, "transferred weights")


def start_from(model: RVQGAN, path: Path) -> None:
    """Overwrite a model to be trained (weight norm not folded) with the weights in a file.

    A file of fewer channels is transferred with the gain kept; everything else must fit.
    """
    start = read(path)
    if start.config.channels < model.config.channels:
        start = transfer(start, model.config.channels, layout=model.config.layout)
    expected, found = _architecture(model), _architecture(start)
    if differing := [f"{name} {found[name]}" for name in expected if found[name] != expected[name]]:
        raise InputError(f"{path}: has {', '.join(differing)}; the preset differs there")
    layers: dict[str, Any] = dict(model.named_modules())
    with torch.no_grad():
        for name, tensor in start.state_dict().items():
            layer, _, attribute = name.rpartition(".")
            if attribute == "weight" and hasattr(layers[layer], "parametrizations"):
                layers[layer].weight = tensor  # the gain becomes the norm of the kernel
            else:
                getattr(layers[layer], attribute).copy_(tensor)


def _architecture(model: RVQGAN) -> dict[str, Any]:
    config = model.config.as_json()
    return {name: config[name] for name in config if name not in ("quantizer_dropout", "side_layers", "layout")}
