"""Train a multichannel RVQGAN generator.

    python -m codec.train --preset small --data data/prepared --run small [--resume]

A preset (codec/presets/*.toml, or the path of your own) holds the model and the training settings; options
given here replace the preset's. Everything goes into runs/NAME: config.toml, env.json, metrics.csv and
checkpoints. Recording 8 of every scene class is held out and used for validation only. Losses: multi-scale
mel and covariance (eq. 3) as in the paper, codebook and commitment; optionally covariance per band and a
waveform distance, with the gradients of all of them balanced at the output.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, run
from render.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from codec.model import Codec, ModelConfig


SPECTRUM = (2048, 1024)  # window and hop of the losses per band


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; see the presets for what they are good for."""

    steps: int = 400_000
    batch: int = 24
    excerpt_frames: int = 220_672  # 5 s, a multiple of the hop
    level_dbfs: float = -24.0  # rms of W of every recording: at EigenScape's -41 half the mel terms are clamped
    turn: bool = True  # random yaw and mirror, Ambisonics only
    seed: int = 1
    initialisation: str = "pca"  # "default", or "transfer:FILE" for a model of as many channels or fewer
    quantizer_start: int = 0  # steps without quantiser before k-means fits the codebooks; 0: from the start
    fit_batches: int = 64
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 1e-3
    warmup_steps: int = 30
    decay_share: float = 0.25  # last part of the run, over which the rate falls linearly to 3 %
    clip_norm: float = 1e3
    mel_channels: int = 8  # drawn anew each step, channel 0 always; 0: all
    mel_scales: int = 2  # drawn anew each step; 7: all
    balance: bool = True  # weigh each loss by the running norm of its gradient at the output
    weights: dict[str, float] = field(default_factory=lambda: dict(mel=1.0, covariance=1.0, waveform=1.0))
    commitment: float = 0.25
    codebook: float = 1.0
    revive_every: int = 50  # 0: dead codes stay dead
    validate_every: int = 100
    checkpoint_every: int = 200


def load_preset(name: str) -> tuple[ModelConfig, TrainConfig]:
    """Read a preset by name or path; unknown names raise `InputError` that lists the possible ones."""
    from codec.model import ModelConfig

    folder = Path(__file__).parent / "presets"
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise InputError(f"{path}: no such preset; known are {known}, or give the path of a .toml file")
    try:
        content = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {error}") from error
    parts: list[Any] = []
    for kind, table in ((ModelConfig, "model"), (TrainConfig, "train")):
        values = content.pop(table, {})
        known = {f.name for f in fields(kind)}
        if unknown := set(values) - known:
            raise InputError(f"{path}: [{table}] has no {sorted(unknown)}; known are {sorted(known)}")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        parts.append(kind(**settings))
    if content:
        raise InputError(f"{path}: unknown table {sorted(content)}; known are [model] and [train]")
    return parts[0], parts[1]


