"""Losses against closed forms; the numbers of scenes with known covariance."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from codec.losses import reconstruction as losses
from codec.losses.stft import Spectra, stft
from render.hoa.spherical_harmonics import fibonacci_sphere, mirror_signs, spherical_harmonics

RATE = 44_100
BANDS = losses.erb_bands(RATE, 2048, 20)
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "dac" / "training.json").read_text())


def spectrum(x):
    return stft(x, 2048, 512)


# every loss as a function of two signals of 16 channels
LOSSES = {
    "mel": lambda x, y: losses.mel_distance(x, y, RATE),
    "covariance": losses.covariance_distance,
    "waveform": losses.waveform_distance,
    "squared_error": losses.squared_error_distance,
    "band_covariance": lambda x, y: losses.band_covariance_distance(spectrum(x), spectrum(y), BANDS),
    "relative_covariance": lambda x, y: losses.relative_covariance_distance(spectrum(x), spectrum(y), BANDS),
    "intensity": lambda x, y: losses.intensity_distance(spectrum(x), spectrum(y), BANDS),
}


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


def test_covariance_ignores_a_common_delay_and_common_phases():
    x = correlated_scene()
    assert losses.covariance_distance(x, x.roll(1234, -1)) < 1e-3
    phases = torch.polar(torch.ones(22_051), 2 * math.pi * torch.rand(22_051))
    phases[[0, -1]] = 1  # real at 0 Hz and at half the rate
    assert losses.covariance_distance(x, torch.fft.irfft(torch.fft.rfft(x) * phases)) < 1e-3


def test_covariance_of_unrelated_white_noise():
    """Expected value 240/sqrt(πT) for two independent draws of T samples: E|r - r'| = 2/sqrt(πT), 120 pairs."""
    a, b = (noise(seed, 4, 16, 16_758) for seed in (1, 2))
    assert losses.covariance_distance(a, b).item() == pytest.approx(240 / math.sqrt(math.pi * 16_758), rel=0.05)


def test_covariance_of_w_in_all_channels():
    """R̂ = 1: L = Σ_{i<j} (1 - R_ij)."""
    x = correlated_scene()
    above = torch.triu_indices(16, 16, 1)
    expected = (1 - losses.correlation_matrix(x)[0][*above]).sum()
    copied = x[:, :1].expand_as(x)
    assert losses.covariance_distance(x, copied).item() == pytest.approx(expected.item(), rel=1e-4)
    mean = losses.covariance_distance(x, copied, reduction="mean")
    assert mean.item() == pytest.approx(expected.item() / 120, rel=1e-4)


def silenced(x, channels):
    y = x.clone()
    y[:, channels] = 0
    return y


def test_covariance_with_silent_channels():
    """A silent channel correlates with nothing, itself included: half its row and half its column are lost."""
    x = correlated_scene(frames=22_050)
    matrix = losses.correlation_matrix(x)[0].abs()
    row = (matrix[3].sum() - 0.5).item()
    for pair in ((x, silenced(x, 3)), (silenced(x, 3), x)):
        assert losses.covariance_distance(*pair).item() == pytest.approx(row, rel=1e-5)
    everything = 0.5 * matrix.sum().item()
    assert losses.covariance_distance(x, 0 * x).item() == pytest.approx(everything, rel=1e-5)
    assert losses.covariance_distance(x, torch.full_like(x, 0.5)).item() == pytest.approx(everything, rel=1e-5)
    assert losses.covariance_distance(silenced(x, 3), silenced(x, 3)) == 0


def test_covariance_of_a_source_straight_ahead_and_behind():
    """10 of 16 channels are exactly silent, where the printed formula is 0/0; X flips, its square does not.

    The 6 sounding channels of (0, 0) and of (180, 0): 2 k (6 - k) with the k that flip.
    """
    gains = [spherical_harmonics(3, np.radians([az]), np.zeros(1))[0] for az in (0, 180)]
    active = np.abs(gains[0]) > 1e-9
    flips = int((np.sign(gains[0]) != np.sign(gains[1]))[active].sum())
    assert (active.sum(), flips) == (6, 3)
    x, y = (silenced(plane_wave(az, 0), torch.tensor(~active)) for az in (0, 180))
    assert losses.covariance_distance(x, y).item() == pytest.approx(2 * flips * (6 - flips), abs=0.05)


def test_covariance_of_signals_at_minus_100_db_fades_out():
    """The floor of 1e-8 is a thousand times their variance; a loss for training need not hear them."""
    x, y = 1e-5 * correlated_scene(1), 1e-5 * correlated_scene(2)
    assert 0 < losses.covariance_distance(x, y) < 0.1


