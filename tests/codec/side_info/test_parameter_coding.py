"""The bits of levels and correlations: what comes back, at what size, whatever is put in."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codec.bitstream import range_coder
from codec.bitstream.sizes import side_info_bytes
from codec.side_info import binary_coding, parameter_coding
from codec.side_info.analysis import band_edges
from codec.side_info.parameter_coding import (
    SpatialParameters,
    decode_parameters,
    encode_parameters,
    pair_steps,
    quantiser_step,
)

GOLDEN = Path(__file__).parents[2] / "golden"
WIDTHS = np.diff(band_edges(44_100))


def random_parameters(seed, channels=4, level_slots=32, slots=4, smooth=True):
    """Levels and correlations that change slowly over bands and slots, as those of scenes do."""
    random = np.random.default_rng(seed)
    rough = 0.1 if smooth else 1.0
    pairs = channels * (channels - 1) // 2
    levels_db = random.uniform(-60, 0, (channels, 1, 1)) + rough * random.uniform(
        -20, 20, (channels, 24, level_slots)
    )
    correlations = random.uniform(-1, 1, (pairs, 1, 1)) + rough * random.uniform(-1, 1, (pairs, 12, slots))
    return SpatialParameters(np.ones(channels, bool), levels_db, correlations.clip(-1, 1))


def coded(found, size, ambisonic=False):
    grids = found.levels_db.shape[1:], found.correlations.shape[1:]
    data = encode_parameters(found, size, ambisonic, WIDTHS)
    return decode_parameters(data, len(found.active), *grids, ambisonic)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 9), st.integers(1, 7), st.integers(0, 1000), st.booleans(), st.floats(-90, 40), st.booleans()
)
def test_whatever_is_put_in_fits_and_comes_back(channels, slots, seed, smooth, level_db, ambisonic):
    found = random_parameters(seed, channels, 8 * slots, slots, smooth)
    found = found._replace(levels_db=found.levels_db + level_db)
    size = side_info_bytes(channels, 64 * slots)
    assert len(encode_parameters(found, size, ambisonic, WIDTHS)) == size
    back = coded(found, size, ambisonic)
    if back is None:  # no room
        return
    assert back.active.all()
    assert back.levels_db.shape == found.levels_db.shape
    assert np.isfinite(back.levels_db).all()
    assert np.abs(back.correlations).max(initial=0) <= 1


def test_the_error_is_bounded_by_the_step_and_falls_with_the_size():
    """An orthonormal transform keeps energies: the rms error is at most 0.6 steps."""
    found = random_parameters(2, 6)
    errors = []
    for size in (150, 300, 600, 1200, 8000):
        back = coded(found, size)
        errors.append(
            (
                np.sqrt(np.mean((back.correlations - found.correlations) ** 2)),
                np.sqrt(np.mean((back.levels_db - found.levels_db) ** 2)),
            )
        )
    assert errors == sorted(errors, reverse=True)
    assert errors[-1][0] < 0.6 * quantiser_step(0)
    assert errors[-1][1] < 0.6 * 12 * quantiser_step(0)
    assert errors[0][0] < 0.5


def test_in_ambisonics_low_degrees_are_finer():
    """The rms error is at most 0.6 of the own step, and that of W with X, Y, Z is a quarter of the largest."""
    found = random_parameters(7, 16)
    data = encode_parameters(found, 3000, True, WIDTHS)
    step = quantiser_step(data[0] >> 3)
    back = decode_parameters(data, 16, (24, 32), (12, 4), True)
    errors = np.sqrt(np.mean((back.correlations - found.correlations) ** 2, axis=(1, 2)))
    degrees = np.array([0] + 3 * [1] + 5 * [2] + 7 * [3])
    first, second = np.triu_indices(16, 1)
    for total, share in ((1, 0.25), (2, 0.5), (3, 0.75), (4, 1), (6, 1)):
        own = errors[degrees[first] + degrees[second] == total]
        assert own.max() < 0.6 * share * step, total
    assert errors[:3].max() < 0.5 * errors[degrees[first] + degrees[second] >= 4].mean()
    assert (pair_steps(np.ones(12, bool), False) == 1).all()
    # of active channels 0, 4 and 9 (degrees 0, 2, 3)
    active = np.isin(np.arange(16), (0, 4, 9))
    assert pair_steps(active, True).tolist() == [0.5, 0.75, 1.0]


def test_the_mean_power_of_every_channel_and_band_comes_back():
    """Levels that jump by 20 dB from slot to slot are smoothed at this size; their powers' mean is kept."""
    found = random_parameters(8, 4, smooth=False)
    back = coded(found, 500)

    def power_db(levels_db):
        return 10 * np.log10((10 ** (levels_db / 10)).mean(2))

    assert np.sqrt(np.mean((back.levels_db - found.levels_db) ** 2)) > 3
    assert abs(np.mean(power_db(back.levels_db) - power_db(found.levels_db))) < 0.7