def learning_rate(config: TrainConfig, step: int) -> float:
    """Warm-up, constant, linear decay to 3 % over the last `decay_share` of the run."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    left = (config.steps - step) / max(config.steps * config.decay_share, 1)
    return config.learning_rate * warm * min(1.0, left + 0.03)


def reconstruction_gradient(
    reference: Tensor,
    decoded: Tensor,
    sample_rate_hz: int,
    config: TrainConfig,
    random: Any,
    norms: dict[str, Tensor],
) -> tuple[dict[str, float], Tensor]:
    """Return the losses between (batch, channel, time) signals and their weighted gradient at `decoded`.

    A loss without weight is not computed. With `balance`, the gradient of each loss is divided by the
    running mean of its norm (Défossez et al. 2022, section 3.4), kept in `norms`: otherwise the mel
    gradient, a hundred times larger than the others, decides alone.
    """
    import torch

    from codec import losses

    values: dict[str, float] = {}
    leaf = decoded.detach().requires_grad_()
    total = torch.zeros_like(leaf)

    def weighted_gradient(name: str, loss: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss, leaf)
        scale = config.weights[name]
        if config.balance:
            norm = gradient.norm()
            norms[name] = 0.9 * norms.get(name, norm) + 0.1 * norm
            scale = scale / (norms[name] + 1e-12)
        values[name] = loss.item()
        return scale * gradient

    if config.weights.get("mel"):
        count = reference.shape[1]
        kept = min(config.mel_channels or count, count)
        channels = [0, *(1 + random.permutation(count - 1)[: kept - 1])]
        scales = random.permutation(len(losses.MEL_SCALES))[: config.mel_scales]
        chosen = tuple(losses.MEL_SCALES[s] for s in scales)
        loss = losses.mel_distance(reference[:, channels], leaf[:, channels], sample_rate_hz, chosen)
        total += weighted_gradient("mel", loss)
    if config.weights.get("covariance"):
        loss = losses.covariance_distance(reference, leaf)
        total += weighted_gradient("covariance", loss)
    if config.weights.get("waveform"):
        total += weighted_gradient("waveform", losses.waveform_distance(reference, leaf))
    if config.weights.get("band_covariance"):
        bands = losses.erb_bands(sample_rate_hz, SPECTRUM[0], 20).to(leaf.device)
        spectra = losses.stft(reference, *SPECTRUM), losses.stft(leaf, *SPECTRUM)
        loss = losses.band_covariance_distance(*spectra, bands)
        total += weighted_gradient("band_covariance", loss)
    return values, total


def validate(model: Codec, excerpts: Tensor, quantized: bool) -> dict[str, float]:
    """Distances of the whole excerpts (batch, channel, time), mean over them, all channels and scales."""
    import torch

    from codec import losses

    rate = model.config.sample_rate_hz
    bands = losses.erb_bands(rate, SPECTRUM[0], 20)
    sums = dict(mel=0.0, covariance=0.0, band_covariance=0.0, snr_db=0.0)
    model.eval()
    with torch.no_grad():
        for item in excerpts.split(1):
            latents = model.encoder(item)
            if quantized:
                latents = model.quantizer.decode(model.quantizer.encode(latents))
            decoded = model.decoder(latents)
            spectra = losses.stft(item, *SPECTRUM), losses.stft(decoded, *SPECTRUM)
            sums["mel"] += float(losses.mel_distance(item, decoded, rate))
            sums["covariance"] += float(losses.covariance_distance(item, decoded))
            sums["band_covariance"] += float(losses.band_covariance_distance(*spectra, bands)) / 120
            error = (item - decoded).square().sum() / item.square().sum().clamp_min(1e-12)
            sums["snr_db"] += float(-10 * torch.log10(error))
    model.train()
    return {name: value / len(excerpts) for name, value in sums.items()}


def train(
    model_config: ModelConfig, config: TrainConfig, data: list[Path], folder: Path, resume: bool, until: int
) -> None:
    """Train up to step `until` of `config.steps`, from the newest checkpoint in `folder` if `resume`."""
    import time

    import torch

    from codec import checkpoint
    from codec.data import Excerpts, generator
    from codec.initialise import CodebookUsage, kmeans, pca
    from codec.model import Codec
    from codec.runs import Metrics
    from codec.transfer import start_from
    from stimuli.corpus import find_recordings, split

    torch.manual_seed(config.seed)
    training, held_out = split([r for folder in data for r in find_recordings(folder)])
    settings = dict(
        channels=model_config.channels, sample_rate_hz=model_config.sample_rate_hz, level_dbfs=config.level_dbfs,
        seed=config.seed,
    )  # fmt: skip
    material = Excerpts([r.path for r in training], config.excerpt_frames, turn=config.turn, **settings)
    check_frames = min(
        6 * model_config.sample_rate_hz,
        *Excerpts([r.path for r in held_out], 1, turn=False, **settings).lengths,
    )
    check_frames -= check_frames % model_config.hop
    checks = Excerpts([r.path for r in held_out], check_frames, turn=False, **settings).batch(0, 8)

    model = Codec(model_config)
    usage = CodebookUsage(model)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True,
    )
    norms: dict[str, torch.Tensor] = {}
    step = 0
    if resume and checkpoint.steps(folder / "checkpoints"):
        step = checkpoint.steps(folder / "checkpoints")[-1]
        groups, _ = checkpoint.load(folder / "checkpoints" / f"{step:07d}")
        model.load_state_dict(groups["model"])
        _restore_optimizer(optimizer, groups["optimizer"])
        usage.usage = groups["trainer"].pop("usage")
        norms = groups["trainer"]
        print(f"resumed at step {step}")
    elif config.initialisation == "pca":
        start = material.batch(0, min(96, 24 * config.batch), purpose=1)
        snr_db = pca(model, start, torch.Generator().manual_seed(config.seed))
        print(f"PCA initialisation: {snr_db:.1f} dB signal-to-noise ratio without quantiser")
        print("  ".join(f"{k} {v:.3g}" for k, v in validate(model, checks, quantized=False).items()), flush=True)
    elif config.initialisation.startswith("transfer:"):
        start_from(model, Path(config.initialisation.removeprefix("transfer:")))
    elif config.initialisation != "default":
        raise InputError(f"initialisation = {config.initialisation!r}; known are pca, default and transfer:FILE")
    metrics = Metrics(folder / "metrics.csv", step)
    began, begin_step = time.monotonic(), step
    while step < until:
        random = generator(config.seed, step, purpose=2)
        quantized = step >= config.quantizer_start
        if quantized and step == config.quantizer_start and step > 0:
            with torch.no_grad():
                batches = (material.batch(i, config.batch, purpose=3) for i in range(config.fit_batches))
                latents = torch.cat([model.encoder(b).transpose(1, 2).flatten(0, 1) for b in batches])
            left = kmeans(model, latents, torch.Generator().manual_seed(config.seed))
            print(f"k-means codebooks from {len(latents)} frames: {left:.3f} of the variance left")

        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        reference = material.batch(step, config.batch)
        latents = model.encoder(reference)
        quantizer_loss = None
        if quantized:
            dropout_seed = torch.Generator().manual_seed(int(random.integers(2**62)))
            result = model.quantizer(latents, dropout_seed)
            usage.update(result.codes)
            quantizer_loss = config.commitment * result.commitment_loss + config.codebook * result.codebook_loss
            output = model.decoder(result.latents)
        else:
            output = model.decoder(latents)
        losses, gradient = reconstruction_gradient(
            reference, output, model_config.sample_rate_hz, config, random, norms
        )
        optimizer.zero_grad(set_to_none=True)
        if quantizer_loss is None:
            output.backward(gradient)
        else:
            torch.autograd.backward([output, quantizer_loss], [gradient, None])
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        if not torch.isfinite(norm):
            raise InputError(f"step {step}: gradient is {float(norm)}; the step can be replayed by its number")
        optimizer.step()
        step += 1

        decaying = step > config.steps * (1 - config.decay_share)
        if quantized and config.revive_every and step % config.revive_every == 0 and not decaying:
            usage.revive(latents.detach(), torch.Generator().manual_seed(step))
        if quantizer_loss is not None:
            losses["quantizer"] = quantizer_loss.item()
        metrics.add(losses)
        if step % config.validate_every == 0 or step == until:
            seconds = (time.monotonic() - began) / (step - begin_step)
            row = validate(model, checks, quantized) | {"perplexity": float(usage.perplexity().mean())}
            metrics.write(step, learning_rate(config, step - 1), row, seconds, seconds * (config.steps - step))
        if step % config.checkpoint_every == 0 or step == until:
            groups = dict(
                model=model.state_dict(), optimizer=_optimizer_tensors(optimizer),
                trainer={"usage": usage.usage, **norms},
            )  # fmt: skip
            about = dict(model=model_config.as_json(), train=asdict(config))
            checkpoint.save(folder / "checkpoints", step, groups, about)


def _optimizer_tensors(optimizer) -> dict[str, Tensor]:
    """AdamW's state as named tensors: ``<parameter>.<exp_avg | exp_avg_sq | step>``."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, slots in state.items() for name, value in slots.items()}


def _restore_optimizer(optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.train")
    arguments.add_argument("--preset", default="small", help="name or path of a preset (default: small)")
    arguments.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders of prepared recordings"
    )
    arguments.add_argument("--run", required=True, help="name of the run; it is written to runs/NAME")
    arguments.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    for name in ("steps", "batch", "seed"):
        arguments.add_argument(f"--{name}", type=int, help="replaces the preset's value")
    arguments.add_argument("--until", type=int, metavar="STEP", help="stop there (the schedule stays)")
    given = arguments.parse_args()
    folder = Path("runs") / given.run
    if folder.exists() and not given.resume:
        raise InputError(f"{folder}: exists; use --resume to go on, or another --run")
    model_config, config = load_preset(given.preset)
    config = replace(config, **{k: v for k in ("steps", "batch", "seed") if (v := getattr(given, k)) is not None})
    from codec.runs import describe_run

    describe_run(folder, model_config, config)
    until = min(given.until or config.steps, config.steps)
    train(model_config, config, given.data, folder, given.resume, until)


if __name__ == "__main__":
    run(main)
