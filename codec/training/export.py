"""A training run as a model file, with a card that reports what the model does to held-out recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from codec.bitstream.sizes import STANDARD
from codec.checkpoints.model_file import load, save
from codec.coding.front_end import usual_front_end
from codec.coding.low_delay import delay_samples
from codec.coding.pipeline import check_signal, decode, encode
from codec.losses.covariance import correlation_matrix
from codec.losses.mel import MEL_SCALES, log_mel
from codec.rvqgan.codec import RVQGAN, count_parameters
from codec.rvqgan.config import ModelConfig
from codec.training import checkpoint
from render.common.errors import InputError
from render.common.files import read_json, write_json
from render.common.progress import progress
from render.fileio.audio_file import info, read
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene
from stimuli.eigenscape.corpus import find_recordings, split


def publish(
    run: Path, data: list[Path], output: Path, trained_on: str = "", force: bool = False
) -> dict[str, dict[str, float]]:
    """Write the newest model of a run as a model file, and its card as JSON beside it.

    Parameters
    ----------
    run : Path
        Folder of the run.
    data : list of Path
        Folders of the recordings that the run was trained on, including those that it held out.
    output : Path
        The model file, ``NAME.safetensors``; the card is ``NAME.json``.
    trained_on : str
        Description of the training material for the card.
    force : bool
        Replace an existing model that differs.

    Returns
    -------
    dict
        What the card reports for each held-out recording, see `measure`.

    Raises
    ------
    InputError
        If the run has no usable checkpoint, if the held-out recordings are missing or do not fit the model, or if
        `output` exists and differs.
    """
    model, step, settings = newest_model(run)
    signals = held_out_signals(data, settings["holdout"], model)
    card: dict[str, Any] = {
        "trained_on": trained_on,
        "holdout": settings["holdout"],
        "steps": step,
        "parameters": count_parameters(model),
        "code_bps": round(model.config.bitrate_bps(), 1),
        "layers_bps": round(usual_front_end(model.config).side_info_bps, 1),
        "delay_s": round(delay_samples(model, STANDARD) / model.config.sample_rate_hz, 3),
        "settings": settings,
    }
    save(output, model, card, force)
    saved, _ = load(output)
    card["measured"] = measure(saved, signals)
    card_path = output.with_suffix(".json")
    write_json(card_path, read_json(card_path) | card, force=True)
    return card["measured"]


class Features(NamedTuple):
    """What the two distances compare: log-mel spectra of every scale, and the channels' correlation matrix."""

    mels: list[Tensor]
    correlation: Tensor


def signal_features(samples: Float[Tensor, "channel time"], rate_hz: int) -> Features:
    """Return the features of one signal."""
    mels = [log_mel(samples, rate_hz, window, bands) for window, bands in MEL_SCALES]
    return Features(mels, correlation_matrix(samples[None])[0])


def feature_distances(a: Features, b: Features) -> tuple[float, float]:
    """Return the mel distance and the covariance distance (eq. 3), as in `codec.losses`."""
    mel = sum(float((x - y).abs().mean()) for x, y in zip(a.mels, b.mels, strict=True))
    return mel, 0.5 * float((a.correlation - b.correlation).abs().sum())