@pytest.mark.parametrize("channels", [16, 64])
def test_quiet_long_packets_are_as_exact_as_others(channels):
    """The sum of all levels is the largest coefficient: here it takes more than 13 digits of the finest step."""
    found = random_parameters(9, channels, 63, 7)
    quiet = found._replace(levels_db=found.levels_db - 100)
    assert np.abs(quiet.levels_db.sum()) / np.sqrt(quiet.levels_db.size) > 2**13 * 12 * quantiser_step(0)
    for size in (10_000 * channels, 800 * channels):
        data = encode_parameters(quiet, size, True, WIDTHS)
        back = decode_parameters(data, channels, (24, 63), (12, 7), True)
        error = np.sqrt(np.mean((back.levels_db - quiet.levels_db) ** 2))
        assert error < 0.6 * 12 * quantiser_step(data[0] >> 3)
        assert abs(np.mean(back.levels_db - quiet.levels_db)) < 0.5


def test_sixteen_channels_of_a_smooth_field_fit_the_nominal_size():
    found = random_parameters(3, 16)
    back = coded(found, side_info_bytes(16, 256))
    assert np.sqrt(np.mean((back.correlations - found.correlations) ** 2)) < 0.15
    assert np.sqrt(np.mean((back.levels_db - found.levels_db) ** 2)) < 2


def test_silent_channels_are_said_to_be_silent():
    active = np.array([True, True, False, True])
    found = random_parameters(4, 3)._replace(active=active)
    back = coded(found, 200)
    assert back.active.tolist() == active.tolist()
    assert back.levels_db.shape[0] == 3
    nothing = SpatialParameters(np.zeros(4, bool), np.zeros((0, 24, 32)), np.zeros((0, 12, 4)))
    assert not coded(nothing, 100).active.any()


def test_without_room_nothing_is_said():
    assert coded(random_parameters(5, 9, smooth=False), 4) is None


@pytest.mark.parametrize("seed", range(30))
def test_any_bytes_are_decoded_to_finite_numbers(seed):
    """Side information whose CRC was forged: nothing overflows, nothing is asked for beyond its size."""
    data = np.random.default_rng(seed).bytes(60) if seed else bytes(60)
    back = decode_parameters(data, 5, (24, 63), (12, 7), bool(seed % 2))
    if back is not None:
        assert np.abs(back.levels_db).max(initial=0) <= 180
        assert np.abs(back.correlations).max(initial=0) <= 1


def test_smooth_fields_cost_less_at_the_same_step():
    sizes = []
    for smooth in (True, False):
        found = random_parameters(6, 8, smooth=smooth)
        correlations = parameter_coding._dct(found.correlations, (1, 2))
        step = quantiser_step(10)
        levels = parameter_coding._quantised_levels(found.levels_db, 12 * step)
        quantised = levels, parameter_coding._quantised(correlations, step)
        sizes.append(len(parameter_coding._write(10, found.active, *quantised)))
    assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize("ambisonic", [True, False])
def test_the_correlation_over_all_bands_comes_back(ambisonic):
    """The covariance of all bands together, by definition: the sum of those in bands and slots."""
    found = random_parameters(10, 9, smooth=False)
    size = 1500

    def overall(parameters):
        power = (10 ** (found.levels_db / 10) * WIDTHS[:, None]).reshape(9, 12, 2, 4, 8).sum((2, 4))
        matrix = np.zeros((9, 9))
        for pair, (i, j) in enumerate(zip(*np.triu_indices(9, 1), strict=True)):
            matrix[i, j] = (parameters.correlations[pair] * np.sqrt(power[i] * power[j])).sum()
        rms = np.sqrt(power.sum((1, 2)))
        return matrix[np.triu_indices(9, 1)] / (rms[:, None] * rms)[np.triu_indices(9, 1)]

    data = encode_parameters(found, size, ambisonic, WIDTHS)
    back = decode_parameters(data, 9, (24, 32), (12, 4), ambisonic)
    step = quantiser_step(data[0] >> 3) * pair_steps(found.active, ambisonic)[:, None, None]
    coefficients = parameter_coding._dct(found.correlations, (1, 2)) / step
    nearest = parameter_coding._inverse_dct(parameter_coding._quantised(coefficients, 1.0) * step, (1, 2))
    errors = [overall(p) - overall(found) for p in (back, found._replace(correlations=nearest.clip(-1, 1)))]
    assert np.abs(errors[0]).mean() < 0.4 * np.abs(errors[1]).mean()
    # at little cost in each band
    each = [np.square(c - found.correlations).mean() for c in (back.correlations, nearest)]
    assert each[0] < 1.15 * each[1]


