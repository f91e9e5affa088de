"""The spatial layer: what is sent, and what mixing restores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import spatial


def random_covariance(seed, channels, spread_db=20):
    random = np.random.default_rng(seed)
    factor = random.standard_normal((channels, channels + 2))
    scale = 10 ** (random.uniform(-spread_db, 0, channels) / 20)
    return scale[:, None] * (factor @ factor.T) * scale


def smoothed(x):
    """Noise up to about 1 kHz."""
    return np.apply_along_axis(lambda row: np.convolve(row, np.ones(64) / 64, "same"), 1, x).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_restored_signals_have_the_covariance_that_was_sent(seed):
    random = np.random.default_rng(seed)
    decoded = (
        np.linalg.cholesky(random_covariance(seed, 5)) @ smoothed(random.standard_normal((5, 90_000)))
    ).astype(np.float32)
    original = np.linalg.cholesky(random_covariance(seed + 9, 5)) @ smoothed(random.standard_normal((5, 90_000)))
    numbers = spatial.measure(original.astype(np.float32))
    restored = spatial.Restorer(44_100).restore(decoded, 0, 90_000, numbers)
    before = np.abs(np.corrcoef(decoded) - np.corrcoef(original)).sum() / 2
    after = np.abs(np.corrcoef(restored) - np.corrcoef(original)).sum() / 2
    assert after < 0.1 * before
    assert np.abs(10 * np.log10(restored.var(1) / original.var(1))).max() < 1.5


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 20), st.integers(0, 10_000))
def test_mixing_brings_one_covariance_to_the_other(channels, seed):
    source, target = random_covariance(seed, channels), random_covariance(seed + 1, channels)
    source *= np.trace(target) / np.trace(source)
    matrix = spatial.mixing_matrix(source, target)
    unit = 1 / np.sqrt(np.diag(target))
    floored = np.linalg.eigvalsh(source * unit[:, None] * unit).min() < 1 / 8**2
    if not floored:
        np.testing.assert_allclose(matrix @ source @ matrix.T, target, atol=1e-8 * np.trace(target))


def test_mixing_of_equal_covariances_is_the_identity():
    """Nothing to restore, nothing changed: the transport map of a Gaussian to itself."""
    covariance = random_covariance(3, 16) + 0.05 * np.eye(16)
    np.testing.assert_allclose(spatial.mixing_matrix(covariance, covariance), np.eye(16), atol=1e-6)


def test_mixing_changes_the_waveforms_least():
    """Among all matrices that reach the target, M Q with Q a rotation of the source, none changes less."""
    source, target = random_covariance(0, 4, 0), random_covariance(1, 4, 0)
    target *= 4 / np.trace(target)
    unit = 1 / np.sqrt(np.diag(target))
    source = source / np.trace(source * unit[:, None] * unit) * 4
    best = spatial.mixing_matrix(source, target)

    def change(matrix):
        difference = (matrix - np.eye(4)) * unit[:, None]
        return np.trace(difference @ source @ difference.T)

    root = np.linalg.cholesky(source)
    random = np.random.default_rng(2)
    for _ in range(200):
        rotation = np.linalg.qr(random.standard_normal((4, 4)))[0]
        other = best @ root @ rotation @ np.linalg.inv(root)
        np.testing.assert_allclose(other @ source @ other.T, target, atol=1e-9)
        assert change(best) <= change(other) + 1e-9


def test_levels_of_one_channel_are_a_gain():
    assert spatial.mixing_matrix(np.array([[4.0]]), np.array([[1.0]])) == pytest.approx(0.5)


def test_what_is_sent_stands_for_the_covariance():
    random = np.random.default_rng(0)
    x = (np.linalg.cholesky(random_covariance(5, 6)) @ random.standard_normal((6, 50_000))).astype(
        np.float32
    ) * 0.01
    sent = spatial.covariance(spatial.measure(x))
    np.testing.assert_allclose(np.diag(sent), x.var(1), rtol=0.07)  # half decibels
    scale = 1 / np.sqrt(np.diag(sent))
    correlation = sent * scale[:, None] * scale
    assert np.abs(correlation - np.corrcoef(x)).max() <= 0.03  # 1/62, and the repair of negative eigenvalues


def test_numbers_fit_their_bits_at_every_level():
    for level in (0.0, 1e-9, 1e-3, 1.0, 1e6):
        numbers = spatial.measure(level * np.random.default_rng(1).standard_normal((16, 999)).astype(np.float32))
        assert len(numbers) == 136
        assert spatial.channels(len(numbers)) == 16
        assert 0 <= numbers[:16].min() <= numbers[:16].max() < 2**spatial.LEVEL_BITS
        assert 0 <= numbers[16:].min() <= numbers[16:].max() < 2**spatial.CORRELATION_BITS


def test_silent_channels_and_silence_are_restored_as_silence():
    random = np.random.default_rng(4)
    smooth = smoothed(random.standard_normal((3, 20_000)) * [[1], [1], [0]])
    decoded = smoothed(random.standard_normal((3, 20_000)))
    restored = spatial.Restorer(44_100).restore(decoded, 0, 20_000, spatial.measure(smooth))
    assert np.isfinite(restored).all()
    assert restored[2].std() < 0.15 * decoded[2].std()
    quiet = spatial.Restorer(44_100).restore(0 * decoded, 0, 20_000, spatial.measure(0 * smooth))
    assert not quiet.any()


def test_high_frequencies_are_left_alone():
    random = np.random.default_rng(6)
    spectrum = np.fft.rfft(random.standard_normal((2, 44_100)))
    spectrum[:, :8000] = 0
    high = np.fft.irfft(spectrum).astype(np.float32)
    numbers = spatial.measure((np.array([[1, 0], [3, 0.1]]) @ high).astype(np.float32))
    restored = spatial.Restorer(44_100).restore(high, 0, 44_100, numbers)
    middle = slice(1000, -1000)
    assert (
        np.abs(restored[:, middle] - high[:, middle]).max() < 5e-3
    )  # of signals of rms 1: the stop band of the filter
