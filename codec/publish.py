"""Turn a training run into a model file with a card that reports how well it codes.

    python -m codec.train --preset smoke --data data/prepared/seed-1 --holdout Woodland --run smoke
    python -m codec.publish runs/smoke --data data/prepared/seed-1 -o out/smoke.safetensors
    python -m codec.publish runs/small --data data/prepared -o codec/pretrained/hoa16-small.safetensors

The recordings that the run held out are encoded and decoded. For each the card lists the mel and covariance
distances (eq. 3) to the original and, for comparison, those of the original to the nearest other recording and, in
Ambisonics, those of a decoder that copies W to all channels.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.publish")
    arguments.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    arguments.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="prepared recordings"
    )
    arguments.add_argument("--trained-on", default="", help="description of the training material for the card")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="M.safetensors")
    arguments.add_argument("--force", action="store_true", help="replace an existing model")
    given = arguments.parse_args()

    from codec.training.export import publish

    measured = publish(given.run, given.data, given.output, given.trained_on, given.force)
    for name, row in measured.items():
        print(f"{name:>26}  " + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    run(main)
