"""Settings of a training run: their names, ranges and defaults, read from presets and written beside a run."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from codec.rvqgan.config import ModelConfig
from codec.rvqgan.discriminator import DiscriminatorConfig
from render.common.errors import InputError, did_you_mean

RECONSTRUCTION = (
    "mel", "covariance", "waveform", "squared_error", "band_covariance", "relative_covariance", "intensity",
)  # fmt: skip
ADVERSARIAL = ("adversarial", "feature")
# what may differ when a run goes on: it moves no weight by more than the order of a sum does
FREE = ("accumulate", "log_every", "validate_every", "checkpoint_every", "sample_every")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; the presets say what they are good for.

    Attributes
    ----------
    steps, batch : int
        Updates of the whole run, and items of each: of all processes together, so that a run means the same on
        one machine and on many.
    accumulate : int
        Parts into which each process divides its items, one after the other in memory.
    excerpt_frames : int
        Samples of an item.
    level_dbfs : float
        Level of every recording: at EigenScape's -41 half the terms of the mel distance are clamped.
    turn : bool
        Random yaw and mirror (Ambisonics only). Of no use to a model with `side_layers`: the principal components
        of a turned scene are those of the scene.
    mix : float
        Share of the items that are sums of two excerpts; 0 for a model with `side_layers`: sums of principal
        components are none.
    holdout : int or str
        Number of the recording, or name of the class, that is held out (`stimuli.eigenscape.corpus.split`).
    initialisation : str
        "default" (random), "pca", or "transfer:FILE" for a model of as many channels or fewer.
    quantizer_start, fit_batches : int
        Steps without quantiser, after which k-means fits the codebooks to so many batches; 0: quantised from the
        first step, from random codebooks.
    fixed_encoder : bool
        From `quantizer_start` on only the decoder learns: the codebooks stay the k-means of the latents that they
        code. In a short run an encoder that learns runs away from them.
    learning_rate, betas, weight_decay : float
        Of AdamW, for generator and discriminators.
    gamma : float
        Factor of the learning rate per step.
    warmup_steps, decay_share : int, float
        Steps of linear rise, and last part of the run over which the rate falls linearly to 3 %.
    clip_norm, discriminator_clip_norm : float
        Limits of the norm of all gradients of a network.
    mel_channels, mel_scales : int
        How many of them the mel distance compares, drawn anew each step, channel 0 always; 0: all.
    weights : dict
        Weight of each loss; one without weight is not computed.
    commitment, codebook : float
        Weights of the quantiser's losses.
    covariance_reduction : str
        "sum" over the pairs of channels, as eq. 3 is printed, or "mean".
    balance : bool
        Weigh each loss by the running norm of its gradient at the output (`codec.training.objective`).
    discriminator : dict or None
        Settings of the discriminators (`codec.rvqgan.discriminator.DiscriminatorConfig`); None: none.
    adversarial_start : int
        Step from which discriminators learn and teach.
    ema : float
        Decay of the running mean of the generator's weights, which is validated and published; 0: none.
    bf16 : bool
        Networks under bfloat16 autocast; weights, quantiser and losses stay float32.
    revive_every : int
        Steps between revivals of dead codes; 0: dead codes stay dead.
    log_every, validate_every, checkpoint_every, sample_every : int
        Steps between rows of metrics.csv, validations (which make a row, too), checkpoints, and samples to hear
        and see; 0: only at the end, samples never.
    validation_per_recording : int
        Excerpts of each held-out recording, evenly spaced; 0: as many as fit in it.
    """

    steps: int = 400_000
    batch: int = 24
    accumulate: int = 1
    excerpt_frames: int = 220_672  # 5 s, a multiple of the hop
    level_dbfs: float = -24.0
    turn: bool = True
    mix: float = 0.0
    holdout: int | str = 8
    seed: int = 1
    initialisation: str = "pca"
    quantizer_start: int = 0
    fit_batches: int = 64
    fixed_encoder: bool = False
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 1e-3
    gamma: float = 1.0
    warmup_steps: int = 30
    decay_share: float = 0.25
    clip_norm: float = 1e3
    discriminator_clip_norm: float = 10.0
    mel_channels: int = 8
    mel_scales: int = 2
    weights: dict[str, float] = field(default_factory=lambda: dict(mel=1.0, covariance=1.0, waveform=1.0))
    commitment: float = 0.25
    codebook: float = 1.0
    covariance_reduction: str = "sum"
    balance: bool = True
    discriminator: dict[str, Any] | None = None
    adversarial_start: int = 0
    ema: float = 0.0
    bf16: bool = False
    revive_every: int = 50
    log_every: int = 0
    validate_every: int = 100
    checkpoint_every: int = 200
    sample_every: int = 0
    validation_per_recording: int = 1

    def __post_init__(self):
        for name, (low, high) in _WHOLE.items():
            _check(name, getattr(self, name), int, low, high)
        for name, (low, high) in _REAL.items():
            _check(name, getattr(self, name), float, low, high)
        for name in ("turn", "balance", "bf16", "fixed_encoder"):
            if type(getattr(self, name)) is not bool:
                raise InputError(f"training settings: {name} = {getattr(self, name)!r}; need true or false")
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise InputError(f"training settings: betas = {self.betas!r}; need two numbers in 0..1")
        for beta in self.betas:
            _check("betas", beta, float, 0, 0.999999)
        if self.covariance_reduction not in ("sum", "mean"):
            raise InputError(f"covariance_reduction = {self.covariance_reduction!r}; possible are sum and mean")
        start = str(self.initialisation)
        if start not in ("pca", "default") and not start.startswith("transfer:"):
            raise InputError(f"initialisation = {self.initialisation!r}; known are pca, default and transfer:FILE")
        if not isinstance(self.weights, dict):
            raise InputError(f"training settings: weights = {self.weights!r}; need a table {{ mel = 15.0, ... }}")
        refuse_unknown("training settings: weights", self.weights, RECONSTRUCTION + ADVERSARIAL)
        for name, weight in self.weights.items():
            _check(f"weights.{name}", weight, float, 0, 1e6)
        if not any(self.weights.values()):
            raise InputError("training settings: no loss has a weight; give one in weights = { mel = 15.0, ... }")
        if self.fixed_encoder and not self.quantizer_start:
            raise InputError("training settings: fixed_encoder needs steps in which the encoder learns; set "
                             "quantizer_start")  # fmt: skip
        judged = any(self.weights.get(name) for name in ADVERSARIAL)
        if judged != (self.discriminator is not None):
            raise InputError(
                "training settings: the losses adversarial and feature need a table [discriminator]"
                if judged
                else "training settings: [discriminator] is of no use without weights for adversarial or feature"
            )

    def discriminator_config(self, model: ModelConfig) -> DiscriminatorConfig | None:
        """Return the settings of the discriminators of a model's signals, None if there are none."""
        if self.discriminator is None:
            return None
        known = {f.name for f in fields(DiscriminatorConfig)} - {"channels", "sample_rate_hz"}
        refuse_unknown("[discriminator]", self.discriminator, known)
        return DiscriminatorConfig(model.channels, model.sample_rate_hz, **self.discriminator)


