"""Coefficients that are sent: what comes back, how exact it is, and that any bytes are read."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.side_info.attacks import Attack
from codec.side_info.coefficient_coding import (
    CODED_BANDS,
    CoefficientGrid,
    decode_detail,
    encode_detail,
    is_sent,
    step_size,
)
from codec.side_info.weak_components import limited_power

EDGES = np.array([2, 8, 16, 27, 43, 67, 100, 147, 215])
GRID = CoefficientGrid(np.repeat([0, 1], 12), EDGES)
LAWS = np.arange(24).reshape(2, 12) % 4
ATTACKS = [Attack(3, (1, 2, 63)), Attack(65_535, (0, 0, 0))]


def material(components=3, seed=0):
    """Coefficients of two slots with Laplacian values, their powers, and input gains."""
    random = np.random.default_rng(seed)
    power = np.zeros((2, 12, components))
    power[:, CODED_BANDS.start : CODED_BANDS.stop] = 10.0 ** -np.arange(components)
    gain = random.uniform(0.5, 2, (2, 12))
    rms = np.zeros((components, 24, 1024), np.float32)
    for band, (low, high) in enumerate(pairwise(EDGES)):
        own = np.sqrt(power[:, band]) * gain[:, band, None]
        rms[:, :, low:high] = own[GRID.slot_of_frame].T[:, :, None]
    return (rms * random.laplace(0, 0.5**0.5, rms.shape)).astype(np.float32), power, gain


@pytest.mark.parametrize("size", [600, 1200, 3000])
def test_what_is_sent_comes_back_within_the_step_size(size):
    """A value is at most 0.64 of a step away, and what is not sent is 0; the attacks come back as they were.

    The strongest components are sent, those above 0.06 of the squared step, and from band 2 on no more of them
    than save 0.6 of it for each coefficient that is not 0.
    """
    coefficients, power, gain = material()
    data, counts = encode_detail(ATTACKS, LAWS, coefficients, power, gain, GRID, size)
    assert len(data) == size
    attacks, limited, sent = decode_detail(data, power, gain, GRID)
    assert attacks == ATTACKS
    assert np.array_equal(limited, limited_power(power, LAWS))
    own = coefficients[:, :, EDGES[0] : EDGES[-1]]
    where = is_sent(sent.counts, GRID, 3)
    assert where.any()
    assert not sent.values[~where].any()
    index = _index_of(data)
    steps = step_size(index) * gain[:, :8] * power[:, :8].sum(2) ** 0.3
    by_bin = np.repeat(steps, np.diff(EDGES), axis=1)[GRID.slot_of_frame]
    error = np.abs(sent.values - own) / by_bin
    assert error[where].max() < 0.6401
    assert error[where & (sent.values != 0)].max() > 0.5
    expected = np.count_nonzero(power[:, :8] * gain[:, :8, None] ** 2 > 0.06 * steps[:, :, None] ** 2, axis=2)
    numbers = np.floor(np.abs(own) / by_bin + 0.36)
    worth = np.where(numbers > 0, (own / by_bin) ** 2 - (np.abs(own) / by_bin - numbers) ** 2 - 0.6, 0)
    for slot, band in np.ndindex(2, 8):
        part = worth[:, GRID.slot_of_frame == slot, EDGES[band] - 2 : EDGES[band + 1] - 2].sum((1, 2))
        while band >= 2 and expected[slot, band] and part[expected[slot, band] - 1] <= 0:
            expected[slot, band] -= 1
    assert np.array_equal(sent.counts, expected)
    assert np.array_equal(counts, expected)


def _index_of(data):
    """The number of the step size by the document: 7 fair bits after those of the attacks and the laws."""
    from codec.side_info.binary_coding import fair_number, reader
    from codec.side_info.weak_components import code_laws

    state, coded = reader(data)
    for bits in (4, *(16, 6, 6, 6) * 2):
        fair_number(0, bits, state, coded)
    code_laws(np.zeros((2, 12), np.int64), state, coded)
    return fair_number(0, 7, state, coded)


def test_more_bytes_give_a_smaller_error():
    coefficients, power, gain = material()
    own = coefficients[:, :, EDGES[0] : EDGES[-1]]
    errors = []
    for size in (300, 900, 2700, 8100):
        data, _ = encode_detail([], LAWS, coefficients, power, gain, GRID, size)
        _, _, sent = decode_detail(data, power, gain, GRID)
        errors.append(np.square(sent.values - own).sum() / np.square(own).sum())
    assert all(np.diff(errors) < 0)
    assert errors[0] < 1
    assert errors[-1] < 2e-3


def test_the_rate_is_near_that_of_an_ideal_coder():
    """Oracle: the entropy of independent quantised Laplacian values, 213 bins of 24 frames at one step size."""
    random = np.random.default_rng(1)
    power, gain = np.zeros((2, 12, 1)), np.ones((2, 12))
    power[:, :8] = 1
    coefficients = random.laplace(0, 0.5**0.5, (1, 24, 1024)).astype(np.float32)
    size = 900
    data, _ = encode_detail([], LAWS, coefficients, power, gain, GRID, size)
    _, _, sent = decode_detail(data, power, gain, GRID)
    step = np.unique(np.abs(sent.values))[1]
    numbers = np.round(np.abs(sent.values) / step).astype(int)
    edge = lambda n: np.exp(-np.sqrt(2) * step * (n - 0.36)) if n > 0 else 1.0  # noqa: E731, share of |x| beyond
    share = np.array([edge(n) - edge(n + 1) for n in range(numbers.max() + 2)])
    bits = -(share * np.log2(share)).sum() + (1 - share[0])  # and a sign where a number is not 0
    used = 8 * len(data.rstrip(b"\0"))
    assert 0.97 * bits * numbers.size < used < 1.1 * bits * numbers.size


def test_nothing_is_sent_where_nothing_fits_or_there_are_no_powers():
    coefficients, power, gain = material()
    nothing_fits, _ = encode_detail(ATTACKS, LAWS, coefficients, power, gain, GRID, 3)
    assert nothing_fits == bytes(3)
    for data in (nothing_fits, bytes(25), b""):
        attacks, same, sent = decode_detail(data, power, gain, GRID)
        assert attacks == []
        assert np.array_equal(same, power)
        assert sent is None or not sent.counts.any()
    only_attacks, _ = encode_detail(ATTACKS, None, coefficients, None, gain, GRID, 99)
    assert decode_detail(only_attacks, None, gain, GRID) == (ATTACKS, None, None)


def test_the_largest_numbers_come_back():
    """Beyond 14 a magnitude is an Elias gamma code; a peak of 60 dB above the rest needs it."""
    coefficients, power, gain = material()
    coefficients[0, 5, 100] = -900 * np.sqrt(power[0, 6, 0]) * gain[0, 6]
    data, _ = encode_detail([], LAWS, coefficients, power, gain, GRID, 800)
    _, _, sent = decode_detail(data, power, gain, GRID)
    assert sent.values[0, 5, 100 - EDGES[0]] == pytest.approx(coefficients[0, 5, 100], rel=1e-3)


def test_silence_takes_no_time_and_stays_silent():
    power, gain = np.zeros((2, 12, 3)), np.ones((2, 12))
    data, _ = encode_detail([], LAWS, np.zeros((3, 24, 1024), np.float32), power, gain, GRID, 100)
    _, _, sent = decode_detail(data, power, gain, GRID)
    assert sent is None or not sent.values.any()


@settings(deadline=None, max_examples=30)
@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_are_finite_coefficients(data):
    _, power, gain = material()
    attacks, limited, sent = decode_detail(data, power, gain, GRID)
    assert len(attacks) <= 15
    assert (limited <= power).all()
    if sent is not None:
        assert np.isfinite(sent.values).all()
        assert sent.counts.max() <= 3
