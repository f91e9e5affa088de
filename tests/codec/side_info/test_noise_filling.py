"""Noise between the coefficients that are sent: where it belongs, and how much of it there is."""

import numpy as np
import pytest

from codec.side_info.coefficient_coding import CodedCoefficients, CoefficientGrid
from codec.side_info.klt import InverseKLT, KLTBasis, inverse_mdct
from codec.side_info.noise_filling import noisiness

EDGES = np.array([2, 8, 16, 27, 43, 67, 100, 147, 215])
FRAMES = 32
GRID = CoefficientGrid(np.zeros(FRAMES, np.int64), EDGES)


def sent(values):
    """One slot in which all components are sent."""
    return CodedCoefficients(np.float32(values), np.full((1, 8), len(values)))


@pytest.fixture(scope="module")
def scattered():
    """Of three components, every tenth coefficient; in some frames every third."""
    share = np.where(np.arange(FRAMES) % 4, 0.1, 0.3)[:, None]
    return np.random.default_rng(1).random((3, FRAMES, 213)) < share


def test_coefficients_by_chance_are_noise(scattered):
    """Frames with more of them do not count as partials, and neither do the lowest bands, which are not filled."""
    found = noisiness(sent(scattered), GRID)[0]
    assert found[:2].tolist() == [0, 0]
    assert found[2:].min() > 0.8


