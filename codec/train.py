"""Train a multichannel RVQGAN.

    python -m codec.train --preset small --data data/prepared --run small
    python -m codec.train --run small --resume
    torchrun --nproc-per-node 8 -m codec.train -- --preset paper --data data/prepared --run paper

A preset (codec/presets/*.toml, or the path of your own) holds the model and the training settings; options
given here replace the preset's. Everything goes into runs/NAME: config.toml (a preset that repeats the run),
env.json, metrics.csv, samples and checkpoints, the two newest and the best by the mel distance of the validation.
Recording 8 of every scene class is held out and used for validation only; --holdout takes another, or a class: the
demo's scenes are all recordings 8 and can be trained on with --holdout Woodland. A run may be interrupted (Ctrl-C,
SIGTERM: it finishes its step and saves; or killed) and goes on with --resume as if nothing had been. --replay
repeats a step that went wrong and tells its numbers and the files of its items.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def _holdout(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.train")
    arguments.add_argument("--preset", help="name or path of a preset (default: small, or that of a resumed run)")
    arguments.add_argument(
        "--data", type=Path, nargs="+", metavar="DIR", help="folders of prepared recordings (resumed: as before)"
    )
    arguments.add_argument("--run", required=True, help="name of the run; it is written to runs/NAME")
    arguments.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    for name in ("steps", "batch", "seed"):
        arguments.add_argument(f"--{name}", type=int, help="replaces the preset's value")
    arguments.add_argument(
        "--holdout", type=_holdout, metavar="N|CLASS", help="hold out recording N of each class, or a whole class"
    )
    arguments.add_argument("--until", type=int, metavar="STEP", help="stop there (the schedule stays)")
    arguments.add_argument(
        "--replay", type=int, metavar="STEP", help="repeat a step and tell about it, write nothing"
    )
    arguments.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    given = arguments.parse_args()
    folder = Path("runs") / given.run
    goes_on = given.resume or given.replay is not None
    is_first = int(os.environ.get("RANK", 0)) == 0
    begun = folder.exists() and [path.name for path in folder.iterdir()] != ["components"]  # a start cut short
    if is_first and begun and not goes_on:
        raise InputError(f"{folder}: exists; use --resume to go on, or another --run")
    own = folder / "config.toml"
    from codec.training.config import load_preset, refuse_other

    model_config, config = load_preset(given.preset or (str(own) if goes_on and own.is_file() else "small"))
    options = ("steps", "batch", "seed", "holdout")
    config = replace(config, **{k: v for k in options if (v := getattr(given, k)) is not None})
    extend = given.steps is not None
    if goes_on and own.is_file():
        before = load_preset(str(own))
        stored = dict(model=before[0].as_json(), train=asdict(before[1]))
        refuse_other(stored, model_config, config, extend, str(folder))
    from codec.training.run_folder import data_of

    data = given.data or (data_of(folder) if goes_on else [])
    if not data:
        raise InputError("--data DIR is needed: folders of prepared recordings (python -m stimuli.prepare)")
    until = min(given.until or config.steps, config.steps)
    from codec.training.trainer import train

    train(
        model_config, config, data, folder, given.resume, given.replay or until,
        extend=extend, replay=given.replay, device=given.device,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
