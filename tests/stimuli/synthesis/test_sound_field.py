"""Lobes on the grid of directions."""

import numpy as np
import pytest

from stimuli.synthesis.sound_field import GRID_VECTORS, lobe


def test_lobe_points_where_it_should():
    centre = lobe(90.0, 30.0, 20.0) @ GRID_VECTORS
    assert np.degrees(np.arctan2(centre[1], centre[0])) == pytest.approx(90, abs=2)
    assert np.degrees(np.arcsin(centre[2] / np.linalg.norm(centre))) == pytest.approx(30, abs=2)
    assert lobe(0, 0, 0.0) == pytest.approx(np.full(256, 1 / 256))
