"""Musical noise: noises, holes and tones of which the unevenness is known."""

import numpy as np
import pytest
import scipy.signal

from analysis.metrics.framing import HOP, WINDOW, hann
from analysis.metrics.noise_texture import BLOCK_FRAMES, Texture, compare, evaluate, unevenness_db

RATE = 44100
LENGTH = 12 * BLOCK_FRAMES * HOP


def noise(seed):
    return np.random.default_rng(seed).standard_normal(LENGTH)


def musical_db(x, y):
    return evaluate(x[None].astype(np.float32), y[None].astype(np.float32), RATE)["musical_db"]


def test_unevenness_of_exponential_powers_with_and_without_holes():
    """e^γ, and with a share s of them at the power a: (1 - s + s a) / a^s times as much."""
    power = np.random.default_rng(1).exponential(3.0, (4, 200_000))
    of_noise = 10 / np.log(10) * np.euler_gamma
    np.testing.assert_allclose(unevenness_db(power), of_noise, atol=0.03)
    s, a = 0.3, 0.05
    holes = np.random.default_rng(2).random(power.shape) < s
    expected = of_noise + 10 * np.log10(1 - s + s * a) - s * 10 * np.log10(a)
    np.testing.assert_allclose(unevenness_db(np.where(holes, a * power, power)), expected, atol=0.05)
    assert unevenness_db(np.ones((1, 9))) == pytest.approx(0)
    assert unevenness_db(np.zeros((1, 9))) == 0
    assert unevenness_db(np.eye(1, 10)) == pytest.approx(0.9 * 30 - 0.1 * 10)  # 9 of 10 values at the floor


def test_a_copy_and_another_noise_have_none():
    """Also where the level fluctuates, so that many blocks are less even than noise and some are by chance."""
    assert musical_db(noise(3), -0.01 * noise(3)) == pytest.approx(0, abs=1e-4)
    assert musical_db(noise(3), noise(4)) == pytest.approx(0, abs=0.1)
    gain = 1 + 0.6 * np.sin(2 * np.pi * np.arange(LENGTH) / 3840)
    assert musical_db(gain * noise(3), gain * noise(4)) == pytest.approx(0, abs=0.15)


def test_noise_with_gaps_has_the_unevenness_of_its_gains():
    """White noise times g(t) is exponential with the mean Σ g² w² in each frame, and blocks here are all alike."""
    time = np.arange(LENGTH)
    gain = np.where(time // 1280 % 3 == 0, 0.1, 1.0)  # a period of 3840 samples, half a block
    views = np.lib.stride_tricks.sliding_window_view(np.pad(gain, WINDOW // 2, mode="reflect"), WINDOW)[::HOP]
    mean = np.square(views * hann(WINDOW)).sum(1)[BLOCK_FRAMES : 2 * BLOCK_FRAMES]
    expected = 10 * np.log10(mean.mean()) - (10 * np.log10(mean)).mean()
    assert expected > 0.5
    assert musical_db(noise(5), gain * noise(6)) == pytest.approx(expected, abs=0.12)


def test_few_coefficients_of_a_noise_are_musical():
    """The fewer of a short-time spectrum are kept, each at its own value, the more."""
    x = noise(7)
    _, _, spectrum = scipy.signal.stft(x, nperseg=WINDOW)
    found = []
    for smallest in (0.6, 1.0, 1.4):
        kept = np.where(np.abs(spectrum) < smallest * np.sqrt(np.square(np.abs(spectrum)).mean()), 0, spectrum)
        found.append(musical_db(x, scipy.signal.istft(kept, nperseg=WINDOW)[1][:LENGTH]))
    assert found[0] > 0.3
    assert (np.diff(found) > 0.5).all()


def test_tones_are_no_noise():
    """Where the reference is uneven itself nothing is measured, and nothing at all if that is everywhere."""
    time = np.arange(LENGTH) / RATE
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in np.arange(300, 5000, 150))
    assert musical_db(tones, tones + 0.1 * noise(8)) is None
    # below 2 kHz tones, above them noise, of which half of the time is lost
    low = sum(np.sin(2 * np.pi * hz * time) for hz in np.arange(300, 2000, 150))
    high = np.fft.irfft(np.fft.rfft(noise(9)) * (np.fft.rfftfreq(LENGTH, 1 / RATE) > 2000), LENGTH)
    gate = np.where(np.arange(LENGTH) // 1280 % 3 == 0, 0.1, 1.0)
    assert musical_db(low + high, low + gate * high) == pytest.approx(musical_db(high, gate * high), abs=0.3)


def test_silence_and_bands_without_noise():
    assert musical_db(np.zeros(LENGTH), noise(1)) is None
    # a lost noise reads as the reference's, negative: its level is for other measures
    assert musical_db(noise(1), np.zeros(LENGTH)) == pytest.approx(-2.5, abs=0.1)
    # a very quiet noise is still a noise
    assert musical_db(noise(1), 1e-17 * noise(2)) == pytest.approx(0, abs=0.1)


def test_the_range_is_where_coefficients_are_sent():
    """What is lost between holes below 300 Hz and above 5 kHz does not count."""
    gate = np.where(np.arange(LENGTH) // 1280 % 3 == 0, 0.1, 1.0)
    hz = np.fft.rfftfreq(LENGTH, 1 / RATE)
    outside = np.fft.irfft(np.fft.rfft(noise(3)) * ((hz < 250) | (hz > 5500)), LENGTH)
    assert musical_db(noise(3), noise(3) + (gate - 1) * outside) == pytest.approx(0, abs=0.05)


def test_the_limit_of_noise_lies_above_its_chance_and_below_slow_gates():
    """Blocks count by the unevenness of those beside: 2.51 dB with its chance do, 1.8 dB more do not."""
    even = np.full((4, 3), 2.51)
    even[:, 1], even[:, 2] = 3.5, 3.7
    texture = Texture(even, np.ones((4, 3)))
    assert compare(texture, texture)[:2].tolist() == [12, 8]
    one = Texture(np.array([[5.0], [2.5], [5.0], [2.5]]), np.ones((4, 1)))
    assert compare(one, one)[1] == 2  # the blocks of 5 dB between those of 2.5
