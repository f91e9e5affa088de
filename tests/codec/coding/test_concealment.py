"""Damage: what is decoded around it, and in its place."""

import io

import numpy as np
import pytest

from codec.bitstream.file import read_header, read_intact_packets
from codec.bitstream.format import CorruptStream
from codec.bitstream.sizes import PACKET_FRAMES
from codec.coding.concealment import conceal
from codec.coding.front_end import front_end_of
from codec.coding.pipeline import decode, decode_packets, encode_packets, make_header, summarise
from render.hoa.scene import Scene

DIGEST = b"12345678"


PACKET = PACKET_FRAMES * 512  # samples


def scene(frames, seed=0, level=0.1):
    samples = level * np.random.default_rng(seed).standard_normal((4, frames))
    return Scene(samples.astype(np.float32), 44_100)


def opened(data, allow_damage=False):
    file = io.BytesIO(data)
    return file, read_header(file, "x.arvq", allow_damage)


@pytest.fixture(scope="module")
def three_packets(side_info_model):
    """Header and packets of three packets of noise."""
    x = scene(3 * PACKET)
    header = make_header(side_info_model, DIGEST, summarise([x.samples]))
    return header, list(encode_packets(side_info_model, header, [x.samples]))


@pytest.mark.parametrize("lost", [[0], [2], [0, 1], [1, 2]])
def test_whatever_is_lost_every_packet_is_filled(side_info_model, three_packets, lost):
    header, packets = three_packets
    gaps = [None if index in lost else packet for index, packet in enumerate(packets)]
    filled = list(conceal(gaps, header, front_end_of(side_info_model.config), "x"))
    assert [made_up for _, made_up in filled] == [index in lost for index in range(3)]
    for (packet, made_up), original in zip(filled, packets, strict=True):
        assert packet.codes.shape == original.codes.shape
        assert made_up or packet is original
    assert sum(b.shape[1] for b in decode_packets(side_info_model, header, [p for p, _ in filled])) == 3 * PACKET


@pytest.mark.parametrize("lost", [0, 1])
def test_what_is_made_up_has_the_levels_of_its_donor_backwards(side_info_model, lost):
    """Every slot of it: the codes of a slot mean nothing without the level that was sent with them."""
    levels = np.float32([0.01, 0.01, 0.1, 1.0])
    x = scene(2 * PACKET).samples * np.repeat([*levels, *levels], PACKET // 4)
    header = make_header(side_info_model, DIGEST, summarise([x]))
    packets = list(encode_packets(side_info_model, header, [x]))
    whole = np.concatenate(list(decode_packets(side_info_model, header, packets)), axis=1)
    packets[lost] = None
    filled = [p for p, _ in conceal(packets, header, front_end_of(side_info_model.config), "x")]
    decoded = np.concatenate(list(decode_packets(side_info_model, header, filled)), axis=1)

    def levels_db(samples, packet):
        slots = samples[:, packet * PACKET : (packet + 1) * PACKET].reshape(4, 4, PACKET // 4)
        return 10 * np.log10(np.square(slots[:, :, 8192:-8192], dtype=float).mean((0, 2)))

    np.testing.assert_allclose(levels_db(decoded, lost), levels_db(whole, 1 - lost)[::-1], atol=4)


def test_where_nothing_is_intact_nothing_is_played(model):
    header = make_header(model, DIGEST, summarise([scene(3 * PACKET).samples]))
    with pytest.raises(CorruptStream, match=r"x\.arvq: none of its 3 packets is intact"):
        list(conceal([None, None, None], header, front_end_of(model.config), "x.arvq"))


def test_damage_changes_its_packet_and_the_reach_of_the_network_around_it(coded_long_scene):
    model, data, whole = coded_long_scene
    broken = bytearray(data)
    broken[len(data) * 2 // 5] ^= 1
    with pytest.raises(CorruptStream, match=r"packet 1 at byte \d+ .*--conceal"):
        decode(model, DIGEST, bytes(broken))
    file, header = opened(bytes(broken), allow_damage=True)
    filled = list(conceal(read_intact_packets(file, header), header, front_end_of(model.config), "x"))
    assert [made_up for _, made_up in filled] == [False, True, False, False]
    decoded = np.concatenate(list(decode_packets(model, header, [p for p, _ in filled])), axis=1)
    different = np.flatnonzero((decoded != whole).any(axis=0))
    reach = 44_032 if model.config.side_layers else 12 * 512  # 1.00 s, 0.14 s
    assert PACKET - reach <= different[0]
    assert different[-1] < 2 * PACKET + reach
    made_up = decoded[:, PACKET + 20_000 : 2 * PACKET - 20_000]
    kept = whole[:, PACKET + 20_000 : 2 * PACKET - 20_000]
    assert 0.5 < made_up.std() / kept.std() < 2  # the sound goes on, as loud as around it
