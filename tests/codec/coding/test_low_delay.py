"""Streams of low delay: the same for every cut, as long as the signal, and out in less than a second."""

import io

import numpy as np
import pytest

from codec.bitstream.file import read_header, read_packets
from codec.bitstream.format import CorruptStream
from codec.bitstream.sizes import LOW_DELAY
from codec.coding.low_delay import LowDelayReader, decode_low_delay, delay_samples, write_low_delay
from codec.coding.model import Model, Stream
from codec.coding.pipeline import (
    DecoderSettings,
    OpenStream,
    decode_packets,
    decode_range,
    encode_packets,
    low_delay_header,
)
from render.common.errors import InputError
from render.hoa.scene import Scene

DIGEST = b"12345678"
PACKET = 16 * 512
LENGTH = 7 * PACKET + 1234


@pytest.fixture(scope="module")
def noise():
    return (0.1 * np.random.default_rng(0).standard_normal((4, LENGTH))).astype(np.float32)


def parts(samples, step):
    return (samples[:, start : start + step] for start in range(0, samples.shape[1], step))


@pytest.fixture(scope="module", params=[0, None], ids=["codes", "coefficients"])
def header(request, side_info_model):
    return low_delay_header(side_info_model, DIGEST, coefficient_units=request.param)


@pytest.fixture(scope="module")
def coded(side_info_model, noise, header):
    """The stream of the noise, and its decoding in blocks as they leave the decoder."""
    file = io.BytesIO()
    assert write_low_delay(file, side_info_model, header, [noise], "noise").length == LENGTH
    reader = LowDelayReader(io.BytesIO(file.getvalue()), "x")
    decoded = np.concatenate(list(decode_low_delay(side_info_model, reader, DecoderSettings())), axis=1)
    return file.getvalue(), decoded


def test_streamed_equals_offline(side_info_model, noise, header, coded):
    data, decoded = coded
    for step in (1000, PACKET, 3 * PACKET + 1):
        file = io.BytesIO()
        write_low_delay(file, side_info_model, header, parts(noise, step), "x")
        assert file.getvalue() == data
    model = Model(side_info_model, DIGEST)
    with_coefficients = header.coefficient_units > 0
    made = model.encode(Scene(noise, 44_100), low_delay=True, coefficients=with_coefficients)
    assert made.data == data
    np.testing.assert_array_equal(model.decode(Stream(data)).samples, decoded)
    assert decoded.shape == noise.shape


def test_a_part_has_the_bits_that_it_has_in_the_whole(side_info_model, coded):
    data, decoded = coded
    file = io.BytesIO(data)
    stream = OpenStream(file, read_header(file, "x"), "x")
    start = 6 * PACKET + 100
    part = np.concatenate(list(decode_range(side_info_model, stream, start, LENGTH)), axis=1)
    np.testing.assert_array_equal(part, decoded[:, start:])


class CountedBlocks:
    """Blocks of 256 samples, and how many samples have been taken."""

    def __init__(self, samples):
        self.taken, self._samples = 0, samples

    def __iter__(self):
        for part in parts(self._samples, 256):
            self.taken += part.shape[1]
            yield part


def test_an_impulse_has_left_the_decoder_before_a_second_is_over(side_info_model):
    """Encoder and decoder in a row: how much must go in after the impulse before its decoding comes out."""
    at = 3 * PACKET + 17
    samples = np.zeros((4, 9 * PACKET), np.float32)
    samples[:, at] = 0.5
    source = CountedBlocks(samples)
    header = low_delay_header(side_info_model, DIGEST)
    position, delay = 0, None
    for block in decode_packets(side_info_model, header, encode_packets(side_info_model, header, source)):
        if delay is None and block.any():
            first = position + int(np.argmax(block.any(axis=0)))
            delay = source.taken - at
        position += block.shape[1]
    assert abs(first - at) < 2 * PACKET  # nothing before: silence stays silent
    assert delay is not None
    assert 3 * PACKET < delay <= delay_samples(side_info_model) < 44_100


@pytest.mark.parametrize(("units", "lookahead"), [(0, 1024), (5, 72 * 64)])
def test_no_sample_leaves_later_than_stated_and_one_as_late_as_that(side_info_model, noise, units, lookahead):
    source = CountedBlocks(noise)
    header = low_delay_header(side_info_model, DIGEST, coefficient_units=units)
    position, delays = 0, []
    for block in decode_packets(side_info_model, header, encode_packets(side_info_model, header, source)):
        if source.taken < LENGTH:  # while the signal goes on
            delays.append(source.taken - position)
        position += block.shape[1]
    assert max(delays) == delay_samples(side_info_model, LOW_DELAY, units) == 4 * PACKET + lookahead


def test_damage_is_named(side_info_model, coded):
    data, _ = coded
    changed = bytearray(data)
    changed[56 + 10] ^= 1
    with pytest.raises(CorruptStream, match="x: packet 0 is damaged"):
        list(LowDelayReader(io.BytesIO(bytes(changed)), "x"))
    with pytest.raises(CorruptStream, match="x: ends after packet 7, but not as a stream should"):
        list(LowDelayReader(io.BytesIO(data[:-1]), "x"))
    ordinary = Model(side_info_model, DIGEST).encode(Scene(np.ones((4, 600), np.float32), 44_100)).data
    with pytest.raises(CorruptStream, match="not a stream of low delay"):
        LowDelayReader(io.BytesIO(ordinary), "x")
    file = io.BytesIO(data)
    assert len(list(read_packets(file, read_header(file, "x"), "x"))) == 8


def test_what_cannot_be_coded_in_one_pass_is_refused(model, side_info_model):
    with pytest.raises(InputError, match="needs a model with side information"):
        low_delay_header(model, DIGEST)
    header = low_delay_header(side_info_model, DIGEST)
    with pytest.raises(InputError, match="loud: exceeds 100 relative to full scale"):
        write_low_delay(io.BytesIO(), side_info_model, header, [np.full((4, 9), 101, np.float32)], "loud")
    empty = io.BytesIO()
    with pytest.raises(InputError, match="empty: no samples"):
        write_low_delay(empty, side_info_model, header, [], "empty")
    assert not empty.getvalue()
    coder = Model(side_info_model, DIGEST)
    with pytest.raises(InputError, match="48000 Hz; a stream of low delay is not resampled"):
        coder.encode(Scene(np.ones((4, 9), np.float32), 48_000), low_delay=True)
    with pytest.raises(InputError, match="leave the range coding out"):
        coder.encode(Scene(np.ones((4, 9), np.float32), 44_100), low_delay=True, range_coded=True)