@pytest.mark.parametrize("case", ["normal", "reference", "test", "all", "both", "constant", "everything", "quiet"])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_finite_with_a_finite_gradient(name, case):
    """Table of edge cases: a silent channel on either side, on both, silence, a constant, -100 dB."""
    x, y = correlated_scene(1, 8192), correlated_scene(2, 8192)
    if case in ("reference", "both"):
        x = silenced(x, 3)
    if case in ("test", "both"):
        y = silenced(y, 3)
    if case in ("all", "everything"):
        y = 0 * y
    if case == "everything":
        x = 0 * x
    if case == "constant":
        y = torch.full_like(y, 0.5)
    if case == "quiet":
        x, y = 1e-5 * x, 1e-5 * y
    y.requires_grad_()
    loss = LOSSES[name](x, y)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(y.grad).all()
    if case == "everything":
        assert loss == 0
    if case == "normal":
        assert y.grad.abs().max() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_in_half_precision_is_computed_in_float32(name):
    x, y = correlated_scene(1, 8192), correlated_scene(2, 8192).requires_grad_()
    expected = LOSSES[name](x, y)
    (gradient,) = torch.autograd.grad(expected, y)
    with torch.autocast("cpu", torch.bfloat16):
        given = LOSSES[name](x, y)
    assert given == expected
    assert given.dtype == torch.float32
    torch.testing.assert_close(torch.autograd.grad(given, y)[0], gradient, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_of_equal_signals_is_zero(name):
    x = correlated_scene(1, 8192)
    assert LOSSES[name](x, x.clone()) == 0


def test_covariance_needs_two_samples():
    with pytest.raises(ValueError, match="two samples"):
        losses.correlation_matrix(torch.zeros(1, 4, 1))


@pytest.mark.parametrize("level_db", [-10, -70])
def test_mel_is_the_published_loss(level_db):
    """Golden values of the stock loss; at -70 dB most magnitudes lie near the clamp."""
    count = torch.arange(1, 2 * 4 * 12_000 + 1, dtype=torch.float64)
    x, other = (
        (torch.frac((count + seed) ** 1.3 * 0.6180339887498949) - 0.5).view(2, 4, -1).float() for seed in (1, 9)
    )
    gain = 10 ** (level_db / 20)
    given = losses.mel_distance(gain * x, gain * x + 0.3 * gain * other, RATE)
    assert given.item() == pytest.approx(GOLDEN["mel"][str(level_db)], rel=1e-6)


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


def test_squared_error_distance_is_noise_over_signal_and_blind_to_an_orthogonal_turn():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 8000, generator=generator) * torch.tensor([1.0, 0.1, 0.01, 0.3])[:, None]
    assert losses.squared_error_distance(x, x) == 0
    assert losses.squared_error_distance(x, 0 * x).item() == pytest.approx(1, rel=1e-6)
    y = x + 0.2 * torch.randn(x.shape, generator=generator)
    expected = np.mean([float((a - b).square().sum() / a.square().sum()) for a, b in zip(x, y, strict=True)])
    assert losses.squared_error_distance(x, y).item() == pytest.approx(expected, rel=1e-5)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q
    assert losses.squared_error_distance(turn @ x, turn @ y).item() == pytest.approx(expected, rel=1e-5)
    assert losses.squared_error_distance(0 * x, 0 * x) == 0


def test_waveform_distance_of_known_errors():
    """Relative error a² of a gain 1 - a; 1 for silence; channels count by their rms."""
    levels = [1.0, 0.5, 2.0, 0.1]
    x = 0.1 * noise(0, 1, 4, 44_100) * torch.tensor(levels)[:, None]
    assert losses.waveform_distance(x, x) == 0
    assert losses.waveform_distance(x, 0 * x).item() == pytest.approx(1, rel=0.02)
    for channel in range(4):
        y = x.clone()
        y[:, channel] *= 0.7
        expected = 0.09 * levels[channel] / sum(levels)
        assert losses.waveform_distance(x, y).item() == pytest.approx(expected, rel=0.05)


def test_relative_covariance_of_gains_and_of_silence():
    """A gain g changes C by g² - 1; silence by all of it."""
    x = correlated_scene(frames=22_050)
    distance = LOSSES["relative_covariance"]
    assert distance(x, 1.1 * x).item() == pytest.approx(0.21, rel=1e-3)
    assert distance(x, 0 * x).item() == pytest.approx(1, rel=1e-3)


