"""Spectra of 16 signals at a time: the transform, mel filters and differences against NumPy in float64."""

import numpy as np
import pytest

from analysis.metrics import side_by_side
from analysis.metrics.framing import hann
from analysis.metrics.side_by_side import LANES, Frames

FLOOR = 1e-5


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def random_filters(bands, bins):
    """Bands of different widths at random places; the first covers nothing."""
    rng, filters = np.random.default_rng(bins), np.zeros((bands, bins))
    for row in filters[1:]:
        begin = rng.integers(0, bins)
        row[begin : begin + 1 + rng.integers(0, bins)] = 0.1
    return filters


@pytest.mark.parametrize("window", [4, 8, 32, 64, 2048])
def test_magnitudes_and_both_banks(window):
    hop, begin, bins = window // 4, 5, window // 2 + 1
    signals = noise(LANES, begin + 3 * hop + window, seed=window)
    filters, other = random_filters(6, bins), random_filters(3, bins)
    log_mel, mel, linear = side_by_side.all_magnitudes(
        side_by_side.side_by_side(signals)[0],
        Frames(begin, hop, 3, window),
        side_by_side.bank_of(filters),
        FLOOR,
        side_by_side.bank_of(other),
    )
    for frame in range(3):
        part = signals[:, begin + frame * hop :][:, :window].astype(float) * hann(window)
        expected = np.abs(np.fft.rfft(part)).T
        np.testing.assert_allclose(linear[frame], expected, atol=3e-7 * expected.max())
        np.testing.assert_allclose(mel[frame], other @ expected, rtol=3e-6, atol=1e-6)
        np.testing.assert_allclose(log_mel[frame], np.log10(np.maximum(filters @ expected, FLOOR)), atol=1e-4)
    assert (log_mel[:, 0] == np.float32(np.log10(FLOOR))).all()  # nothing in the band


def test_mel_magnitudes_alone_are_the_same():
    group = side_by_side.side_by_side(noise(20, 4000))[1]
    frames, bank = Frames(0, 128, 9, 512), side_by_side.bank_of(random_filters(8, 257))
    both = side_by_side.all_magnitudes(group, frames, bank, FLOOR, bank)[0]
    assert np.array_equal(side_by_side.log_mel_magnitudes(group, frames, bank, FLOOR), both)


def test_groups_are_filled_up_with_silence():
    signals = noise(25, 7)
    groups = side_by_side.side_by_side(signals)
    assert groups.shape == (2, 7, LANES)
    joined = np.concatenate(groups, axis=1).T
    assert np.array_equal(joined[:25], signals)
    assert not joined[25:].any()


def test_the_level_of_one_signal_does_not_leak_into_another():
    signals = noise(LANES, 2048)
    signals[3] *= 1e6
    signals[4] = 0
    bank = side_by_side.bank_of(np.eye(1025))
    linear = side_by_side.all_magnitudes(
        side_by_side.side_by_side(signals)[0], Frames(0, 512, 1, 2048), bank, FLOOR, bank
    )[2]
    assert not linear[0, :, 4].any()
    assert linear[0, :, 5].max() < 1e4 < linear[0, :, 3].max()


def test_differences():
    """Sums over frames and bands that no block of the sums divides; some values lie below the floors."""
    a, b = (
        np.abs(noise(3, 70, LANES, seed=seed)) * np.float32(10) ** noise(3, 70, LANES, seed=9) for seed in (1, 2)
    )
    x, y = a.astype(float), b.astype(float)
    np.testing.assert_allclose(side_by_side.absolute_differences(a, b), np.abs(x - y).sum(axis=(0, 1)), rtol=1e-6)
    logs, linear, roots = side_by_side.level_differences(a, b, 0.1, 0.3)

    def change(floor):
        return np.log(np.maximum(x, floor)) - np.log(np.maximum(y, floor))

    np.testing.assert_allclose(linear, np.abs(x - y).sum(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(logs, np.abs(change(0.1)).sum(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(roots, np.sqrt(np.square(change(0.3)).mean(axis=1)).sum(axis=0), rtol=1e-6)
