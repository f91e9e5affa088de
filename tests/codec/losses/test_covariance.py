"""Covariance losses against closed forms and scenes of known covariance."""

import math

import numpy as np
import pytest
import torch

from codec.losses.bands import erb_bands
from codec.losses.covariance import (
    band_covariance_distance,
    correlation_matrix,
    covariance_distance,
    relative_covariance_distance,
)
from codec.losses.stft import stft
from render.hoa.spherical_harmonics import spherical_harmonics

RATE = 44_100


def relative_distance(x, y):
    return relative_covariance_distance(stft(x, 2048, 512), stft(y, 2048, 512), erb_bands(RATE, 2048, 20))


def test_covariance_ignores_gain_polarity_and_gains_per_channel(correlated_scene):
    x = correlated_scene()
    gains = torch.linspace(0.5, 2, 16)[:, None]
    for other in (3 * x, -x, gains * x):
        assert covariance_distance(x, other) < 1e-3


@pytest.mark.parametrize(
    ("a", "b"), [((40, 20), (44, 20)), ((40, 20), (65, 20)), ((10, 10), (80, 10)), ((40, 20), (130, 25))]
)
def test_covariance_of_plane_waves(a, b, plane_wave):
    """One plane wave: R_ij = sign(Y_i Y_j), so L = 2k(16 - k) with k channels whose sign flips.

    A small move flips none: eq. 3 does not see it.
    """
    gains = [spherical_harmonics(3, np.radians([az]), np.radians([el]))[0] for az, el in (a, b)]
    flips = int((np.sign(gains[0]) != np.sign(gains[1])).sum())
    assert (flips == 0) == (b == (44, 20))
    distance = covariance_distance(plane_wave(*a), plane_wave(*b)).item()
    assert distance == pytest.approx(2 * flips * (16 - flips), abs=0.05)


def test_covariance_of_one_flipped_channel(correlated_scene):
    """One channel k with its sign flipped: L = 2 Σ_{j≠k} |R_kj|."""
    x = correlated_scene()
    y = x.clone()
    y[:, 5] *= -1
    row = correlation_matrix(x)[0, 5].abs()
    assert covariance_distance(x, y).item() == pytest.approx(2 * (row.sum() - row[5]).item(), rel=1e-4)


@pytest.mark.parametrize("snr_db", [20, 10, 0, -10])
def test_covariance_of_added_noise(snr_db, noise, correlated_scene):
    """Independent noise at s dB in every channel: L = Σ_{i<j} |R_ij| / (1 + 10^(s/10))."""
    x = correlated_scene(samples=400_000)
    added = noise(9, *x.shape) * x.std(-1, keepdim=True) * 10 ** (-snr_db / 20)
    pairs = (correlation_matrix(x)[0].abs().sum() - 16) / 2
    floor = 240 / np.sqrt(np.pi * 400_000)  # of two independent estimates
    assert covariance_distance(x, x + added).item() == pytest.approx(
        pairs.item() / (1 + 10 ** (snr_db / 10)), rel=0.02, abs=floor
    )


def test_covariance_ignores_a_common_delay_and_common_phases(correlated_scene):
    x = correlated_scene()
    assert covariance_distance(x, x.roll(1234, -1)) < 1e-3
    phases = torch.polar(torch.ones(22_051), 2 * math.pi * torch.rand(22_051))
    phases[[0, -1]] = 1  # real at 0 Hz and at half the rate
    assert covariance_distance(x, torch.fft.irfft(torch.fft.rfft(x) * phases)) < 1e-3


def test_covariance_of_unrelated_white_noise(noise):
    """Expected value 240/sqrt(πT) for two independent draws of T samples: E|r - r'| = 2/sqrt(πT), 120 pairs."""
    a, b = (noise(seed, 4, 16, 16_758) for seed in (1, 2))
    assert covariance_distance(a, b).item() == pytest.approx(240 / math.sqrt(math.pi * 16_758), rel=0.05)


def test_covariance_of_w_in_all_channels(correlated_scene):
    """R̂ = 1: L = Σ_{i<j} (1 - R_ij)."""
    x = correlated_scene()
    above = torch.triu_indices(16, 16, 1)
    expected = (1 - correlation_matrix(x)[0][*above]).sum()
    copied = x[:, :1].expand_as(x)
    assert covariance_distance(x, copied).item() == pytest.approx(expected.item(), rel=1e-4)
    mean = covariance_distance(x, copied, reduction="mean")
    assert mean.item() == pytest.approx(expected.item() / 120, rel=1e-4)


