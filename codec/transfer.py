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

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.transfer")
    arguments.add_argument("input", type=Path, metavar="IN", help="model file, or a published checkpoint")
    size = arguments.add_mutually_exclusive_group(required=True)
    size.add_argument("--channels", type=int, metavar="C", help="of the new model, 16 for third-order Ambisonics")
    size.add_argument("--layout", default="", metavar="L", help="loudspeaker layout of the new model, e.g. 7.1.4")
    arguments.add_argument("--reading", choices=("gain", "weight"), default="gain", help="default: gain")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")
    arguments.add_argument("--sample-rate", type=int, metavar="HZ", help="for files that do not tell it")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()

    from codec.checkpoints.channel_transfer import transfer
    from codec.checkpoints.model_file import save
    from codec.descript.conversion import read_model
    from codec.rvqgan.codec import count_parameters
    from render.common.files import sha256
    from render.hoa.layout import layout as named_layout

    channels = given.channels or len(named_layout(given.layout).labels)
    model = transfer(read_model(given.input, given.sample_rate), channels, given.reading, given.layout)
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
