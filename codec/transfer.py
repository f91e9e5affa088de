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

from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, run
from render.errors import InputError

if TYPE_CHECKING:
    from codec.model import Codec

READINGS = ("gain", "weight")


def transfer(model: Codec, channels: int, reading: str = "gain", layout: str = "") -> Codec:
    """Make a model of more channels.

    Parameters
    ----------
    model : Codec
        With folded weight norm; it stays as it is.
    channels : int
        Not fewer than the model has. Channel c takes the kernels of channel c modulo the model's.
    reading : {"gain", "weight"}
        See the module.
    layout : str
        Loudspeaker layout of the new model, if it is one for a Feed.

    Returns
    -------
    Codec
        Folded; without a Tanh at the output if it has more than one channel, as in the paper.
    """
    from dataclasses import replace

    import torch

    from codec.assemble import assemble

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


def start_from(model: Codec, path: Path) -> None:
    """Overwrite a model to be trained (weight norm not folded) with the weights in a file.

    A file of fewer channels is transferred with the gain kept; everything else must fit.
    """
    import torch

    from codec.weights import read

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


def _architecture(model: Codec) -> dict[str, Any]:
    config = model.config.as_json()
    return {name: config[name] for name in config if name not in ("quantizer_dropout", "side_layers", "layout")}


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.transfer")
    arguments.add_argument("input", type=Path, metavar="IN", help="model file, or a published checkpoint")
    size = arguments.add_mutually_exclusive_group(required=True)
    size.add_argument("--channels", type=int, metavar="C", help="of the new model, 16 for third-order Ambisonics")
    size.add_argument("--layout", default="", metavar="L", help="loudspeaker layout of the new model, e.g. 7.1.4")
    arguments.add_argument("--reading", choices=READINGS, default=READINGS[0], help="default: gain")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")
    arguments.add_argument("--sample-rate", type=int, metavar="HZ", help="for files that do not tell it")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()

    from codec.model import count_parameters
    from codec.weights import read, save
    from render.artefact import sha256
    from render.layout import layout as named_layout

    channels = given.channels or len(named_layout(given.layout).labels)
    model = transfer(read(given.input, given.sample_rate), channels, given.reading, given.layout)
    card = {
        "trained_on": "nothing yet in this form: transferred weights, a start for training",
        "origin": given.input.name,
        "origin_sha256": sha256(given.input),
        "reading": given.reading,
        "parameters": count_parameters(model),
    }
    save(given.output, model, card, given.force, exact=True)
    print(f"{given.output}: {channels} channels, {count_parameters(model)} parameters; a start for training")


if __name__ == "__main__":
    run(main)
