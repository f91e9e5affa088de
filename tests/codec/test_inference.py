"""Files: to the sample as long, the same for every cut, decodable from anywhere and around damage."""

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream.file import read_header, read_intact_packets, read_packets
from codec.bitstream.format import ABSENT, PACKET_FRAMES, CorruptStream
from codec.coding.concealment import conceal
from codec.coding.pipeline import (
    check_model,
    decode,
    decode_packets,
    decode_range,
    encode,
    encode_packets,
    level_gain_q8_db,
    make_header,
    network_input,
    survey,
    surveyed,
)
from codec.side_info.spatial_layer import Layer
from codec.streaming.rechunk import rechunk
from codec.streaming.stream_codec import StreamEncoder
from render.common.errors import InputError
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene

DIGEST = b"12345678"
PACKET = PACKET_FRAMES * 512  # samples


def scene(frames, seed=0, level=0.1):
    samples = level * np.random.default_rng(seed).standard_normal((4, frames))
    return Scene(samples.astype(np.float32), 44_100)


@pytest.fixture(scope="module")
def long_scene():
    return scene(4 * PACKET + 3333)


@pytest.fixture(scope="module", params=["plain", "layered"])
def coded(request, model, layered_model, long_scene):
    chosen = model if request.param == "plain" else layered_model
    data = encode(chosen, DIGEST, long_scene)
    return chosen, data, decode(chosen, DIGEST, data).samples


def opened(data, damaged_too=False):
    file = io.BytesIO(data)
    return file, read_header(file, "x.arvq", damaged_too)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 5), st.lists(st.integers(0, 60), max_size=8))
def test_recut_blocks_tile_the_stream(total, block, context, cuts):
    stream = np.arange(total)[None]
    edges = sorted({0, total, *(c for c in cuts if c < total)})
    parts = [stream[:, a:b] for a, b in pairwise(edges)]
    position = 0
    for columns, before, length in rechunk(parts, [block] * 61, context):
        assert length == min(block, total - position)
        first = max(0, position - context)
        assert before == position - first
        assert columns[0].tolist() == list(range(first, min(total, position + length + context)))
        position += length
    assert position == total


@pytest.mark.parametrize("cut", [511, 4096, 131_072, 150_000])
def test_packets_do_not_depend_on_how_the_signal_arrives(layered_model, cut):
    x = scene(280 * 512 + 100).samples
    parts = [x[:, start : start + cut] for start in range(0, x.shape[1], cut)]
    assert survey(parts) == survey([x])
    header = make_header(layered_model, DIGEST, survey([x]))
    expected = list(encode_packets(layered_model, header, [x]))
    for a, b in zip(encode_packets(layered_model, header, parts), expected, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))


@pytest.mark.parametrize("frames", [1, 511, 512, 513, 257 * 512 + 3])
def test_length_is_kept_to_the_sample(layered_model, frames):
    decoded = decode(layered_model, DIGEST, encode(layered_model, DIGEST, scene(frames)))
    assert decoded.length == frames
    assert decoded.sample_rate_hz == 44_100


def test_a_louder_scene_gives_the_same_codes_and_a_louder_decoding(model):
    """The level is taken out before the encoder: 12 dB more change the header and nothing else."""
    quiet, loud = scene(4096), scene(4096, level=0.1 * 10 ** (12 / 20))
    a, b = encode(model, DIGEST, quiet), encode(model, DIGEST, loud)
    headers = [opened(data)[1] for data in (a, b)]
    assert headers[0].gain_q8_db - headers[1].gain_q8_db == 12 * 256
    ratio = decode(model, DIGEST, b).samples / decode(model, DIGEST, a).samples
    np.testing.assert_allclose(ratio, 10 ** (12 / 20), rtol=1e-3)


def test_fewer_codebooks_make_a_smaller_file_with_the_same_first_codes(model):
    x = scene(20 * 512)
    full, half = encode(model, DIGEST, x), encode(model, DIGEST, x, codebooks=2)
    codes = [next(read_packets(*opened(data), "x.arvq")).codes for data in (full, half)]
    assert np.array_equal(codes[0][:2], codes[1])
    assert len(full) - len(half) == 20 * 2 * 6 // 8


