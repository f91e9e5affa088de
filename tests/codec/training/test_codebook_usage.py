"""Usage of the codes: its average, its perplexity, the revival of dead codes."""

import numpy as np
import torch
from scipy.stats import entropy

from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.training.codebook_usage import CodebookUsage

CONFIG = ModelConfig(encoder_dim=16, decoder_dim=256, latent_dim=64, codebooks=3, codebook_size=64, dilations=(1,))


def test_dead_codes_are_revived_to_where_latents_are():
    torch.manual_seed(0)
    model = RVQGAN(CONFIG)
    usage = CodebookUsage(model, decay=0.5)
    latents = torch.randn(2, 64, 300)
    with torch.no_grad():
        for quantizer in model.quantizer.quantizers:
            quantizer.codebook.weight[10:] = -100.0  # one direction: almost all of them are dead
    for _ in range(12):
        usage.update(model.quantizer.encode(latents))
    low = usage.perplexity()
    assert usage.revive(latents, torch.Generator().manual_seed(0)) > 3 * 40
    for _ in range(12):
        usage.update(model.quantizer.encode(latents))
    assert (usage.perplexity() > 2 * low).all()


def test_perplexity_is_the_number_of_codes_in_equal_use():
    """exp(H): k equally frequent codes give k; for others, the entropy computed with scipy."""
    usage = CodebookUsage(RVQGAN(CONFIG), decay=0.0)
    generator = torch.Generator().manual_seed(0)
    skewed = (-3 * torch.rand(960, generator=generator).log()).long().clamp_max(63)
    codes = torch.stack([torch.arange(960) % 64, torch.arange(960) % 5, skewed])
    codes = codes[:, torch.randperm(960, generator=generator)]
    usage.update(codes[None])
    expected = float(np.exp(entropy(np.bincount(skewed))))
    torch.testing.assert_close(usage.perplexity(), torch.tensor([64.0, 5.0, expected]), rtol=1e-4, atol=1e-4)


def test_usage_forgets_exponentially():
    usage = CodebookUsage(RVQGAN(CONFIG), decay=0.9)
    for _ in range(3):
        usage.update(torch.zeros(2, 3, 10, dtype=torch.long))
    torch.testing.assert_close(usage.usage[:, 1], torch.full((3,), 0.9**3 / 64))
    torch.testing.assert_close(usage.usage.sum(1), torch.ones(3))


def test_codes_in_use_are_not_revived():
    torch.manual_seed(0)
    model = RVQGAN(CONFIG)
    usage = CodebookUsage(model)
    before = [q.codebook.weight.clone() for q in model.quantizer.codebooks]
    assert usage.revive(torch.randn(1, 64, 50), torch.Generator().manual_seed(0)) == 0
    assert all(torch.equal(a, q.codebook.weight) for a, q in zip(before, model.quantizer.codebooks, strict=True))
    usage.usage[1, 7] = 0.0
    assert usage.revive(torch.randn(1, 64, 50), torch.Generator().manual_seed(0)) == 1
    changed = [
        (a != q.codebook.weight).any(1).nonzero().flatten().tolist()
        for a, q in zip(before, model.quantizer.codebooks, strict=True)
    ]
    assert changed == [[], [7], []]
