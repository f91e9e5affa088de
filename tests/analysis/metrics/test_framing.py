"""Spectra and bands do not depend on the segments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics import framing

LENGTHS = (
    framing.SHORTEST,
    5000,
    framing.LENGTH - 1,
    framing.LENGTH,
    framing.LENGTH + 1,
    framing.LENGTH + 512,
    2 * framing.LENGTH + 700,
)


def noise(samples, channels=2, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, samples)).astype(np.float32)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("window", "hop"), [(2048, 512), (1024, 256), (32, 8)])
def test_spectra_of_segments_are_those_of_the_whole(length, window, hop):
    x = noise(length)
    parts = list(framing.segments(framing.array_reader(x), length, 44100))
    found = np.concatenate([framing.spectra(part, window, hop) for part in parts], axis=1)
    padded = np.pad(x, ((0, 0), (window // 2,) * 2), mode="reflect")
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    expected = [np.fft.rfft(padded[:, j * hop : j * hop + window] * taper) for j in range(1 + length // hop)]
    assert np.abs(found - np.stack(expected, axis=1)).max() < 1e-3
    assert np.array_equal(np.concatenate([part.samples for part in parts], axis=1), x)


def test_files_are_read_as_arrays_are(tmp_path):
    from render.fileio.audio_file import write_scene
    from render.hoa.scene import Scene

    x = noise(9000, channels=4)
    write_scene(tmp_path / "x.wav", Scene(x, 48000))
    reader = framing.file_reader(tmp_path / "x.wav", shift=100, channels=9)
    assert np.array_equal(reader(0, 50)[:4], x[:, 100:150])
    assert not reader(0, 50)[4:].any()


@given(st.sampled_from([8000, 16000, 44100, 48000, 96000, 192000]), st.sampled_from([512, 2048]))
def test_no_band_is_empty_and_none_leaves_the_spectrum(rate_hz, window):
    edges = framing.erb_band_edges(rate_hz, window)
    assert len(edges) == 25
    assert (np.diff(edges) > 0).all()
    assert edges[-1] <= window // 2


def test_scenes_of_other_shapes_or_too_short_are_refused():
    x = noise(3000)
    for pair in ((x, x[:, 1:]), (x, x[:1]), (x[:, :2048], x[:, :2048])):
        with pytest.raises(ValueError, match="equal shape and at least 2049 samples"):
            framing.accumulate(lambda part: part, lambda a, b: 0, *pair, 44100)
