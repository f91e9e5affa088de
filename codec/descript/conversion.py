"""Conversion of published checkpoints to model files of this package."""

from __future__ import annotations

from pathlib import Path

from codec.checkpoints.model_file import is_model_file, load, save
from codec.descript.weights import read_published
from codec.rvqgan.codec import RVQGAN, count_parameters
from render.common.files import read_record, sha256


def read_model(path: Path, sample_rate_hz: int | None = None) -> RVQGAN:
    """Read a model file of this package or a published checkpoint.

    Parameters
    ----------
    path : Path
        A file written by `codec.checkpoints.model_file.save`, or one that `codec.descript.weights` reads.
    sample_rate_hz : int, optional
        For published checkpoints that do not state it.

    Raises
    ------
    InputError
        If it is neither, or damaged.
    """
    return load(path)[0] if is_model_file(path) else read_published(path, sample_rate_hz)


def convert(source: Path, target: Path, sample_rate_hz: int | None = None, force: bool = False) -> RVQGAN:
    """Write a published checkpoint as a model file with the same numbers; its card states the origin."""
    model = read_published(source, sample_rate_hz)
    card = {
        "origin": read_record(source).get("url", source.name),
        "origin_sha256": sha256(source),
        "parameters": count_parameters(model),
        "code_bps": round(model.config.bitrate_bps(), 1),
    }
    save(target, model, card, force, exact=True)
    return model