def test_partials_are_tonal(scattered):
    """Coefficients in the same places of all frames, or moving by one in four frames, or among some by chance."""
    partials = np.zeros_like(scattered)
    partials[:, :, [17, 20, 30, 38, 55, 80, 110, 130, 160, 200]] = True
    gliding = np.stack([np.roll(frame, k // 4, axis=-1) for k, frame in enumerate(partials.swapaxes(0, 1))], 1)
    for values in (partials, gliding, partials | (scattered & (np.arange(213) % 4 == 0))):
        assert noisiness(sent(values), GRID)[0, 2:].max() < 0.1


def test_two_frames_by_hand():
    """Band 3 has 16 bins. Of 8 places, the first frame occupies 2, the second one 3: A = N = 2, E = 2/8 + 3/8."""
    values = np.zeros((1, 2, 213))
    values[0, 0, 25] = values[0, 1, 26] = 1
    grid = GRID._replace(slot_of_frame=np.zeros(2, np.int64))
    excess = (2 - 5 / 8) / (2 - 5 / 8 + 8)
    assert noisiness(sent(values), grid)[0, 3] == pytest.approx(1 - excess / 0.3)
    # in the two halves of the band they are no neighbours: A = 0, E = 0 where the other frame has none
    values = np.zeros((1, 2, 213))
    values[0, 0, 32] = values[0, 1, 33] = 1
    assert noisiness(sent(values), grid)[0, 3] == 1


def test_all_components_that_are_sent_count_together(scattered):
    """A component of chance beside one of partials: the sums are those of both; without the second it is noise."""
    partials = np.zeros_like(scattered[:1])
    partials[:, :, [17, 20, 30, 38, 55, 80, 110, 130, 160, 200]] = True
    both = np.concatenate([scattered[:1], partials])
    found = [noisiness(CodedCoefficients(np.float32(both), np.full((1, 8), n)), GRID)[0, 7] for n in (1, 2)]
    assert found[0] > 0.8
    assert 0.1 < found[1] < found[0] - 0.1


@pytest.fixture(scope="module")
def quantised():
    """Gaussian noise of unit power, rounded to steps of 2 with a dead zone of 1.28."""
    x = np.random.default_rng(2).standard_normal((1, FRAMES, 1024))
    return np.float32(np.sign(x) * 2 * np.floor(np.abs(x) / 2 + 0.36))


def decoded(values, power):
    """MDCT coefficients of a channel that is its own component, in whose coded bands `values` are sent."""
    basis = KLTBasis(np.ones((1, 12, 1, 1)), np.full((1, 12, 1), power), np.ones((1, 12)))
    coded = sent(values[:, :, EDGES[0] : EDGES[-1]])
    network = np.zeros((1, 1 + FRAMES, 1024), np.float32)
    return InverseKLT(512, 44_100).transformed(network, basis, 7, coded)[:, 1:]


def test_zeros_in_noise_get_what_is_missing(quantised):
    """0.7 of the missing power, in the coefficients that are 0. Then the band gets the power that was sent."""
    own = quantised[0, :, 100:147].astype(float)
    found = decoded(quantised, 1.0)[0, :, 100:147]
    p, zeros = np.square(own).mean(), (own == 0).mean()
    assert 0.3 < p < 1
    filled = p + 0.7 * (1 - p)
    np.testing.assert_allclose(found[own != 0], own[own != 0] / np.sqrt(filled), rtol=0.01)
    fill = found[own == 0]
    assert np.square(fill).mean() == pytest.approx(0.7 * (1 - p) / zeros / filled, rel=0.03)
    assert np.square(found).mean() == pytest.approx(1, rel=1e-3)
    assert abs(np.sign(fill).mean()) < 0.1


def test_few_zeros_of_a_fine_quantiser_stay_small():
    """Steps of a tenth of the rms, 6 % zeros, and levels that say 1 dB more: a gain of 1 dB, and no loud peaks."""
    x = np.random.default_rng(3).standard_normal((1, FRAMES, 1024))
    values = np.float32(np.sign(x) * 0.1 * np.floor(np.abs(x) / 0.1 + 0.36))
    found = decoded(values, 10**0.1)[0, :, 100:147]
    rms = np.sqrt(np.square(values[0, :, 100:147]).mean())
    assert np.abs(found[values[0, :, 100:147] == 0]).max() < 0.5 * rms
    error = found - 10**0.05 * x[0, :, 100:147]
    assert 10 * np.log10(np.square(error).mean()) < -20


def test_the_noise_of_a_frame_is_limited_to_six_times_that_of_its_slot():
    """Component 1 is noise alone. One frame of 64 is 30 times as large as the others: 7.7 times the rms of all."""
    network = np.zeros((2, 65, 1024), np.float32)
    network[0] = np.sign(np.random.default_rng(4).standard_normal((65, 1024)))
    network[0, 7] *= 30
    mean = (63 + 900) / 64
    basis = KLTBasis(np.broadcast_to(np.eye(2), (1, 12, 2, 2)), np.ones((1, 12, 2)) * [mean, 1], np.ones((1, 12)))
    found = InverseKLT(512, 44_100).transformed(network, basis, 7, None)[1, 1:, 300:1000]
    loud, quiet = np.abs(found[6]).mean(), np.abs(found[7:]).mean()
    assert loud / quiet == pytest.approx(6 * np.sqrt(mean), rel=0.02)


def test_noise_has_the_distribution_of_noise_again(quantised):
    """Arithmetic over geometric mean of the power in its spectrum: e^γ where that is exponential, as in noise."""

    def ratio_db(coefficients):
        samples = np.lib.stride_tricks.sliding_window_view(inverse_mdct(coefficients)[0], 2048)[::512]
        power = np.square(np.abs(np.fft.rfft(samples * np.hanning(2048))))[:, 20:210]
        return 10 * np.log10(power.mean() / np.exp(np.log(power).mean()))

    noise_db = 10 * np.log10(np.e) * np.euler_gamma
    holes_db, filled_db = ratio_db(quantised) - noise_db, ratio_db(decoded(quantised, 1.0)) - noise_db
    assert holes_db > 2.5
    assert 0 < filled_db < 0.3 * holes_db


def test_between_partials_there_is_less_noise_than_in_noise():
    """A partial that stays gets 3 dB of the missing power itself, and 0.7 of the rest becomes noise."""
    values = np.zeros((1, FRAMES, 1024), np.float32)
    values[0, :, 120] = 5
    p = 25 / 47
    found = decoded(values, 3 * p)[0, :, 100:147].astype(float)
    gain = 10 ** (3 / 20)
    missing = 0.7 * (3 * p - gain**2 * p)
    expected = np.square(gain * 5) / (missing * 47 / 46)
    np.testing.assert_allclose(
        np.square(found[:, 20]).mean() / np.square(np.delete(found, 20, 1)).mean(), expected, rtol=1e-3
    )
    assert np.abs(decoded(values, 1.5 * p)[0, :, 100:120]).max() < 1e-6


def test_noise_beside_sent_coefficients_is_steadier_than_the_network():
    """Above the bands that are sent: component 1 is noise alone, frames of component 0 have powers 1 and 9.

    Its power in them is 0.6 + 0.4 e/p with the powers e of frames and their mean p, 1/5 and 9/5; it follows the
    frames wholly where nothing is sent.
    """
    loud = np.arange(1 + FRAMES) % 2 == 1
    network = np.zeros((2, 1 + FRAMES, 1024), np.float32)
    network[0] = np.where(loud, 3, 1)[:, None] * np.sign(np.random.default_rng(4).standard_normal((33, 1024)))
    basis = KLTBasis(np.broadcast_to(np.eye(2), (1, 12, 2, 2)), np.ones((1, 12, 2)) * [5, 1], np.ones((1, 12)))
    for coded, expected in ((sent(np.zeros((2, FRAMES, 213))), (0.6 + 0.4 * 9 / 5) / (0.6 + 0.4 / 5)), (None, 9)):
        found = InverseKLT(512, 44_100).transformed(network, basis, 7, coded)[1, 1:, 300:]
        power = np.square(found).mean(1)
        assert power[loud[1:]].mean() / power[~loud[1:]].mean() == pytest.approx(expected, rel=0.02)