_WHOLE = dict(
    steps=(1, 10**9), batch=(1, 100_000), accumulate=(1, 100_000), excerpt_frames=(2, 10**9), seed=(0, 2**63 - 1),
    quantizer_start=(0, 10**9), fit_batches=(1, 10**6), warmup_steps=(0, 10**9), mel_channels=(0, 256),
    mel_scales=(0, 7), adversarial_start=(0, 10**9), revive_every=(0, 10**9), log_every=(0, 10**9),
    validate_every=(0, 10**9), checkpoint_every=(0, 10**9), sample_every=(0, 10**9),
    validation_per_recording=(0, 10**6),
)  # fmt: skip
_REAL = dict(
    level_dbfs=(-100, 0), mix=(0, 1), learning_rate=(0, 1), weight_decay=(0, 1), gamma=(0.9, 1),
    decay_share=(0, 1), clip_norm=(1e-6, 1e12), discriminator_clip_norm=(1e-6, 1e12), commitment=(0, 1e6),
    codebook=(0, 1e6), ema=(0, 0.999999),
)  # fmt: skip


def _check(name: str, value: Any, kind: type, low: float, high: float) -> None:
    kinds = (int,) if kind is int else (int, float)
    if type(value) not in kinds or not low <= value <= high:
        number = "a whole number" if kind is int else "a number"
        raise InputError(f"training settings: {name} = {value!r}; need {number}, {low:g} to {high:g}")


