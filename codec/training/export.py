"""Turn a training run into a model file with a card that says what it can do.

    python -m codec.publish runs/small --data data/prepared -o codec/pretrained/hoa16-small.safetensors

The recordings that the run held out go through the real bit stream; the card lists their mel and covariance
distances (eq. 3) to the original and to the nearest other one, and in Ambisonics those of the trivial decoder that
copies W to all channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from codec.bitstream.format import PACKET_FRAMES
from codec.coding.pipeline import check_signal, decode, encode
from codec.losses.covariance import correlation_matrix
from codec.losses.mel import MEL_SCALES, log_mel
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.side_info.analysis import slots
from codec.side_info.parameter_coding import layer_bytes
from codec.training import checkpoint
from render.common.errors import InputError
from render.common.progress import progress
from render.fileio.audio_file import info, read
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene
from stimuli.eigenscape.corpus import find_recordings, split


class Features(NamedTuple):
    """What the two distances compare: log-mel spectra of every scale, correlation matrix."""

    mels: list[Tensor]
    correlation: Tensor


def features(samples: Tensor, rate_hz: int) -> Features:
    """Features of one signal (channel, time)."""
    mels = [log_mel(samples, rate_hz, window, bands) for window, bands in MEL_SCALES]
    return Features(mels, correlation_matrix(samples[None])[0])


def distances(a: Features, b: Features) -> tuple[float, float]:
    """Mel distance and covariance distance (eq. 3), as in `codec.losses`."""
    mel = sum(float((x - y).abs().mean()) for x, y in zip(a.mels, b.mels, strict=True))
    return mel, 0.5 * float((a.correlation - b.correlation).abs().sum())


def measure(model: RVQGAN, signals: dict[str, Scene | Feed]) -> dict[str, dict[str, float]]:
    """Code every signal and measure; all must have the same length."""
    rate_hz, ambisonics = model.config.sample_rate_hz, model.config.signal_layout == "ambiX"
    originals = {name: features(torch.from_numpy(signal.samples), rate_hz) for name, signal in signals.items()}
    rows = {}
    for name, signal in progress(signals.items(), "measure recording", len(signals)):
        payload = encode(model, b"measured", signal)
        coded = features(torch.from_numpy(decode(model, b"measured", payload).samples), rate_hz)
        mel, covariance = distances(originals[name], coded)
        row = {"kbps": round(8 * len(payload) * rate_hz / signal.length / 1000, 2)}
        row |= _distances("", mel, covariance)
        others = [distances(original, coded) for other, original in originals.items() if other != name]
        if others:
            row |= _distances("_to_nearest_other", *(min(column) for column in zip(*others, strict=True)))
        if ambisonics and len(signal.samples) > 1:
            w_only = torch.from_numpy(signal.samples[:1]).expand(len(signal.samples), -1)
            row |= _distances("_of_copied_w", *distances(originals[name], features(w_only, rate_hz)))
        rows[name] = row
    return rows


def _distances(of: str, mel: float, covariance: float) -> dict[str, float]:
    return {f"mel{of}": round(mel, 3), f"covariance{of}": round(covariance, 2)}


def layers_bps(config: ModelConfig) -> float:
    """Rate of the spatial layer in bit/s, 0 without one."""
    if not config.side_layers:
        return 0.0
    bits = 8 * layer_bytes(config.channels, slots(PACKET_FRAMES)[1])
    return bits * config.sample_rate_hz / (PACKET_FRAMES * config.hop)


def newest_model(folder: Path) -> tuple[RVQGAN, int, dict[str, Any]]:
    """Model of the newest checkpoint of a run (its running mean, if it has one), folded, its step and settings."""
    steps = checkpoint.steps(folder / "checkpoints")
    if not steps:
        raise InputError(f"{folder}: no checkpoint; is it the folder of a run?")
    groups, meta = checkpoint.load(folder / "checkpoints" / f"{steps[-1]:07d}")
    fitted_after = meta["train"]["quantizer_start"]
    if fitted_after and steps[-1] <= fitted_after:
        raise InputError(
            f"{folder}: its newest checkpoint is of step {steps[-1]}, and its codebooks are fitted after step "
            f"{fitted_after}; go on with python -m codec.train --resume"
        )
    model = RVQGAN(ModelConfig.from_json(meta["model"]))
    model.load_state_dict(groups.get("ema", groups["model"]))
    return model.fold_weight_norm().eval().requires_grad_(False), steps[-1], meta["train"]


def held_out(
    folders: list[Path], holdout: int | str, model: RVQGAN, seconds: float = 10.0
) -> dict[str, Scene | Feed]:
    """Beginnings of the recordings that a run of the model held out, cut to the shortest."""
    paths = [r.path for folder in folders for r in split(find_recordings(folder), holdout)[1]]
    if not paths:
        which = f"recording {holdout} of no class" if isinstance(holdout, int) else f"no recording of {holdout}"
        raise InputError(
            f"{', '.join(map(str, folders))}: {which} is there, which the run held out; name the data it had"
        )
    frames = round(model.config.sample_rate_hz * seconds)
    for path in paths:
        about = info(path)
        check_signal(model, about.channels, about.sample_rate_hz, about.length, None, str(path))
        frames = min(frames, about.length)
    signals: dict[str, Scene | Feed] = {}
    for path in paths:
        samples, rate_hz = read(path, 0, frames)
        of_feed = model.config.layout
        signal = Feed(samples, rate_hz, layout(of_feed)) if of_feed else Scene(samples, rate_hz)
        signals[f"{path.parent.name}/{path.stem}"] = signal
    return signals
