"""Resampling, low-pass, dither, gains and delays of signals that arrive block by block."""

from itertools import pairwise

import numpy as np
import pytest

from render.dsp.block_processing import (
    dithered,
    resampled,
    resampled_length,
    scaled_and_delayed,
    with_low_passed_w,
)
from render.hoa.scene import Scene


def scene(order=3, length=5000, level=0.05, seed=0, rate=48000):
    samples = level * np.random.default_rng(seed).standard_normal(((order + 1) ** 2, length))
    return Scene(samples.astype(np.float32), rate)


def pieces(signal, *cuts):
    edges = [0, *cuts, signal.shape[1]]
    return [signal[:, a:b] for a, b in pairwise(edges)]


def joined(blocks):
    return np.concatenate(list(blocks), axis=1)


def test_resampled_length_is_to_the_nearest_sample():
    assert resampled_length(44100, 44100, 48000) == 48000
    assert resampled_length(1, 44100, 48000) == 1
    signal = np.ones((2, 1000), np.float32)
    assert joined(resampled(pieces(signal, 10, 500), 2, 44100, 48000, 1088)).shape == (2, 1088)


def test_bass_does_not_depend_on_the_blocks():
    signal = scene(length=900).samples
    np.testing.assert_allclose(
        joined(with_low_passed_w(pieces(signal, 1, 400), 48000)),
        joined(with_low_passed_w([signal], 48000)),
        atol=1e-7,
    )


def test_dither_makes_the_error_independent_of_the_signal():
    """Lipshitz et al. 1992: rounded after triangular dither, the error has mean 0 and power 3/12 step²."""
    step = 2.0**-15
    for level in (0.0 + 0.1, 0.25, 0.5):  # of a step
        signal = np.full((1, 200_000), level * step, np.float32)
        rounded = np.rint(joined(dithered([signal], 16)) / step)
        error = rounded - level
        assert error.mean() == pytest.approx(0.0, abs=0.006)
        assert np.square(error).mean() == pytest.approx(0.25, abs=0.006)


def test_trimming_does_not_depend_on_the_blocks():
    signal = scene(order=0, length=500).samples
    both = np.concatenate([signal, 2 * signal])
    whole = joined(scaled_and_delayed([both], [1.0, 0.5], [30, 0]))
    np.testing.assert_array_equal(joined(scaled_and_delayed(pieces(both, 3, 200), [1.0, 0.5], [30, 0])), whole)
    np.testing.assert_array_equal(whole[0], np.pad(signal[0], (30, 0)))
