"""Train a multichannel RVQGAN.

    python -m codec.train --preset small --data data/prepared/seed-1 --holdout Woodland --run mine
    python -m codec.train --run mine --resume
    torchrun --nproc-per-node 8 -m codec.train -- --preset paper --accumulate 1 --data data/prepared --run paper

A preset (codec/presets/*.toml, or the path of your own) holds the model and the training settings; options
given here replace the preset's. Everything is written to runs/NAME: config.toml (a preset that repeats the run),
env.json, metrics.csv, samples and checkpoints, the two newest and the best by the mel distance of the validation.
Recording 8 of every scene class is held out and used for validation only; --holdout takes another, or a class: the
demo's scenes are all recordings 8 and can be trained on with --holdout Woodland. A run may be interrupted (Ctrl-C,
SIGTERM: it finishes its step and saves; or killed) and continues with --resume to the same result. --resume with
another number of --steps extends it. --replay repeats a step that went wrong and prints its numbers and the files
of its items.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run

CHANGES = ("steps", "batch", "accumulate", "seed", "holdout")


def _holdout(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() else text


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.train")
    arguments.add_argument("--preset", help="name or path of a preset (default: small, or that of a resumed run)")
    arguments.add_argument(
        "--data", type=Path, nargs="+", metavar="DIR", help="folders of prepared recordings (resumed: as before)"
    )
    arguments.add_argument("--run", required=True, help="name of the run; it is written to runs/NAME")
    arguments.add_argument("--resume", action="store_true", help="continue from the newest checkpoint")
    replaced = arguments.add_argument_group("instead of the preset's values")
    for name in ("steps", "batch", "accumulate", "seed"):
        replaced.add_argument(f"--{name}", type=int, metavar="N")
    replaced.add_argument(
        "--holdout", type=_holdout, metavar="N|CLASS", help="hold out recording N of each class, or a whole class"
    )
    arguments.add_argument("--until", type=int, metavar="STEP", help="stop after this step (the schedule stays)")
    arguments.add_argument(
        "--replay", type=int, metavar="STEP", help="repeat a step and print its numbers, write nothing"
    )
    arguments.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    given = arguments.parse_args()

    from codec.training.replay import replay
    from codec.training.run_folder import existing_run, new_run
    from codec.training.trainer import train

    folder = Path("runs") / given.run
    changes = {name: value for name in CHANGES if (value := getattr(given, name)) is not None}
    exists = given.resume or given.replay is not None
    open_run = existing_run if exists else new_run
    training_run = open_run(folder, given.preset, changes, given.data or [], given.device)
    if given.replay is not None:
        replay(training_run, given.replay)
    else:
        train(training_run, given.until, given.resume)


if __name__ == "__main__":
    run(main)
