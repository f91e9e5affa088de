"""Signals for the room: channel, level and spectrum of each."""

import numpy as np
import pytest

from listening.packaging.feeds import FeedFormat
from listening.packaging.room_signals import LEVEL_DBFS, TONE_DBFS, noise, write_signals
from render.fileio.audio_file import info, read
from render.hoa.layout import layout

RATE = 48_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("signals")
    write_signals(place / "bs2051", FeedFormat(layout("5.1"), "adm", "bs2051"), False)
    write_signals(place / "wav", FeedFormat(layout("7.1.4"), "adm", "wav"), False)
    return place


def turns(samples):
    """Channels in the order in which they sound."""
    first = [np.flatnonzero(channel)[0] if channel.any() else None for channel in samples]
    return sorted((begin, number) for number, begin in enumerate(first) if begin is not None)


def test_every_channel_in_turn_and_never_two_together(folder):
    for name, channels in (("bs2051", 6), ("wav", 12)):
        samples, rate = read(folder / name / "identification.wav")
        assert (len(samples), rate) == (channels, RATE)
        assert [number for _, number in turns(samples)] == list(range(channels))
        assert np.count_nonzero(np.abs(samples) > 0, axis=0).max() == 1
    assert info(folder / "wav/level.wav").channel_mask == 0x2D63F


def test_level_of_the_pink_noise_and_of_the_tone(folder):
    samples, _ = read(folder / "bs2051/level.wav")
    lfe = layout("5.1").labels.index("LFE1")
    assert not samples[lfe].any()
    for channel, signal in enumerate(samples):
        if channel != lfe:
            begin = np.flatnonzero(signal)[0]
            steady = signal[begin : begin + 5 * RATE].astype(float)
            assert 20 * np.log10(steady.std()) == pytest.approx(LEVEL_DBFS, abs=0.01)
    tone, _ = read(folder / "bs2051/tone.wav")
    assert tone.shape[1] == 0.3 * RATE
    middle = tone[0, 1000:-1000].astype(float)
    assert 20 * np.log10(np.sqrt(np.mean(middle**2))) == pytest.approx(TONE_DBFS, abs=0.05)
    assert np.argmax(np.abs(np.fft.rfft(middle))) * RATE / len(middle) == pytest.approx(1000, abs=5)


def test_pink_means_equal_power_per_octave():
    signal = noise(1 << 17, 1)
    power = np.square(np.abs(np.fft.rfft(signal)))
    frequency_hz = np.fft.rfftfreq(1 << 17, 1 / RATE)
    octaves = [power[(frequency_hz >= f) & (frequency_hz < 2 * f)].sum() for f in (125, 500, 2000, 8000)]
    assert 10 * np.log10(max(octaves) / min(octaves)) < 0.7
    assert power[frequency_hz > 20_000].sum() < 1e-12 * power.sum()
