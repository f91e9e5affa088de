"""What a run learns from, and what it is validated on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from codec.rvqgan.config import ModelConfig
from codec.training.component_files import component_files
from codec.training.config import TrainConfig
from codec.training.distributed import Processes
from codec.training.excerpts import Excerpts
from codec.training.recordings import training_and_held_out
from codec.training.validation import excerpt_frames


def open_material(
    data: list[Path], model_config: ModelConfig, config: TrainConfig, folder: Path, group: Processes
) -> tuple[Excerpts, Excerpts]:
    """Return excerpts to train on, and those held out.

    A network behind a spatial layer learns from principal components, which are written to `folder`/components.
    """
    training, held_out = training_and_held_out(data, config.holdout)
    settings: dict[str, Any] = dict(
        channels=model_config.channels, sample_rate_hz=model_config.sample_rate_hz, level_dbfs=config.level_dbfs,
        seed=config.seed, layout=model_config.layout,
    )  # fmt: skip
    checks = Excerpts(held_out, 1, turn=False, **settings)
    checks.frames = excerpt_frames(checks.lengths, model_config.sample_rate_hz, model_config.hop)
    turn = config.turn and not model_config.side_layers  # of a turned scene the components are the same
    material = Excerpts(training, config.excerpt_frames, turn=turn, mix=config.mix, **settings)
    if model_config.side_layers:
        recordings = list(zip(material.paths, material.gains, strict=True))
        place = folder / "components"
        component_files(recordings[group.rank :: group.count], model_config, place)
        group.sum(torch.zeros(1, device=group.device))  # wait for those of the others
        paths, gains = zip(*component_files(recordings, model_config, place), strict=True)
        material = Excerpts(
            list(paths), config.excerpt_frames, turn=False, mix=config.mix, gains=list(gains), **settings
        )
    return material, checks
