"""A hundred thousand broken streams: none may be taken for an intact one, none may crash or fill the memory."""

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from codec.bitstream.file import read_header, read_intact_packets, read_packets, write_stream
from codec.bitstream.format import HEADER_BYTES, CorruptStream, Header, Packet
from codec.coding.concealment import conceal
from codec.coding.front_end import front_end_of
from codec.rvqgan.config import ModelConfig

MUTATIONS = 100_000
MONO = front_end_of(ModelConfig(channels=1))


def small_stream(seed, frames=260, range_coded=False, source=1):
    header = Header(
        b"modelsha", 44_100, 1, 2, 2, 4, 512, 0, frames * 512, source, "ambiX", False, range_coded
    )  # fmt: skip
    random = np.random.default_rng(seed)
    packets = [Packet(random.integers(0, 16, (2, n))) for n in header.packet_frame_counts]
    file = io.BytesIO()
    write_stream(file, header, packets)
    return file.getvalue()


def read_all(data):
    file = io.BytesIO(data)
    header = read_header(file, "x.arvq")
    return header, list(read_packets(file, header, "x.arvq"))


def mutated(random, streams):
    """A stream with a flipped, changed, lost, repeated or added part, or spliced from two."""
    data = bytearray(streams[random.integers(len(streams))])
    kind, at = random.integers(6), int(random.integers(len(data)))
    length = int(random.integers(1, 40))
    if kind == 0:
        data[at] ^= 1 << int(random.integers(8))
    elif kind == 1:
        data[at : at + length] = random.bytes(min(length, len(data) - at))
    elif kind == 2:
        del data[at : at + length]
    elif kind == 3:
        data[at:at] = data[at : at + length] or b"\0"
    elif kind == 4:
        data += random.bytes(length)
    else:
        other = streams[random.integers(len(streams))]
        data[at:] = other[int(random.integers(len(other))) if length % 2 else at :]
    return bytes(data)


def test_no_mutation_is_accepted():
    random = np.random.default_rng(20)
    streams = [small_stream(1), small_stream(2, source=2), small_stream(3, 520), small_stream(4, 30)]
    streams.append(small_stream(5, range_coded=True))
    known = set(streams)
    refused = 0
    for _ in range(MUTATIONS):
        data = mutated(random, streams)
        if data in known:  # a splice of a stream with itself at the same place
            continue
        with pytest.raises(CorruptStream):
            read_all(data)
        refused += 1
    assert refused > 0.95 * MUTATIONS


def test_no_mutation_makes_concealment_fail():
    """Where the header is whole, every packet is found or filled, or none is intact and that is said."""
    random = np.random.default_rng(21)
    streams = [small_stream(3, 520), small_stream(5, 520, range_coded=True)]
    concealed = refused = 0
    for _ in range(2000):
        file = io.BytesIO(mutated(random, streams))
        try:
            header = read_header(file, "x.arvq", allow_damage=True)
        except CorruptStream:
            continue
        found = list(read_intact_packets(file, header))
        if not any(found):
            with pytest.raises(CorruptStream, match="nothing to decode"):
                list(conceal(found, header, MONO, "x.arvq"))
            refused += 1
            continue
        filled = [packet for packet, _ in conceal(found, header, MONO, "x.arvq")]
        assert [p.codes.shape[1] for p in filled] == header.packet_frame_counts
        concealed += 1
    assert concealed + refused > 1000
    assert min(concealed, refused) > 100, (concealed, refused)


def test_memory_is_bounded_by_what_is_there():
    """Headers that promise up to 2^64 samples, with a right CRC: refused with less than a megabyte."""
    header = read_all(small_stream(1))[0]
    tracemalloc.start()
    for length in (2**32, 2**48, 2**64 - 1):
        for range_coded in (False, True):
            data = replace(header, length=length, range_coded=range_coded).pack() + bytes(1000)
            with pytest.raises(CorruptStream):
                read_all(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_a_header_alone_is_no_stream():
    with pytest.raises(CorruptStream, match="cut"):
        read_all(small_stream(1)[:HEADER_BYTES])
