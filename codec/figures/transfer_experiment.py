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
from typing import Any

from codec.checkpoints.model_file import save
from codec.descript.conversion import read_model
from codec.rvqgan.codec import RVQGAN, count_parameters
from codec.rvqgan.config import ModelConfig
from codec.training import checkpoint
from codec.training.config import TrainConfig, load_preset
from codec.training.export import newest_model
from codec.training.recordings import training_and_held_out
from codec.training.trainer import train
from render.common.errors import InputError
from render.common.files import read_json, read_record, sha256, write_json
from render.fileio.audio_file import blocks, info, writer
from stimuli.eigenscape.corpus import find_recordings

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
    return max(checkpoint.steps(folder / "checkpoints"), default=0)


def train_to_the_end(model: ModelConfig, config: TrainConfig, data: list[Path], folder: Path) -> None:
    """Begin a run, or go on with it; a finished one is left as it is."""
    step = last_step(folder)
    if step >= config.steps:
        return
    print(f"{folder}: from step {step} to {config.steps}", flush=True)
    train(model, config, data, folder, step > 0, config.steps)


def write_mono(source: Path, target: Path) -> None:
    """Write channel 0 of a recording as a file of its own."""
    about = info(source)
    with writer(target, 1, about.sample_rate_hz, about.subtype, force=True) as file:
        for block in blocks(source):
            file.write(block[:1])


def mono_material(data: list[Path], folder: Path) -> list[Path]:
    """Channel 0 of every recording in `data`, below `folder`, under the recordings' names."""
    made = []
    for index, root in enumerate(data):
        made.append(folder / f"{index}-{root.resolve().name}")
        for recording in find_recordings(root):
            write_mono(recording.path, made[-1] / f"{recording.scene_class}.{recording.number}.wav")
    return made


def train_mono(model: ModelConfig, config: TrainConfig, data: list[Path], folder: Path) -> Path:
    """Train a mono model on channel 0 of the recordings; return its file."""
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
    model, config = load_preset(given.preset)
    config = replace(config, steps=given.steps or config.steps)
    settings: dict[str, Any] = {"data": [str(folder) for folder in given.data]}
    mono_config: TrainConfig | None = None
    if given.mono:
        mono = read_model(given.mono)
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
        "parameters": count_parameters(RVQGAN(model)),
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
