"""The numbers of a model's card."""

import numpy as np
import pytest
import torch

from codec.coding.pipeline import decode, encode
from codec.losses.covariance import covariance_distance
from codec.losses.mel import mel_distance
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.training.export import measure
from render.hoa.scene import Scene

TINY = ModelConfig(
    channels=4,
    encoder_dim=4,
    decoder_dim=16,
    strides=(2, 4),
    latent_dim=8,
    codebooks=2,
    codebook_size=16,
    codebook_dim=4,
)


def test_what_was_decoded_is_held_against_its_original_and_against_the_nearest_other():
    torch.manual_seed(1)
    model = RVQGAN(TINY).fold_weight_norm().eval().requires_grad_(False)
    generator = np.random.default_rng(1)
    signals = {
        name: Scene((level * generator.standard_normal((4, 22_050))).astype(np.float32), 44_100)
        for name, level in (("soft", 0.01), ("loud", 0.1), ("louder", 0.3))
    }
    originals = {name: torch.from_numpy(signal.samples)[None] for name, signal in signals.items()}
    rows = measure(model, signals)
    for name, signal in signals.items():
        decoded = torch.from_numpy(decode(model, b"measured", encode(model, b"measured", signal)).samples)[None]
        mel = {other: float(mel_distance(original, decoded, 44_100)) for other, original in originals.items()}
        eq3 = {other: float(covariance_distance(original, decoded)) for other, original in originals.items()}
        assert rows[name]["mel"] == pytest.approx(mel.pop(name), abs=6e-4)
        assert rows[name]["mel_to_nearest_other"] == pytest.approx(min(mel.values()), abs=6e-4)
        assert rows[name]["covariance"] == pytest.approx(eq3.pop(name), abs=6e-3)
        assert rows[name]["covariance_to_nearest_other"] == pytest.approx(min(eq3.values()), abs=6e-3)