def test_the_limits_of_levels_and_correlations_are_those_of_the_document():
    """Golden vector: levels that were written beyond -180 and 60 dB, correlations beyond ±1."""
    vector = json.loads((GOLDEN / "spatial_limits.json").read_text())["coding"]
    back = decode_parameters(bytes.fromhex(vector["side_info"]), 4, (24, 2), (12, 1), ambisonic=False)
    assert back.active.tolist() == [True, False, True, True]
    np.testing.assert_allclose(back.levels_db, vector["levels_db"], atol=1e-6)
    np.testing.assert_allclose(back.correlations, vector["correlations"], atol=1e-9)
    assert (back.levels_db.max(), back.levels_db.min()) == (60, -180)
    assert (back.correlations.max(), back.correlations.min()) == (1, -1)


def test_fractions_from_six_tenths_on_are_rounded_up():
    """0.6 itself lies between floating-point numbers; beyond 65,535 steps nothing is coded."""
    given = np.array([[[0.0, 0.599, 0.601, 1.599, 1.601, -0.599, -0.601, -2.4, 65_535.7, 1e9, -1e9]]])
    expected = [0, 0, 1, 1, 2, 0, -1, -2, 65_535, 65_535, -65_535]
    assert parameter_coding._quantised(given, 1.0).tolist() == [[expected]]
    assert parameter_coding._quantised(0.25 * given, 0.25).tolist() == [[expected]]


def test_refinement_takes_the_best_single_step_up_to_eight_times():
    """Every change by one of every number is tried, by the sum that the documentation minimises."""

    def cost(numbers, exact, u):
        error = numbers - exact
        return (error**2).sum() + 15 * (u * error).sum() ** 2 + 0.3 * (numbers != 0).sum()

    random = np.random.default_rng(5)
    most = 0
    for scale in (0.3, 1.0, 4.0):
        exact = scale * random.standard_normal((6, 3, 2))
        shares = random.uniform(0, 1, (6, 3, 2))
        shares /= np.sqrt((shares**2).sum((1, 2), keepdims=True))
        begin = np.trunc(exact + np.array([0, 2, -3, 5, 9, 0.5])[:, None, None]).astype(int)
        found = parameter_coding._refined(begin, exact, shares)
        for pair in range(6):
            numbers, steps = begin[pair].copy(), 0
            while steps < 8:
                tried = []
                for place in np.ndindex(3, 2):
                    for by in (1, -1):
                        other = numbers.copy()
                        other[place] += by
                        tried.append((cost(other, exact[pair], shares[pair]), other))
                best = min(tried, key=lambda one: one[0])
                if best[0] >= cost(numbers, exact[pair], shares[pair]):
                    break
                numbers, steps = best[1], steps + 1
            most = max(most, steps)
            assert found[pair].tolist() == numbers.tolist()
    assert most == 8


@pytest.mark.parametrize(("level_slots", "slots"), [(16, 2), (19, 2), (31, 3), (3, 1)])
def test_shares_are_the_weights_of_the_correlation_over_all_bands(level_slots, slots):
    """Rms of both channels in each band and slot; what is left over belongs to the last slot."""
    found = random_parameters(11, 3, level_slots, slots, smooth=False)
    shares = parameter_coding._shares(found, WIDTHS)
    for pair, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        weights = np.zeros((12, slots))
        for band in range(12):
            for slot in range(slots):
                end = level_slots if slot == slots - 1 else 8 * (slot + 1)
                power = [
                    sum(
                        WIDTHS[level_band] * 10 ** (found.levels_db[channel, level_band, level_slot] / 10)
                        for level_band in (2 * band, 2 * band + 1)
                        for level_slot in range(8 * slot, end)
                    )
                    for channel in (i, j)
                ]
                weights[band, slot] = np.sqrt(power[0] * power[1])
        np.testing.assert_allclose(shares[pair], weights / np.sqrt((weights**2).sum()), rtol=1e-9)


def test_the_finest_step_that_fits_is_taken():
    """At the size of what was written one byte less takes a coarser step, and none is finer."""
    found = random_parameters(12, 2, 8, 1)
    steps = {}
    for size in range(10, 260):
        data = encode_parameters(found, size, False, WIDTHS)
        assert len(data) == size
        steps.setdefault(data[0] >> 3, (size, data.rstrip(b"\0")))
    assert list(steps) == sorted(steps, reverse=True)
    assert len(steps) > 12
    assert list(steps)[-1] == 0
    for size, written in list(steps.values())[1:]:
        assert len(written) == size


