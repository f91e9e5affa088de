"""What is measured: powers by definition, bands by frequency."""

from itertools import pairwise

import numpy as np
import pytest

from codec.side_info import analysis
from codec.side_info.analysis import LEVEL_BANDS, WINDOW, band_edges, measure_parameters


def measured(packet):
    """Parameters of a packet with silence before and after it."""
    return measure_parameters(packet, 0, packet.shape[1], 512, 44_100)


def test_white_noise_has_its_power_in_every_band():
    """E|X|² = σ² Σw² = 1024 σ², and the mean product is divided by 2048²."""
    x = np.random.default_rng(0).standard_normal((2, 256 * 512)).astype(np.float32)
    power = 10 ** (measured(x).levels_db / 10)
    np.testing.assert_allclose(power.mean(2), 1024 / 2048**2, rtol=0.3)
    np.testing.assert_allclose(power[:, 12:].mean(), 1024 / 2048**2, rtol=0.01)


def test_a_tone_lies_in_the_band_of_its_frequency():
    edges = band_edges(44_100)
    assert len(edges) == LEVEL_BANDS + 1
    assert (np.diff(edges) > 0).all()
    for band in range(LEVEL_BANDS):
        hz = (edges[band] + edges[band + 1] - 1) / 2 * 44_100 / WINDOW
        tone = np.sin(2 * np.pi * hz * np.arange(64 * 512) / 44_100).astype(np.float32)[None]
        power = 10 ** (measured(tone).levels_db[0, :, 1] / 10) * np.diff(edges)
        assert power.argmax() == band
    for rate_hz in (8_000, 24_000, 48_000, 192_000):
        edges = band_edges(rate_hz)
        assert edges[0] == 2
        assert edges[-1] == 1025
        assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 15, 127, 128, 129, 136, 200, 1000, 4097, 100_003])
def test_sums_have_the_bits_of_numpy(length):
    values = np.exp(np.random.default_rng(length).normal(0, 5, length))
    assert analysis._pairwise_sum(values) == values.sum()


def test_level_powers_are_means_over_windows_and_bins():
    """By definition, and with the bits of NumPy's sum over windows, bins, real and imaginary parts."""
    random = np.random.default_rng(4)
    edges = np.array([2, 3, 7, 60])
    spectra = random.standard_normal((3, 40, 60, 2)).astype(np.float32).view(np.complex64)[..., 0]
    slots = [range(0, 8), range(3, 4), range(20, 40)]
    found = analysis.level_powers(spectra, slots, edges)
    assert found.shape == (3, 3, 3)
    for slot, frames in enumerate(slots):
        for band, (low, high) in enumerate(pairwise(edges)):
            part = spectra[:, frames.start : frames.stop, low:high]
            mean = np.square(np.abs(part), dtype=np.float64).mean((1, 2)) / 2048**2
            np.testing.assert_allclose(found[:, band, slot], mean, rtol=1e-6)
            rows = np.ascontiguousarray(part).view(np.float32).reshape(3, -1)
            same = np.square(rows, dtype=np.float64).sum(1) / (len(frames) * (high - low) * 2048**2)
            assert found[:, band, slot].tolist() == same.tolist()
