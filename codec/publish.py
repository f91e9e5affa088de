"""Turn a training run into a model file with a card that says what it can do.

    python -m codec.publish runs/small --data data/prepared -o codec/pretrained/hoa16-small.safetensors

The held-out recordings go through the real bit stream; the card lists their mel and covariance distances
(eq. 3) to the original, beside those of the trivial decoder that copies W to all channels, and says for how
many scenes the decoding is nearer to its own original than to any other.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from codec.model import Codec, ModelConfig
    from render.scene import Scene


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


def measure(model: Codec, scenes: dict[str, Scene]) -> dict[str, Any]:
    """Code every scene and measure; all scenes must have the same length."""
    import torch

    from codec.inference import decode, encode

    originals = {
        name: features(torch.from_numpy(scene.samples), scene.sample_rate_hz) for name, scene in scenes.items()
    }
    rows = {}
    for name, scene in progress(scenes.items(), "measure scene", len(scenes)):
        payload = encode(model, b"measured", scene)
        decoded = decode(model, b"measured", payload).samples
        coded = features(torch.from_numpy(decoded), scene.sample_rate_hz)
        away = {other: distances(original, coded) for other, original in originals.items()}
        w_only = torch.from_numpy(scene.samples[:1]).expand(len(scene.samples), -1)
        copied = distances(originals[name], features(w_only, scene.sample_rate_hz))
        others = [away[other] for other in scenes if other != name]
        rows[name] = {
            "kbps": round(8 * len(payload) / scene.duration_s / 1000, 2),
            "mel": round(away[name][0], 3),
            "mel_to_nearest_other": round(min(mel for mel, _ in others), 3),
            "mel_of_copied_w": round(copied[0], 3),
            "covariance": round(away[name][1], 2),
            "covariance_to_nearest_other": round(min(covariance for _, covariance in others), 2),
            "covariance_of_copied_w": round(copied[1], 2),
        }
    return rows


def layers_bps(config: ModelConfig) -> float:
    """Rate of the spatial layer in bit/s."""
    from codec.bitstream import PACKET_FRAMES
    from codec.spatial import slots
    from codec.spatial_code import layer_bytes

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
    model = Codec(ModelConfig.from_json(meta["model"]))
    model.load_state_dict(groups.get("ema", groups["model"]))
    return model.fold_weight_norm().eval().requires_grad_(False), steps[-1], meta["train"]


def held_out_scenes(folders: list[Path], seconds: float = 10.0) -> dict[str, Scene]:
    """Beginnings of the held-out recordings, cut to the shortest."""
    from render.audio_file import info, read
    from render.scene import Scene
    from stimuli.corpus import find_recordings, split

    recordings = [r for folder in folders for r in split(find_recordings(folder))[1]]
    frames = min(round(info(r.path).sample_rate_hz * seconds) for r in recordings)
    frames = min(frames, *(info(r.path).frames for r in recordings))
    return {f"{r.path.parent.name}/{r.path.stem}": Scene(*read(r.path, 0, frames)) for r in recordings}


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
    from stimuli.corpus import HOLDOUT

    model, step, settings = newest_model(given.run)
    card: dict[str, Any] = {
        "trained_on": given.trained_on,
        "holdout": HOLDOUT,
        "steps": step,
        "parameters": count_parameters(model),
        "code_bps": round(model.config.bitrate_bps(), 1),
        "layers_bps": round(layers_bps(model.config), 1),
        "settings": settings,
    }
    save(given.output, model, card, given.force)
    loaded, _ = load(given.output)
    card["measured"] = measure(loaded, held_out_scenes(given.data))
    described = read_json(given.output.with_suffix(".json")) | card
    write_json(given.output.with_suffix(".json"), described, force=True)
    for name, row in card["measured"].items():
        print(f"{name:>26}  " + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    run(main)
