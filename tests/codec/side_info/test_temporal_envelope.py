"""The envelope above 4.6 kHz: what is measured, what comes back, what is imposed, and that any bytes are read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct

from codec.side_info.binary_coding import fair_number, reader
from codec.side_info.temporal_envelope import (
    decode_envelope,
    encode_envelope,
    envelope_edges,
    impose_envelope,
    relative_loudness,
    step_size,
    window_count,
)

RATE_HZ, LENGTH = 44_100, 64 * 512
EDGES = envelope_edges(RATE_HZ)
WINDOWS = window_count(LENGTH)


def noise(channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, LENGTH)).astype(np.float32)


def rhythm(depth=0.5, windows=WINDOWS):
    """A loudness that rises and falls every 41 ms in all bands."""
    return np.repeat(1 + depth * np.sin(2 * np.pi * np.arange(windows) / 7)[:, None], 8, axis=1)


def test_the_bands_are_the_upper_eight_level_bands():
    """Closed form: equal parts of the ERB-rate scale from 50 Hz to 20 kHz, the 16th of 24 at 4.6 kHz."""
    erb_rate = lambda hz: 21.4 * np.log10(1 + 0.00437 * hz)  # noqa: E731
    low, high = erb_rate(50.0), erb_rate(20_000.0)
    expected = (10 ** ((low + (high - low) * np.arange(16, 24) / 24) / 21.4) - 1) / 0.00437
    assert EDGES[:-1] == pytest.approx(expected * 512 / RATE_HZ, abs=0.63)
    assert EDGES[-1] == 257
    assert (np.diff(envelope_edges(192_000)) > 0).all()


def test_a_tone_and_silence_have_a_loudness_that_does_not_move_and_its_level_does_not_matter():
    tone = np.sin(2 * np.pi * 9000 / RATE_HZ * np.arange(LENGTH))[None].astype(np.float32)
    band = np.searchsorted(EDGES, 9000 / RATE_HZ * 512, "right") - 1
    np.testing.assert_allclose(relative_loudness(tone, EDGES)[0, :, band], 1, atol=1e-3)
    np.testing.assert_allclose(relative_loudness(np.zeros((1, LENGTH), np.float32), EDGES), 1)
    np.testing.assert_allclose(
        relative_loudness(noise(), EDGES), relative_loudness(np.float32(0.01) * noise(), EDGES), rtol=1e-4
    )


def test_a_step_of_the_level_is_a_step_of_the_loudness():
    """Oracle: a tone up by 20 dB is 10^0.6 as loud; its course has the weights behind the step."""
    rise = np.where(np.arange(LENGTH) < LENGTH // 2, 0.01, 0.1)
    tone = (rise * np.sin(2 * np.pi * 9000 / RATE_HZ * np.arange(LENGTH)))[None].astype(np.float32)
    band = np.searchsorted(EDGES, 9000 / RATE_HZ * 512, "right") - 1
    found = relative_loudness(tone, EDGES)[0, :, band]
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, 18) / 18)
    for after in (1, 4):  # windows wholly behind the one at the step
        behind = weights[9 - after :].sum() + weights[8 - after] / 2  # half of the window at the step
        course = (behind * 10**0.6 + (weights.sum() - behind)) / weights.sum()
        assert found[WINDOWS // 2 + after] == pytest.approx(10**0.6 / course, rel=0.03)


@pytest.mark.parametrize("size", [30, 60, 200])
def test_what_is_sent_comes_back_within_the_step_size(size):
    """A coefficient over the bands is at most 0.64 of a step away."""
    loudness = relative_loudness(noise(), EDGES)[0]
    data = encode_envelope(loudness, size)
    assert len(data) == size
    found = decode_envelope(data, WINDOWS, 8)
    step = step_size(int(fair_number(0, 6, *reader(data))))
    error = np.abs(dct(found - loudness, axis=1, norm="ortho")) / step
    assert 0.5 < error.max() < 0.6401


def test_more_bytes_give_a_smaller_error_and_what_is_common_to_all_bands_costs_little():
    loudness = relative_loudness(noise(), EDGES)[0]
    own, common = (
        [np.square(decode_envelope(encode_envelope(u, size), WINDOWS, 8) - u).mean() for size in (15, 60, 240)]
        for u in (loudness, rhythm(np.sqrt(2 * np.square(loudness - 1).mean())))
    )
    for errors in (own, common):
        assert all(np.diff(errors) < 0)
    assert common[1] < 0.1 * own[1]


def test_a_loudness_far_from_its_course_comes_back():
    """A click in silence is up to nine times its course: magnitudes go beyond those that are coded in unary."""
    loudness = np.ones((WINDOWS, 8))
    loudness[60] = 9
    np.testing.assert_allclose(decode_envelope(encode_envelope(loudness, 99), WINDOWS, 8), loudness, atol=0.02)


def test_no_envelope_is_said_in_any_size():
    for size in (0, 1, 15):
        data = encode_envelope(None, size)
        assert len(data) == size
        assert decode_envelope(data, WINDOWS, 8) is None
    loud = np.random.default_rng(0).uniform(0, 1e4, (WINDOWS, 8))
    assert decode_envelope(encode_envelope(loud, 9), WINDOWS, 8) is None  # nothing fits
    assert decode_envelope(encode_envelope(np.zeros((0, 8)), 9), 0, 8).shape == (0, 8)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_an_envelope_that_can_be_imposed(data):
    loudness = decode_envelope(data, WINDOWS, 8)
    if loudness is not None:
        assert np.isfinite(loudness).all()
        assert np.isfinite(impose_envelope(noise(2), loudness, EDGES)).all()


def test_an_envelope_replaces_half_of_the_own_fluctuations():
    """In decibels half of the fluctuations of noise remains in each channel, and the envelope's are added."""
    x, target = noise(2), rhythm(0.4)
    found = relative_loudness(impose_envelope(x, target, EDGES), EDGES)
    expected = np.log(target) + 0.5 * np.log(relative_loudness(x, EDGES))
    for channel in range(2):
        a, b = np.log(found[channel, 9:-9]).ravel(), expected[channel, 9:-9].ravel()
        assert np.corrcoef(a, b)[0, 1] > 0.9
        assert np.std(a) == pytest.approx(np.std(b), rel=0.15)
    steady = impose_envelope(x, np.ones((WINDOWS, 8)), EDGES)
    assert np.log(relative_loudness(steady, EDGES)).std() < 0.7 * np.log(relative_loudness(x, EDGES)).std()


