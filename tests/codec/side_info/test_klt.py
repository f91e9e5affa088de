"""The Karhunen-Loève transform: orthogonal, the same on every machine, with the powers that were sent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from codec.side_info.analysis import band_edges
from codec.side_info.klt import (
    MDCT_HOP,
    ForwardKLT,
    InverseKLT,
    KLTBasis,
    decorrelation_matrix,
    klt_basis,
    mdct_of_packet,
    random_signs,
)
from codec.side_info.parameter_coding import SpatialParameters
from codec.streaming.rechunk import rechunk

HOP, RATE_HZ = 512, 44_100
PACKET = 256 * HOP
MARGIN = 6656


def random_basis(slots, channels, seed=0):
    random = np.random.default_rng(seed)
    return KLTBasis(
        np.linalg.qr(random.standard_normal((slots, 12, channels, channels)))[0], None, np.ones((slots, 12))
    )


def transformed(x, bases, lengths, back=False):
    transform = InverseKLT(HOP, RATE_HZ) if back else ForwardKLT(HOP, RATE_HZ)
    blocks = rechunk([x], lengths, MDCT_HOP)
    parts = [transform(s, b, n, a) for (s, b, n), a in zip(blocks, bases, strict=True)]
    return np.concatenate(parts, axis=1)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([256, 300, 511]))
def test_there_and_back_is_what_it_was(seed, last):
    """An orthogonal transform, whatever the vectors of neighbouring bands, slots and packets are.

    Except for the first and last samples: what the transform brings beyond the ends is not coded.
    """
    lengths = [PACKET, PACKET, last * HOP]
    x = np.random.default_rng(seed).standard_normal((3, sum(lengths))).astype(np.float32)
    x[:, : 2 * MDCT_HOP] = x[:, -2 * MDCT_HOP :] = 0
    bases = [random_basis(n, 3, seed + n) for n in (4, 4, max(1, last // 64))]
    y = transformed(x, bases, lengths)
    assert np.square(y).sum() == pytest.approx(np.square(x).sum(), rel=1e-5)
    np.testing.assert_allclose(transformed(y, bases, lengths, back=True), x, atol=2e-5)
    # every number of y is made of more than one channel: it is not a copy
    assert np.abs(np.corrcoef(y, x)[3:, :3]).max() < 0.8


def test_an_error_is_as_large_in_the_channels_as_in_the_components():
    lengths = [PACKET] * 2
    random = np.random.default_rng(3)
    bases = [random_basis(4, 4, seed) for seed in (1, 2)]
    error = np.zeros((4, 2 * PACKET), np.float32)
    error[:, 5000:-5000] = random.standard_normal((4, 2 * PACKET - 10_000))
    back = transformed(error, bases, lengths, back=True)
    assert np.square(back).sum() == pytest.approx(np.square(error).sum(), rel=1e-5)


def test_without_parameters_nothing_is_transformed():
    basis = klt_basis(None, 4, PACKET, HOP, RATE_HZ)
    x = np.random.default_rng(0).standard_normal((4, PACKET)).astype(np.float32)
    for transform in (ForwardKLT(HOP, RATE_HZ), InverseKLT(HOP, RATE_HZ)):
        transformed = transform(x, 0, PACKET, basis)
        np.testing.assert_allclose(transformed[:, :-MDCT_HOP], x[:, :-MDCT_HOP], atol=1e-5)


def test_any_gains_there_are_undone_on_the_way_back():
    """The transform is orthogonal, so a gain before the network can be divided out behind."""
    lengths = [PACKET, 300 * HOP]
    x = np.random.default_rng(4).standard_normal((3, sum(lengths))).astype(np.float32)
    x[:, : 2 * MDCT_HOP] = x[:, -2 * MDCT_HOP :] = 0
    gains = [10 ** np.random.default_rng(n).uniform(-1, 1, (4, 12)) for n in range(2)]
    bases = [random_basis(4, 3, n)._replace(gain=g) for n, g in enumerate(gains)]
    y = transformed(x, bases, lengths)
    assert np.square(y).sum() > 10 * np.square(x).sum()
    np.testing.assert_allclose(transformed(y, bases, lengths, back=True), x, atol=2e-4)


def white(seed, channels=4, packets=1):
    """Noise that has nothing below the bands, where gains differ."""
    x = np.random.default_rng(seed).standard_normal((channels, packets * PACKET)).astype(np.float32)
    spectrum = np.fft.rfft(x)
    spectrum[:, : round(50 / RATE_HZ * x.shape[1])] = 0
    return np.fft.irfft(spectrum, x.shape[1]).astype(np.float32)


def test_components_get_the_power_that_was_sent():
    """Whatever gain the network gives each of them: first they are amplified, then noise makes up for the rest.

    The power is that of the packet's inner part.
    """
    x, sent = white(2), random_basis(4, 4)._replace(power=np.random.default_rng(3).uniform(0.5, 2, (4, 12, 4)))

    def components(network, seed=0):
        channels = InverseKLT(HOP, RATE_HZ)(network, 0, PACKET, sent, seed)
        return ForwardKLT(HOP, RATE_HZ)(channels, 0, PACKET, sent)

    first, inside = components(x), slice(MARGIN, PACKET - MARGIN)
    np.testing.assert_allclose(
        components(np.float32([[0.6], [3.0], [1.0], [10.0]]) * x)[:, inside], first[:, inside], atol=0.05
    )
    widths = np.diff([*band_edges(RATE_HZ)[:-1:2], MDCT_HOP])
    expected = (widths[:, None] * sent.power.mean(0)).sum(0) / widths.sum()
    np.testing.assert_allclose(np.square(first[:, inside]).mean(1), expected, rtol=0.05)
    # 30 dB too weak: 9 dB of them by gain, the rest by noise, which is another one with another seed
    weak = np.float32([[1.0], [0.03], [1.0], [1.0]]) * x
    filled, other = components(weak)[:, inside], components(weak, seed=1)[:, inside]
    np.testing.assert_allclose(np.square(filled).mean(1), expected, rtol=0.05)
    likeness = [np.corrcoef(a, b)[0, 1] for a, b in ((filled[1], x[1, inside]), (filled[1], other[1]))]
    assert likeness == pytest.approx([10 ** ((9 - 30.5) / 20), 0], abs=0.03)
    # what the noise has in common with the others by chance is taken from both
    assert np.square(filled[0] - first[0, inside]).mean() < 1e-3 * expected[0]
    # nothing of a network that says nothing, and nothing that is not a number
    assert not components(0 * x).any()


def test_component_powers_are_the_mean_squares_of_slots_and_bands_without_the_gain():
    """Of white noise they are its variance, in all components; of a slot that is silent they are 0."""
    x = white(3)
    x[:, 20_000:80_000] = 0
    transform = ForwardKLT(HOP, RATE_HZ)
    basis = random_basis(4, 4)._replace(gain=np.random.default_rng(1).uniform(0.5, 2, (4, 12)))
    found = transform.component_powers(transform.transformed(mdct_of_packet(x, 0, PACKET), basis), basis)
    assert found.shape == (4, 12, 4)
    variance = np.square(x[:, 80_000:]).mean()
    np.testing.assert_allclose(found[3, 6:], variance, rtol=0.15)
    assert found[1].max() < 1e-9 * variance


def test_what_is_sent_is_turned_down_by_6_db_before_the_network_and_nothing_else_is():
    """Two packets of two slots. The frame at their border is in both, and is treated the same in both."""
    length, channels = 128 * HOP, 3
    x = np.random.default_rng(8).standard_normal((channels, 2 * length)).astype(np.float32)
    edges, transform = band_edges(RATE_HZ)[::2], ForwardKLT(HOP, RATE_HZ)
    ratios, last = [], []
    for packet, counts in enumerate(np.random.default_rng(9).integers(0, channels + 1, (2, 2, 8))):
        part = x[:, max(0, packet * length - MDCT_HOP) : (packet + 1) * length + MDCT_HOP]
        spectrum = mdct_of_packet(part, packet * MDCT_HOP, length)
        before = transform.transformed(spectrum, random_basis(2, channels, packet))
        after = before.copy()
        transform.turn_down_sent(after, counts)
        ratios.append(after / before)
        last.append(after)
        expected = np.ones((channels, 64, 1024))
        for slot, band in np.ndindex(counts.shape):
            frames = slice(32 * slot, 32 * slot + 32)
            expected[: counts[slot, band], frames, edges[band] : edges[band + 1]] = 10 ** (-6 / 20)
        assert 0.1 < (expected < 1).mean() < 0.2
        np.testing.assert_allclose(ratios[packet][:, 1:], expected, rtol=1e-6)
    assert (ratios[0][:, 0] == 1).all()
    assert np.array_equal(ratios[1][:, 0] < 0.9, ratios[0][:, -1] < 0.9)
    np.testing.assert_allclose(last[1][:, 0], last[0][:, -1], atol=1e-5)


def test_uncorrelated_gives_the_powers_and_takes_the_correlations():
    random = np.random.default_rng(6)
    mixed = random.standard_normal((5, 5)) @ random.standard_normal((5, 4000))
    covariance, power = mixed @ mixed.T / 4000, 10 ** random.uniform(-4, 1, 5)
    loosened = 0.95 * covariance + 0.05 * np.diag(np.diag(covariance))
    matrix = decorrelation_matrix(covariance, power, np.zeros(5))
    np.testing.assert_allclose(matrix @ loosened @ matrix.T, np.diag(power), atol=1e-12)
    # of all maps that do so, all of them this one behind a rotation, it changes the least
    root = np.diag(np.sqrt(power)) @ np.linalg.inv(np.linalg.cholesky(loosened))

    def change(by):
        return np.trace((by - np.eye(5)) @ loosened @ (by - np.eye(5)).T)

    for seed in range(50):
        rotation = ortho_group.rvs(5, random_state=seed)
        other = np.diag(np.sqrt(power)) @ rotation @ np.diag(power**-0.5) @ root
        np.testing.assert_allclose(other @ loosened @ other.T, np.diag(power), atol=1e-10)
        assert change(matrix) <= change(other)
    # a network that made every component as strong as it should be is believed
    np.testing.assert_allclose(
        decorrelation_matrix(covariance, np.diag(covariance), np.ones(5)), np.eye(5), atol=1e-9
    )
    # a component of nothing, and nothing at all
    covariance[0] = covariance[:, 0] = 0
    assert np.isfinite(decorrelation_matrix(covariance, power, np.full(5, 0.5))).all()
    assert not decorrelation_matrix(0 * covariance, 0 * power, np.zeros(5)).any()


def test_components_that_a_network_mixes_are_made_uncorrelated():
    """Too weak copies of one component lose their likeness, and the strong one stays itself."""
    x = white(7)
    made = x * np.float32([[1.0], [0.02], [0.02], [0.02]])
    made[1:] += 0.03 * x[:1]
    power = np.broadcast_to([1.0, 0.01, 0.01, 0.01], (4, 12, 4))
    sent = random_basis(4, 4)._replace(power=power)
    channels = InverseKLT(HOP, RATE_HZ)(made, 0, PACKET, sent)
    components = ForwardKLT(HOP, RATE_HZ)(channels, 0, PACKET, sent)[:, MARGIN : PACKET - MARGIN]
    before = np.corrcoef(made)
    assert before[0, 1:].min() > 0.8
    assert before[1, 2:].min() > 0.6
    after = np.corrcoef(components)
    assert np.abs(after - np.eye(4)).max() < 0.2
    assert np.corrcoef(components[0], x[0, MARGIN : PACKET - MARGIN])[0, 1] > 0.99


def test_what_happens_at_an_end_changes_no_gain_of_other_slots():
    x, sent = white(2), random_basis(4, 4)._replace(power=np.random.default_rng(3).uniform(0.5, 2, (4, 12, 4)))
    louder = x.copy()
    louder[:, :4000] *= 10
    whole, damaged = (InverseKLT(HOP, RATE_HZ)(y, 0, PACKET, sent) for y in (x, louder))
    slot = PACKET // 4 + MDCT_HOP  # a frame at the border of two slots reaches into the second
    assert np.array_equal(damaged[:, slot:], whole[:, slot:])


def test_noise_is_uncorrelated_and_follows_the_level_of_the_frames():
    """What fills weak components, with one loud: 20 dB of it come and go."""
    x = white(5)
    x[:, PACKET // 2 :] *= 0.1
    x[1:] *= 1e-4
    sent = random_basis(1, 4)._replace(power=np.ones((1, 12, 4)))
    channels = InverseKLT(64 * HOP, RATE_HZ)(x, 0, PACKET, sent)
    components = ForwardKLT(64 * HOP, RATE_HZ)(channels, 0, PACKET, sent)
    noise = components[1:, 4096:-4096]
    assert np.abs(np.corrcoef(noise) - np.eye(3)).max() < 0.02
    assert np.abs(np.corrcoef(noise, x[:1, 4096:-4096])[3, :3]).max() < 0.02
    loud, soft = (np.square(noise[:, part]).mean() for part in (slice(40_000), slice(-40_000, None)))
    assert 10 * np.log10(loud / soft) == pytest.approx(20, abs=0.3)


def test_random_signs_are_those_of_splitmix64():
    """First numbers of the reference implementation (Vigna, splitmix64.c) that begins with 1234567."""
    numbers = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    expected = [[1 - 2 * (number >> channel & 1) for number in numbers] for channel in range(64)]
    assert random_signs(1234567, 0, 64, 1, 4)[:, 0].tolist() == expected
    # other frames, and channels beyond the 64th, go on elsewhere in the sequence
    many = random_signs(7, 3, 100, 5, 1024)
    assert np.array_equal(many[:20, 2:], random_signs(7, 5, 20, 3, 1024))
    assert np.abs(np.corrcoef(many.reshape(100, -1)) - np.eye(100)).max() < 0.06


@pytest.mark.parametrize(("decibels", "slope"), [(-60, -2.0), (-75, 1.5), (-50, 0.0)])
def test_the_network_gets_one_level_and_half_of_what_spectra_differ(decibels, slope):
    """Slots that are 20 dB apart, and a spectrum that falls or rises by `slope` from band to band."""
    levels_db = np.full((4, 24, 32), float(decibels)) + slope * (np.arange(24) // 2)[:, None]
    levels_db[:, :, 16:] -= 20
    sent = SpatialParameters(np.ones(4, bool), levels_db, np.full((6, 12, 4), 0.3))
    basis = klt_basis(sent, 4, PACKET, HOP, RATE_HZ)
    got_db = 10 * np.log10(basis.power.sum(2) * basis.gain**2)
    np.testing.assert_allclose(got_db[3], got_db[0], atol=1e-6)
    before_db, after_db = np.diff(10 * np.log10(basis.power[0].sum(1))), np.diff(got_db[0])
    np.testing.assert_allclose(before_db, slope, atol=1e-6)
    steps_db = np.diff([18, 13.5, 11.5, 9, 5.5, -1, -6, -12, -18, -24, -28.5, -31.5])
    np.testing.assert_allclose(after_db, (before_db + steps_db) / 2, atol=1e-6)


def test_gains_have_bounds():
    for level_db, expected in ((-200.0, 100), (60.0, 10**-1.5)):
        sent = SpatialParameters(np.ones(2, bool), np.full((2, 24, 32), level_db), np.zeros((1, 12, 4)))
        np.testing.assert_allclose(klt_basis(sent, 2, PACKET, HOP, RATE_HZ).gain, expected)


@pytest.mark.parametrize("hop", [8, 64])
def test_slots_shorter_than_a_frame(hop):
    """Slots without a frame of their own have no power, and none is needed."""
    sent = random_basis(4, 2)._replace(power=np.ones((4, 12, 2)))
    x = np.random.default_rng(2).standard_normal((2, 256 * hop)).astype(np.float32)
    channels = InverseKLT(hop, RATE_HZ)(x, 0, 256 * hop, sent)
    assert np.isfinite(channels).all()
    assert np.square(channels).mean() == pytest.approx(1, rel=0.3)


def parameters(correlations, channels=4, level_db=-60.0):
    return SpatialParameters(
        np.ones(channels, bool),
        np.full((channels, 24, 32), level_db),
        np.broadcast_to(np.asarray(correlations, float)[:, None, None], (channels * (channels - 1) // 2, 12, 4)),
    )


@pytest.mark.parametrize(
    "correlations",
    [[0.0] * 6, [0.5] * 6, [1.0] * 6, [0.5, 0, 0, 0, 0, 0.5], [-1 / 3] * 6],
    ids=["none", "equal", "one", "pairs", "cancelling"],
)
def test_rounding_decides_nothing_where_eigenvalues_are_equal(correlations):
    """Two machines whose numbers differ in the last digits find the same vectors, order and signs."""
    random = np.random.default_rng(1)
    expected = klt_basis(parameters(correlations), 4, PACKET, HOP, RATE_HZ).vectors
    for _ in range(5):
        near = parameters(np.array(correlations) + 1e-13 * random.standard_normal(6))
        near = near._replace(levels_db=near.levels_db + 1e-12 * random.standard_normal(near.levels_db.shape))
        found = klt_basis(near, 4, PACKET, HOP, RATE_HZ)
        np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
    np.testing.assert_allclose(expected.swapaxes(-1, -2) @ expected, np.broadcast_to(np.eye(4), expected.shape),
                               atol=1e-12)  # fmt: skip


def test_silent_channels_come_last_as_they_are():
    levels_db = np.full((2, 24, 32), -60.0)
    sent = SpatialParameters(np.array([True, False, True, False]), levels_db, np.full((1, 12, 4), 0.5))
    vectors = klt_basis(sent, 4, PACKET, HOP, RATE_HZ).vectors
    expected = np.zeros((4, 2))
    expected[1, 0] = expected[3, 1] = 1
    np.testing.assert_allclose(vectors[..., 2:], np.broadcast_to(expected, vectors[..., 2:].shape), atol=1e-9)


def test_every_channel_silent():
    sent = SpatialParameters(np.zeros(3, bool), np.zeros((0, 24, 32)), np.zeros((0, 12, 4)))
    vectors, power, gain = klt_basis(sent, 3, PACKET, HOP, RATE_HZ)
    np.testing.assert_allclose(vectors, np.broadcast_to(np.eye(3), vectors.shape), atol=1e-9)
    assert not power.any()
    assert np.isfinite(gain).all()