def test_covariance_with_silent_channels(correlated_scene, silenced):
    """A silent channel correlates with nothing, itself included: half its row and half its column are lost."""
    x = correlated_scene(samples=22_050)
    matrix = correlation_matrix(x)[0].abs()
    row = (matrix[3].sum() - 0.5).item()
    for pair in ((x, silenced(x, 3)), (silenced(x, 3), x)):
        assert covariance_distance(*pair).item() == pytest.approx(row, rel=1e-5)
    everything = 0.5 * matrix.sum().item()
    assert covariance_distance(x, 0 * x).item() == pytest.approx(everything, rel=1e-5)
    assert covariance_distance(x, torch.full_like(x, 0.5)).item() == pytest.approx(everything, rel=1e-5)
    assert covariance_distance(silenced(x, 3), silenced(x, 3)) == 0


def test_covariance_of_a_source_straight_ahead_and_behind(plane_wave, silenced):
    """10 of 16 channels are exactly silent, where the printed formula is 0/0; X flips, its square does not.

    The 6 sounding channels of (0, 0) and of (180, 0): 2 k (6 - k) with the k that flip.
    """
    gains = [spherical_harmonics(3, np.radians([az]), np.zeros(1))[0] for az in (0, 180)]
    active = np.abs(gains[0]) > 1e-9
    flips = int((np.sign(gains[0]) != np.sign(gains[1]))[active].sum())
    assert (active.sum(), flips) == (6, 3)
    x, y = (silenced(plane_wave(az, 0), torch.tensor(~active)) for az in (0, 180))
    assert covariance_distance(x, y).item() == pytest.approx(2 * flips * (6 - flips), abs=0.05)


def test_covariance_of_signals_at_minus_100_db_fades_out(correlated_scene):
    """The floor of 1e-8 is a thousand times their variance; a loss for training need not hear them."""
    x, y = 1e-5 * correlated_scene(1), 1e-5 * correlated_scene(2)
    assert 0 < covariance_distance(x, y) < 0.1


def test_covariance_needs_two_samples():
    with pytest.raises(ValueError, match="two samples"):
        correlation_matrix(torch.zeros(1, 4, 1))


def test_band_covariance_sees_what_broadband_misses(noise, correlated_scene):
    """One mono noise above 4 kHz in all channels: broadband eq. 3 hardly moves, the bands up there do."""
    x = correlated_scene() * 0.001
    low = torch.fft.rfft(correlated_scene(3) * 10)
    low[..., 4000:] = 0  # bins are 1 Hz wide: everything above 4 kHz
    low = torch.fft.irfft(low, 44_100)
    high = torch.fft.rfft(noise(7, 1, 1, 44_100).expand(1, 16, -1) * 0.001)
    high[..., :4000] = 0
    high = torch.fft.irfft(high, 44_100)
    reference, mono = low + x, low + x + high
    assert covariance_distance(reference, mono) < 0.5
    bands = erb_bands(RATE, 2048, 20)
    spectra = (stft(s, 2048, 1024) for s in (reference, mono))
    assert band_covariance_distance(*spectra, bands) > 5


def test_relative_covariance_of_gains_and_of_silence(correlated_scene):
    """A gain g changes C by g² - 1; silence by all of it."""
    x = correlated_scene(samples=22_050)
    assert relative_distance(x, 1.1 * x).item() == pytest.approx(0.21, rel=1e-3)
    assert relative_distance(x, 0 * x).item() == pytest.approx(1, rel=1e-3)


def test_relative_covariance_of_a_panned_plane_wave(plane_wave):
    """C = g gᵀ: Σ|g_i g_j - h_i h_j| / Σ|g_i g_j|, for the small move that eq. 3 does not see."""
    g, h = (spherical_harmonics(3, np.radians([az]), np.radians([20.0]))[0] for az in (40.0, 44.0))
    expected = np.abs(np.outer(g, g) - np.outer(h, h)).sum() / np.abs(np.outer(g, g)).sum()
    x, y = plane_wave(40, 20), plane_wave(44, 20)
    assert relative_distance(x, y).item() == pytest.approx(expected, rel=1e-3)
    assert covariance_distance(x, y) < 0.05
