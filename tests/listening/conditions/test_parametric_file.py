"""Files of parametric conditions: every byte, the rate, damage and hostile headers."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listening.conditions.parametric_file import (
    OVERHEAD_BYTES,
    ParametricFile,
    packet_count,
    packet_sizes,
    parse,
    with_opus,
)
from render.common.errors import InputError

RATE = 44_100
NOISE = np.convolve(np.random.default_rng(1).standard_normal(RATE), np.hanning(64), "same") * 0.02
NOISE = NOISE.astype(np.float32)


@pytest.fixture(scope="module")
def file():
    return with_opus(ParametricFile(16, RATE, RATE, -512, b"side"), np.stack([NOISE, -NOISE]), 4001)


def test_the_bytes_are_those_of_the_document(file):
    payload = file.pack(b"TEST")
    assert len(payload) == OVERHEAD_BYTES + 4 + 4001
    assert payload[:7] == b"TEST\x01\x10\x02"
    assert int.from_bytes(payload[7:8], "little", signed=True) == file.lag
    fields = struct.unpack_from("<IIIIhH", payload, 8)
    assert fields == (RATE, RATE, 4, 4001, -512, file.pre_skip)
    assert payload[28:32] == b"side"
    assert payload[-4:] == struct.pack("<I", zlib.crc32(payload[:-4]))
    assert parse(payload, b"TEST", "x") == file
    assert file.gain == pytest.approx(10 ** (-2 / 20))


def test_packets_fill_the_bytes_and_differ_by_one_at_most():
    assert packet_sizes(10, 4) == [2, 3, 2, 3]
    assert packet_count(960, 312) == 2
    for total in (4001, 7777):
        sizes = packet_sizes(total, 57)
        assert sum(sizes) == total
        assert max(sizes) - min(sizes) <= 1


def test_streams_come_back_in_time_and_each_in_its_place(file):
    decoded = parse(file.pack(b"TEST"), b"TEST", "x").decoded()
    assert decoded.shape == (2, RATE)
    inner = slice(4000, -4000)
    lags = [float(np.vdot(NOISE[inner], np.roll(decoded[0], -lag)[inner])) for lag in range(-8, 9)]
    assert int(np.argmax(lags)) == 8
    assert np.corrcoef(decoded[0, inner], NOISE[inner])[0, 1] > 0.8
    assert np.corrcoef(decoded[0, inner], decoded[1, inner])[0, 1] < -0.8
    moved = replace(file, lag=3).decoded()
    np.testing.assert_array_equal(moved[:, 10 : 10 + 1000], decoded[:, 10 + 3 - file.lag :][:, :1000])


def test_every_damaged_byte_and_every_cut_is_noticed(file):
    payload = file.pack(b"TEST")
    random = np.random.default_rng(0)
    for position in [*range(32), *random.integers(32, len(payload), 40)]:
        damaged = bytearray(payload)
        damaged[position] ^= 1 << random.integers(8)
        with pytest.raises(InputError, match="x: "):
            parse(bytes(damaged), b"TEST", "x")
    for cut in (0, 10, OVERHEAD_BYTES, len(payload) - 1):
        with pytest.raises(InputError, match="cut"):
            parse(payload[:cut], b"TEST", "x")
    with pytest.raises(InputError, match="followed by other bytes"):
        parse(payload + b"\0", b"TEST", "x")


@settings(deadline=None, max_examples=100)
@given(st.binary(min_size=4, max_size=4), st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5))
def test_hostile_headers_with_a_right_checksum_ask_for_no_memory(small, numbers):
    body = b"TEST" + small + struct.pack("<5I", *numbers)
    try:
        found = parse(body + struct.pack("<I", zlib.crc32(body)), b"TEST", "x")
    except InputError:
        return
    assert not found.streams
    assert not found.opus


@pytest.mark.parametrize(
    ("first", "message"),
    # RFC 6716, section 3: code 3 with 0 frames is not allowed; configuration 18 has 10 ms, code 0 one frame
    [
        (b"\x9b\x00", "Opus packet 0: decode: corrupted stream"),
        (b"\x90", "Opus packet 0 has 480 samples, not 960"),
    ],
)
def test_packets_that_libopus_refuses_or_of_another_duration_are_bad_input(file, first, message):
    hostile = replace(file, streams=1, opus=first + file.opus[len(first) :])
    with pytest.raises(InputError, match=f"x: {message}"):
        hostile.decoded("x")


def test_too_few_bytes_for_opus_are_refused():
    with pytest.raises(InputError, match="100 bytes are left for 51 Opus packets of 1 streams"):
        with_opus(ParametricFile(16, RATE, RATE, 0, b""), NOISE[None], 100)
