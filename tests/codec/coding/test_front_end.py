"""Front ends: what the network gets, and what comes back."""

from itertools import pairwise

import numpy as np
import pytest

from codec.coding.front_end import Identity, SpatialSideInfo, front_end_of, usual_coefficient_units
from codec.rvqgan.config import ModelConfig
from codec.side_info.analysis import band_edges, windowed_spectra
from codec.side_info.parameter_coding import SpatialParameters, decode_parameters, encode_parameters
from codec.side_info.temporal_envelope import (
    decode_envelope,
    encode_envelope,
    envelope_edges,
    relative_loudness,
)
from render.hoa.spherical_harmonics import mirror_signs, spherical_harmonics, yaw_matrix

HOP, RATE_HZ = 512, 44_100
PACKET = 256 * HOP


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


def forward(x):
    """Components of a signal of whole packets, the front end that made them, and the side information."""
    front_end = SpatialSideInfo(ModelConfig(channels=len(x), side_layers=True))
    packets = list(front_end.forward([x], [256] * (x.shape[1] // PACKET)))
    return np.concatenate([p.samples for p in packets], axis=1), front_end, [p.side_info for p in packets]


@pytest.fixture(scope="module")
def scene():
    return field()[:, : 2 * PACKET]


@pytest.fixture(scope="module")
def forwarded(scene):
    """What `forward` makes of the scene."""
    return forward(scene)


def test_components_are_sorted_hardly_correlated_and_few_hold_the_energy(scene, forwarded):
    components, _, _ = forwarded
    before = np.sort(np.square(scene).mean(1))[::-1]
    assert before[:3].sum() < 0.8 * before.sum()
    edges = band_edges(RATE_HZ)[::2]
    spectrum = windowed_spectra(components, range(PACKET // 8, PACKET // 4, 512))
    original = windowed_spectra(scene, range(PACKET // 8, PACKET // 4, 512))
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
def test_components_of_a_rotated_field_are_those_of_the_field(scene, forwarded, what):
    """T becomes R T Rᵀ and V becomes R V, so that Vᵀ x stays, up to the rounding of what is sent.

    The largest components tell: of small ones, whose powers are alike, rounding decides the order.
    """
    matrix = yaw_matrix(3, 1.0) if what == "yaw" else np.diag(mirror_signs(3))
    components, _, _ = forwarded
    other, _, _ = forward((matrix @ scene).astype(np.float32))
    a, b = (windowed_spectra(c[:1], range(0, c.shape[1], 512)) for c in (components, other))
    edges = band_edges(RATE_HZ)[::2]
    bands = [(a[..., low:high].ravel(), b[..., low:high].ravel()) for low, high in pairwise(edges)]
    alike = [abs(np.vdot(one, two)) / (np.linalg.norm(one) * np.linalg.norm(two)) for one, two in bands]
    assert np.median(alike) > 0.9


def test_what_was_coded_comes_back_with_its_image(scene, forwarded):
    """Without a network between, only powers and levels are brought to the rounded ones that were sent."""
    components, front_end, side_info = forwarded
    back = np.concatenate(list(front_end.inverse([components], [256, 256], iter(side_info))), axis=1)
    inside = slice(4096, -8192)
    error = np.square(back[:, inside] - scene[:, inside]).sum() / np.square(scene[:, inside]).sum()
    assert error < 0.1


def test_a_pause_within_a_slot_stays_one(scene):
    """A network makes too much of a pause next to something loud; the levels sent every 93 ms take it away."""
    first, last = 72 * HOP, 112 * HOP  # of slot 1, frames 64 to 127
    with_pause = scene[:, :PACKET].copy()
    with_pause[:, first:last] *= 0.01
    components, front_end, side_info = forward(with_pause)
    components[:, first:last] *= 50
    (back,) = front_end.inverse([components], [256], iter(side_info))
    inside = slice(first + 8 * HOP, last - 8 * HOP)
    # of the differences: what lies below the bands has no level
    powers = [np.square(np.diff(x[:, inside])).mean(1) for x in (back, with_pause)]
    assert np.abs(10 * np.log10(powers[0] / powers[1])).mean() < 5


def test_reversed_side_information_has_the_slots_backwards(scene):
    louder = scene * np.repeat(np.float32([0.01, 0.1, 1, 1, 1, 1, 1, 1]), 64 * HOP)[: scene.shape[1]]
    _, front_end, side_info = forward(louder)
    grids = (24, 32), (12, 4)
    own = decode_parameters(side_info[0], 16, *grids, True)
    back = decode_parameters(front_end.reversed_side_info(side_info[0], 256, 256), 16, *grids, True)
    assert np.abs(back.levels_db - own.levels_db[:, :, ::-1]).mean() < 1
    assert np.abs(back.correlations - own.correlations[:, :, ::-1]).mean() < 0.1
    short = decode_parameters(front_end.reversed_side_info(side_info[0], 256, 130), 16, (24, 16), (12, 2), True)
    assert np.abs(short.levels_db - own.levels_db[:, :, :15:-1]).mean() < 1
    nothing = b"\xff" * len(side_info[0])
    assert decode_parameters(nothing, 16, *grids, True) is None
    assert decode_parameters(front_end.reversed_side_info(nothing, 256, 130), 16, (24, 16), (12, 2), True) is None


def test_a_start_after_packets_without_parameters_gives_the_same_bits(scene):
    """No state is carried over a packet whose encoder had no room for parameters (s = 31)."""
    four = np.concatenate([scene, scene], axis=1)
    components, _, side_info = forward(four)
    front_end = SpatialSideInfo(ModelConfig(side_layers=True), offset_period=0)
    active = np.ones(16, bool)
    size = len(side_info[0])
    without_parameters = encode_parameters(
        SpatialParameters(active, np.random.default_rng(0).uniform(-99, 0, (16, 24, 32)), np.zeros((120, 12, 4))),
        8,
        ambisonic=True,
        band_widths=np.ones(24),
    ).ljust(size, b"\0")
    assert decode_parameters(without_parameters, 16, (24, 32), (12, 4), True) is None
    sent = [side_info[0], without_parameters, without_parameters, side_info[3]]
    whole = list(front_end.inverse([components], [256] * 4, iter(sent)))
    assert not np.array_equal(whole[3], components[:, 3 * PACKET :])
    np.testing.assert_allclose(
        whole[2][:, 2048:-2048], components[:, 2 * PACKET + 2048 : 3 * PACKET - 2048], atol=1e-5
    )
    part = list(front_end.inverse([components[:, PACKET:]], [256] * 3, iter(sent[1:])))
    assert np.array_equal(part[2], whole[3])


def test_the_papers_front_end_changes_nothing():
    """The channels come in packets, whatever the cut, and there is no side information."""
    config = ModelConfig(channels=4)
    front_end = front_end_of(config)
    assert isinstance(front_end, Identity)
    assert front_end.keeps_channels
    assert (front_end.has_side_info, front_end.side_info_bps) == (False, 0)
    assert front_end.codebooks_available == 18
    x = np.random.default_rng(0).standard_normal((4, 600 * HOP)).astype(np.float32)
    packets = list(front_end.forward([x[:, :777], x[:, 777:]], [256, 344]))
    assert [packet.samples.shape[1] for packet in packets] == [256 * HOP, 344 * HOP]
    assert not any(packet.side_info for packet in packets)
    back = list(front_end.inverse([packet.samples for packet in packets], [256, 344], iter([b"", b""])))
    assert np.array_equal(np.concatenate(back, axis=1), x)
    assert front_end.reversed_side_info(b"", 256, 344) == b""


def test_side_information_takes_the_place_of_codebooks():
    """1200 bytes of a packet of 256 frames: 3.2 kbit/s, or 3.75 of 18 codebooks of 10 bits."""
    front_end = front_end_of(ModelConfig(side_layers=True))
    assert isinstance(front_end, SpatialSideInfo)
    assert not front_end.keeps_channels
    assert front_end.has_side_info
    assert front_end.codebooks_available == 15
    assert front_end.side_info_bps == pytest.approx(1200 * 8 * 44_100 / (256 * 512))
    assert front_end_of(ModelConfig(side_layers=True, codebooks=2)).codebooks_available == 1


@pytest.mark.parametrize(
    ("config", "units"),
    [
        (ModelConfig(side_layers=True), 30),
        (ModelConfig(side_layers=True, codebooks=7), 3),
        (ModelConfig(side_layers=True, codebooks=6), 0),
        (ModelConfig(side_layers=True, channels=36), 0),
        (ModelConfig(), 0),
    ],
)
def test_coefficients_leave_two_codebooks(config, units):
    """80 bytes for a codebook in a slot, 300 for the levels and correlations of 16 channels, 32 for a unit."""
    assert usual_coefficient_units(config) == units


def test_coefficients_bring_back_the_waveform_without_a_network():
    """A plane wave of noise between 0.5 and 4 kHz: its first component is sent well above the noise."""
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(2 * PACKET))
    hz = np.fft.rfftfreq(2 * PACKET, 1 / RATE_HZ)
    spectrum[(hz < 500) | (hz > 4000)] = 0
    source = np.fft.irfft(spectrum, 2 * PACKET)
    wave = spherical_harmonics(3, np.array([1.0]), np.array([0.3]))[0]
    x = (0.1 * np.outer(wave, source / source.std())).astype(np.float32)
    front_end = SpatialSideInfo(ModelConfig(side_layers=True), coefficient_units=30)
    packets = list(front_end.forward([x], [256, 256]))
    silent = np.zeros_like(x)
    decoded = np.concatenate(
        list(front_end.inverse([silent], [256, 256], iter([p.side_info for p in packets]))), 1
    )
    inner = slice(2048, 2 * PACKET - 2048)
    error = np.square(decoded[:, inner] - x[:, inner]).sum() / np.square(x[:, inner]).sum()
    assert error < 0.4  # 1.2 bits for a coefficient; noise of the same power has 2
    assert front_end.codebooks_available == 2  # half of the second one
    assert front_end.side_info_bps == pytest.approx((1200 + 240 + 3840) * 8 * RATE_HZ / PACKET)


def test_claps_keep_their_rhythm_above_the_coefficients():
    """Noise in short bursts, of which the decoder gets steady noise and the side information."""
    random = np.random.default_rng(11)
    times = np.sort(random.integers(0, PACKET, 125))
    decay = np.exp(-np.arange(2000) / 200)
    claps = np.zeros(PACKET + 2000)
    for time in times:
        claps[time : time + 2000] += decay * random.standard_normal(2000)
    wave = spherical_harmonics(3, np.array([1.0]), np.array([0.3]))[0]
    x = (0.1 * np.outer(wave, claps[:PACKET])).astype(np.float32)
    front_end = SpatialSideInfo(ModelConfig(side_layers=True), coefficient_units=30)
    (packet,) = front_end.forward([x], [256])
    noise = 0.1 * random.standard_normal(x.shape).astype(np.float32)
    edges = envelope_edges(RATE_HZ)
    without = packet.side_info[:1200] + encode_envelope(None, 240) + packet.side_info[1440:]
    own = relative_loudness(x[:1], edges).ravel()
    kept = []
    for side_info in (packet.side_info, without):
        (decoded,) = front_end.inverse([noise], [256], iter([side_info]))
        kept.append(np.corrcoef(relative_loudness(decoded[:1], edges).ravel(), own)[0, 1])
    assert kept[0] > 0.8 > 0.6 > kept[1]


@pytest.mark.parametrize(
    ("channels", "units", "first", "size"), [(16, 30, 1200, 240), (6, 30, 248, 0), (16, 0, 1200, 0)]
)
def test_only_ambisonics_with_coefficients_have_an_envelope(scene, channels, units, first, size):
    """A packet that is played backwards has none, and says so."""
    front_end = front_end_of(ModelConfig(channels=channels, side_layers=True), coefficient_units=units)
    (packet,) = front_end.forward([scene[:channels, :PACKET]], [256])
    assert len(packet.side_info) == first + size + 128 * units
    backwards = front_end.reversed_side_info(packet.side_info, 256, 256)
    assert len(backwards) == len(packet.side_info)
    if size:
        assert decode_envelope(packet.side_info[1200:1440], 511, 8).std() > 0.05
        assert decode_envelope(backwards[1200:1440], 511, 8) is None


def test_a_tone_stands_in_silence_although_its_rounded_correlations_have_weak_components():
    """A plane wave of 3 kHz, and noise for a network: what is around it in W was -24 dB without the laws."""
    random = np.random.default_rng(5)
    wave = spherical_harmonics(3, np.array([1.0]), np.array([0.3]))[0]
    tone = 0.1 * np.sin(2 * np.pi * 3000 / RATE_HZ * np.arange(PACKET))
    x = (np.outer(wave, tone) + 1e-5 * random.standard_normal((16, PACKET))).astype(np.float32)
    front_end = SpatialSideInfo(ModelConfig(side_layers=True), coefficient_units=30)
    (packet,) = front_end.forward([x], [256])
    noise = 1e-3 * random.standard_normal(x.shape).astype(np.float32)
    (decoded,) = front_end.inverse([noise], [256], iter([packet.side_info]))
    power = np.square(np.abs(np.fft.rfft(decoded[0, 40_000:72_768] * np.hanning(32_768))))
    distance = np.abs(np.fft.rfftfreq(32_768, 1 / RATE_HZ) - 3000)
    around = power[(distance >= 60) & (distance < 1500)].sum() / power[distance < 60].sum()
    assert 10 * np.log10(around) < -33


@pytest.mark.parametrize("before_border_s", [0.5, 0.2, 0.1, 0.02, 0.0, -0.04, -0.1])
def test_a_burst_out_of_silence_is_as_loud_wherever_a_packet_ends(before_border_s):
    """80 ms of a plane wave of noise, 90 dB above the rest; the components are decoded without an error.

    Where the border lies inside the burst, the gains of one packet lead over to those of the next.
    """
    x = field(seconds=2 * PACKET / RATE_HZ + 1)[:, : 2 * PACKET] * np.float32(3e-5)
    random, length = np.random.default_rng(7), round(0.08 * RATE_HZ)
    start = PACKET - round(before_border_s * RATE_HZ)
    burst = np.outer(spherical_harmonics(3, np.array([1.0]), np.array([0.3]))[0], random.standard_normal(length))
    x[:, start : start + length] += (0.1 * np.hanning(length) * burst).astype(np.float32)
    components, front_end, side_info = forward(x)
    decoded = np.concatenate(list(front_end.inverse([components], [256] * 2, iter(side_info))), 1)
    part = slice(start, start + length)
    change_db = 10 * np.log10(np.square(decoded[:, part]).sum() / np.square(x[:, part]).sum())
    assert abs(change_db) < (5 if 0 <= before_border_s < 0.08 else 1.5)
