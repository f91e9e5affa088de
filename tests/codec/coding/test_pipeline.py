"""Streams: to the sample as long, the same for every cut, decodable from anywhere."""

import io
import weakref
from dataclasses import replace

import numpy as np
import pytest

from codec.bitstream.file import read_header, read_packets, write_stream
from codec.bitstream.format import ABSENT, MIN_GAIN_Q8_DB, CorruptStream
from codec.bitstream.sizes import PACKET_FRAMES
from codec.coding.pipeline import (
    OpenStream,
    check_model,
    decode,
    decode_packets,
    decode_range,
    encode,
    encode_packets,
    level_gain_q8_db,
    make_header,
    network_input,
    summarise,
    unchanged,
)
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.streaming.stream_codec import StreamEncoder
from render.common.errors import InputError
from render.common.progress import progress
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene

DIGEST = b"12345678"


PACKET = PACKET_FRAMES * 512  # samples


def scene(frames, seed=0, level=0.1):
    samples = level * np.random.default_rng(seed).standard_normal((4, frames))
    return Scene(samples.astype(np.float32), 44_100)


def opened(data, allow_damage=False):
    file = io.BytesIO(data)
    return file, read_header(file, "x.arvq", allow_damage)


@pytest.mark.parametrize("cut", [511, 4096, 131_072, 150_000])
def test_packets_do_not_depend_on_how_the_signal_arrives(side_info_model, cut):
    x = scene(280 * 512 + 100).samples
    parts = [x[:, start : start + cut] for start in range(0, x.shape[1], cut)]
    assert summarise(parts) == summarise([x])
    header = make_header(side_info_model, DIGEST, summarise([x]))
    expected = list(encode_packets(side_info_model, header, [x]))
    for a, b in zip(encode_packets(side_info_model, header, parts), expected, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))


@pytest.mark.parametrize("frames", [1, 511, 512, 513, 257 * 512 + 3])
def test_length_is_kept_to_the_sample(side_info_model, frames):
    decoded = decode(side_info_model, DIGEST, encode(side_info_model, DIGEST, scene(frames)))
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