def test_what_lies_below_the_bands_and_the_ends_of_a_packet_stay():
    x = noise(2)
    result = impose_envelope(x, rhythm(), EDGES)
    for end in (slice(0, 1), slice(LENGTH - 1, None)):
        np.testing.assert_allclose(result[:, end], x[:, end], atol=1e-4)
    low = np.sin(2 * np.pi * 1000 / RATE_HZ * np.arange(LENGTH))[None].astype(np.float32)
    error = np.square(impose_envelope(low, rhythm(), EDGES) - low).mean()
    assert error < 1e-6
    short = x[:, :511]
    assert np.array_equal(impose_envelope(short, np.ones((0, 8)), EDGES), short)


def test_changes_are_limited_to_15_db():
    """A click in faint noise, where the envelope says that there is none: it is turned down by 15 dB."""
    x = np.float32(1e-4) * noise()
    x[0, LENGTH // 2] = 1
    changed = impose_envelope(x, np.full((WINDOWS, 8), 1e-9), EDGES)
    hz = np.fft.rfftfreq(512, 1 / RATE_HZ)
    around = slice(LENGTH // 2 - 256, LENGTH // 2 + 256)
    ratio_db = 20 * np.log10(np.abs(np.fft.rfft(changed[0, around]) / np.fft.rfft(x[0, around])))
    assert ratio_db[hz > 6000].mean() == pytest.approx(-15, abs=0.5)
    assert ratio_db[hz < 3500].mean() == pytest.approx(0, abs=0.5)
