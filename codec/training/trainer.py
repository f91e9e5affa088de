"""Train a multichannel RVQGAN.

    python -m codec.train --preset small --data data/prepared --run small
    python -m codec.train --run small --resume
    torchrun --nproc-per-node 8 -m codec.train -- --preset paper --data data/prepared --run paper

A preset (codec/presets/*.toml, or the path of your own) holds the model and the training settings; options
given here replace the preset's. Everything goes into runs/NAME: config.toml (a preset that repeats the run),
env.json, metrics.csv, samples and checkpoints, the two newest and the best by the mel distance of the validation.
Recording 8 of every scene class is held out and used for validation only; --holdout takes another, or a class: the
demo's scenes are all recordings 8 and can be trained on with --holdout Woodland. A run may be interrupted (Ctrl-C,
SIGTERM: it finishes its step and saves; or killed) and goes on with --resume as if nothing had been. --replay
repeats a step that went wrong and tells its numbers and the files of its items.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from codec.losses.adversarial import discriminator_pass, frozen
from codec.rvqgan.codec import RVQGAN, Reconstruction
from codec.rvqgan.config import ModelConfig
from codec.side_info.spatial_layer import codebooks_beside
from codec.training import checkpoint
from codec.training.audio_samples import write_samples
from codec.training.config import TrainConfig, check_fit, refuse_other
from codec.training.datasets import open_material
from codec.training.distributed import Processes, processes, signals
from codec.training.excerpts import generator
from codec.training.objective import draw_mel_sample, output_gradient
from codec.training.run_folder import Metrics, alone_in, describe_run, replayed, told
from codec.training.state import State
from codec.training.validation import validate
from render.common.errors import InputError


def learning_rate(config: TrainConfig, step: int) -> float:
    """Warm-up; exponential decay; linear decay to 3 % over the last `decay_share` of the run."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    left = (config.steps - step) / max(config.steps * config.decay_share, 1)
    return config.learning_rate * config.gamma**step * warm * min(1.0, left + 0.03)


