"""Make a model of more channels from one of fewer, such as the published mono model.

    python -m codec.transfer mono.safetensors --channels 16 -o hoa16-start.safetensors
    python -m codec.transfer mono.safetensors --layout 7.1.4 -o feed-start.safetensors

Only the first and the last convolution depend on the number of channels, so their kernels are repeated over the
channels. The paper leaves open what happens to the gain of the first one, which allows two readings:

  gain      Of the state dict, weight_v is repeated and weight_g kept. Weight norm divides by the norm of v, which
            grows by √C, so every channel gets the kernel w/√C. In the network, C uncorrelated channels are as loud
            together as the mono signal was, and C equal ones √C times louder.
  weight    The weight itself is repeated: C uncorrelated channels are √C times louder, C equal ones C times.

The last convolution has one kernel, gain and bias for each output channel, so all channels are equal at first. The
channels of a model of several are repeated cyclically. The result is a model file, with which training starts if a
preset has initialisation = "transfer:FILE".
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Run the command line."""
    arguments = parser(__doc__, "codec.transfer")
    arguments.add_argument("input", type=Path, metavar="IN", help="model file, or a published checkpoint")
    size = arguments.add_mutually_exclusive_group(required=True)
    size.add_argument(
        "--channels", type=int, metavar="C", help="channels of the new model, 16 for third-order Ambisonics"
    )
    size.add_argument("--layout", default="", metavar="L", help="loudspeaker layout of the new model, e.g. 7.1.4")
    arguments.add_argument("--reading", choices=("gain", "weight"), default="gain", help="default: gain")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")
    arguments.add_argument("--sample-rate", type=int, metavar="HZ", help="for files that do not state it")
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
