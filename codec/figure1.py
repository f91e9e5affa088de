"""Figure 1: how much faster a 16-channel model learns that begins with the weights of a mono model.

    python -m codec.figure1 --data data/prepared/seed-1 --mono data/mono.safetensors -o figures/figure1

Trains the same model on the same excerpts from transferred and from random weights, once per seed, and draws the
mel distance on the held-out recordings against the steps. Give the published mono model where you have it
(python -m codec.weights fetch, then convert); without --mono one is trained first, on channel 0 of the same
recordings. The runs are written to runs/NAME-..., NAME being that of the output: finished ones are not repeated,
and an interrupted command goes on where it was. --draw draws what there is so far. Writes NAME.pdf and .png, the
numbers as NAME.json and all validations as NAME.csv.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.figure1")
    arguments.add_argument("--data", type=Path, nargs="+", metavar="DIR", help="folders of prepared recordings")
    arguments.add_argument("--mono", type=Path, metavar="MODEL", help="mono model to begin from")
    arguments.add_argument(
        "--preset", default="figure1", help="preset of the 16-channel model; PRESET-mono is that of the mono model"
    )
    arguments.add_argument("--steps", type=int, help="of every run; replaces the preset's value")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2], metavar="S", help="default: 1 2")
    arguments.add_argument("--draw", action="store_true", help="train nothing, draw the runs that are there")
    arguments.add_argument("-o", "--output", type=Path, default=Path("figures/figure1"), metavar="DIR/NAME")
    arguments.add_argument("--force", action="store_true", help="replace an existing figure that differs")
    given = arguments.parse_args()
    name = given.output.name
    from codec.figures.transfer_experiment import RUNS, caption_of, run_all

    if not given.draw:
        if not given.data:
            raise InputError("--data DIR is needed to train, or --draw to draw the runs that are there")
        run_all(given, name)

    from codec.figures.training_curves import STYLES, numbers, read_curve, write_figure, write_table
    from render.common.files import read_json, write_json

    path = RUNS / f"{name}.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file: there are no runs to draw; leave --draw away and give --data")
    record = read_json(path)
    read = [
        read_curve(RUNS / f"{name}-{kind}-{seed}" / "metrics.csv", kind, seed)
        for kind in STYLES
        for seed in record["seeds"]
    ]
    curves = [curve for curve in read if curve is not None]
    if missing := set(STYLES) - {curve.initialisation for curve in curves}:
        raise InputError(f"{path.with_suffix('')}-*: no validation of {', '.join(sorted(missing))} yet")
    found = numbers(curves)
    write_table(curves, given.output.with_name(f"{name}.csv"), given.force)
    write_json(given.output.with_name(f"{name}.json"), found | record, given.force)
    caption = caption_of(record, found)
    write_figure(curves, found, caption, given.output, given.force)
    print("\n".join(caption))


if __name__ == "__main__":
    run(main)
