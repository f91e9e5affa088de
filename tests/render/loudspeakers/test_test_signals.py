"""Test signals for listening rooms."""

import numpy as np
import pytest

from render.hoa.layout import layout
from render.loudspeakers.test_signals import KINDS, listening_level_dba, pink_noise, signal_blocks


@pytest.mark.parametrize("kind", KINDS)
def test_one_loudspeaker_sounds_at_a_time_and_every_one_once(kind):
    of = layout("5.1")
    blocks = list(signal_blocks(of, kind, 8000))
    for index, block in enumerate(blocks):
        np.testing.assert_array_equal(np.flatnonzero(np.abs(block).max(axis=1)), [index])
        assert not block[:, -1].any()
    assert len(blocks) == 6


def test_pink_noise_has_the_same_power_in_every_octave_and_the_level_it_says():
    noise = pink_noise(96_000, 48000, (20.0, 20_000.0), 1)
    assert 10 * np.log10(np.mean(np.square(noise, dtype=float))) == pytest.approx(-18.0, abs=1e-3)
    power = np.square(np.abs(np.fft.rfft(noise)))
    hz = np.fft.rfftfreq(96_000, 1 / 48000)
    octaves = [power[(hz >= low) & (hz < 2 * low)].sum() for low in (100, 400, 1600, 6400)]
    np.testing.assert_allclose(10 * np.log10(np.array(octaves) / octaves[0]), 0, atol=0.1)
    assert power[(hz < 19.9) | (hz > 20_001)].max() < 1e-6 * power.max()


def test_the_lfe_gets_bass_only():
    block = list(signal_blocks(layout("5.1"), "identification", 48000))[3]
    power = np.square(np.abs(np.fft.rfft(block[3])))
    hz = np.fft.rfftfreq(block.shape[1], 1 / 48000)
    assert power[hz > 200].sum() < 1e-4 * power.sum()


def test_the_pulse_is_positive():
    block = next(signal_blocks(layout("stereo"), "polarity", 48000))
    assert block.min() == 0
    assert block.max() == pytest.approx(10 ** (-12 / 20))


def test_the_level_of_each_loudspeaker_adds_up_to_85_db():
    assert listening_level_dba(layout("7.1.4")) == pytest.approx(74.6, abs=0.02)
    assert listening_level_dba(layout("7.1.4")) + 10 * np.log10(11) == pytest.approx(85)
