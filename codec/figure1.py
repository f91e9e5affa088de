"""Figure 1: how much faster a 16-channel model learns if it begins with the weights of a mono model.

    python -m codec.figure1 --data data/prepared/seed-1 --mono data/mono.safetensors -o figures/figure1

Trains the same model on the same excerpts from transferred and from random weights, once per seed, and draws the
mel distance on the held-out recordings against the steps. Give the published mono model if you have it (python -m
codec.weights fetch, then convert); without --mono one is trained first, on channel 0 of the same recordings. The
runs are written to runs/NAME-..., where NAME is that of the output. Runs that are finished are not repeated, and
an interrupted command continues where it was. --draw draws the runs as far as they are. Writes NAME.pdf, .png and
.svg, the caption as NAME.txt, the numbers as NAME.json and all validations as NAME.csv.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError
from render.common.figure_style import add_look_options, chosen_look


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.figure1")
    arguments.add_argument("--data", type=Path, nargs="+", metavar="DIR", help="folders of prepared recordings")
    arguments.add_argument("--mono", type=Path, metavar="MODEL", help="mono model whose weights are transferred")
    arguments.add_argument(
        "--preset", default="figure1", help="preset of the 16-channel model; PRESET-mono is that of the mono model"
    )
    arguments.add_argument("--steps", type=int, help="steps of every run; replaces the preset's value")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2], metavar="S", help="default: 1 2")
    arguments.add_argument("--draw", action="store_true", help="train nothing, draw the runs that are there")
    arguments.add_argument("-o", "--output", type=Path, default=Path("figures/figure1"), metavar="DIR/NAME")
    arguments.add_argument("--force", action="store_true", help="replace an existing figure that differs")
    add_look_options(arguments)
    given = arguments.parse_args()
    if not given.draw and not given.data:
        raise InputError("--data DIR is needed to train, or --draw to draw the runs that are there")

    from codec.figures.training_curves import write_figure_1
    from codec.figures.transfer_experiment import Experiment, run_experiment

    experiment = Experiment(
        given.output.name, given.data or [], given.preset, given.seeds, given.mono, given.steps
    )
    if not given.draw:
        run_experiment(experiment)
    caption = write_figure_1(experiment.record_path, given.output, given.force, chosen_look(given))
    print("\n".join(caption))


if __name__ == "__main__":
    run(main)
