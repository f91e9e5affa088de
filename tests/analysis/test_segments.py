"""Frames do not notice the segments; lags are found whatever else happened."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics import framing as s
from analysis.metrics.alignment import REACH, align, align_mixtures
from analysis.metrics.selftest import scene

LENGTHS = (s.SHORTEST, 5000, s.LENGTH - 1, s.LENGTH, s.LENGTH + 1, s.LENGTH + 512, 2 * s.LENGTH + 700)


def noise(frames, channels=2, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)


@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize(("window", "hop"), [(2048, 512), (1024, 256), (32, 8)])
def test_spectra_of_segments_are_those_of_the_whole(frames, window, hop):
    x = noise(frames)
    parts = list(s.segments(s.array_reader(x), frames, 44100))
    found = np.concatenate([s.spectra(part, window, hop) for part in parts], axis=1)
    padded = np.pad(x, ((0, 0), (window // 2,) * 2), mode="reflect")
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    expected = [np.fft.rfft(padded[:, j * hop : j * hop + window] * taper) for j in range(1 + frames // hop)]
    assert np.abs(found - np.stack(expected, axis=1)).max() < 1e-3
    assert np.array_equal(np.concatenate([part.samples for part in parts], axis=1), x)


def test_files_are_read_as_arrays_are(tmp_path):
    from render.fileio.audio_file import write_scene
    from render.hoa.scene import Scene

    x = noise(9000, channels=4)
    write_scene(tmp_path / "x.wav", Scene(x, 48000))
    reader = s.file_reader(tmp_path / "x.wav", shift=100, channels=9)
    assert np.array_equal(reader(0, 50)[:4], x[:, 100:150])
    assert not reader(0, 50)[4:].any()


@given(st.sampled_from([8000, 16000, 44100, 48000, 96000, 192000]), st.sampled_from([512, 2048]))
def test_no_band_is_empty_and_none_leaves_the_spectrum(rate_hz, window):
    edges = s.erb_band_edges(rate_hz, window)
    assert len(edges) == 25
    assert (np.diff(edges) > 0).all()
    assert edges[-1] <= window // 2


SCENE = scene(1.0).samples


@settings(max_examples=15)
@given(st.integers(-REACH, REACH), st.floats(0.01, 10), st.booleans())
def test_delay_and_polarity_are_found(lag, gain, inverted):
    test = np.float32(-gain if inverted else gain) * np.roll(SCENE, lag, axis=1)
    found = align(s.array_reader(SCENE), s.array_reader(test), SCENE.shape[1], SCENE.shape[1])
    assert found.lag == lag
    assert (found.correlation < 0) == inverted
    assert found.is_match


def test_lag_of_a_longer_and_of_a_shorter_test():
    early = SCENE[:, 1234:]
    late = np.concatenate([np.zeros((16, 777), np.float32), SCENE, np.zeros((16, 5000), np.float32)], axis=1)
    for test, lag in ((early, -1234), (late, 777)):
        assert align(s.array_reader(SCENE), s.array_reader(test), SCENE.shape[1], test.shape[1]).lag == lag


def test_noise_does_not_move_an_aligned_pair():
    """Pink signals correlate with themselves a sample later nearly as well: the hysteresis keeps lag 0."""
    for seed in range(5):
        noisy = SCENE + 0.08 * noise(SCENE.shape[1], 16, seed)
        assert align(s.array_reader(SCENE), s.array_reader(noisy), *[SCENE.shape[1]] * 2).lag == 0


def test_without_w_the_other_channels_tell():
    test = np.roll(SCENE * (np.arange(16) > 0)[:, None].astype(np.float32), 55, axis=1)
    found = align(s.array_reader(SCENE), s.array_reader(test), *[SCENE.shape[1]] * 2)
    assert (found.lag, found.channel) == (55, "orders 1-N")
    assert found.correlation > 0.9


def test_unrelated_and_silent_tests_do_not_match():
    for test in (noise(SCENE.shape[1], 16), 0 * SCENE):
        found = align(s.array_reader(SCENE), s.array_reader(test), *[SCENE.shape[1]] * 2)
        assert not found.is_match
        assert found.lag == 0


def test_mixtures_find_the_lag_of_rearranged_channels():
    test = np.roll(SCENE[::-1], -321, axis=1)
    found = align_mixtures(s.array_reader(SCENE), s.array_reader(test), *[SCENE.shape[1]] * 2)
    assert found.lag == -321
