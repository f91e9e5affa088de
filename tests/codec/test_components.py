"""The turn into principal components: orthogonal, the same for every cut, blind to how the field is turned."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import spatial, spatial_code
from codec.blocks import recut
from codec.components import HALF, Axes, Turn, axes_of
from codec.layer import Layer
from codec.model import ModelConfig
from codec.spatial_code import Parameters
from render.sphere import mirror_signs, spherical_harmonics, yaw_matrix

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
    return Axes(np.linalg.qr(random.standard_normal((slots, 12, channels, channels)))[0], None)


def turned(x, axes, lengths, back=False):
    turn = Turn(HOP, RATE_HZ, back)
    blocks = recut([x], lengths, HALF)
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
    power = np.square(components).mean(1)
    assert power.sum() == pytest.approx(np.square(scene).sum() / scene.shape[1], rel=1e-3)
    assert power[:3].sum() > 0.98 * power.sum()  # three sources
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
    # a lost layer: the last axes stay, and the first ones are the channels themselves
    held = list(layer.channels([components], [256, 256], iter([layers[0], b""])))
    assert all(np.isfinite(part).all() for part in held)
    lost = np.concatenate(list(layer.channels([components], [256, 256], iter([b"", b""]))), axis=1)
    np.testing.assert_allclose(lost[:, inside], components[:, inside], atol=1e-5)


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
    for back in (False, True):
        turned = Turn(HOP, RATE_HZ, back)(x, 0, PACKET, axes)
        np.testing.assert_allclose(turned[:, :-HALF], x[:, :-HALF], atol=1e-5)


def test_components_get_the_power_that_was_sent():
    """Whatever gain the network gives each of them, by 18 dB more at most.

    The power is that of the packet's inner part. The noise has nothing below the bands, where the gain differs.
    """
    x = np.random.default_rng(2).standard_normal((4, PACKET)).astype(np.float32)
    spectrum = np.fft.rfft(x)
    spectrum[:, : round(50 / RATE_HZ * PACKET)] = 0
    x = np.fft.irfft(spectrum, PACKET).astype(np.float32)
    sent = random_axes(4, 4)._replace(power=np.random.default_rng(3).uniform(0.5, 2, (4, 12, 4)))

    def components(network):
        return Turn(HOP, RATE_HZ)(Turn(HOP, RATE_HZ, True, MARGIN)(network, 0, PACKET, sent), 0, PACKET, sent)

    first, inside = components(x), slice(MARGIN, PACKET - MARGIN)
    gains = np.float32([[0.2], [3.0], [1.0], [10.0]])
    np.testing.assert_allclose(components(gains * x)[:, inside], first[:, inside], atol=0.05)
    widths = np.diff([*spatial.band_edges(RATE_HZ)[:-1:2], HALF])
    expected = (widths[:, None] * sent.power.mean(0)).sum(0) / widths.sum()
    np.testing.assert_allclose(np.square(first[:, inside]).mean(1), expected, rtol=0.05)
    louder = x.copy()
    louder[:, :4000] *= 10
    whole, damaged = (Turn(HOP, RATE_HZ, True, MARGIN)(y, 0, PACKET, sent) for y in (x, louder))
    assert np.array_equal(damaged[:, MARGIN:], whole[:, MARGIN:])
    assert np.square(components(1e-4 * x)).mean() < 64.1 * np.square(1e-4 * x).mean()


@pytest.mark.parametrize("hop", [8, 64])
def test_slots_shorter_than_a_frame(hop):
    """Slots without a frame of their own have no power, and none is needed."""
    sent = random_axes(4, 2)._replace(power=np.ones((4, 12, 2)))
    x = np.random.default_rng(2).standard_normal((2, 256 * hop)).astype(np.float32)
    turned = Turn(hop, RATE_HZ, True)(x, 0, 256 * hop, sent)
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
    vectors, power = axes_of(sent, 3, PACKET, HOP, RATE_HZ, MARGIN)
    np.testing.assert_allclose(vectors, np.broadcast_to(np.eye(3), vectors.shape), atol=1e-9)
    assert not power.any()
