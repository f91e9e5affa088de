"""Losses between waveforms against closed forms."""

import numpy as np
import pytest
import torch

from codec.losses.waveform import squared_error_distance, waveform_distance


def test_squared_error_distance_is_noise_over_signal_and_blind_to_an_orthogonal_turn():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 8000, generator=generator) * torch.tensor([1.0, 0.1, 0.01, 0.3])[:, None]
    assert squared_error_distance(x, x) == 0
    assert squared_error_distance(x, 0 * x).item() == pytest.approx(1, rel=1e-6)
    y = x + 0.2 * torch.randn(x.shape, generator=generator)
    expected = np.mean([float((a - b).square().sum() / a.square().sum()) for a, b in zip(x, y, strict=True)])
    assert squared_error_distance(x, y).item() == pytest.approx(expected, rel=1e-5)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q
    assert squared_error_distance(turn @ x, turn @ y).item() == pytest.approx(expected, rel=1e-5)
    assert squared_error_distance(0 * x, 0 * x) == 0


def test_waveform_distance_of_known_errors(noise):
    """Relative error a² of a gain 1 - a; 1 for silence; channels count by their rms."""
    levels = [1.0, 0.5, 2.0, 0.1]
    x = 0.1 * noise(0, 1, 4, 44_100) * torch.tensor(levels)[:, None]
    assert waveform_distance(x, x) == 0
    assert waveform_distance(x, 0 * x).item() == pytest.approx(1, rel=0.02)
    for channel in range(4):
        y = x.clone()
        y[:, channel] *= 0.7
        expected = 0.09 * levels[channel] / sum(levels)
        assert waveform_distance(x, y).item() == pytest.approx(expected, rel=0.05)