def test_the_steps_are_sixth_roots_of_two_apart():
    assert quantiser_step(0) == 0.15
    assert quantiser_step(6) == pytest.approx(0.3)
    assert quantiser_step(30) == pytest.approx(4.8)
    assert parameter_coding.STEPS == 32


FAIR = 1 << 14


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([FAIR, FAIR, 63, 300, 32_000, 32_704])), max_size=80))
@example([(0, FAIR)] + [(1, FAIR)] * 23)
@example([(0, FAIR)] + [(1, 63)] * 60 + [(1, 32_704)] * 30)  # a carry through many bytes of 255
@example([(1, FAIR)] * 80)
def test_the_compiled_coder_writes_the_bytes_of_the_plain_one(decisions):
    """Oracle: `codec.bitstream.range_coder`, whose Python integers need no carry."""
    plain, coded = range_coder._Encoder(), np.zeros(2 * len(decisions) + 1, np.uint8)
    state = np.array([binary_coding.WRITES, 1 << 32, 0, 0], np.int64)
    for bit, zero in decisions:
        plain.put(bit, zero)
        binary_coding.decide(bit, zero, state, coded)
    data = binary_coding.finished(state, coded)
    assert data == plain.finish()
    back = np.array([binary_coding.READS, 1 << 32, int.from_bytes(data[:4].ljust(4, b"\0"), "big"), 4], np.int64)
    given_back = np.frombuffer(data, np.uint8).copy()
    assert [binary_coding.decide(0, zero, back, given_back) for _, zero in decisions] == [b for b, _ in decisions]


def test_carries_run_through_many_bytes():
    """One decision above an interval that ends just below a power of two carries through all bytes of 255."""
    coded = np.array([7, 255, 255, 255, 255, 0, 0, 0], np.uint8)
    state = np.array([binary_coding.WRITES, 1 << 24, (1 << 32) - (1 << 20), 5], np.int64)
    assert binary_coding.decide(1, FAIR, state, coded) == 1
    # (2²⁴ / 2¹⁵) · 2¹⁴ = 2²³ is added to 7·2⁶⁴ + 2⁶⁴ - 2²⁰; the range of 2²³ then calls for one byte more
    assert coded.tolist()[:6] == [8, 0, 0, 0, 0, 0]
    assert state.tolist() == [binary_coding.WRITES, 1 << 31, ((1 << 23) - (1 << 20)) << 8, 6]


def written_by_the_document(step_index, active, levels, correlations):
    """Section "coding" of docs/bitstream.md, decision by decision, for the plain range coder."""
    coder = range_coder._Encoder()
    shares = np.array(parameter_coding._NONZERO_SHARE)
    counts = {}

    def fair(number, digits):
        for shift in range(digits - 1, -1, -1):
            coder.put(number >> shift & 1, FAIR)

    def adaptive(bit, context, ones):
        pair = counts.setdefault(context, [32 - ones, ones] if len(context) == 3 else [4, 4])
        coder.put(bit, (pair[0] << 15) // sum(pair))
        pair[bit] += 1
        if sum(pair) > 512:
            pair[:] = [(count + 1) // 2 for count in pair]

    fair(step_index, 5)
    for flag in active:
        fair(int(flag), 1)
    for kind, numbers in enumerate((levels, correlations)):
        for (r, i, k), number in np.ndenumerate(numbers):
            x, o = int(number), int.bit_length
            near = (abs(numbers[r, i - 1, k]) if i else 0) + (abs(numbers[r, i, k - 1]) if k else 0)
            z = (o(i) + 5 * o(k)) if kind else min(7, o(r) + o(i)) + 8 * min(4, o(k))
            near = min(2, int(near))
            adaptive(int(x != 0), (kind, z, near), int(shares[kind, 3 * z + near]))
            if x:
                fair(int(x < 0), 1)
                n = o(abs(x)) - 1
                for position in range(min(n + 1, 15)):
                    adaptive(int(position < n), (kind, min(z, 1), position, "prefix"), 4)
                fair(abs(x) & (1 << n) - 1, n)
    return coder.finish()


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 2, 60, 20_000]))
def test_the_bytes_are_those_of_the_document(channels, slots, seed, scale):
    random = np.random.default_rng(seed)
    active = random.random(channels + 2) < 0.7
    count = int(active.sum())
    levels, correlations = (
        np.clip(random.laplace(0, scale, shape), -65_535, 65_535).astype(np.int64)
        for shape in ((count, 24, 8 * slots), (count * (count - 1) // 2, 12, slots))
    )
    index = int(random.integers(0, 31))
    expected = written_by_the_document(index, active, levels, correlations)
    assert parameter_coding._write(index, active, levels, correlations) == expected
