"""Bands on the ERB-rate scale."""

import numpy as np
import pytest

from render.dsp.erb import erb_edges_hz


def test_edges_are_equally_far_apart_for_the_ear():
    """Glasberg and Moore's bandwidth, 24.7 (1 + 4.37 f / kHz) Hz, is the inverse slope of their scale."""
    edges = erb_edges_hz(50.0, 16_000.0, 400)
    assert edges[[0, -1]] == pytest.approx([50, 16_000])
    centres, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    in_erbs = widths / (24.7 * (1 + 4.37 * centres / 1000))
    np.testing.assert_allclose(in_erbs, in_erbs[0], rtol=1e-3)
    # from 50 Hz to 16 kHz there are about 37 bandwidths
    assert in_erbs.sum() == pytest.approx(37.5, abs=0.5)
