"""One update of a training run: discriminator step, generator step, codebooks and moving average."""

from __future__ import annotations

from contextlib import ExitStack
from math import isfinite
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from codec.coding.front_end import front_end_of
from codec.losses.adversarial import discriminator_pass, frozen
from codec.rvqgan.codec import RVQGAN, Reconstruction
from codec.training.balancer import weighted_gradient
from codec.training.config import LossSettings, TrainConfig
from codec.training.distributed import Processes
from codec.training.excerpts import Purpose, random_generator
from codec.training.objective import draw_mel_subset, generator_losses
from codec.training.state import State
from render.common.errors import InputError


class NonFiniteError(InputError):
    """A loss or gradient of a step is infinite or NaN; no weight of the network concerned was changed.

    Attributes
    ----------
    step : int
    losses : dict of float
        All losses and gradient norms of the step up to the first that is not finite.
    """

    def __init__(self, step: int, losses: dict[str, float]):
        name, value = next((name, value) for name, value in losses.items() if not isfinite(value))
        super().__init__(
            f"step {step}: {name.replace('_', ' ')} is {value}; the last checkpoint is kept, replay the step with "
            f"--replay {step}"
        )
        self.step, self.losses = step, losses


class MicroBatch(NamedTuple):
    """Items that pass the networks together.

    Attributes
    ----------
    audio : float32 (item, channel, time)
    active_codebooks : int64 (item,) or None
        Number of codebooks that contribute to each item (quantiser dropout); None: no quantiser.
    """

    audio: Float[Tensor, "item channel time"]
    active_codebooks: Int[Tensor, " item"] | None


def generate(model: RVQGAN, micro_batch: MicroBatch, config: TrainConfig) -> Reconstruction:
    """Encode, quantise and decode; without gradients for encoder and quantiser if the encoder is fixed."""
    audio, active_codebooks = micro_batch
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(audio.device.type, torch.bfloat16, enabled=config.bf16))
        if config.fixed_encoder and active_codebooks is not None:
            stack.enter_context(frozen(model.encoder))
            stack.enter_context(frozen(model.quantizer))
        return model(audio, active_codebooks, quantize=active_codebooks is not None)


def quantizer_loss(reconstruction: Reconstruction, config: LossSettings) -> Float[Tensor, ""] | None:
    """Return the weighted sum of commitment and codebook loss; None without quantiser."""
    if reconstruction.commitment_loss is None or reconstruction.codebook_loss is None:
        return None
    return config.commitment * reconstruction.commitment_loss + config.codebook * reconstruction.codebook_loss


