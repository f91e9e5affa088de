"""Losses against closed forms; the numbers of scenes with known covariance."""

import numpy as np
import pytest
import torch

from codec import losses
from render.sphere import mirror_signs, spherical_harmonics

RATE = 44_100


def noise(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plane_wave(azimuth_deg, elevation_deg, seed=0, frames=8192):
    gains = spherical_harmonics(3, np.radians([azimuth_deg]), np.radians([elevation_deg]))[0]
    return torch.tensor(gains, dtype=torch.float32)[None, :, None] * noise(seed, 1, 1, frames)


def correlated_scene(seed=0, frames=44_100):
    """16 channels of noise, mixed at random so that the channels correlate."""
    return (noise(seed + 1, 16, 16) * 0.3 + torch.eye(16)) @ noise(seed, 1, 16, frames) * 0.05


def test_covariance_ignores_gain_polarity_and_gains_per_channel():
    x = correlated_scene()
    gains = torch.linspace(0.5, 2, 16)[:, None]
    for other in (3 * x, -x, gains * x):
        assert losses.covariance_distance(x, other) < 1e-3


@pytest.mark.parametrize(
    ("a", "b"), [((40, 20), (44, 20)), ((40, 20), (65, 20)), ((10, 10), (80, 10)), ((40, 20), (130, 25))]
)
def test_covariance_of_plane_waves(a, b):
    """One plane wave: R_ij = sign(Y_i Y_j), so L = 2k(16 - k) with k channels whose sign flips.

    A small move flips none: eq. 3 does not see it.
    """
    gains = [spherical_harmonics(3, np.radians([az]), np.radians([el]))[0] for az, el in (a, b)]
    flips = int((np.sign(gains[0]) != np.sign(gains[1])).sum())
    assert (flips == 0) == (b == (44, 20))
    distance = losses.covariance_distance(plane_wave(*a), plane_wave(*b)).item()
    assert distance == pytest.approx(2 * flips * (16 - flips), abs=0.05)


def test_covariance_of_one_flipped_channel():
    """One channel k with its sign flipped: L = 2 Σ_{j≠k} |R_kj|."""
    x = correlated_scene()
    y = x.clone()
    y[:, 5] *= -1
    row = losses.correlation_matrix(x)[0, 5].abs()
    assert losses.covariance_distance(x, y).item() == pytest.approx(2 * (row.sum() - row[5]).item(), rel=1e-4)


@pytest.mark.parametrize("snr_db", [20, 10, 0, -10])
def test_covariance_of_added_noise(snr_db):
    """Independent noise at s dB in every channel: L = Σ_{i<j} |R_ij| / (1 + 10^(s/10))."""
    x = correlated_scene(frames=400_000)
    added = noise(9, *x.shape) * x.std(-1, keepdim=True) * 10 ** (-snr_db / 20)
    pairs = (losses.correlation_matrix(x)[0].abs().sum() - 16) / 2
    floor = 240 / np.sqrt(np.pi * 400_000)  # of two independent estimates
    assert losses.covariance_distance(x, x + added).item() == pytest.approx(
        pairs.item() / (1 + 10 ** (snr_db / 10)), rel=0.02, abs=floor
    )


def test_covariance_with_silent_channels_is_finite_and_has_a_gradient():
    x = correlated_scene(frames=4096)
    for silent in (slice(3, 4), slice(0, 16)):
        y = x.clone()
        y[:, silent] = 0
        y.requires_grad_()
        loss = losses.covariance_distance(x, y)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(y.grad).all()
    both = x.clone()
    both[:, 3] = 0
    assert losses.covariance_distance(both, both) == 0


def test_covariance_needs_two_samples():
    with pytest.raises(ValueError, match="two samples"):
        losses.correlation_matrix(torch.zeros(1, 4, 1))


def test_covariance_in_half_precision_autocast_is_computed_in_float32():
    x, y = correlated_scene(1), correlated_scene(2)
    expected = losses.covariance_distance(x, y)
    with torch.autocast("cpu", torch.bfloat16):
        assert losses.covariance_distance(x, y) == expected


def test_mel_is_blind_to_a_mirrored_scene_and_covariance_is_not():
    x = correlated_scene()
    mirrored = x * torch.tensor(mirror_signs(3), dtype=torch.float32)[:, None]
    assert losses.mel_distance(x, mirrored, RATE) < 1e-5
    assert losses.covariance_distance(x, mirrored) > 5


def test_mel_of_a_gain():
    """A gain of g dB moves every unclamped log10 magnitude by g/20: seven scales give 7·g/20."""
    x = 100 * noise(0, 1, 2, 44_100)
    assert losses.mel_distance(x, 2 * x, RATE).item() == pytest.approx(7 * np.log10(2), rel=1e-4)


def test_mel_clamp_hides_what_lies_below_it():
    x = 1e-9 * noise(0, 1, 1, 8192)
    assert losses.mel_distance(x, 10 * x, RATE) == 0


def test_mel_filters_against_librosas_construction():
    """Area-normalised triangles: each integrates to 1 over frequency; centres follow Slaney's mel scale."""
    for window, bands in losses.MEL_SCALES:
        bank = losses.mel_filter_bank(RATE, window, bands)
        assert bank.shape == (bands, window // 2 + 1)
        assert (bank.max(axis=1) > 0).all()
    fine = losses.mel_filter_bank(RATE, 65_536, 40)
    np.testing.assert_allclose(fine.sum(axis=1) * RATE / 65_536, 1, rtol=2e-3)
    # librosa.mel_frequencies(42, fmin=0, fmax=22050), values 1, 11 and 31 (librosa 0.11 documentation's scale)
    centres = np.argmax(fine, axis=1) * RATE / 65_536
    mel = np.linspace(0, 15 + np.log(22.05) * 27 / np.log(6.4), 42)[1:-1]
    assert centres[0] == pytest.approx(mel[0] * 200 / 3, abs=1)
    assert centres[30] == pytest.approx(1000 * np.exp((mel[30] - 15) * np.log(6.4) / 27), rel=1e-3)


def test_a_subset_of_scales_estimates_the_whole():
    x, y = 0.1 * noise(0, 1, 2, 16_384), 0.1 * noise(1, 1, 2, 16_384)
    single = [losses.mel_distance(x, y, RATE, (scale,)).item() for scale in losses.MEL_SCALES]
    assert np.mean(single) == pytest.approx(losses.mel_distance(x, y, RATE).item(), rel=1e-5)


def test_band_covariance_sees_what_broadband_misses():
    """One mono noise above 4 kHz in all channels: broadband eq. 3 hardly moves, the bands up there do."""
    x = correlated_scene() * 0.001
    low = torch.fft.rfft(correlated_scene(3) * 10)
    low[..., 4000:] = 0  # bins are 1 Hz wide: everything above 4 kHz
    low = torch.fft.irfft(low, 44_100)
    high = torch.fft.rfft(noise(7, 1, 1, 44_100).expand(1, 16, -1) * 0.001)
    high[..., :4000] = 0
    high = torch.fft.irfft(high, 44_100)
    reference, mono = low + x, low + x + high
    assert losses.covariance_distance(reference, mono) < 0.5
    bands = losses.erb_bands(RATE, 2048, 20)
    spectra = (losses.stft(s, 2048, 1024) for s in (reference, mono))
    assert losses.band_covariance_distance(*spectra, bands) > 5


def test_erb_bands_average_every_bin_once():
    bands = losses.erb_bands(RATE, 2048, 20)
    torch.testing.assert_close(bands.sum(1), torch.ones(20))
    assert ((bands > 0).sum(0) <= 1).all()


def test_waveform_distance_of_known_errors():
    """Relative error a² of a gain 1 - a; 1 for silence; channels count alike whatever their level."""
    x = 0.1 * noise(0, 1, 4, 44_100) * torch.tensor([1.0, 0.5, 2.0, 0.1])[:, None]
    assert losses.waveform_distance(x, x) == 0
    assert losses.waveform_distance(x, 0 * x).item() == pytest.approx(1, rel=0.02)
    for channel in range(4):
        y = x.clone()
        y[:, channel] *= 0.7
        assert losses.waveform_distance(x, y).item() == pytest.approx(0.09 / 4, rel=0.05)