def test_relative_covariance_of_a_panned_plane_wave():
    """C = g gᵀ: Σ|g_i g_j - h_i h_j| / Σ|g_i g_j|, for the small move that eq. 3 does not see."""
    g, h = (spherical_harmonics(3, np.radians([az]), np.radians([20.0]))[0] for az in (40.0, 44.0))
    expected = np.abs(np.outer(g, g) - np.outer(h, h)).sum() / np.abs(np.outer(g, g)).sum()
    x, y = plane_wave(40, 20), plane_wave(44, 20)
    assert LOSSES["relative_covariance"](x, y).item() == pytest.approx(expected, rel=1e-3)
    assert losses.covariance_distance(x, y) < 0.05


def test_intensity_of_a_plane_wave_is_its_energy():
    """In SN3D |I| = E; the direction is that of the wave, in the order Y, Z, X."""
    vector, energy = losses.intensities(spectrum(plane_wave(40, 20, frames=22_050)), BANDS)
    torch.testing.assert_close(torch.linalg.vector_norm(vector, dim=2), energy, rtol=1e-4, atol=0)
    az, el = np.radians([40, 20])
    unit = torch.tensor([np.sin(az) * np.cos(el), np.sin(el), np.cos(az) * np.cos(el)], dtype=torch.float32)
    torch.testing.assert_close(vector / energy[:, :, None], unit[:, None].expand_as(vector), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("angle_deg", [4, 30, 90, 180])
def test_intensity_of_a_moved_plane_wave(angle_deg):
    """Two unit vectors at the angle θ are 2 sin(θ/2) apart."""
    x, y = plane_wave(10, 0, frames=22_050), plane_wave(10 + angle_deg, 0, frames=22_050)
    expected = 2 * math.sin(math.radians(angle_deg) / 2)
    assert LOSSES["intensity"](x, y).item() == pytest.approx(expected, rel=2e-3)


def test_intensity_of_gains_of_a_diffuse_field_and_of_silence():
    """|1 - g²| for a gain; 1 for silence; a field from everywhere has an intensity of about 0."""
    x = plane_wave(40, 20, frames=44_100)
    distance = LOSSES["intensity"]
    assert distance(x, 0.5 * x).item() == pytest.approx(0.75, rel=2e-3)
    assert distance(x, 0 * x).item() == pytest.approx(1, rel=2e-3)
    directions = spherical_harmonics(3, *fibonacci_sphere(60))
    diffuse = torch.tensor(directions.T, dtype=torch.float32) @ noise(5, 1, 60, 44_100) / math.sqrt(60)
    vector, energy = losses.intensities(spectrum(diffuse), BANDS)
    mean = torch.linalg.vector_norm(vector.mean(-1), dim=2) / energy.mean(-1)
    assert mean.max() < 0.25  # 430 frames of few bins in the lowest bands; a plane wave has 1
    assert mean[:, 10:].max() < 0.06
    assert distance(x, diffuse).item() == pytest.approx(1, abs=0.15)


def test_intensity_needs_first_order():
    x = spectrum(noise(0, 1, 2, 4096))
    with pytest.raises(ValueError, match="W, Y, Z, X; here are 2"):
        losses.intensity_distance(x, x, BANDS)


def test_losses_together_are_those_alone_and_share_their_spectra(monkeypatch):
    from codec.losses import stft as module

    x, y = correlated_scene(1, 22_050), correlated_scene(2, 22_050)
    expected = {name: LOSSES[name](x, y).item() for name in ("mel", "band_covariance", "intensity")}
    transforms = []
    original = module.stft
    monkeypatch.setattr(module, "stft", lambda *a: transforms.append(a[1:]) or original(*a))
    pair = Spectra(x), Spectra(y)
    given = {
        "mel": losses.mel_distance(*pair, RATE),
        "band_covariance": losses.band_covariance_distance(*(of(2048, 512) for of in pair), BANDS),
        "intensity": losses.intensity_distance(*(of(2048, 512) for of in pair), BANDS),
    }
    assert {name: loss.item() for name, loss in given.items()} == pytest.approx(expected, rel=1e-6)
    assert sorted(transforms) == sorted(2 * [(window, window // 4) for window, _ in losses.MEL_SCALES])


def test_the_references_spectra_have_no_gradient_and_the_tests_do():
    reference, test = noise(0, 1, 4, 8192), noise(1, 1, 4, 8192).requires_grad_()
    known, other = Spectra(reference), Spectra(test)
    losses.mel_distance(known, other, RATE).backward()
    assert not known(2048, 512).requires_grad
    assert test.grad.abs().max() > 0
