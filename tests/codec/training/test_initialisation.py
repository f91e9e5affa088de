"""What the closed-form starting points promise."""

from dataclasses import replace

import pytest
import torch

from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.training.initialisation import kmeans, pca


def low_passed_scenes(seed=0, items=6, channels=16, frames=8192):
    """Correlated channels whose energy lies at low frequencies, like recordings; channel 15 is weak."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft(torch.randn(items, channels, frames, generator=generator))
    spectrum = spectrum / (1 + (torch.arange(spectrum.shape[-1]) / 40) ** 2)
    mixing = torch.eye(channels) + 0.3 * torch.randn(channels, channels, generator=generator)
    x = mixing @ torch.fft.irfft(spectrum)
    x[:, 15] *= 0.05
    return 0.06 * x / x[:, 0].std()


CONFIG = ModelConfig(encoder_dim=16, decoder_dim=256, latent_dim=64, codebooks=3, codebook_size=64, dilations=(1,))


def test_pca_passes_the_waveform_where_default_weights_do_not():
    x = low_passed_scenes()
    torch.manual_seed(0)
    model = RVQGAN(CONFIG)
    with torch.no_grad():
        before = model.decoder(model.encoder(x))
    assert 10 * torch.log10(x.square().sum() / (x - before).square().sum()) < 0.5
    assert pca(model, x, torch.Generator().manual_seed(0)) > 6
    other = low_passed_scenes(seed=0)[:2] * 0.5  # another level: the start is linear
    with torch.no_grad():
        error = other - model.decoder(model.encoder(other))
    assert 10 * torch.log10(other.square().sum() / error.square().sum()) > 6


def test_pca_takes_other_channel_counts_and_wider_decoders():
    config = ModelConfig(
        channels=2,
        encoder_dim=8,
        decoder_dim=256,
        strides=(2, 4, 8),
        latent_dim=32,
        codebooks=2,
        dilations=(),
    )
    model = RVQGAN(config)
    assert pca(model, low_passed_scenes(channels=16)[:, :2], torch.Generator().manual_seed(0)) > 6


def test_kmeans_of_clusters_finds_them():
    """Latents that take 20 values only are coded without error by codebooks of 64 codes."""
    torch.manual_seed(0)
    model = RVQGAN(CONFIG)
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(20, 64, generator=generator)
    latents = directions[torch.randint(20, (3000,), generator=generator)]
    assert kmeans(model, latents, generator, iterations=15) < 0.35
    noise = torch.randn(3000, 64, generator=generator)
    assert kmeans(model, noise, generator) > 0.6  # 3 codebooks of 8 dimensions cannot code 64 noises
    with torch.no_grad():
        codes = model.quantizer.encode(noise.t()[None])[0]
    for book in codes:
        assert len(book.unique()) == 64  # no dead code at the start


def test_kmeans_reports_the_residual_of_the_quantiser():
    torch.manual_seed(0)
    model = RVQGAN(CONFIG)
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(2000, 64, generator=generator) @ torch.diag(torch.linspace(2, 0, 64))
    left = kmeans(model, latents, generator)
    with torch.no_grad():
        coded = model.quantizer.decode(model.quantizer.encode(latents.t()[None]))[0].t()
    expected = (latents - coded).square().sum() / (latents - latents.mean(0)).square().sum()
    assert left == pytest.approx(expected.item(), rel=1e-3)


def test_pca_of_a_model_with_a_tanh():
    x = low_passed_scenes()
    model = RVQGAN(replace(CONFIG, output_tanh=True))
    assert pca(model, x, torch.Generator().manual_seed(0)) > 6
