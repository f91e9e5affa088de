"""What a training step needs of one GPU, counted: operations, memory, and an estimate of its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from codec.losses.adversarial import discriminator_pass
from codec.rvqgan.codec import RVQGAN, count_parameters
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.discriminator import Discriminator
from codec.training.config import TrainConfig
from codec.training.objective import draw_mel_subset, generator_losses
from codec.training.update import MicroBatch, generate, quantizer_loss

# Data sheet of an H100 SXM of 80 GB: operations per second (tensor cores: dense), bytes per second of its memory
BFLOAT16_PER_S, TF32_PER_S, FLOAT32_PER_S, MEMORY_PER_S = 989e12, 495e12, 67e12, 3.35e12
# Assumed, until a step has been measured there
SHARE_OF_RATE = 0.4
PASSES = 6  # of every kept activation over the memory: written, read twice, and its gradient as often
BACKWARD_SHARE = 0.15  # of the activations, for the gradients that exist at one time
WORKSPACE_BYTES = 3e9  # of CUDA and cuDNN
VALUES_PER_WEIGHT = 4  # weight, gradient and AdamW's two moments, float32


@dataclass(frozen=True)
class StepCost:
    """Counts of the last phase of a run, with quantiser and discriminators, in which a step costs most.

    Attributes
    ----------
    operations : float
        Floating-point operations of convolutions and matrix products of a step with all its items, two for each
        multiplication with addition.
    activation_bytes : float
        What the items of one micro-batch keep for the gradients of the generator's step.
    state_bytes : float
        Weights, gradients and moments of generator and discriminators, and the moving average.
    micro_batches : int
    operations_per_s : float
        Rate of the arithmetic that the settings ask for, by the data sheet.
    """

    operations: float
    activation_bytes: float
    state_bytes: float
    micro_batches: int
    operations_per_s: float

    @property
    def memory_bytes(self) -> float:
        """Estimate of the memory of a GPU that makes the whole step."""
        return self.state_bytes + (1 + BACKWARD_SHARE) * self.activation_bytes + WORKSPACE_BYTES

    @property
    def seconds(self) -> float:
        """Estimate of the time of a step on one H100, not a measurement."""
        moved = PASSES * self.activation_bytes * self.micro_batches
        return self.operations / (SHARE_OF_RATE * self.operations_per_s) + moved / MEMORY_PER_S


def step_cost(model_config: ModelConfig, config: TrainConfig) -> StepCost:
    """Count a step of a preset.

    Two short excerpts pass the networks on the CPU; what the longer one needs in addition is that of every sample.
    On the CPU as on CUDA, Snake keeps its input alone.
    """
    torch.manual_seed(0)
    model = RVQGAN(model_config)
    discriminator_config = config.discriminator_config(model_config)
    discriminator = Discriminator(discriminator_config) if discriminator_config else None
    shortest = max(2048, discriminator_config.min_length if discriminator_config else 0)
    short = shortest + -shortest % model_config.hop
    of_short, of_long = (_count(model, discriminator, config, length) for length in (short, 2 * short))
    scale = config.excerpt_frames / short
    generation, others, activations = ((b - a) * scale for a, b in zip(of_short, of_long, strict=True))
    # With several micro-batches the items are generated once more for the discriminators' step (`update`)
    generations = 1 if discriminator is not None and config.accumulate > 1 else 0
    weights = count_parameters(model) + (count_parameters(discriminator) if discriminator else 0)
    averages = count_parameters(model) if config.ema else 0
    rate = BFLOAT16_PER_S if config.bf16 else TF32_PER_S if config.tf32 else FLOAT32_PER_S
    return StepCost(
        config.batch * (generation * (1 + generations) + others),
        config.batch / config.accumulate * activations,
        4.0 * (VALUES_PER_WEIGHT * weights + averages),
        config.accumulate,
        rate,
    )


def _count(
    model: RVQGAN, discriminator: Discriminator | None, config: TrainConfig, length: int
) -> tuple[float, float, float]:
    """Return the operations of generating one item, those of the rest of its step, and the bytes it keeps."""
    audio = 0.1 * torch.randn(1, model.config.channels, length)
    mel_subset = draw_mel_subset(config, model.config.channels, np.random.default_rng(0))
    with FlopCounterMode(display=False) as counter:
        with _kept_storage() as kept:
            generated = generate(model, MicroBatch(audio, torch.tensor([model.config.codebooks])), config)
            generation = counter.get_total_flops()
            output = generated.audio.detach().requires_grad_()
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
                losses = generator_losses(
                    audio, output, model.config.sample_rate_hz, config, mel_subset, discriminator
                )
            activations = sum(kept.values())
        # The balancer goes back through the discriminators for each loss
        for end in losses.values() if config.balance else [torch.stack(list(losses.values())).sum()]:
            end.backward(retain_graph=True)
        code_loss = quantizer_loss(generated, config)
        ends = (
            [generated.audio] if code_loss is None or not code_loss.requires_grad else [generated.audio, code_loss]
        )
        torch.autograd.backward(ends, [output.grad, None][: len(ends)])
        if discriminator is not None:
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
                loss = discriminator_pass(discriminator, audio, output)
            loss.backward()
        whole = counter.get_total_flops()
    return generation, whole - generation, activations


@contextmanager
def _kept_storage() -> Iterator[dict[int, int]]:
    """Yield a dictionary to which the storages that autograd keeps are added: address to bytes."""
    kept: dict[int, int] = {}
    alive = []  # so that no address is used twice

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept
