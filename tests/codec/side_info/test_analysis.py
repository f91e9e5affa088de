"""What is measured: powers by definition, bands by frequency."""

import numpy as np

from codec.side_info.analysis import LEVEL_BANDS, WINDOW, band_edges, measure_parameters


def test_white_noise_has_its_power_in_every_band():
    """E|X|² = σ² Σw² = 1024 σ², and the mean product is divided by 2048²."""
    x = np.random.default_rng(0).standard_normal((2, 256 * 512)).astype(np.float32)
    power = 10 ** (measure_parameters(x, 512, 44_100).levels_db / 10)
    np.testing.assert_allclose(power.mean(2), 1024 / 2048**2, rtol=0.3)
    np.testing.assert_allclose(power[:, 12:].mean(), 1024 / 2048**2, rtol=0.01)


def test_a_tone_lies_in_the_band_of_its_frequency():
    edges = band_edges(44_100)
    assert len(edges) == LEVEL_BANDS + 1
    assert (np.diff(edges) > 0).all()
    for band in range(LEVEL_BANDS):
        hz = (edges[band] + edges[band + 1] - 1) / 2 * 44_100 / WINDOW
        tone = np.sin(2 * np.pi * hz * np.arange(64 * 512) / 44_100).astype(np.float32)[None]
        power = 10 ** (measure_parameters(tone, 512, 44_100).levels_db[0, :, 1] / 10) * np.diff(edges)
        assert power.argmax() == band
    for rate_hz in (8_000, 24_000, 48_000, 192_000):
        edges = band_edges(rate_hz)
        assert edges[0] == 2
        assert edges[-1] == 1025
        assert (np.diff(edges) > 0).all()
