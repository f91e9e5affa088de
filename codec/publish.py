"""Turn a training run into a model file with a card that says what it can do.

    python -m codec.publish runs/small --data data/prepared -o codec/pretrained/hoa16-small.safetensors

The recordings that the run held out go through the real bit stream; the card lists their mel and covariance
distances (eq. 3) to the original and to the nearest other one, and in Ambisonics those of the trivial decoder that
copies W to all channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.publish")
    arguments.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    arguments.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="prepared recordings"
    )
    arguments.add_argument("--trained-on", default="", help="what the card says of the training material")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="M.safetensors")
    arguments.add_argument("--force", action="store_true", help="replace an existing model")
    given = arguments.parse_args()

    from codec.checkpoints.model_file import load, save
    from codec.rvqgan.codec import count_parameters
    from codec.training.export import held_out, layers_bps, measure, newest_model
    from render.common.files import read_json, write_json

    model, step, settings = newest_model(given.run)
    signals = held_out(given.data, settings["holdout"], model)
    card: dict[str, Any] = {
        "trained_on": given.trained_on,
        "holdout": settings["holdout"],
        "steps": step,
        "parameters": count_parameters(model),
        "code_bps": round(model.config.bitrate_bps(), 1),
        "layers_bps": round(layers_bps(model.config), 1),
        "settings": settings,
    }
    save(given.output, model, card, given.force)
    loaded, _ = load(given.output)
    card["measured"] = measure(loaded, signals)
    described = read_json(given.output.with_suffix(".json")) | card
    write_json(given.output.with_suffix(".json"), described, force=True)
    for name, row in card["measured"].items():
        print(f"{name:>26}  " + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    run(main)
