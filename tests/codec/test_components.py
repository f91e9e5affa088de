"""The turn into principal components: orthogonal, the same for every cut, blind to how the field is turned."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from codec.rvqgan.config import ModelConfig
from codec.side_info import analysis as spatial
from codec.side_info import parameter_coding as spatial_code
from codec.side_info.klt import HALF, Axes, Turn, TurnBack, axes_of, random_signs, uncorrelated
from codec.side_info.parameter_coding import Parameters
from codec.side_info.spatial_layer import Layer
from codec.streaming.rechunk import rechunk
from render.hoa.spherical_harmonics import mirror_signs, spherical_harmonics, yaw_matrix

HOP, RATE_HZ = 512, 44_100
PACKET = 256 * HOP
MARGIN = 6656


def field(order=3, seconds=6.0, seed=0):
    """Three plane waves of noise of different colours, and a little noise in every channel."""
    random = np.random.default_rng(seed)
    frames = round(seconds * RATE_HZ)
    sources = random.standard_normal((3, frames)).cumsum(1)
    sources[1:] = np.diff(sources[1:], prepend=0)
    sources[2] = np.diff(sources[2], prepend=0)
    sources /= sources.std(1, keepdims=True)
    places = spherical_harmonics(order, random.uniform(0, 6, 3), random.uniform(-1, 1, 3))
    noise = 0.02 * random.standard_normal(((order + 1) ** 2, frames))
    return (0.05 * (places.T @ sources + noise)).astype(np.float32)


def random_axes(slots, channels, seed=0):
    random = np.random.default_rng(seed)
    return Axes(
        np.linalg.qr(random.standard_normal((slots, 12, channels, channels)))[0], None, np.ones((slots, 12))
    )


def turned(x, axes, lengths, back=False):
    turn = TurnBack(HOP, RATE_HZ, 0) if back else Turn(HOP, RATE_HZ)
    blocks = rechunk([x], lengths, HALF)
    parts = [turn(s, b, n, a) for (s, b, n), a in zip(blocks, axes, strict=True)]
    return np.concatenate(parts, axis=1)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([256, 300, 511]))
def test_there_and_back_is_what_it_was(seed, last):
    """An orthogonal transform, whatever the vectors of neighbouring bands, slots and packets are.

    But for the first and last samples: what the turn brings beyond the ends is not coded.
    """
    lengths = [PACKET, PACKET, last * HOP]
    x = np.random.default_rng(seed).standard_normal((3, sum(lengths))).astype(np.float32)
    x[:, : 2 * HALF] = x[:, -2 * HALF :] = 0
    axes = [random_axes(n, 3, seed + n) for n in (4, 4, max(1, last // 64))]
    y = turned(x, axes, lengths)
    assert np.square(y).sum() == pytest.approx(np.square(x).sum(), rel=1e-5)
    np.testing.assert_allclose(turned(y, axes, lengths, back=True), x, atol=2e-5)
    # every number of y is made of more than one channel: it is a turn and no copy
    assert np.abs(np.corrcoef(y, x)[3:, :3]).max() < 0.8


def test_an_error_is_as_large_in_the_channels_as_in_the_components():
    lengths = [PACKET] * 2
    random = np.random.default_rng(3)
    axes = [random_axes(4, 4, seed) for seed in (1, 2)]
    error = np.zeros((4, 2 * PACKET), np.float32)
    error[:, 5000:-5000] = random.standard_normal((4, 2 * PACKET - 10_000))
    back = turned(error, axes, lengths, back=True)
    assert np.square(back).sum() == pytest.approx(np.square(error).sum(), rel=1e-5)


def layered(x):
    """Components and layers of a signal of whole packets."""
    layer = Layer(ModelConfig(channels=len(x), side_layers=True))
    packets = list(layer.components([x], [256] * (x.shape[1] // PACKET)))
    return np.concatenate([p.samples for p in packets], axis=1), layer, [p.layer for p in packets]


@pytest.fixture(scope="module")
def scene():
    return field()[:, : 2 * PACKET]


def test_components_are_sorted_hardly_correlated_and_few_hold_the_energy(scene):
    components, _, _ = layered(scene)
    before = np.sort(np.square(scene).mean(1))[::-1]
    assert before[:3].sum() < 0.8 * before.sum()
    edges = spatial.band_edges(RATE_HZ)[::2]
    spectrum = spatial.windowed_spectra(components, range(PACKET // 8, PACKET // 4, 512))
    original = spatial.windowed_spectra(scene, range(PACKET // 8, PACKET // 4, 512))
    for low, high in pairwise(edges[1:]):
        shares = []
        for signal in (spectrum, original):
            part = signal[:, :, low:high].reshape(len(signal), -1)
            covariance = (part @ part.conj().T).real
            shares.append(np.square(covariance - np.diag(np.diag(covariance))).sum() / np.square(covariance).sum())
        assert shares[0] < 0.05 < 0.3 < shares[1]
        by_component = np.square(np.abs(spectrum[:, :, low:high])).sum((1, 2))
        assert (by_component[1:] < by_component[0]).all()
        assert (by_component[4:] < by_component[:3].sum() / 50).all()
        assert by_component[:3].sum() > 0.97 * by_component.sum()  # three sources


@pytest.mark.parametrize("what", ["yaw", "mirror"])
def test_components_of_a_turned_field_are_those_of_the_field(scene, what):
    """T becomes R T Rᵀ and V becomes R V, so that Vᵀ x stays, up to the rounding of what is sent.

    The largest components tell: of small ones, whose powers are alike, rounding decides the order.
    """
    matrix = yaw_matrix(3, 1.0) if what == "yaw" else np.diag(mirror_signs(3))
    components, _, _ = layered(scene)
    other, _, _ = layered((matrix @ scene).astype(np.float32))
    a, b = (spatial.windowed_spectra(c[:1], range(0, c.shape[1], 512)) for c in (components, other))
    edges = spatial.band_edges(RATE_HZ)[::2]
    bands = [(a[..., low:high].ravel(), b[..., low:high].ravel()) for low, high in pairwise(edges)]
    alike = [abs(np.vdot(one, two)) / (np.linalg.norm(one) * np.linalg.norm(two)) for one, two in bands]
    assert np.median(alike) > 0.9


def test_what_was_coded_comes_back_with_its_image(scene):
    """Without a network between, only powers and levels are brought to the rounded ones that were sent."""
    components, layer, layers = layered(scene)
    back = np.concatenate(list(layer.channels([components], [256, 256], iter(layers))), axis=1)
    inside = slice(4096, -8192)
    error = np.square(back[:, inside] - scene[:, inside]).sum() / np.square(scene[:, inside]).sum()
    assert error < 0.1


def test_a_pause_within_a_slot_stays_one(scene):
    """A network makes too much of a pause next to something loud; the levels sent every 93 ms take it away."""
    first, last = 72 * HOP, 112 * HOP  # of slot 1, frames 64 to 127
    with_pause = scene[:, :PACKET].copy()
    with_pause[:, first:last] *= 0.01
    components, layer, layers = layered(with_pause)
    components[:, first:last] *= 50
    (back,) = layer.channels([components], [256], iter(layers))
    inside = slice(first + 8 * HOP, last - 8 * HOP)
    # of the differences: what lies below the bands has no level
    powers = [np.square(np.diff(x[:, inside])).mean(1) for x in (back, with_pause)]
    assert np.abs(10 * np.log10(powers[0] / powers[1])).mean() < 5


def test_a_mirrored_layer_says_the_slots_backwards(scene):
    louder = scene * np.repeat(np.float32([0.01, 0.1, 1, 1, 1, 1, 1, 1]), 64 * HOP)[: scene.shape[1]]
    _, layer, layers = layered(louder)
    grids = (24, 32), (12, 4)
    own = spatial_code.decode(layers[0], 16, *grids, True)
    back = spatial_code.decode(layer.mirrored(layers[0], 256, 256), 16, *grids, True)
    assert np.abs(back.levels_db - own.levels_db[:, :, ::-1]).mean() < 1
    assert np.abs(back.correlations - own.correlations[:, :, ::-1]).mean() < 0.1
    short = spatial_code.decode(layer.mirrored(layers[0], 256, 130), 16, (24, 16), (12, 2), True)
    assert np.abs(short.levels_db - own.levels_db[:, :, :15:-1]).mean() < 1
    nothing = b"\xff" * len(layers[0])
    assert spatial_code.decode(nothing, 16, *grids, True) is None
    assert spatial_code.decode(layer.mirrored(nothing, 256, 130), 16, (24, 16), (12, 2), True) is None


def test_a_start_behind_layers_that_say_nothing_gives_the_same_bits(scene):
    """Nothing goes on behind a packet whose encoder had no room for a layer (s = 31)."""
    four = np.concatenate([scene, scene], axis=1)
    components, layer, layers = layered(four)
    heard = np.ones(16, bool)
    size = len(layers[0])
    silent_words = spatial_code.encode(
        Parameters(heard, np.random.default_rng(0).uniform(-99, 0, (16, 24, 32)), np.zeros((120, 12, 4))),
        8,
        ambisonic=True,
        widths=np.ones(24),
    ).ljust(size, b"\0")
    assert spatial_code.decode(silent_words, 16, (24, 32), (12, 4), True) is None
    words = [layers[0], silent_words, silent_words, layers[3]]
    whole = list(layer.channels([components], [256] * 4, iter(words)))
    assert not np.array_equal(whole[3], components[:, 3 * PACKET :])
    np.testing.assert_allclose(
        whole[2][:, 2048:-2048], components[:, 2 * PACKET + 2048 : 3 * PACKET - 2048], atol=1e-5
    )
    part = list(layer.channels([components[:, PACKET:]], [256] * 3, iter(words[1:])))
    assert np.array_equal(part[2], whole[3])


def test_without_room_for_a_layer_nothing_is_turned():
    axes = axes_of(None, 4, PACKET, HOP, RATE_HZ, MARGIN)
    x = np.random.default_rng(0).standard_normal((4, PACKET)).astype(np.float32)
    for turn in (Turn(HOP, RATE_HZ), TurnBack(HOP, RATE_HZ, MARGIN)):
        turned = turn(x, 0, PACKET, axes)
        np.testing.assert_allclose(turned[:, :-HALF], x[:, :-HALF], atol=1e-5)


def test_any_gains_there_are_undone_on_the_way_back():
    """The transform is orthogonal, so a gain before the network can be divided out behind."""
    lengths = [PACKET, 300 * HOP]
    x = np.random.default_rng(4).standard_normal((3, sum(lengths))).astype(np.float32)
    x[:, : 2 * HALF] = x[:, -2 * HALF :] = 0
    gains = [10 ** np.random.default_rng(n).uniform(-1, 1, (4, 12)) for n in range(2)]
    axes = [random_axes(4, 3, n)._replace(gain=g) for n, g in enumerate(gains)]
    y = turned(x, axes, lengths)
    assert np.square(y).sum() > 10 * np.square(x).sum()
    np.testing.assert_allclose(turned(y, axes, lengths, back=True), x, atol=2e-4)


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
    x, sent = white(2), random_axes(4, 4)._replace(power=np.random.default_rng(3).uniform(0.5, 2, (4, 12, 4)))

    def components(network, seed=0):
        channels = TurnBack(HOP, RATE_HZ, MARGIN)(network, 0, PACKET, sent, seed)
        return Turn(HOP, RATE_HZ)(channels, 0, PACKET, sent)

    first, inside = components(x), slice(MARGIN, PACKET - MARGIN)
    np.testing.assert_allclose(
        components(np.float32([[0.6], [3.0], [1.0], [10.0]]) * x)[:, inside], first[:, inside], atol=0.05
    )
    widths = np.diff([*spatial.band_edges(RATE_HZ)[:-1:2], HALF])
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


def test_uncorrelated_gives_the_powers_and_takes_the_correlations():
    random = np.random.default_rng(6)
    mixed = random.standard_normal((5, 5)) @ random.standard_normal((5, 4000))
    covariance, power = mixed @ mixed.T / 4000, 10 ** random.uniform(-4, 1, 5)
    loosened = 0.95 * covariance + 0.05 * np.diag(np.diag(covariance))
    matrix = uncorrelated(covariance, power, np.zeros(5))
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
    np.testing.assert_allclose(uncorrelated(covariance, np.diag(covariance), np.ones(5)), np.eye(5), atol=1e-9)
    # a component of nothing, and nothing at all
    covariance[0] = covariance[:, 0] = 0
    assert np.isfinite(uncorrelated(covariance, power, np.full(5, 0.5))).all()
    assert not uncorrelated(0 * covariance, 0 * power, np.zeros(5)).any()


def test_components_that_a_network_mixes_are_made_uncorrelated():
    """Too weak copies of one component lose their likeness, and the strong one stays itself."""
    x = white(7)
    made = x * np.float32([[1.0], [0.02], [0.02], [0.02]])
    made[1:] += 0.03 * x[:1]
    power = np.broadcast_to([1.0, 0.01, 0.01, 0.01], (4, 12, 4))
    sent = random_axes(4, 4)._replace(power=power)
    channels = TurnBack(HOP, RATE_HZ, MARGIN)(made, 0, PACKET, sent)
    components = Turn(HOP, RATE_HZ)(channels, 0, PACKET, sent)[:, MARGIN : PACKET - MARGIN]
    before = np.corrcoef(made)
    assert before[0, 1:].min() > 0.8
    assert before[1, 2:].min() > 0.6
    after = np.corrcoef(components)
    assert np.abs(after - np.eye(4)).max() < 0.2
    assert np.corrcoef(components[0], x[0, MARGIN : PACKET - MARGIN])[0, 1] > 0.99


def test_what_happens_at_the_ends_changes_no_gain_elsewhere():
    x, sent = white(2), random_axes(4, 4)._replace(power=np.random.default_rng(3).uniform(0.5, 2, (4, 12, 4)))
    louder = x.copy()
    louder[:, :4000] *= 10
    whole, damaged = (TurnBack(HOP, RATE_HZ, MARGIN)(y, 0, PACKET, sent) for y in (x, louder))
    assert np.array_equal(damaged[:, MARGIN:], whole[:, MARGIN:])


def test_noise_is_uncorrelated_and_follows_the_level_of_the_frames():
    """What fills weak components, with one loud: 20 dB of it come and go."""
    x = white(5)
    x[:, PACKET // 2 :] *= 0.1
    x[1:] *= 1e-4
    sent = random_axes(1, 4)._replace(power=np.ones((1, 12, 4)))
    channels = TurnBack(64 * HOP, RATE_HZ, 0)(x, 0, PACKET, sent)
    components = Turn(64 * HOP, RATE_HZ)(channels, 0, PACKET, sent)
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
    sent = Parameters(np.ones(4, bool), levels_db, np.full((6, 12, 4), 0.3))
    axes = axes_of(sent, 4, PACKET, HOP, RATE_HZ, MARGIN)
    got_db = 10 * np.log10(axes.power.sum(2) * axes.gain**2)
    np.testing.assert_allclose(got_db[3], got_db[0], atol=1e-6)
    before_db, after_db = np.diff(10 * np.log10(axes.power[0].sum(1))), np.diff(got_db[0])
    np.testing.assert_allclose(before_db, slope, atol=1e-6)
    steps_db = np.diff([18, 13.5, 11.5, 9, 5.5, -1, -6, -12, -18, -24, -28.5, -31.5])
    np.testing.assert_allclose(after_db, (before_db + steps_db) / 2, atol=1e-6)


def test_gains_have_bounds():
    for level_db, expected in ((-200.0, 100), (60.0, 10**-1.5)):
        sent = Parameters(np.ones(2, bool), np.full((2, 24, 32), level_db), np.zeros((1, 12, 4)))
        np.testing.assert_allclose(axes_of(sent, 2, PACKET, HOP, RATE_HZ, MARGIN).gain, expected)


@pytest.mark.parametrize("hop", [8, 64])
def test_slots_shorter_than_a_frame(hop):
    """Slots without a frame of their own have no power, and none is needed."""
    sent = random_axes(4, 2)._replace(power=np.ones((4, 12, 2)))
    x = np.random.default_rng(2).standard_normal((2, 256 * hop)).astype(np.float32)
    turned = TurnBack(hop, RATE_HZ, 0)(x, 0, 256 * hop, sent)
    assert np.isfinite(turned).all()
    assert np.square(turned).mean() == pytest.approx(1, rel=0.3)


def parameters(correlations, channels=4, level_db=-60.0):
    return Parameters(
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
    expected = axes_of(parameters(correlations), 4, PACKET, HOP, RATE_HZ, MARGIN).vectors
    for _ in range(5):
        near = parameters(np.array(correlations) + 1e-13 * random.standard_normal(6))
        near = near._replace(levels_db=near.levels_db + 1e-12 * random.standard_normal(near.levels_db.shape))
        found = axes_of(near, 4, PACKET, HOP, RATE_HZ, MARGIN)
        np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
    np.testing.assert_allclose(expected.swapaxes(-1, -2) @ expected, np.broadcast_to(np.eye(4), expected.shape),
                               atol=1e-12)  # fmt: skip


def test_silent_channels_come_last_as_they_are():
    levels_db = np.full((2, 24, 32), -60.0)
    sent = Parameters(np.array([True, False, True, False]), levels_db, np.full((1, 12, 4), 0.5))
    vectors = axes_of(sent, 4, PACKET, HOP, RATE_HZ, MARGIN).vectors
    expected = np.zeros((4, 2))
    expected[1, 0] = expected[3, 1] = 1
    np.testing.assert_allclose(vectors[..., 2:], np.broadcast_to(expected, vectors[..., 2:].shape), atol=1e-9)


def test_every_channel_silent():
    sent = Parameters(np.zeros(3, bool), np.zeros((0, 24, 32)), np.zeros((0, 12, 4)))
    vectors, power, gain = axes_of(sent, 3, PACKET, HOP, RATE_HZ, MARGIN)
    np.testing.assert_allclose(vectors, np.broadcast_to(np.eye(3), vectors.shape), atol=1e-9)
    assert not power.any()
    assert np.isfinite(gain).all()