def generate(model: RVQGAN, items: Tensor, active_codebooks: Tensor | None, config: TrainConfig) -> Reconstruction:
    """Encode, quantise with the first `active_codebooks` of each item (not at all if None), decode."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(items.device.type, torch.bfloat16, enabled=config.bf16))
        if config.fixed_encoder and active_codebooks is not None:
            stack.enter_context(frozen(model.encoder))
            stack.enter_context(frozen(model.quantizer))
        return model(items, active_codebooks, quantize=active_codebooks is not None)


def quantizer_loss(made: Reconstruction, config: TrainConfig) -> Tensor | None:
    """Return the weighted commitment and codebook loss; None without a quantiser."""
    if made.commitment_loss is None or made.codebook_loss is None:
        return None
    return config.commitment * made.commitment_loss + config.codebook * made.codebook_loss


def read(values: dict[str, Tensor], group: Processes, step: int, strict: bool = True) -> dict[str, float]:
    """Add up over the processes; what is not finite ends the run before a weight is changed."""
    numbers = group.sum(torch.stack([value.float() for value in values.values()])).tolist()
    for name, number in zip(values, numbers, strict=True):
        if strict and not isfinite(number):
            raise InputError(
                f"step {step}: {name.replace('_', ' ')} is {number}; the last checkpoint is kept, "
                f"replay it with --replay {step}"
            )
    return dict(zip(values, numbers, strict=True))


def update(
    state: State, batch: Tensor, config: TrainConfig, group: Processes, random: np.random.Generator, replay: bool
) -> dict[str, float]:
    """One step: the discriminators learn, then the generator, as published; returns losses and gradient norms.

    `batch` holds the items of this process. Its losses are means over items, so those of the parts into which all
    processes divide the batch add up to those of the whole when each is divided by the number of parts. With
    `replay` it ends before the generator's weights are changed, and numbers that are not finite are told.
    """
    model, step = state.model, state.step
    count = group.count * config.accumulate
    size = len(batch) // config.accumulate
    rate_hz, judge = model.config.sample_rate_hz, state.discriminator
    judge = judge if step >= config.adversarial_start else None
    # every process draws for the whole batch
    dropout = torch.Generator().manual_seed(int(random.integers(2**62)))
    used = model.quantizer.draw_active_codebooks(config.batch, dropout, codebooks_beside(model.config))
    used = used[group.rank * len(batch) : (group.rank + 1) * len(batch)]
    sample = draw_mel_sample(config, model.config.channels, random)
    quantized = step >= config.quantizer_start
    parts = [(b, u if quantized else None) for b, u in zip(batch.split(size), used.split(size), strict=True)]
    values: dict[str, Tensor] = {}
    found: dict[str, float] = {}
    made: Reconstruction | None = None

    def add(name: str, value: Tensor) -> None:
        values[name] = values.get(name, 0) + value.detach() / count

    if judge is not None and state.discriminator_optimizer is not None:
        state.discriminator_optimizer.zero_grad(set_to_none=True)
        for items, counted in parts:
            # one pass of the generator serves both networks, unless its graph has to make room for other parts
            with torch.set_grad_enabled(len(parts) == 1):
                made = generate(model, items, counted, config)
            with torch.autocast(items.device.type, torch.bfloat16, enabled=config.bf16):
                loss = discriminator_pass(judge, items, made.audio)
            (loss / count).backward()
            add("discriminator", loss)
        group.sum_gradients(judge)
        norm = clip_grad_norm_(judge.parameters(), config.discriminator_clip_norm)
        values["discriminator_gradient_norm"] = norm / group.count
        found = read(values, group, step + 1, strict=not replay)
        values.clear()
        if not all(map(isfinite, found.values())):
            return found
        state.discriminator_optimizer.step()

    state.optimizer.zero_grad(set_to_none=True)
    codes, latents = [], []
    for items, counted in parts:
        if made is None or len(parts) > 1:
            made = generate(model, items, counted, config)
        with torch.autocast(items.device.type, torch.bfloat16, enabled=config.bf16):
            losses, gradient = output_gradient(
                items, made.audio, rate_hz, config, sample, state.norms, judge, group
            )
        loss = quantizer_loss(made, config)
        if loss is None or not loss.requires_grad:
            made.audio.backward(gradient / count)
        else:
            torch.autograd.backward([made.audio, loss / count], [gradient / count, None])
        if loss is not None and made.codes is not None:
            losses["quantizer"] = loss
            codes.append(made.codes)
        latents.append(made.latents.detach())
        for name, loss in losses.items():
            add(name, loss)
    group.sum_gradients(model)
    values["gradient_norm"] = clip_grad_norm_(model.parameters(), config.clip_norm) / group.count
    found |= read(values, group, step + 1, strict=not replay)
    if replay:
        return found
    state.optimizer.step()
    state.step += 1
    if codes:
        state.usage.update(group.gather(torch.cat(codes)))
        decaying = state.step > config.steps * (1 - config.decay_share)
        revives = config.revive_every and not config.fixed_encoder
        if revives and state.step % config.revive_every == 0 and not decaying:
            state.usage.revive(group.gather(torch.cat(latents)), torch.Generator().manual_seed(state.step))
            group.share([*model.quantizer.parameters(), state.usage.usage])
    state.average()
    return found


def train(
    model_config: ModelConfig, config: TrainConfig, data: list[Path], folder: Path, resume: bool, until: int,
    *, extend: bool = False, replay: int | None = None, device: str | None = None,
) -> None:  # fmt: skip
    """Train up to step `until` of `config.steps`, from the newest checkpoint in `folder` if `resume`.

    With `extend` the run may have had another number of steps; with `replay` the step of that number is repeated
    from the newest checkpoint before it, and told about, without writing anything.
    """
    with processes(device) as group, ExitStack() as stack:
        # float32 means float32; bf16 is what makes it fast
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        on_gpu = group.device.type == "cuda"
        if config.batch % (group.count * config.accumulate):
            raise InputError(
                f"batch = {config.batch} cannot be divided among {group.count} processes x accumulate = "
                f"{config.accumulate}"
            )
        check_fit(model_config, config)
        material, checks = open_material(data, model_config, config, folder, group)
        received = stack.enter_context(signals())
        state = State(model_config, config)
        about = dict(model=model_config.as_json(), train=asdict(config))
        steps = checkpoint.steps(folder / "checkpoints") if resume or replay else []
        steps = [step for step in steps if replay is None or step < replay]
        sums: dict[str, Tensor] = {}
        if steps:
            groups, stored = checkpoint.load(folder / "checkpoints" / f"{steps[-1]:07d}")
            refuse_other(stored, model_config, config, extend, str(folder))
            state.to(group.device)
            sums = state.restore(groups, steps[-1])
            _say(group, f"resumed at step {state.step}")
        else:
            if group.is_first:
                state.initialise(material.batch(0, min(96, 24 * config.batch), purpose=1))
            state.to(group.device)
            group.share(state.tensors())
            if config.initialisation == "pca":
                found = validate(state.model, checks, config.validation_per_recording, False, group)
                _say(group, f"PCA initialisation, without quantiser: {told(found)}")
        metrics = None
        if group.is_first and not replay:
            stack.enter_context(alone_in(folder))
            describe_run(folder, model_config, config, data)  # not before all of it could be opened
            metrics = Metrics(folder, model_config, config, state.step, until)
            metrics.restore(sums)
        best = checkpoint.best(folder / "checkpoints").get("val_mel", float("inf"))
        ahead = material.ahead(state.step, config.batch // group.count, rank=group.rank, pin=on_gpu)
        draws = stack.enter_context(closing(ahead))
        while state.step < until:
            if 0 < state.step == config.quantizer_start:
                if group.is_first:
                    left = state.fit_codebooks(material, group.device)
                    _say(group, f"k-means codebooks: {left:.3f} of the variance of the latents left")
                group.share(state.tensors())
            rate = learning_rate(config, state.step)
            for optimizer in (state.optimizer, state.discriminator_optimizer):
                for settings in optimizer.param_groups if optimizer else ():
                    settings["lr"] = rate
            batch = next(draws).to(group.device)
            random = generator(config.seed, state.step, purpose=2)
            if replay == state.step + 1:
                losses = update(state, batch, config, group, random, replay=True)
                sources = material.sources(state.step, config.batch)
                _say(group, "\n".join(replayed(state, losses, sources)))
                return
            losses = update(state, batch, config, group, random, replay=False)
            if replay:
                continue
            step, ends = state.step, state.step == until
            if metrics:
                metrics.add(step, losses)
            if ends or _due(step, config.validate_every):
                quantized = step > config.quantizer_start
                found = validate(state.validated, checks, config.validation_per_recording, quantized, group)
                perplexity = state.usage.perplexity()
                row = {"perplexity": float(perplexity.mean()), "perplexity_min": float(perplexity.min())}
                row |= {f"val_{name}": value for name, value in found.items()}
                if metrics:
                    metrics.write(step, rate, row)
                    if quantized and found["mel"] < best:
                        best = found["mel"]
                        networks = {"ema": state.ema} if state.ema else {"model": state.model}
                        weights = {name: network.state_dict() for name, network in networks.items()}
                        checkpoint.save_best(folder / "checkpoints", step, weights, {**about, "val_mel": best})
            elif metrics and _due(step, config.log_every):
                metrics.write(step, rate, {})
            if metrics and (_due(step, config.sample_every) or (ends and config.sample_every)):
                write_samples(state.validated, checks, step > config.quantizer_start, folder / "samples", step)
            stop = bool(group.sum(torch.tensor(float(len(received)), device=group.device)))
            if metrics and (ends or stop or _due(step, config.checkpoint_every)):
                checkpoint.save(folder / "checkpoints", step, state.checkpoint(metrics.state()), about)
            if stop and not ends:
                _say(group, f"interrupted: {folder} is saved at step {step} and can be resumed there")
                raise SystemExit(130)


def _due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0


def _say(group: Processes, text: str) -> None:
    if group.is_first:
        print(text, flush=True)