def measure(model: RVQGAN, signals: dict[str, Scene | Feed]) -> dict[str, dict[str, float]]:
    """Encode and decode signals of equal length; return rate and distances of each.

    ``kbps`` is the rate of the file. ``mel`` and ``covariance`` (eq. 3) are the distances of the decoded signal
    to its original, ``..._to_nearest_other`` its smallest distances to the original of any other signal: a
    decoder that gives every signal the same average texture is as near to them. ``..._of_copied_w``
    (Ambisonics) are the distances of a decoder that copies W to all channels.
    """
    rate_hz, ambisonics = model.config.sample_rate_hz, model.config.signal_layout == "ambiX"
    originals = {
        name: signal_features(torch.from_numpy(signal.samples), rate_hz) for name, signal in signals.items()
    }
    rows = {}
    for name, signal in progress(signals.items(), "measure recording", len(signals)):
        payload = encode(model, b"measured", signal)
        decoded = signal_features(torch.from_numpy(decode(model, b"measured", payload).samples), rate_hz)
        row = {"kbps": round(8 * len(payload) * rate_hz / signal.length / 1000, 2)}
        row |= _rounded("", *feature_distances(originals[name], decoded))
        others = [feature_distances(original, decoded) for other, original in originals.items() if other != name]
        if others:
            row |= _rounded("_to_nearest_other", *(min(column) for column in zip(*others, strict=True)))
        if ambisonics and len(signal.samples) > 1:
            w_only = torch.from_numpy(signal.samples[:1]).expand(len(signal.samples), -1)
            copied = signal_features(w_only, rate_hz)
            row |= _rounded("_of_copied_w", *feature_distances(originals[name], copied))
        rows[name] = row
    return rows


def _rounded(suffix: str, mel: float, covariance: float) -> dict[str, float]:
    return {f"mel{suffix}": round(mel, 3), f"covariance{suffix}": round(covariance, 2)}


def newest_model(folder: Path) -> tuple[RVQGAN, int, dict[str, Any]]:
    """Return the model of the newest checkpoint of a run, its step, and the run's ``[train]`` settings.

    The model is the moving average, if the run has one, with weight norm folded.

    Raises
    ------
    InputError
        If there is no checkpoint, or if it was written before the codebooks were fitted.
    """
    steps = checkpoint.steps(folder / "checkpoints")
    if not steps:
        raise InputError(f"{folder}: no checkpoint; is it the folder of a run?")
    groups, meta = checkpoint.load(folder / "checkpoints" / f"{steps[-1]:07d}")
    quantizer_start = meta["train"]["quantizer_start"]
    if quantizer_start and steps[-1] <= quantizer_start:
        raise InputError(
            f"{folder}: its newest checkpoint is of step {steps[-1]}, but the codebooks are only fitted after "
            f"step {quantizer_start}; continue with python -m codec.train --resume"
        )
    model = RVQGAN(ModelConfig.from_json(meta["model"]))
    model.load_state_dict(groups.get("ema", groups["model"]))
    return model.fold_weight_norm().eval().requires_grad_(False), steps[-1], meta["train"]


def held_out_signals(
    folders: list[Path], holdout: int | str, model: RVQGAN, seconds: float = 10.0
) -> dict[str, Scene | Feed]:
    """Read the beginnings of the recordings that a run held out, all cut to the length of the shortest.

    Parameters
    ----------
    folders : list of Path
        The data of the run.
    holdout : int or str
        Number of the recording, or the class, that the run held out.
    model : RVQGAN
    seconds : float
        Length at most.

    Raises
    ------
    InputError
        If none of the held-out recordings is there, or if one does not fit the model.
    """
    paths = [r.path for folder in folders for r in split(find_recordings(folder), holdout)[1]]
    if not paths:
        which = f"recording {holdout} of any class" if isinstance(holdout, int) else f"any recording of {holdout}"
        raise InputError(
            f"{', '.join(map(str, folders))}: does not contain {which}, which the run held out; name the data of "
            "the run"
        )
    length = round(model.config.sample_rate_hz * seconds)
    for path in paths:
        about = info(path)
        check_signal(model.config, about.channels, about.sample_rate_hz, about.length, str(path))
        length = min(length, about.length)
    signals: dict[str, Scene | Feed] = {}
    for path in paths:
        samples, rate_hz = read(path, 0, length)
        layout_name = model.config.layout
        signal = Feed(samples, rate_hz, layout(layout_name)) if layout_name else Scene(samples, rate_hz)
        signals[f"{path.parent.name}/{path.stem}"] = signal
    return signals
