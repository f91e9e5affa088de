"""The mel distance against the published loss and closed forms."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from codec.losses.covariance import covariance_distance
from codec.losses.mel import MEL_SCALES, mel_distance, mel_filter_bank
from render.hoa.spherical_harmonics import mirror_signs

RATE = 44_100
GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "dac" / "training.json").read_text())


@pytest.mark.parametrize("level_db", [-10, -70])
def test_mel_is_the_published_loss(level_db):
    """Golden values of the stock loss; at -70 dB most magnitudes lie near the clamp."""
    count = torch.arange(1, 2 * 4 * 12_000 + 1, dtype=torch.float64)
    x, other = (
        (torch.frac((count + seed) ** 1.3 * 0.6180339887498949) - 0.5).view(2, 4, -1).float() for seed in (1, 9)
    )
    gain = 10 ** (level_db / 20)
    given = mel_distance(gain * x, gain * x + 0.3 * gain * other, RATE)
    assert given.item() == pytest.approx(GOLDEN["mel"][str(level_db)], rel=1e-6)


def test_mel_is_blind_to_a_mirrored_scene_and_covariance_is_not(correlated_scene):
    x = correlated_scene()
    mirrored = x * torch.tensor(mirror_signs(3), dtype=torch.float32)[:, None]
    assert mel_distance(x, mirrored, RATE) < 1e-5
    assert covariance_distance(x, mirrored) > 5


def test_mel_of_a_gain(noise):
    """A gain of g dB moves every unclamped log10 magnitude by g/20: seven scales give 7·g/20."""
    x = 100 * noise(0, 1, 2, 44_100)
    assert mel_distance(x, 2 * x, RATE).item() == pytest.approx(7 * np.log10(2), rel=1e-4)


def test_mel_clamp_hides_what_lies_below_it(noise):
    x = 1e-9 * noise(0, 1, 1, 8192)
    assert mel_distance(x, 10 * x, RATE) == 0


def test_mel_filters_against_librosas_construction():
    """Area-normalised triangles: each integrates to 1 over frequency; centres follow Slaney's mel scale."""
    for window, bands in MEL_SCALES:
        bank = mel_filter_bank(RATE, window, bands)
        assert bank.shape == (bands, window // 2 + 1)
        assert (bank.max(axis=1) > 0).all()
    fine = mel_filter_bank(RATE, 65_536, 40)
    np.testing.assert_allclose(fine.sum(axis=1) * RATE / 65_536, 1, rtol=2e-3)
    # librosa.mel_frequencies(42, fmin=0, fmax=22050), values 1, 11 and 31 (librosa 0.11 documentation's scale)
    centres = np.argmax(fine, axis=1) * RATE / 65_536
    mel = np.linspace(0, 15 + np.log(22.05) * 27 / np.log(6.4), 42)[1:-1]
    assert centres[0] == pytest.approx(mel[0] * 200 / 3, abs=1)
    assert centres[30] == pytest.approx(1000 * np.exp((mel[30] - 15) * np.log(6.4) / 27), rel=1e-3)


def test_a_subset_of_scales_estimates_the_whole(noise):
    x, y = 0.1 * noise(0, 1, 2, 16_384), 0.1 * noise(1, 1, 2, 16_384)
    single = [mel_distance(x, y, RATE, (scale,)).item() for scale in MEL_SCALES]
    assert np.mean(single) == pytest.approx(mel_distance(x, y, RATE).item(), rel=1e-5)
