"""Settings of a training run: names, defaults and bounds, read from presets and written beside every run.

A preset is a TOML file with the tables ``[model]``, ``[train]`` and, for adversarial training,
``[discriminator]``. ``[train]`` is flat. In code its names are grouped by what they govern (`DataSettings`,
`ScheduleSettings`, `LossSettings`, `OptimizerSettings`), so that a function can say which of them it depends on;
`TrainConfig` inherits from all four and therefore has the same flat names as the file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from codec.coding.front_end import front_end_of
from codec.losses.mel import MEL_SCALES
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.discriminator import DiscriminatorConfig
from render.common.errors import InputError, did_you_mean

PRESETS = Path(__file__).parents[1] / "presets"
RECONSTRUCTION = (
    "mel", "covariance", "waveform", "squared_error", "band_covariance", "relative_covariance", "intensity",
)  # fmt: skip
ADVERSARIAL = ("adversarial", "feature")
# Settings that may change when a run is resumed: they alter no weight by more than the order of a sum does.
FREE_ON_RESUME = ("accumulate", "log_every", "validate_every", "checkpoint_every", "sample_every")


def bounded(default: float, low: float, high: float) -> Any:
    """Dataclass field for a number in ``low..high``; an integer default admits integers only."""
    return field(default=default, metadata={"bounds": (low, high)})


@dataclass(frozen=True)
class _Checked:
    """Base of the groups of settings: checks every number against its bounds, and that flags are booleans."""

    def __post_init__(self):
        for each in fields(self):
            value = getattr(self, each.name)
            if "bounds" in each.metadata:
                _check_number(each.name, value, type(each.default), *each.metadata["bounds"])
            elif type(each.default) is bool and type(value) is not bool:
                raise InputError(f"training settings: {each.name} = {value!r}; need true or false")


def _check_number(name: str, value: Any, kind: type, low: float, high: float) -> None:
    if type(value) not in ((int,) if kind is int else (int, float)) or not low <= value <= high:
        number = "a whole number" if kind is int else "a number"
        raise InputError(f"training settings: {name} = {value!r}; need {number}, {low:g} to {high:g}")


@dataclass(frozen=True)
class DataSettings(_Checked):
    """Which excerpts of which recordings make up a batch.

    Attributes
    ----------
    batch : int
        Items per step, over all processes together, so that a preset means the same on one machine and on many.
    excerpt_frames : int
        Length of an item in samples per channel; a multiple of the model's hop.
    level_dbfs : float
        Level to which every recording is brought by one gain (`codec.training.recordings`). At EigenScape's own
        level of -41 dBFS half of the terms of the mel distance lie below its clamp.
    turn : bool
        Rotate each excerpt by a random yaw and mirror every second one (Ambisonics only). It has no effect on a
        model with `side_layers`: the principal components of a rotated scene are those of the scene.
    mix : float
        Share of the items that are sums of two excerpts. Must be 0 for a model with `side_layers`: the sum of the
        principal components of two scenes is not the principal components of their sum.
    phase_shift : bool
        Shift all frequencies of an item, in all its channels, by one random phase, as the published training does.
        Levels and correlations of the channels are unchanged.
    holdout : int or str
        Number of the recording, or name of the class, that is held out (`stimuli.eigenscape.corpus.split`).
    """

    batch: int = bounded(24, 1, 100_000)
    excerpt_frames: int = bounded(220_672, 2, 10**9)  # 5 s at 44.1 kHz
    level_dbfs: float = bounded(-24.0, -100, 0)
    turn: bool = True
    mix: float = bounded(0.0, 0, 1)
    phase_shift: bool = False
    holdout: int | str = 8


@dataclass(frozen=True)
class ScheduleSettings(_Checked):
    """What happens at which step.

    Attributes
    ----------
    steps : int
        Updates of the generator in the whole run.
    seed : int
        Seed of every random choice of the run.
    initialisation : str
        "default" (PyTorch's random weights), "pca" (`codec.training.initialisation`), or "transfer:FILE", a
        model with as many channels or fewer.
    quantizer_start : int
        Number of steps trained without the quantiser, after which k-means fits the codebooks. With 0 the quantiser
        is active from the first step and its codebooks begin at random.
    fit_batches : int
        Batches whose latents k-means is fitted to.
    fixed_encoder : bool
        Train only the decoder after `quantizer_start`, so that the codebooks remain the k-means of the latents
        that they code. In a short run an encoder that keeps learning drifts away from its codebooks.
    adversarial_start : int
        Step from which the discriminators are trained and their losses count.
    revive_every : int
        Steps between revivals of unused codes; 0: they stay unused.
    log_every, validate_every, checkpoint_every, sample_every : int
        Steps between rows of metrics.csv, validations (each of which adds a row, too), checkpoints, and audio
        samples with pictures. 0: only after the last step; audio samples never.
    validation_per_recording : int
        Excerpts of each held-out recording, evenly spaced; 0: as many as fit.
    validation_seconds : float
        Length of these excerpts, or that of the shortest recording.
    """

    steps: int = bounded(400_000, 1, 10**9)
    seed: int = bounded(1, 0, 2**63 - 1)
    initialisation: str = "pca"
    quantizer_start: int = bounded(0, 0, 10**9)
    fit_batches: int = bounded(64, 1, 10**6)
    fixed_encoder: bool = False
    adversarial_start: int = bounded(0, 0, 10**9)
    revive_every: int = bounded(50, 0, 10**9)
    log_every: int = bounded(0, 0, 10**9)
    validate_every: int = bounded(100, 0, 10**9)
    checkpoint_every: int = bounded(200, 0, 10**9)
    sample_every: int = bounded(0, 0, 10**9)
    validation_per_recording: int = bounded(1, 0, 10**6)
    validation_seconds: float = bounded(6.0, 0.1, 600)

    def __post_init__(self):
        super().__post_init__()
        start = str(self.initialisation)
        if start not in ("pca", "default") and not start.startswith("transfer:"):
            raise InputError(f"initialisation = {self.initialisation!r}; known are pca, default and transfer:FILE")
        if self.fixed_encoder and not self.quantizer_start:
            raise InputError(
                "training settings: fixed_encoder needs steps in which the encoder is trained; set quantizer_start"
            )


@dataclass(frozen=True)
class LossSettings(_Checked):
    """Which losses are minimised, and how they are weighted.

    Attributes
    ----------
    weights : dict
        Weight of each loss (names: `RECONSTRUCTION`, `ADVERSARIAL`); a loss without a weight is not computed.
    balance : bool
        Normalise the gradient of each loss at the output before its weight applies (`codec.training.balancer`).
    mel_channels, mel_scales : int
        Number of channels and of scales that the mel distance compares. They are drawn anew at each step, channel
        0 is always among them; 0: all.
    covariance_reduction : str
        "sum" over the pairs of channels, as eq. 3 of the paper is printed, or "mean".
    commitment, codebook : float
        Weights of the quantiser's losses.
    discriminator : dict or None
        The table ``[discriminator]``: settings of the discriminators
        (`codec.rvqgan.discriminator.DiscriminatorConfig`), None for training without them.
    """

    weights: dict[str, float] = field(default_factory=lambda: dict(mel=1.0, covariance=1.0, waveform=1.0))
    balance: bool = True
    mel_channels: int = bounded(8, 0, 256)
    mel_scales: int = bounded(2, 0, 7)
    covariance_reduction: str = "sum"
    commitment: float = bounded(0.25, 0, 1e6)
    codebook: float = bounded(1.0, 0, 1e6)
    discriminator: dict[str, Any] | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.covariance_reduction not in ("sum", "mean"):
            raise InputError(f"covariance_reduction = {self.covariance_reduction!r}; possible are sum and mean")
        if not isinstance(self.weights, dict):
            raise InputError(f"training settings: weights = {self.weights!r}; need a table {{ mel = 15.0, ... }}")
        refuse_unknown("training settings: weights", self.weights, RECONSTRUCTION + ADVERSARIAL)
        for name, weight in self.weights.items():
            _check_number(f"weights.{name}", weight, float, 0, 1e6)
        if not any(self.weights.values()):
            raise InputError("training settings: no loss has a weight; give one in weights = { mel = 15.0, ... }")
        adversarial = bool(self.weighted(ADVERSARIAL))
        if adversarial and self.discriminator is None:
            raise InputError(
                "training settings: the losses adversarial and feature need a table [discriminator]; add one"
            )
        if self.discriminator is not None and not adversarial:
            raise InputError(
                "training settings: the table [discriminator] has no effect without a weight for adversarial or "
                "feature; give one or remove the table"
            )

    def weighted(self, names: Collection[str]) -> list[str]:
        """Return those of `names` whose weight is not 0, in the order of `names`."""
        return [name for name in names if self.weights.get(name)]

    def discriminator_config(self, model: ModelConfig) -> DiscriminatorConfig | None:
        """Return the configuration of the discriminators for a model's signals, None without discriminators.

        Raises
        ------
        InputError
            If the table ``[discriminator]`` has unknown names or values out of range.
        """
        if self.discriminator is None:
            return None
        known = {f.name for f in fields(DiscriminatorConfig)} - {"channels", "sample_rate_hz"}
        refuse_unknown("[discriminator]", self.discriminator, known)
        return DiscriminatorConfig(model.channels, model.sample_rate_hz, **self.discriminator)


@dataclass(frozen=True)
class OptimizerSettings(_Checked):
    """How the weights are updated.

    Attributes
    ----------
    learning_rate, betas, weight_decay : float
        Parameters of AdamW, for generator and discriminators.
    gamma : float
        Factor by which the learning rate falls at each step.
    warmup_steps : int
        Steps over which the learning rate rises linearly.
    decay_share : float
        Share of the run, at its end, over which the learning rate falls linearly to 3 %.
    clip_norm, discriminator_clip_norm : float
        Upper limit of the norm of all gradients of the generator, and of the discriminators.
    accumulate : int
        Micro-batches into which each process divides its items to save memory.
    ema : float
        Decay of the moving average of the generator's weights, which is what is validated and published; 0: none.
    bf16 : bool
        Run the networks under bfloat16 autocast; weights, quantiser and losses stay in float32.
    tf32 : bool
        On CUDA, round what enters a convolution to TF32 (10 bits) where it is computed in float32, as PyTorch does
        by default and the published training did. Losses and the search of codes stay in float32, and so do
        validation, weights and the optimiser's state.
    """

    learning_rate: float = bounded(1e-4, 0, 1)
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = bounded(1e-3, 0, 1)
    gamma: float = bounded(1.0, 0.9, 1)
    warmup_steps: int = bounded(30, 0, 10**9)
    decay_share: float = bounded(0.25, 0, 1)
    clip_norm: float = bounded(1e3, 1e-6, 1e12)
    discriminator_clip_norm: float = bounded(10.0, 1e-6, 1e12)
    accumulate: int = bounded(1, 1, 100_000)
    ema: float = bounded(0.0, 0, 0.999999)
    bf16: bool = False
    tf32: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise InputError(f"training settings: betas = {self.betas!r}; need two numbers from 0 to 1")
        for beta in self.betas:
            _check_number("betas", beta, float, 0, 0.999999)


@dataclass(frozen=True)
class TrainConfig(OptimizerSettings, LossSettings, ScheduleSettings, DataSettings):
    """All settings of a training run: the table ``[train]`` of a preset, and ``[discriminator]``.

    The defaults are those of the table; the presets hold the recipes. Values out of range raise `InputError`.
    """


def refuse_unknown(where: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise `InputError` for names that are not known, with a suggestion and the list of known names."""
    if unknown := sorted(set(given) - set(known)):
        meant = did_you_mean(unknown[0], known) or ";"
        raise InputError(f"{where} has no {unknown}{meant} known are {', '.join(sorted(known))}")


def load_preset(name: str) -> tuple[ModelConfig, TrainConfig]:
    """Read a preset.

    Parameters
    ----------
    name : str
        Name of a preset in codec/presets, or the path of a ``.toml`` file.

    Raises
    ------
    InputError
        If there is no such preset, if it is not TOML, or if it has unknown names or values out of range.
    """
    path = Path(name) if name.endswith(".toml") else PRESETS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PRESETS.glob("*.toml")))
        raise InputError(f"{path}: no such preset; known are {known}, or give the path of a .toml file")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    refuse_unknown(f"{path}:", content, ("model", "train", "discriminator"))
    if flat := [name for name, table in content.items() if not isinstance(table, dict)]:
        raise InputError(f"{path}: {flat[0]} is a value; need a table, [{flat[0]}]")
    tables = {table: {k: _hashable(v) for k, v in values.items()} for table, values in content.items()}
    model_table, train_table = tables.get("model", {}), tables.get("train", {})
    refuse_unknown(f"{path}: [model]", model_table, {f.name for f in fields(ModelConfig)})
    refuse_unknown(f"{path}: [train]", train_table, {f.name for f in fields(TrainConfig)} - {"discriminator"})
    try:
        model = ModelConfig(**model_table)
        config = TrainConfig(**train_table, discriminator=tables.get("discriminator"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    config.discriminator_config(model)
    return model, config


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def check_compatible(model: ModelConfig, config: TrainConfig) -> None:
    """Raise `InputError` where the settings of the training do not suit the model."""
    length, hop = config.excerpt_frames, model.hop
    discriminator = config.discriminator_config(model)
    longest_window = max(window for window, _ in MEL_SCALES)  # the STFT pads by reflection
    shortest = max(longest_window, discriminator.min_length if discriminator else 0)
    if length % hop or length < shortest:
        nearest = max(length - length % hop, shortest + -shortest % hop)
        raise InputError(
            f"training settings: excerpt_frames = {length}; need a multiple of the model's hop {hop} and "
            f"at least {shortest}: {nearest}"
        )
    keeps_channels = front_end_of(model).keeps_channels
    if config.mix and not keeps_channels:
        raise InputError("training settings: mix: principal components (side_layers) cannot be mixed; set mix = 0")
    if config.weights.get("intensity") and not keeps_channels:
        raise InputError("training settings: the loss intensity needs channels, side_layers give components")
    if config.weights.get("intensity") and (model.signal_layout != "ambiX" or model.channels < 4):
        raise InputError("training settings: the loss intensity needs Ambisonics of first order or higher")


def preset_text(model: ModelConfig, config: TrainConfig) -> str:
    """Return the TOML text of a preset with every setting; `load_preset` reads the same settings from it."""
    train = asdict(config)
    tables = {"model": asdict(model), "discriminator": train.pop("discriminator"), "train": train}
    lines = []
    for name, table in tables.items():
        if table is not None:
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items()), ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A JSON string is a TOML basic string, except that JSON does not escape DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        pairs = (f"{k if re.fullmatch('[A-Za-z0-9_-]+', k) else _toml(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


def settings_record(model: ModelConfig, config: TrainConfig) -> dict[str, Any]:
    """Return all settings as JSON values, as they stand in the meta.json of a checkpoint."""
    return {"model": model.as_json(), "train": asdict(config)}


def refuse_other_settings(
    stored: dict[str, Any],
    model: ModelConfig,
    config: TrainConfig,
    where: str,
    free: Collection[str] = FREE_ON_RESUME,
) -> None:
    """Refuse to resume a run with settings other than its own.

    Parameters
    ----------
    stored : dict
        Settings of the run, as `settings_record` makes them. A setting that is newer than the run had its default.
    model, config
        Settings to resume it with.
    where : str
        Beginning of the error message: the folder of the run.
    free : collection of str
        Names in ``[train]`` that may differ.

    Raises
    ------
    InputError
        If any other setting differs; the message lists each with both values.
    """
    now, default, stored = (
        json.loads(json.dumps(each))
        for each in (settings_record(model, config), settings_record(ModelConfig(), TrainConfig()), stored)
    )
    differing = [
        f"{key} {before} there, {after} here"
        for table in ("model", "train")
        for key, after in now[table].items()
        if not (table == "train" and key in free)
        and (before := stored.get(table, {}).get(key, default[table][key])) != after
    ]
    if differing:
        raise InputError(
            f"{where}: was trained with other settings: {'; '.join(differing)}. Leave --preset out to resume with "
            "the settings of the run, give --steps to train for longer, or start another --run"
        )