def test_side_layers_take_the_place_of_the_last_codes(model, layered_model, long_scene):
    """The same weights with and without the layer: files of the same size, but for the rounding to bytes.

    The codes that stay are those of the principal components.
    """
    with_layers, without = (encode(m, DIGEST, long_scene) for m in (layered_model, model))
    assert abs(len(with_layers) - len(without)) <= 4
    header = make_header(layered_model, DIGEST, survey([long_scene.samples]))
    components = [part.samples for part in network_input(layered_model, header, [long_scene.samples])]
    encoder = StreamEncoder(model)
    codes = np.concatenate([*map(encoder.push, components), encoder.finish()], axis=1)
    for packet in read_packets(*opened(with_layers), "x.arvq"):
        there = packet.codes != ABSENT
        given_up = -(-8 * len(packet.layer) // 6)
        assert given_up == (~there).sum() > 0
        assert there.ravel()[:-given_up].all()
        frames = packet.codes.shape[1]
        assert np.array_equal(packet.codes[there], codes[:, :frames][there])
        codes = codes[:, frames:]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 1000),
        (PACKET - 3, PACKET + 3),
        (3 * PACKET + 5, 3 * PACKET + 9000),
        (4 * PACKET + 3000, 4 * PACKET + 3333),
    ],
)
def test_a_part_is_the_same_bits_as_in_the_whole(coded, start, stop):
    model, data, whole = coded
    file, header = opened(data)
    part = np.concatenate(list(decode_range(model, file, header, "x.arvq", start, stop)), axis=1)
    assert np.array_equal(part, whole[:, start:stop])


@pytest.mark.parametrize("side_layers", [False, True])
@pytest.mark.parametrize("dilations", [(1, 3), (81, 81), (81,) * 5])
def test_a_part_is_the_same_bits_however_far_the_network_sees(codec_of, dilations, side_layers):
    model = codec_of(strides=(2, 4), dilations=dilations, side_layers=side_layers)
    x = Scene(scene(9 * 256 * 8).samples, 44_100)
    data = encode(model, DIGEST, x)
    whole = decode(model, DIGEST, data).samples
    for start in (5 * 256 * 8, 6 * 256 * 8 + 77):
        file, header = opened(data)
        (part, *_) = decode_range(model, file, header, "x.arvq", start, start + 100)
        assert np.array_equal(part, whole[:, start : start + 100])


def layer_of(model):
    return Layer(model.config) if model.config.side_layers else None


