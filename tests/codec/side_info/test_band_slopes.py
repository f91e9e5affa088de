"""Slopes within level bands: steps at their edges disappear, the powers of bands stay."""

from itertools import pairwise

import numpy as np
import pytest

from codec.side_info.analysis import band_edges
from codec.side_info.band_slopes import set_slopes

EDGES = band_edges(44_100)
CENTRES = (EDGES[:-1] + EDGES[1:] - 1) / 2
SLOTS = np.repeat([0, 1], 40)


def stairs(rise_db=3.0, seed=0):
    """Noise, flat in each level band, that rises from band to band; its levels, and those of a second slot."""
    steps_db = rise_db * np.arange(24)
    noise = np.random.default_rng(seed).standard_normal((1, 81, 1024))
    noise[:, :, 2:] *= 10 ** (np.repeat(steps_db, np.diff(EDGES))[:1022] / 20)
    return noise.astype(np.float32), np.stack([steps_db, np.zeros(24)], 1)[None]


def test_steps_become_slopes():
    """Next to an edge the spectrum was up by 3 dB; then it lies within 1 dB of the line between the centres."""
    x, levels_db = stairs()
    found = x.copy()
    set_slopes(found, levels_db, SLOTS, EDGES)
    for edge in EDGES[18:23]:
        below, above = (
            10 * np.log10(np.square(found[0, 1:41, q]).mean())
            for q in (slice(edge - 8, edge), slice(edge, edge + 8))
        )
        line = np.interp([edge - 4.5, edge + 3.5], CENTRES, levels_db[0, :, 0])
        assert above - below == pytest.approx(line[1] - line[0], abs=1)
        assert line[1] - line[0] < 1


def test_powers_of_bands_and_what_lies_below_stay():
    x, levels_db = stairs()
    found = x.copy()
    set_slopes(found, levels_db, SLOTS, EDGES)
    assert np.array_equal(found[:, :, : EDGES[16]], x[:, :, : EDGES[16]])
    for low, high in pairwise(EDGES[16:]):
        powers = [np.square(y[0, 1:41, low:high], dtype=np.float64).sum() for y in (found, x)]
        assert powers[0] == pytest.approx(powers[1], rel=1e-4)


def test_slots_have_their_own_slopes_and_the_first_frame_those_of_the_first_slot():
    """The levels of the second slot are alike, its spectrum is not: it becomes flat within each band."""
    x, levels_db = stairs()
    x[0, 0] = x[0, 5]
    found = x.copy()
    set_slopes(found, levels_db, SLOTS, EDGES)
    assert np.array_equal(found[0, 0], found[0, 5])
    gains = [(found[0, frame] / x[0, frame])[EDGES[16] :] for frame in (5, 60)]
    assert np.abs(20 * np.log10(gains[0] / gains[1])).max() > 1


def test_gains_are_limited_to_9_db_and_silence_stays_silent():
    x, levels_db = stairs()
    x[0, :, EDGES[20] + 10 : EDGES[20] + 40] *= np.float32(1e-3)
    found = np.concatenate([x, np.zeros_like(x)])
    set_slopes(found, np.concatenate([levels_db, levels_db]), SLOTS, EDGES)
    assert not found[1].any()
    gain_db = 20 * np.log10(found[0, 3, EDGES[16] :] / x[0, 3, EDGES[16] :])
    assert gain_db.max() == pytest.approx(9, abs=1e-3)
    assert gain_db.min() >= -9.001
