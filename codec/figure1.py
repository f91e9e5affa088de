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

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, run
from render.errors import InputError

if TYPE_CHECKING:
    from codec.model import ModelConfig
    from codec.settings import TrainConfig

RUNS = Path("runs")
_OWN = (
    "channels",
    "layout",
    "output_tanh",
    "quantizer_dropout",
    "side_layers",
)  # of the model, not of its mono start


def _mono_preset(name: str) -> str:
    return f"{name.removesuffix('.toml')}-mono{'.toml' if name.endswith('.toml') else ''}"


def last_step(folder: Path) -> int:
    """Step of the newest complete checkpoint of a run, 0 if there is none."""
    from codec import checkpoint

    return max(checkpoint.steps(folder / "checkpoints"), default=0)


def train_to_the_end(model: ModelConfig, config: TrainConfig, data: list[Path], folder: Path) -> None:
    """Begin a run, or go on with it; a finished one is left as it is."""
    from codec.train import train

    step = last_step(folder)
    if step >= config.steps:
        return
    print(f"{folder}: from step {step} to {config.steps}", flush=True)
    train(model, config, data, folder, step > 0, config.steps)


def write_mono(source: Path, target: Path) -> None:
    """Write channel 0 of a recording as a file of its own."""
    from render.audio_file import blocks, info, writer

    about = info(source)
    with writer(target, 1, about.sample_rate_hz, about.subtype, force=True) as file:
        for block in blocks(source):
            file.write(block[:1])


def mono_material(data: list[Path], folder: Path) -> list[Path]:
    """Channel 0 of every recording in `data`, below `folder`, under the recordings' names."""
    from stimuli.corpus import find_recordings

    made = []
    for index, root in enumerate(data):
        made.append(folder / f"{index}-{root.resolve().name}")
        for recording in find_recordings(root):
            write_mono(recording.path, made[-1] / f"{recording.scene_class}.{recording.number}.wav")
    return made


def train_mono(model: ModelConfig, config: TrainConfig, data: list[Path], folder: Path) -> Path:
    """Train a mono model on channel 0 of the recordings; return its file."""
    from codec.publish import newest_model
    from codec.weights import save

    path = folder / "model.safetensors"
    if last_step(folder) < config.steps or not path.is_file():
        material = mono_material(data, folder / "material")
        train_to_the_end(replace(model, channels=1, layout=""), config, material, folder)
        trained, step, _ = newest_model(folder)
        card = {"trained_on": "channel 0 of the recordings of figure 1", "steps": step}
        save(path, trained, card, force=True, exact=True)
    return path


def material_of(data: list[Path], holdout: int | str) -> str:
    """What the recordings are, by their records."""
    from codec.recordings import training_and_held_out
    from render.artefact import read_record

    training, held_out = training_and_held_out(data, holdout)
    kinds = [str(read_record(path).get("material", "")) for path in (*training, *held_out)]
    synthetic = sum(kind.startswith("synthetic") for kind in kinds)
    unknown = kinds.count("")
    others = len(kinds) - synthetic - unknown
    counts = {"synthetic scenes": synthetic, "recordings": others, "files of unknown origin": unknown}
    parts = [f"{count} {kind}" for kind, count in counts.items() if count]
    return f"{' and '.join(parts)}; {len(held_out)} of them held out for validation"


def run_all(given: Any, name: str) -> None:
    """Make the runs that the figure needs, as far as they are not there, and the record beside them."""
    from codec.model import Codec, count_parameters
    from codec.settings import load_preset
    from codec.weights import read
    from render.artefact import sha256

    model, config = load_preset(given.preset)
    config = replace(config, steps=given.steps or config.steps)
    settings: dict[str, Any] = {"data": [str(folder) for folder in given.data]}
    mono_config: TrainConfig | None = None
    if given.mono:
        mono = read(given.mono)
        if mono.config.channels != 1:
            raise InputError(
                f"{given.mono}: a model of {mono.config.channels} channels; --mono takes a mono model"
            )
        taken = {key: getattr(mono.config, key) for key in asdict(mono.config) if key not in _OWN}
        model = replace(model, **taken)
        settings["mono"] = sha256(given.mono)
        about = f"{given.mono.name}, {count_parameters(mono):,} parameters"
    else:
        _, mono_config = load_preset(_mono_preset(given.preset))
        start = mono_config.quantizer_start * config.steps // mono_config.steps
        mono_config = replace(mono_config, steps=config.steps, quantizer_start=start)
        settings["mono"] = asdict(mono_config)
        about = f"trained here (not the published one), {config.steps:,} steps on channel 0 of these recordings"
    settings |= {"model": model.as_json(), "train": asdict(config)}
    record = {
        "mono": about,
        "material": material_of(given.data, config.holdout),
        "parameters": count_parameters(Codec(model)),
        "seeds": given.seeds,
        "settings": settings,
    }
    settle(RUNS / f"{name}.json", record)
    if mono_config:
        given.mono = train_mono(model, mono_config, given.data, RUNS / f"{name}-mono")
    for seed in given.seeds:
        for kind, start in (("random", "default"), ("transfer", f"transfer:{given.mono}")):
            begun = replace(config, initialisation=start, seed=seed)
            train_to_the_end(model, begun, given.data, RUNS / f"{name}-{kind}-{seed}")


def settle(path: Path, record: dict[str, Any]) -> None:
    """Write what the runs are beside them; refuse to mix runs of different settings."""
    from render.artefact import read_json, write_json

    settings = json.loads(json.dumps(record["settings"]))
    before = read_json(path)["settings"] if path.is_file() else settings
    if differing := [key for key in settings if before.get(key) != settings[key]]:
        raise InputError(
            f"{path}: the runs beside it were made with other settings ({', '.join(differing)}); "
            f"choose another -o, or remove {path.with_suffix('')}*"
        )
    write_json(path, record, force=True)


def caption_of(record: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Lines below the figure: which mono model, what was trained on what, how far it went."""
    model, train = record["settings"]["model"], record["settings"]["train"]
    seconds = train["excerpt_frames"] / model["sample_rate_hz"]
    losses = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in train["weights"].items() if value)
    steps, change = found["random"]["steps"], found["random"]["change_over_last_fifth_percent"]
    if change is None:
        went = f"The random start has gone {steps:,} steps, too few to say whether it has settled."
    else:
        verdict = "settled (<\u00a02\u00a0%)" if found["settled"] else "not settled yet (≥\u00a02\u00a0%)"
        moved = f"{'fell' if change >= 0 else 'rose'} by {abs(change):g}\u00a0%"
        went = f"The random start {moved} over the last fifth of its {steps:,} steps: {verdict}."
    needs = found["transfer_needs_steps"]
    went += f" Transfer is as good after {needs:,}." if needs else " Transfer never is as good."
    unfinished = "" if steps >= train["steps"] else f" UNFINISHED: {train['steps']:,} steps are planned."
    return [
        f"Mono model: {record['mono']}.",
        f"Model: {model['channels']} channels, {record['parameters']:,} parameters. Losses: {losses}. "
        f"A step: {train['batch']} x {seconds:.2g} s.",
        f"Material: {record['material']}.",
        went + unfinished,
    ]


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
    if not given.draw:
        if not given.data:
            raise InputError("--data DIR is needed to train, or --draw to draw the runs that are there")
        run_all(given, name)

    from codec.curves import STYLES, numbers, read_curve, write_figure, write_table
    from render.artefact import read_json, write_json

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
