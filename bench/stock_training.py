"""The published training step with 16 channels, written plainly, as the baseline of bench/train_step.py.

The networks are those of the stock package (bench/stock_dac.py), with the first and last convolutions replaced by
convolutions of C channels. The step follows the published loop and its configuration: the discriminator is updated
first, then the generator; AdamW; gradients are clipped; the STFT and waveform losses are computed although their
weights are 0. The paper's covariance loss is added, and so is its common gain for all channels in front of the
discriminator, so that both steps have the same losses. The package's `AudioSignal` cannot be imported (see
stock_dac), so its STFT is repeated here.
"""

from __future__ import annotations

import importlib
import types
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, pad

from codec.losses.mel import MEL_SCALES, mel_filter_bank

WEIGHTS = dict(mel=15.0, feature=2.0, adversarial=1.0, quantizer=1.0, covariance=1.0)
RATE_HZ = 44_100


def stock_discriminator(channels: int, shrink: int = 1) -> Any:
    """Return the stock discriminator for C channels; `shrink` divides its widths.

    The stock package must have been imported with `bench.stock_dac.stock`.
    """
    module = importlib.import_module("dac.model.discriminator")
    module.STFTParams = types.SimpleNamespace

    def replaced(layer: nn.Module, first: bool = False, last: bool = False) -> nn.Module:
        old = layer if last else layer[0]
        return module.WNConv2d(
            old.in_channels * channels if first else old.in_channels // shrink,
            channels if last else old.out_channels // shrink,
            old.kernel_size, old.stride, padding=old.padding, act=not last,
        )  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old weight norm is deprecated
        network = module.Discriminator(sample_rate=RATE_HZ)
        for part in network.discriminators:
            stacks = [part.convs] if hasattr(part, "convs") else part.band_convs
            for stack in stacks:
                for index, layer in enumerate(stack):
                    stack[index] = replaced(layer, first=index == 0)
            part.conv_post = replaced(part.conv_post, last=True)
            if hasattr(part, "band_convs"):
                part.spectrogram = types.MethodType(_spectrogram, part)
    network.preprocess = types.MethodType(_preprocess, network)
    return network


def _preprocess(_, y: Tensor) -> Tensor:
    y = y - y.mean(dim=-1, keepdim=True)
    return 0.8 * y / (y.abs().amax((1, 2), keepdim=True) + 1e-9)


def _spectrogram(part: Any, x: Tensor) -> list[Tensor]:
    window, hop = part.window_length, part.window_length // 4
    right = -x.shape[-1] % hop
    edge = (window - hop) // 2
    complex_ = _stft(pad(x, (edge, edge + right), "reflect"), window)[..., 2:-2]
    parts = torch.view_as_real(complex_).permute(0, 1, 4, 3, 2).flatten(1, 2)
    return [parts[..., low:high] for low, high in part.bands]


def _stft(x: Tensor, window: int) -> Tensor:
    hann = torch.hann_window(window, device=x.device)
    flat = x.float().reshape(-1, x.shape[-1])
    spectrum = torch.stft(flat, window, window // 4, window=hann, center=True, return_complex=True)
    return spectrum.reshape(*x.shape[:2], *spectrum.shape[1:])


def _mel_loss(x: Tensor, y: Tensor) -> Tensor:
    loss = torch.zeros((), device=x.device)
    for window, _ in MEL_SCALES:
        filters = FILTERS[window].to(x.device)
        mels = [(_stft(s, window).abs().transpose(2, 3) @ filters.T).transpose(2, 3) for s in (x, y)]
        loss = loss + l1_loss(*(mel.clamp(1e-5).log10() for mel in mels))
    return loss


FILTERS = {
    window: torch.tensor(mel_filter_bank(RATE_HZ, window, bands), dtype=torch.float32)
    for window, bands in MEL_SCALES
}


def _stft_loss(x: Tensor, y: Tensor) -> Tensor:
    loss = torch.zeros((), device=x.device)
    for window in (2048, 512):
        magnitudes = [_stft(s, window).abs() for s in (x, y)]
        loss = loss + l1_loss(*(m.clamp(1e-5).pow(2).log10() for m in magnitudes)) + l1_loss(*magnitudes)
    return loss


def _covariance_loss(x: Tensor, y: Tensor) -> Tensor:
    matrices = []
    for signal in (x.float(), y.float()):
        centred = signal - signal.mean(-1, keepdim=True)
        covariance = centred @ centred.transpose(1, 2) / signal.shape[-1]
        scale = (torch.diagonal(covariance, dim1=1, dim2=2) + 1e-8).rsqrt()
        matrices.append(covariance * scale[:, :, None] * scale[:, None, :])
    return 0.5 * (matrices[0] - matrices[1]).abs().sum((1, 2)).mean()


def optimizers(
    generator: nn.Module, discriminator: nn.Module
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """AdamW as published, for the generator and for the discriminator."""
    made = [torch.optim.AdamW(m.parameters(), lr=1e-4, betas=(0.8, 0.99)) for m in (generator, discriminator)]
    return made[0], made[1]


def step(
    generator: Any, discriminator: Any, made: tuple[torch.optim.Optimizer, ...], real: Tensor, half_precision: bool
) -> dict[str, Tensor]:
    """One training step; returns every loss and the norms of the gradients."""
    half = torch.autocast(real.device.type, torch.bfloat16, enabled=half_precision)
    full = torch.autocast(real.device.type, enabled=False)
    losses = {}
    with half:
        out = generator(real, RATE_HZ)
        fake = out["audio"]
        losses["quantizer"] = 0.25 * out["vq/commitment_loss"] + 1.0 * out["vq/codebook_loss"]
        fake_maps, real_maps = discriminator(fake.detach()), discriminator(real)
        losses["discriminator"] = sum(
            (f[-1] ** 2).mean() + ((1 - r[-1]) ** 2).mean() for f, r in zip(fake_maps, real_maps, strict=True)
        )
    made[1].zero_grad()
    losses["discriminator"].backward()
    losses["discriminator_gradient_norm"] = nn.utils.clip_grad_norm_(discriminator.parameters(), 10.0)
    made[1].step()

    with full:
        losses["stft"] = _stft_loss(fake, real)
        losses["mel"] = _mel_loss(fake, real)
        losses["waveform"] = l1_loss(fake, real)
        losses["covariance"] = _covariance_loss(fake, real)
    with half:
        fake_maps, real_maps = discriminator(fake), discriminator(real)
        losses["adversarial"] = sum(((1 - f[-1]) ** 2).mean() for f in fake_maps)
        losses["feature"] = sum(
            l1_loss(f, r.detach())
            for fs, rs in zip(fake_maps, real_maps, strict=True)
            for f, r in zip(fs[:-1], rs[:-1], strict=True)
        )
    made[0].zero_grad()
    sum(weight * losses[name] for name, weight in WEIGHTS.items()).backward()
    losses["gradient_norm"] = nn.utils.clip_grad_norm_(generator.parameters(), 1e3)
    made[0].step()
    return losses
