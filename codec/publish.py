"""Turn a training run into a model file with a card that says what it can do.

    python -m codec.publish runs/small --data data/prepared -o codec/pretrained/hoa16-small.safetensors

The recordings that the run held out go through the real bit stream; the card lists their mel and covariance
distances (eq. 3) to the original and to the nearest other one, and in Ambisonics those of the trivial decoder that
copies W to all channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from codec.model import Codec, ModelConfig
    from render.scene import Feed, Scene


class Features(NamedTuple):
    """What the two distances compare: log-mel spectra of every scale, correlation matrix."""

    mels: list[Tensor]
    correlation: Tensor


def features(samples: Tensor, rate_hz: int) -> Features:
    """Features of one signal (channel, time)."""
    from codec import losses

    mels = [losses.log_mel(samples, rate_hz, window, bands) for window, bands in losses.MEL_SCALES]
    return Features(mels, losses.correlation_matrix(samples[None])[0])


def distances(a: Features, b: Features) -> tuple[float, float]:
    """Mel distance and covariance distance (eq. 3), as in `codec.losses`."""
    mel = sum(float((x - y).abs().mean()) for x, y in zip(a.mels, b.mels, strict=True))
    return mel, 0.5 * float((a.correlation - b.correlation).abs().sum())


def measure(model: Codec, signals: dict[str, Scene | Feed]) -> dict[str, dict[str, float]]:
    """Code every signal and measure; all must have the same length."""
    import torch

    from codec.inference import decode, encode

    rate_hz, ambisonics = model.config.sample_rate_hz, model.config.signal_layout == "ambiX"
    originals = {name: features(torch.from_numpy(signal.samples), rate_hz) for name, signal in signals.items()}
    rows = {}
    for name, signal in progress(signals.items(), "measure recording", len(signals)):
        payload = encode(model, b"measured", signal)
        coded = features(torch.from_numpy(decode(model, b"measured", payload).samples), rate_hz)
        mel, covariance = distances(originals[name], coded)
        row = {"kbps": round(8 * len(payload) * rate_hz / signal.frames / 1000, 2)}
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
    from codec.bitstream import PACKET_FRAMES
    from codec.spatial import slots
    from codec.spatial_code import layer_bytes

    if not config.side_layers:
        return 0.0
    bits = 8 * layer_bytes(config.channels, slots(PACKET_FRAMES)[1])
    return bits * config.sample_rate_hz / (PACKET_FRAMES * config.hop)


def newest_model(folder: Path) -> tuple[Codec, int, dict[str, Any]]:
    """Model of the newest checkpoint of a run (its running mean, if it has one), folded, its step and settings."""
    from codec import checkpoint
    from codec.model import Codec, ModelConfig

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
    model = Codec(ModelConfig.from_json(meta["model"]))
    model.load_state_dict(groups.get("ema", groups["model"]))
    return model.fold_weight_norm().eval().requires_grad_(False), steps[-1], meta["train"]


def held_out(
    folders: list[Path], holdout: int | str, model: Codec, seconds: float = 10.0
) -> dict[str, Scene | Feed]:
    """Beginnings of the recordings that a run of the model held out, cut to the shortest."""
    from codec.inference import check_signal
    from render.audio_file import info, read
    from render.layout import layout
    from render.scene import Feed, Scene
    from stimuli.corpus import find_recordings, split

    paths = [r.path for folder in folders for r in split(find_recordings(folder), holdout)[1]]
    if not paths:
        which = f"recording {holdout} of no class" if isinstance(holdout, int) else f"no recording of {holdout}"
        raise InputError(
            f"{', '.join(map(str, folders))}: {which} is there, which the run held out; name the data it had"
        )
    frames = round(model.config.sample_rate_hz * seconds)
    for path in paths:
        about = info(path)
        check_signal(model, about.channels, about.sample_rate_hz, about.frames, None, str(path))
        frames = min(frames, about.frames)
    signals: dict[str, Scene | Feed] = {}
    for path in paths:
        samples, rate_hz = read(path, 0, frames)
        of_feed = model.config.layout
        signal = Feed(samples, rate_hz, layout(of_feed)) if of_feed else Scene(samples, rate_hz)
        signals[f"{path.parent.name}/{path.stem}"] = signal
    return signals


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.publish")
    arguments.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    arguments.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="prepared recordings"
    )
    arguments.add_argument("--trained-on", default="", help="what the card says of the training material")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="M.safetensors")
    arguments.add_argument("--force", action="store_true", help="replace an existing model")
    given = arguments.parse_args()

    from codec.model import count_parameters
    from codec.weights import load, save
    from render.artefact import read_json, write_json

    model, step, settings = newest_model(given.run)
    signals = held_out(given.data, settings["holdout"], model)
    card: dict[str, Any] = {
        "trained_on": given.trained_on,
        "holdout": settings["holdout"],
        "steps": step,
        "parameters": count_parameters(model),
        "code_bps": round(model.config.bitrate_bps(), 1),
        "layers_bps": round(layers_bps(model.config), 1),
        "settings": settings,
    }
    save(given.output, model, card, given.force)
    loaded, _ = load(given.output)
    card["measured"] = measure(loaded, signals)
    described = read_json(given.output.with_suffix(".json")) | card
    write_json(given.output.with_suffix(".json"), described, force=True)
    for name, row in card["measured"].items():
        print(f"{name:>26}  " + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    run(main)
