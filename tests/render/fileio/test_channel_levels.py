"""Levels of the channels of a file."""

import numpy as np

from render.fileio.audio_file import writer
from render.fileio.channel_levels import channel_levels


def test_peak_dc_full_scale_and_silence(tmp_path):
    samples = np.zeros((4, 3000), np.float32)
    samples[0] = 0.25
    samples[1, 10] = -1.0
    samples[1, 20] = 1.0
    with writer(tmp_path / "x.wav", 4, 48000, "PCM_16") as file:
        file.write(samples)
    measured = channel_levels(tmp_path / "x.wav")
    np.testing.assert_allclose(measured.peak, [0.25, 1.0, 0.0, 0.0], atol=1e-4)
    np.testing.assert_allclose(measured.dc, [0.25, 0.0, 0.0, 0.0], atol=1e-4)
    assert measured.full_scale == 2
