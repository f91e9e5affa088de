"""What holds for every loss between signals: edge cases, precision, shared spectra."""

import pytest
import torch

from codec.losses.bands import erb_bands
from codec.losses.covariance import band_covariance_distance, covariance_distance, relative_covariance_distance
from codec.losses.intensity import intensity_distance
from codec.losses.mel import MEL_SCALES, mel_distance
from codec.losses.stft import Spectra, stft
from codec.losses.waveform import squared_error_distance, waveform_distance

RATE = 44_100
BANDS = erb_bands(RATE, 2048, 20)


def spectrum(x):
    return stft(x, 2048, 512)


# every loss as a function of two signals of 16 channels
LOSSES = {
    "mel": lambda x, y: mel_distance(x, y, RATE),
    "covariance": covariance_distance,
    "waveform": waveform_distance,
    "squared_error": squared_error_distance,
    "band_covariance": lambda x, y: band_covariance_distance(spectrum(x), spectrum(y), BANDS),
    "relative_covariance": lambda x, y: relative_covariance_distance(spectrum(x), spectrum(y), BANDS),
    "intensity": lambda x, y: intensity_distance(spectrum(x), spectrum(y), BANDS),
}


@pytest.mark.parametrize("case", ["normal", "reference", "test", "all", "both", "constant", "everything", "quiet"])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_finite_with_a_finite_gradient(name, case, correlated_scene, silenced):
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
def test_every_loss_in_half_precision_is_computed_in_float32(name, correlated_scene):
    x, y = correlated_scene(1, 8192), correlated_scene(2, 8192).requires_grad_()
    expected = LOSSES[name](x, y)
    (gradient,) = torch.autograd.grad(expected, y)
    with torch.autocast("cpu", torch.bfloat16):
        given = LOSSES[name](x, y)
    assert given == expected
    assert given.dtype == torch.float32
    torch.testing.assert_close(torch.autograd.grad(given, y)[0], gradient, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_of_equal_signals_is_zero(name, correlated_scene):
    x = correlated_scene(1, 8192)
    assert LOSSES[name](x, x.clone()) == 0


def test_losses_together_are_those_alone_and_share_their_spectra(monkeypatch, correlated_scene):
    from codec.losses import stft as module

    x, y = correlated_scene(1, 22_050), correlated_scene(2, 22_050)
    expected = {name: LOSSES[name](x, y).item() for name in ("mel", "band_covariance", "intensity")}
    transforms = []
    original = module.stft
    monkeypatch.setattr(module, "stft", lambda *a: transforms.append(a[1:]) or original(*a))
    pair = Spectra(x), Spectra(y)
    given = {
        "mel": mel_distance(*pair, RATE),
        "band_covariance": band_covariance_distance(*(of(2048, 512) for of in pair), BANDS),
        "intensity": intensity_distance(*(of(2048, 512) for of in pair), BANDS),
    }
    assert {name: loss.item() for name, loss in given.items()} == pytest.approx(expected, rel=1e-6)
    assert sorted(transforms) == sorted(2 * [(window, window // 4) for window, _ in MEL_SCALES])
