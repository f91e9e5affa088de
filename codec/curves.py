"""Draw the curves of training runs: losses, validation, gradients, learning rate against the steps.

    python -m codec.train --preset smoke --data data/prepared/seed-1 --holdout Woodland --run smoke
    python -m codec.curves runs/smoke
    python -m codec.curves runs/mine runs/other --show mel direction_deg --width 89mm -o figures/runs

RUN is the folder of a run (codec.train --run), finished or not, or its metrics.csv. Several runs are drawn into
the same panels. What was validated is drawn over the training loss of the same name. Written are NAME.pdf, .png,
.svg and the caption, NAME.txt; a figure that is there is replaced, as a run goes on.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError
from render.common.figure_style import add_look_options, chosen_look


def main() -> None:
    """Command line."""
    command = parser(__doc__, "codec.curves")
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, or its metrics.csv")
    command.add_argument("--show", nargs="+", default=(), metavar="COLUMN",
                         help="only these columns, without val_ (default: all)")  # fmt: skip
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR/NAME", help="default: RUN/curves of the first run"
    )
    add_look_options(command)
    arguments = command.parse_args()

    from codec.figures.run_curves import MAX_RUNS, last_values, read_run, write_run_curves

    if len(arguments.runs) > MAX_RUNS:
        raise InputError(f"{len(arguments.runs)} runs: at most {MAX_RUNS} can be told apart in a figure")
    runs = [read_run(folder) for folder in arguments.runs]
    first = arguments.runs[0]
    output = arguments.output or (first if first.is_dir() else first.parent) / "curves"
    write_run_curves(runs, output, arguments.show, chosen_look(arguments), force=True)
    for one in runs:
        print(f"{one.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in last_values(one).items()))
    print(f"wrote {output}.pdf, .png, .svg, and the caption as .txt")


if __name__ == "__main__":
    run(main)
