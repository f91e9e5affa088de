"""The transform and its written-out gradient against PyTorch's own."""

import pytest
import torch

from codec.losses.mel import mel_distance
from codec.losses.stft import Spectra, magnitude, spectrum, stft


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("window", "hop"), [(32, 8), (64, 64), (256, 64), (2048, 1024)])
@pytest.mark.parametrize("shape", [(3000,), (2, 3, 2049)])
def test_value_and_gradient_are_those_of_torch(window, hop, shape):
    x, y = noise(*shape).requires_grad_(), noise(*shape).requires_grad_()
    given = stft(x, window, hop)
    flat = torch.stft(
        y.reshape(-1, shape[-1]), window, hop, window=torch.hann_window(window), center=True, return_complex=True
    )
    expected = flat.view(*shape[:-1], *flat.shape[-2:])
    torch.testing.assert_close(given, expected)
    upstream = torch.complex(noise(*expected.shape), noise(*expected.shape).flip(-1))
    given.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-5 * y.grad.abs().max().item())


def test_edges_of_other_lengths_and_a_remainder():
    """Against reflection and framing by PyTorch; samples after the last whole frame have no part."""
    x, y = noise(2, 1, 133).requires_grad_(), noise(2, 1, 133).requires_grad_()
    padded = torch.nn.functional.pad(y, (24, 29), mode="reflect")[:, 0]
    window = torch.hann_window(64)
    expected = torch.stft(padded, 64, 16, window=window, center=False, return_complex=True)[:, None]
    given = stft(x, 64, 16, (24, 29))
    torch.testing.assert_close(given, expected)
    given.real.square().sum().backward()
    expected.real.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-4)
    cut = noise(1, 1, 130).requires_grad_()
    stft(cut, 64, 16, (0, 0)).real.square().sum().backward()
    assert (cut.grad[..., 128:] == 0).all()
    assert (cut.grad[..., 1:127] != 0).all()


def test_magnitude_and_its_gradient_are_those_of_abs():
    spectrum = torch.complex(noise(3, 5, 7), noise(3, 5, 7).flip(0))
    spectrum[0, 0] = 0
    x, y = spectrum.clone().requires_grad_(), spectrum.clone().requires_grad_()
    magnitude(x).backward(noise(3, 5, 7))
    y.abs().backward(noise(3, 5, 7))
    torch.testing.assert_close(magnitude(x), y.abs())
    torch.testing.assert_close(x.grad, y.grad)
    assert (x.grad[0, 0] == 0).all()


@pytest.mark.parametrize("arguments", [(200, 64, 24), (32, 64, 16), (20, 16, 4, (20, 0))])
def test_impossible_transforms_are_refused(arguments):
    frames, *rest = arguments
    with pytest.raises(ValueError, match=f"stft of {frames} samples with window"):
        stft(noise(frames), *rest)


def test_half_precision_signals_are_transformed_in_float32():
    x = noise(1, 1, 500).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(stft(x, 64, 16), stft(x.float(), 64, 16))


def test_every_spectrum_is_computed_once():
    spectra = Spectra(noise(1, 2, 500))
    assert spectra(64, 16) is spectra(64, 16)
    assert spectrum(spectra, 64, 16) is spectra(64, 16)
    assert spectra(64, 32) is not spectra(64, 16)
    torch.testing.assert_close(spectra(64, 16), spectrum(spectra.signal, 64, 16))


def test_the_spectra_of_the_reference_have_no_gradient():
    reference, test = noise(1, 4, 8192), noise(1, 4, 8192).flip(-1).requires_grad_()
    known, other = Spectra(reference), Spectra(test)
    mel_distance(known, other, 44_100).backward()
    assert not known(2048, 512).requires_grad
    assert test.grad.abs().max() > 0
