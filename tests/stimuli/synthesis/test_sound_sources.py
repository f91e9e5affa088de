"""A moving source against the physics of moving sources."""

import numpy as np
import pytest

from stimuli.synthesis.sound_sources import SPEED_OF_SOUND_M_S, Passage

RATE_HZ = 48_000


def test_passage_has_doppler_shift_and_distance_law():
    passage = Passage(duration_s=8.0, speed_m_s=20.0, distance_m=5.0)
    time = np.arange(8 * RATE_HZ) / RATE_HZ
    received = passage.received(np.sin(2 * np.pi * 1000 * time).astype(np.float32), RATE_HZ)

    def frequency_at(second):
        piece = received[int(second * RATE_HZ) : int((second + 0.1) * RATE_HZ)]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 17))
        return np.argmax(spectrum) * RATE_HZ / (1 << 17)

    c, v = SPEED_OF_SOUND_M_S, 20.0
    assert frequency_at(1.5) == pytest.approx(1000 * c / (c - v), rel=0.004)
    assert frequency_at(6.5) == pytest.approx(1000 * c / (c + v), rel=0.004)
    # Heard broadside when the source has been there for r / c; the arrivals count from the first sound
    first = -4.0 + np.hypot(80.0, 5.0) / c
    assert passage.bearing(np.array([5.0 / c - first]))[0] == pytest.approx(0, abs=1e-6)
    near = np.abs(received[int((5.0 / c - first) * RATE_HZ) + np.arange(-200, 200)]).max()
    # 1 s after the closest point it is at sqrt(20² + 5²) m
    later = 1.0 + np.hypot(20, 5) / c - first
    far = np.abs(received[int(later * RATE_HZ) + np.arange(-200, 200)]).max()
    assert far / near == pytest.approx(5 / np.hypot(20, 5), rel=0.03)
    assert received.dtype == np.float32