def test_damage_changes_its_packet_and_the_reach_of_the_network_around_it(coded):
    model, data, whole = coded
    broken = bytearray(data)
    broken[len(data) * 2 // 5] ^= 1
    with pytest.raises(CorruptStream, match=r"packet 1 at byte \d+ .*--conceal"):
        decode(model, DIGEST, bytes(broken))
    file, header = opened(bytes(broken), damaged_too=True)
    filled = list(conceal(read_intact_packets(file, header), header, layer_of(model), "x"))
    assert [made_up for _, made_up in filled] == [False, True, False, False]
    decoded = np.concatenate(list(decode_packets(model, header, [p for p, _ in filled])), axis=1)
    different = np.flatnonzero((decoded != whole).any(axis=0))
    reach = 15_616 if model.config.side_layers else 12 * 512  # 0.36 s, 0.14 s
    assert PACKET - reach <= different[0]
    assert different[-1] < 2 * PACKET + reach
    made_up = decoded[:, PACKET + 20_000 : 2 * PACKET - 20_000]
    kept = whole[:, PACKET + 20_000 : 2 * PACKET - 20_000]
    assert 0.5 < made_up.std() / kept.std() < 2  # the sound goes on, as loud as around it


@pytest.mark.parametrize("lost", [[0], [2], [0, 1], [1, 2]])
def test_whatever_is_lost_every_packet_is_filled(layered_model, lost):
    x = scene(3 * PACKET)
    header = make_header(layered_model, DIGEST, survey([x.samples]))
    packets = list(encode_packets(layered_model, header, [x.samples]))
    gaps = [None if index in lost else packet for index, packet in enumerate(packets)]
    filled = list(conceal(gaps, header, layer_of(layered_model), "x"))
    assert [made_up for _, made_up in filled] == [index in lost for index in range(3)]
    for (packet, made_up), original in zip(filled, packets, strict=True):
        assert packet.codes.shape == original.codes.shape
        assert made_up or packet is original
    assert sum(b.shape[1] for b in decode_packets(layered_model, header, [p for p, _ in filled])) == x.length


@pytest.mark.parametrize("lost", [0, 1])
def test_what_is_made_up_has_the_levels_of_its_donor_backwards(layered_model, lost):
    """Every slot of it: the codes of a slot mean nothing without the level that its layer tells."""
    levels = np.float32([0.01, 0.01, 0.1, 1.0])
    x = scene(2 * PACKET).samples * np.repeat([*levels, *levels], PACKET // 4)
    header = make_header(layered_model, DIGEST, survey([x]))
    packets = list(encode_packets(layered_model, header, [x]))
    whole = np.concatenate(list(decode_packets(layered_model, header, packets)), axis=1)
    packets[lost] = None
    filled = [p for p, _ in conceal(packets, header, layer_of(layered_model), "x")]
    decoded = np.concatenate(list(decode_packets(layered_model, header, filled)), axis=1)

    def levels_db(samples, packet):
        slots = samples[:, packet * PACKET : (packet + 1) * PACKET].reshape(4, 4, PACKET // 4)
        return 10 * np.log10(np.square(slots[:, :, 8192:-8192], dtype=float).mean((0, 2)))

    np.testing.assert_allclose(levels_db(decoded, lost), levels_db(whole, 1 - lost)[::-1], atol=4)


def test_where_nothing_is_intact_nothing_is_played(model):
    header = make_header(model, DIGEST, survey([scene(3 * PACKET).samples]))
    with pytest.raises(CorruptStream, match=r"x\.arvq: none of its 3 packets is intact"):
        list(conceal([None, None, None], header, None, "x.arvq"))


def test_range_coding_loses_nothing(model):
    x = Scene(np.pad(scene(10 * 512).samples, ((0, 0), (0, 40 * 512))), 44_100)
    plain, coded = (encode(model, DIGEST, x, range_coded=flag) for flag in (False, True))
    assert len(coded) < len(plain)
    assert np.array_equal(decode(model, DIGEST, plain).samples, decode(model, DIGEST, coded).samples)


def test_silence_stays_silence(layered_model):
    data = encode(layered_model, DIGEST, Scene(np.zeros((4, 2000), np.float32), 44_100))
    assert not decode(layered_model, DIGEST, data).samples.any()
    assert level_gain_q8_db(0.0) == 0


def test_a_silent_channel_stays_silent_beside_loud_ones(layered_model):
    x = scene(2 * PACKET)
    x.samples[2] = 0
    decoded = decode(layered_model, DIGEST, encode(layered_model, DIGEST, x)).samples
    assert not decoded[2].any()
    assert decoded[[0, 1, 3]].any(axis=1).all()


def test_a_quiet_first_channel_does_not_lift_the_others_out_of_range():
    """A film's centre speaks while its left loudspeaker is all but silent."""
    x = scene(2000).samples
    assert survey([x]).rms == pytest.approx(0.1, rel=0.1)
    x[0] *= 1e-5
    assert survey([x]).rms == pytest.approx(0.05, rel=0.1)
    x[1:] = x[:1]
    assert survey([x]).rms == pytest.approx(1e-6, rel=0.1)


def test_levels_that_a_header_cannot_hold_are_refused(model):
    assert level_gain_q8_db(1e5) == 256 * (-24 - 100)
    with pytest.raises(InputError, match="scale it"):
        encode(model, DIGEST, scene(1000, level=1e12))


def test_a_feed_comes_back_as_a_feed():
    from codec.rvqgan.codec import RVQGAN
    from codec.rvqgan.config import ModelConfig

    sizes = dict(encoder_dim=4, decoder_dim=32, latent_dim=8, codebooks=2, codebook_size=16, dilations=(1,))
    model = RVQGAN(ModelConfig(channels=6, layout="5.1", **sizes)).fold_weight_norm().eval().requires_grad_(False)
    feed = Feed(np.ones((6, 1000), np.float32) * 0.1, 44_100, layout("5.1"))
    decoded = decode(model, DIGEST, encode(model, DIGEST, feed))
    assert isinstance(decoded, Feed)
    assert decoded.layout.name == "0+5+0"
    assert decoded.length == 1000


def test_refusals(model):
    x = scene(1000)
    data = encode(model, DIGEST, x)
    with pytest.raises(InputError, match="not with this one"):
        decode(model, b"87654321", data)
    with pytest.raises(CorruptStream, match="cut"):
        decode(model, DIGEST, data[:-1])
    with pytest.raises(InputError, match="9 channels, the model codes 4"):
        encode(model, DIGEST, Scene(np.zeros((9, 10), np.float32), 44_100))
    with pytest.raises(InputError, match=r"48000 Hz.*stimuli\.prepare"):
        encode(model, DIGEST, Scene(x.samples, 48_000))
    with pytest.raises(InputError, match="1 to 4"):
        encode(model, DIGEST, x, codebooks=5)


def test_a_header_that_contradicts_its_model_is_refused(model):
    _, header = opened(encode(model, DIGEST, scene(1000)))
    check_model(header, model, DIGEST, "x.arvq")
    for forged in (dict(hop=256), dict(layers=True), dict(layout=""), dict(channels=9), dict(codebooks=9)):
        with pytest.raises(InputError, match="contradicts its model"):
            check_model(replace(header, model_codebooks=9, **forged), model, DIGEST, "x.arvq")


@pytest.mark.parametrize("change", ["a longer file", "a shorter file", "other samples"])
def test_a_file_that_changes_between_the_passes_is_refused(layered_model, change):
    before = scene(PACKET + 5000).samples
    after = {
        "a longer file": np.concatenate([before, before], axis=1),
        "a shorter file": before[:, : PACKET - 700],
        "other samples": np.where(np.arange(before.shape[1]) == 17, 0, before).astype(np.float32),
    }[change]
    about = survey([before])
    header = make_header(layered_model, DIGEST, about)
    parts = [after[:, :70_000], after[:, 70_000:]]
    with pytest.raises(InputError, match=r"x\.wav: changed while it was read; encode it again"):
        list(encode_packets(layered_model, header, surveyed(parts, about, "x.wav")))
    halves = surveyed([before[:, :70_000], before[:, 70_000:]], about, "x.wav")
    assert np.array_equal(np.concatenate(list(halves), axis=1), before)