def test_side_information_takes_the_place_of_the_last_codes(model, side_info_model, long_scene):
    """The same weights with and without side information: files of the same size, but for the rounding to bytes.

    The codes that stay are those of the principal components.
    """
    with_side_info, without = (encode(m, DIGEST, long_scene) for m in (side_info_model, model))
    assert abs(len(with_side_info) - len(without)) <= 4
    header = make_header(side_info_model, DIGEST, summarise([long_scene.samples]))
    components = [part.samples for part in network_input(side_info_model, header, [long_scene.samples])]
    encoder = StreamEncoder(model)
    codes = np.concatenate([*map(encoder.push, components), encoder.finish()], axis=1)
    for packet in read_packets(*opened(with_side_info), "x.arvq"):
        there = packet.codes != ABSENT
        given_up = -(-8 * len(packet.side_info) // 6)
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
def test_a_part_is_the_same_bits_as_in_the_whole(coded_long_scene, start, stop):
    model, data, whole = coded_long_scene
    file, header = opened(data)
    part = np.concatenate(list(decode_range(model, OpenStream(file, header, "x.arvq"), start, stop)), axis=1)
    assert np.array_equal(part, whole[:, start:stop])


def test_a_block_is_forgotten_before_the_next_packet_is_read(coded_long_scene):
    """So that the memory of decoding is that of one block."""
    model, data, whole = coded_long_scene
    blocks, alive = [], []

    class Watched(io.BytesIO):
        def read(self, *size):
            alive.extend(block() is not None for block in blocks)
            return super().read(*size)

    file = Watched(data)
    header = read_header(file, "x.arvq")
    decoded = decode_range(model, OpenStream(file, header, "x.arvq"), 0, whole.shape[1])
    for block in progress(decoded, "decoding", header.packets):
        blocks.append(weakref.ref(block.base))
        del block
    assert len(blocks) == header.packets
    assert alive  # of blocks before the last reads
    assert not any(alive)


@pytest.mark.parametrize("side_layers", [False, True])
@pytest.mark.parametrize("dilations", [(1, 3), (81, 81), (81,) * 5])
def test_a_part_is_the_same_bits_however_far_the_network_sees(codec_of, dilations, side_layers):
    model = codec_of(strides=(2, 4), dilations=dilations, side_layers=side_layers)
    x = Scene(scene(9 * 256 * 8).samples, 44_100)
    data = encode(model, DIGEST, x)
    whole = decode(model, DIGEST, data).samples
    for start in (5 * 256 * 8, 6 * 256 * 8 + 77):
        file, header = opened(data)
        (part, *_) = decode_range(model, OpenStream(file, header, "x.arvq"), start, start + 100)
        assert np.array_equal(part, whole[:, start : start + 100])


def test_range_coding_loses_nothing(model):
    x = Scene(np.pad(scene(10 * 512).samples, ((0, 0), (0, 40 * 512))), 44_100)
    plain, coded = (encode(model, DIGEST, x, range_coded=flag) for flag in (False, True))
    assert len(coded) < len(plain)
    assert np.array_equal(decode(model, DIGEST, plain).samples, decode(model, DIGEST, coded).samples)


def test_silence_stays_silence(side_info_model):
    data = encode(side_info_model, DIGEST, Scene(np.zeros((4, 2000), np.float32), 44_100))
    assert not decode(side_info_model, DIGEST, data).samples.any()
    assert level_gain_q8_db(0.0) == 0


def test_a_silent_channel_stays_silent_beside_loud_ones(side_info_model):
    x = scene(2 * PACKET)
    x.samples[2] = 0
    decoded = decode(side_info_model, DIGEST, encode(side_info_model, DIGEST, x)).samples
    assert not decoded[2].any()
    assert decoded[[0, 1, 3]].any(axis=1).all()


def test_a_quiet_first_channel_does_not_lift_the_others_out_of_range():
    """A film's centre speaks while its left loudspeaker is all but silent."""
    x = scene(2000).samples
    assert summarise([x]).rms == pytest.approx(0.1, rel=0.1)
    x[0] *= 1e-5
    assert summarise([x]).rms == pytest.approx(0.05, rel=0.1)
    x[1:] = x[:1]
    assert summarise([x]).rms == pytest.approx(1e-6, rel=0.1)


def test_levels_that_a_stream_cannot_hold_are_refused(model):
    x = scene(1000)
    x.samples[2, 500] = -100.0
    assert opened(encode(model, DIGEST, x))[1].gain_q8_db > MIN_GAIN_Q8_DB
    x.samples[2, 500] = np.nextafter(np.float32(-100), np.float32(-200))
    with pytest.raises(InputError, match="the signal reaches 100 relative to full scale"):
        encode(model, DIGEST, x)
    loudest = Scene(np.full((4, 1000), 100, np.float32), 44_100)
    assert opened(encode(model, DIGEST, loudest))[1].gain_q8_db == MIN_GAIN_Q8_DB


def test_no_stream_is_decoded_to_more_than_an_encoder_takes(side_info_model):
    """The side information of a loud signal under the header of a louder one: valid, and 300 dB too loud."""
    data = encode(side_info_model, DIGEST, scene(2 * PACKET, level=20.0))
    file, header = opened(data)
    packets = list(read_packets(file, header, "x"))
    header = replace(header, gain_q8_db=MIN_GAIN_Q8_DB)
    samples = np.concatenate(list(decode_packets(side_info_model, header, packets)), axis=1)
    assert np.abs(samples).max() == 100.0
    plain = np.concatenate(list(decode_packets(side_info_model, replace(header, gain_q8_db=0), packets)), axis=1)
    inside = np.abs(samples) < 100
    np.testing.assert_allclose(samples[inside], plain[inside] * 10 ** (64 / 20), rtol=1e-5)


def test_a_feed_comes_back_as_a_feed():

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
    for forged in (dict(hop=256), dict(has_side_info=True), dict(layout=""), dict(channels=9), dict(codebooks=9)):
        with pytest.raises(InputError, match="contradicts its model"):
            check_model(replace(header, model_codebooks=9, **forged), model, DIGEST, "x.arvq")


@pytest.mark.parametrize("change", ["a longer file", "a shorter file", "other samples"])
def test_a_file_that_changes_between_the_passes_is_refused(side_info_model, change):
    before = scene(PACKET + 5000).samples
    after = {
        "a longer file": np.concatenate([before, before], axis=1),
        "a shorter file": before[:, : PACKET - 700],
        "other samples": np.where(np.arange(before.shape[1]) == 17, 0, before).astype(np.float32),
    }[change]
    about = summarise([before])
    header = make_header(side_info_model, DIGEST, about)
    parts = [after[:, :70_000], after[:, 70_000:]]
    with pytest.raises(InputError, match=r"x\.wav: changed while it was read; encode it again"):
        list(encode_packets(side_info_model, header, unchanged(parts, about, "x.wav")))
    halves = unchanged([before[:, :70_000], before[:, 70_000:]], about, "x.wav")
    assert np.array_equal(np.concatenate(list(halves), axis=1), before)


def test_a_stream_with_coefficients_and_attacks_is_the_same_for_every_cut_and_in_parts(codec_of):
    """A tone that begins after two seconds; its coefficients cross the border of the packets."""
    codec = codec_of(side_layers=True, codebooks=12)
    x = scene(3 * PACKET + 700, level=1e-4)
    time = np.arange(2 * 44_100, x.length) / 44_100
    x.samples[:, 2 * 44_100 :] += 0.1 * np.sin(2 * np.pi * np.outer([900, 1700, 2600, 3300], time))
    header = make_header(codec, DIGEST, summarise([x.samples]))
    assert header.coefficient_units == 13  # 10 · 48 bytes of codebooks less 37 of levels and correlations, by 32
    packets = list(encode_packets(codec, header, [x.samples]))
    parts = [x.samples[:, start : start + 30_011] for start in range(0, x.length, 30_011)]
    for a, b in zip(encode_packets(codec, header, parts), packets, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
    file = io.BytesIO()
    write_stream(file, header, packets)
    data = file.getvalue()
    whole = decode(codec, DIGEST, data).samples
    stream = OpenStream(io.BytesIO(data), header, "x.arvq")
    part = np.concatenate(list(decode_range(codec, stream, PACKET + 5, 3 * PACKET + 600)), axis=1)
    assert np.array_equal(part, whole[:, PACKET + 5 : 3 * PACKET + 600])
    # without them the same model decodes something else, and as loud
    plain = make_header(codec, DIGEST, summarise([x.samples]), coefficient_units=0)
    other = np.concatenate(list(decode_packets(codec, plain, encode_packets(codec, plain, [x.samples]))), axis=1)
    loud = slice(2 * 44_100 + 4096, None)
    error, other_error = (np.square(y[:, loud] - x.samples[:, loud]).sum() for y in (whole, other))
    assert error < 0.8 * other_error
    quiet = slice(2 * 44_100 - 1000, 2 * 44_100 - 100)  # 2 to 23 ms before the attack
    assert np.square(whole[:, quiet]).mean() < 0.01 * np.square(other[:, quiet]).mean()