def refuse_unknown(where: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise `InputError` that names what is unknown, what it may have meant, and what is known."""
    if unknown := sorted(set(given) - set(known)):
        meant = did_you_mean(unknown[0], known) or ";"
        raise InputError(f"{where} has no {unknown}{meant} known are {', '.join(sorted(known))}")


def load_preset(name: str) -> tuple[ModelConfig, TrainConfig]:
    """Read a preset by name or path; unknown names raise `InputError` that lists the possible ones."""
    folder = Path(__file__).parents[1] / "presets"
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise InputError(f"{path}: no such preset; known are {known}, or give the path of a .toml file")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    refuse_unknown(f"{path}:", content, ("model", "train", "discriminator"))
    if flat := [name for name, table in content.items() if not isinstance(table, dict)]:
        raise InputError(f"{path}: {flat[0]} is a value; need a table, [{flat[0]}]")
    tables = {table: {k: _frozen(v) for k, v in values.items()} for table, values in content.items()}
    parts: list[Any] = []
    for kind, table in ((ModelConfig, "model"), (TrainConfig, "train")):
        values = tables.get(table, {})
        refuse_unknown(f"{path}: [{table}]", values, {f.name for f in fields(kind)} - {"discriminator"})
        if kind is TrainConfig:
            values["discriminator"] = tables.get("discriminator")
        try:
            parts.append(kind(**values))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    model, config = parts
    config.discriminator_config(model)
    return model, config


def check_fit(model: ModelConfig, config: TrainConfig) -> None:
    """Raise `InputError` where the settings of the training do not fit the model."""
    frames, hop = config.excerpt_frames, model.hop
    judge = config.discriminator_config(model)
    # the longest window of the mel distance is reflected at the ends
    least = max(2048, judge.min_length if judge else 0)
    if frames % hop or frames < least:
        fitting = max(frames - frames % hop, least + -least % hop)
        raise InputError(
            f"training settings: excerpt_frames = {frames}; need a multiple of the model's hop {hop} and "
            f"at least {least}: {fitting}"
        )
    if model.side_layers and config.mix:
        raise InputError("training settings: mix: principal components (side_layers) cannot be mixed; set mix = 0")
    if config.weights.get("intensity") and model.side_layers:
        raise InputError("training settings: the loss intensity needs channels, side_layers give components")
    if config.weights.get("intensity") and (model.signal_layout != "ambiX" or model.channels < 4):
        raise InputError("training settings: the loss intensity needs Ambisonics of first order or higher")


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def preset_text(model: ModelConfig, config: TrainConfig) -> str:
    """Write a preset that says everything; `load_preset` gives the same settings back."""
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
        # a JSON string is a basic string of TOML, but for the one control character that JSON leaves as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        pairs = (f"{k if re.fullmatch('[A-Za-z0-9_-]+', k) else _toml(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


def refuse_other(
    stored: dict[str, Any], model: ModelConfig, config: TrainConfig, extend: bool, where: str
) -> None:
    """Raise `InputError` that names the settings of a checkpoint (its meta.json) that a run does not share."""
    now, stored = (
        json.loads(json.dumps(both)) for both in ({"model": asdict(model), "train": asdict(config)}, stored)
    )
    free = {"train": (*FREE, "steps") if extend else FREE, "model": ()}
    differing = [
        f"{key} {before} there, {after} here"
        for table in ("model", "train")
        for key, after in now[table].items()
        if key not in free[table] and (before := stored.get(table, {}).get(key)) != after
    ]
    if differing:
        raise InputError(
            f"{where}: was trained with other settings: {'; '.join(differing)}. Resume with those of the run "
            "(leave --preset away), say --steps to go on for longer, or begin another --run"
        )
