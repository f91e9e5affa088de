"""The training runs behind Figure 1: the same model from transferred and from random weights, once per seed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from codec.checkpoints.model_file import save
from codec.descript.conversion import read_model
from codec.rvqgan.codec import RVQGAN, count_parameters
from codec.rvqgan.config import ModelConfig
from codec.training import checkpoint
from codec.training.config import TrainConfig, load_preset
from codec.training.datasets import training_and_held_out
from codec.training.export import newest_model
from codec.training.run_folder import Run
from codec.training.trainer import train
from render.common.errors import InputError
from render.common.files import read_json, read_record, sha256, write_json
from render.fileio.audio_file import blocks, info, writer
from stimuli.eigenscape.corpus import find_recordings

RUNS = Path("runs")
# Settings of the multichannel model that a mono model does not determine
OWN_SETTINGS = ("channels", "layout", "output_tanh", "quantizer_dropout", "side_layers")


@dataclass(frozen=True)
class Experiment:
    """What Figure 1 compares.

    Attributes
    ----------
    name : str
        The runs are written to ``runs/NAME-...``, their record to ``runs/NAME.json``.
    data : list of Path
        Folders of prepared recordings.
    preset : str
        Name or path of the preset of the multichannel model.
    seeds : list of int
        One pair of runs for each.
    mono : Path or None
        Mono model to transfer; None: one is trained first, with the preset ``PRESET-mono``.
    steps : int or None
        Steps of every run; None: those of the preset.
    """

    name: str
    data: list[Path]
    preset: str
    seeds: list[int]
    mono: Path | None = None
    steps: int | None = None

    @property
    def record_path(self) -> Path:
        """File that records the settings of the runs beside it."""
        return RUNS / f"{self.name}.json"


def run_experiment(experiment: Experiment) -> None:
    """Train what is not trained yet. An experiment that was interrupted is continued where it was.

    Raises
    ------
    InputError
        If the mono model is not mono, or if there are runs of this name with other settings.
    """
    model, config = load_preset(experiment.preset)
    config = replace(config, steps=experiment.steps or config.steps)
    settings: dict[str, Any] = {"data": [str(folder) for folder in experiment.data]}
    mono_config: TrainConfig | None = None
    if experiment.mono:
        mono_model = read_model(experiment.mono)
        if mono_model.config.channels != 1:
            raise InputError(
                f"{experiment.mono}: a model of {mono_model.config.channels} channels; --mono takes a mono model"
            )
        given = asdict(mono_model.config)
        model = replace(
            model, **{key: getattr(mono_model.config, key) for key in given if key not in OWN_SETTINGS}
        )
        settings["mono"] = sha256(experiment.mono)
        origin = f"{experiment.mono.name}, {count_parameters(mono_model):,} parameters"
    else:
        _, mono_config = load_preset(_mono_preset(experiment.preset))
        quantizer_start = mono_config.quantizer_start * config.steps // mono_config.steps
        mono_config = replace(mono_config, steps=config.steps, quantizer_start=quantizer_start)
        settings["mono"] = asdict(mono_config)
        origin = f"trained here (not the published one), {config.steps:,} steps on channel 0 of these recordings"
    settings |= {"model": model.as_json(), "train": asdict(config)}
    record = {
        "mono": origin,
        "material": describe_material(experiment.data, config.holdout),
        "parameters": count_parameters(RVQGAN(model)),
        "seeds": experiment.seeds,
        "settings": settings,
    }
    write_experiment_record(experiment.record_path, record)
    mono = experiment.mono
    if mono_config:
        mono = train_mono(model, mono_config, experiment.data, RUNS / f"{experiment.name}-mono")
    for seed in experiment.seeds:
        for kind, initialisation in (("random", "default"), ("transfer", f"transfer:{mono}")):
            of_run = replace(config, initialisation=initialisation, seed=seed)
            train_to_end(Run(RUNS / f"{experiment.name}-{kind}-{seed}", model, of_run, experiment.data))


def _mono_preset(preset: str) -> str:
    return f"{preset.removesuffix('.toml')}-mono{'.toml' if preset.endswith('.toml') else ''}"


def write_experiment_record(path: Path, record: dict[str, Any]) -> None:
    """Write the record of an experiment; refuse to mix runs of different settings under one name."""
    settings = json.loads(json.dumps(record["settings"]))
    before = read_json(path)["settings"] if path.is_file() else settings
    if differing := [key for key in settings if before.get(key) != settings[key]]:
        raise InputError(
            f"{path}: the runs beside it were made with other settings ({', '.join(differing)}); "
            f"choose another -o, or remove {path.with_suffix('')}*"
        )
    write_json(path, record, force=True)


def last_step(folder: Path) -> int:
    """Return the step of the newest complete checkpoint of a run, 0 if there is none."""
    return max(checkpoint.steps(folder / "checkpoints"), default=0)


def train_to_end(run: Run) -> None:
    """Start or resume a run; one that is finished is left as it is."""
    step = last_step(run.folder)
    if step < run.config.steps:
        print(f"{run.folder}: from step {step} to {run.config.steps}", flush=True)
        train(run, resume=step > 0)


def train_mono(model: ModelConfig, config: TrainConfig, data: list[Path], folder: Path) -> Path:
    """Train a mono model of the size of `model` on channel 0 of the recordings; return its model file."""
    path = folder / "model.safetensors"
    if last_step(folder) < config.steps or not path.is_file():
        mono_data = write_channel_0(data, folder / "material")
        train_to_end(Run(folder, replace(model, channels=1, layout=""), config, mono_data))
        trained, step, _ = newest_model(folder)
        card = {"trained_on": "channel 0 of the recordings of figure 1", "steps": step}
        save(path, trained, card, force=True, exact=True)
    return path


def write_channel_0(data: list[Path], folder: Path) -> list[Path]:
    """Write channel 0 of every recording below `folder`, under the recordings' names; return the new folders."""
    written = []
    for index, root in enumerate(data):
        written.append(folder / f"{index}-{root.resolve().name}")
        for recording in find_recordings(root):
            about = info(recording.path)
            target = written[-1] / f"{recording.scene_class}.{recording.number}.wav"
            with writer(target, 1, about.sample_rate_hz, about.subtype, force=True) as file:
                for block in blocks(recording.path):
                    file.write(block[:1])
    return written


def describe_material(data: list[Path], holdout: int | str) -> str:
    """Describe what kinds of recordings there are, according to their records."""
    training, held_out = training_and_held_out(data, holdout)
    kinds = [str(read_record(path).get("material", "")) for path in (*training, *held_out)]
    synthetic = sum(kind.startswith("synthetic") for kind in kinds)
    unknown = kinds.count("")
    others = len(kinds) - synthetic - unknown
    counts = {"synthetic scenes": synthetic, "recordings": others, "files of unknown origin": unknown}
    parts = [f"{count} {kind}" for kind, count in counts.items() if count]
    return f"{' and '.join(parts)}; {len(held_out)} of them held out for validation"