def update(
    state: State, batch: Float[Tensor, "item channel time"], config: TrainConfig, group: Processes
) -> dict[str, float]:
    """Update the discriminators, then the generator, as published (Kumar et al. 2023).

    All losses are means over items. Those of the micro-batches of all processes, each divided by the number of
    micro-batches, therefore sum to the loss of the whole batch.

    Parameters
    ----------
    state : State
    batch : float32 (item, channel, time)
        The items of this process.
    config : TrainConfig
    group : Processes

    Returns
    -------
    dict of float
        Losses and gradient norms, the same in every process.

    Raises
    ------
    NonFiniteError
        If one of them is not finite.
    """
    model, step = state.model, state.step
    random = random_generator(config.seed, step, Purpose.UPDATE)
    # Every process draws the quantiser dropout of the whole batch and takes its part
    dropout = torch.Generator().manual_seed(int(random.integers(2**62)))
    # of a file without coefficients: those of others have room for fewer, which the dropout trains, too
    available = front_end_of(model.config).codebooks_available
    active = model.quantizer.draw_active_codebooks(config.batch, dropout, available)
    active = active[group.rank * len(batch) :][: len(batch)]
    mel_subset = draw_mel_subset(config, model.config.channels, random)
    size = len(batch) // config.accumulate
    micro_batches = [
        MicroBatch(audio, counts if step >= config.quantizer_start else None)
        for audio, counts in zip(batch.split(size), active.split(size), strict=True)
    ]
    total = group.count * config.accumulate
    discriminator = state.discriminator if step >= config.adversarial_start else None
    losses: dict[str, float] = {}
    generated: Reconstruction | None = None

    # Discriminator step
    if discriminator is not None and state.discriminator_optimizer is not None:
        state.discriminator_optimizer.zero_grad(set_to_none=True)
        means: dict[str, Tensor] = {}
        for micro_batch in micro_batches:
            # A single micro-batch is generated once for both steps; the graphs of several would need the memory
            with torch.set_grad_enabled(len(micro_batches) == 1):
                generated = generate(model, micro_batch, config)
            with torch.autocast(batch.device.type, torch.bfloat16, enabled=config.bf16):
                loss = discriminator_pass(discriminator, micro_batch.audio, generated.audio)
            (loss / total).backward()
            _accumulate(means, {"discriminator": loss}, total)
        group.all_reduce_gradients(discriminator)
        norm = clip_grad_norm_(discriminator.parameters(), config.discriminator_clip_norm)
        losses |= _all_reduced(means | {"discriminator_gradient_norm": norm / group.count}, group)
        _require_finite(losses, step + 1)
        state.discriminator_optimizer.step()

    # Generator step
    state.optimizer.zero_grad(set_to_none=True)
    means, codes, latents = {}, [], []
    for micro_batch in micro_batches:
        if generated is None or len(micro_batches) > 1:
            generated = generate(model, micro_batch, config)
        output = generated.audio.detach().requires_grad_()
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=config.bf16):
            found = generator_losses(
                micro_batch.audio, output, model.config.sample_rate_hz, config, mel_subset, discriminator
            )
            if config.balance:
                gradient = state.balancer.gradient(found, output, config.weights, group, config.accumulate)
            else:
                gradient = weighted_gradient(found, output, config.weights)
        code_loss = quantizer_loss(generated, config)
        if code_loss is None or not code_loss.requires_grad:
            generated.audio.backward(gradient / total)
        else:
            torch.autograd.backward([generated.audio, code_loss / total], [gradient / total, None])
        if code_loss is not None and generated.codes is not None:
            found["quantizer"] = code_loss
            codes.append(generated.codes)
        latents.append(generated.latents.detach())
        _accumulate(means, found, total)
    group.all_reduce_gradients(model)
    norm = clip_grad_norm_(model.parameters(), config.clip_norm)
    losses |= _all_reduced(means | {"gradient_norm": norm / group.count}, group)
    _require_finite(losses, step + 1)
    state.optimizer.step()
    state.step += 1

    # Codebooks and moving average
    if codes:
        state.usage.update(group.all_gather(torch.cat(codes)))
        rate_decays = state.step > config.steps * (1 - config.decay_share)
        revives = config.revive_every and not config.fixed_encoder and not rate_decays
        if revives and state.step % config.revive_every == 0:
            state.usage.revive(group.all_gather(torch.cat(latents)), torch.Generator().manual_seed(state.step))
            group.broadcast([*model.quantizer.parameters(), state.usage.usage])
    state.update_ema(config.ema)
    return losses


def _accumulate(means: dict[str, Tensor], losses: dict[str, Tensor], total: int) -> None:
    """Add the losses of one of `total` micro-batches to their means."""
    for name, loss in losses.items():
        means[name] = means.get(name, 0) + loss.detach() / total


def _all_reduced(means: dict[str, Tensor], group: Processes) -> dict[str, float]:
    """Return the sums over all processes as numbers."""
    numbers = group.all_reduce_sum(torch.stack([value.float() for value in means.values()])).tolist()
    return dict(zip(means, numbers, strict=True))


def _require_finite(losses: dict[str, float], step: int) -> None:
    if not all(map(isfinite, losses.values())):
        raise NonFiniteError(step, losses)
