"""A second reader, written from docs/bitstream.md alone, finds the same codes and layers in our files."""

import io
import math
import zlib

import numpy as np
import pytest

from codec.inference import encode
from codec.stream_file import read_header, read_packets
from render.scene import Scene


def number(data, at, size):
    return int.from_bytes(data[at : at + size], "little")


def read_by_the_document(data):
    """Header fields and, packet by packet, (layer numbers, codes in file order)."""
    assert data[:5] == b"ARVQ\x02"
    assert zlib.crc32(data[:52]) == number(data, 52, 4)
    flags, hop, channels, n, model_n, b = data[5], number(data, 6, 2), number(data, 20, 2), *data[22:25]
    frames = -(-number(data, 28, 8) // hop)
    count, at, packets = max(1, frames // 256), 56, []
    widths = [7] * 24 + [8] * channels + [6] * (channels * (channels - 1) // 2) if flags & 1 else []
    for index in range(count):
        f = 256 if index < count - 1 else frames - 256 * (count - 1)
        left_out = min(f, math.ceil(sum(widths) / b)) if n == model_n else 0
        codes = n * f - left_out
        size = math.ceil((sum(widths) + codes * b) / 8)
        begin, saved = at, 0
        if flags & 2:
            shift = 0
            while True:
                saved |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if data[at - 1] < 128:
                    break
        content = data[at : at + size - saved]
        at += size - saved
        assert zlib.crc32(data[:52] + index.to_bytes(4, "little") + data[begin:at]) == number(data, at, 4)
        at += 4
        take = bits_of(content) if not saved else decisions_of(content, b)
        layers = [int("".join(str(take(None)) for _ in range(width)), 2) for width in widths]
        found = []
        for position in range(codes):
            found.append(int("".join(str(take(position // f)) for _ in range(b)), 2))
        packets.append((layers, found))
    assert at == len(data)
    return packets


def bits_of(content):
    stream = iter("".join(f"{byte:08b}" for byte in content))
    return lambda _book: int(next(stream))


def decisions_of(content, b):
    """Range decoder; asked for the next bit of a code of a codebook, or of the layers (None)."""
    stream = iter(content)
    state = {"range": 2**32, "value": int.from_bytes(bytes(next(stream, 0) for _ in range(4)), "big")}
    counters, node = {}, {}

    def take(book):
        k = node.get(book, 1)
        zeros, ones = counters.get((book, k), (4, 4))
        p = 2**14 if book is None else 2**15 * zeros // (zeros + ones)
        bound = state["range"] // 2**15 * p
        bit = int(state["value"] >= bound)
        if bit:
            state["value"] -= bound
            state["range"] -= bound
        else:
            state["range"] = bound
        while state["range"] < 2**24:
            state["value"] = 256 * state["value"] + next(stream, 0)
            state["range"] *= 256
        if book is not None:
            counters[book, k] = (zeros + 1 - bit, ones + bit)
            node[book] = 2 * k + bit if 2 * k + bit < 2**b else 1
        return bit

    return take


@pytest.mark.parametrize("range_coded", [False, True])
@pytest.mark.parametrize("codebooks", [2, 4])
@pytest.mark.parametrize("layers", [False, True])
def test_the_document_suffices(model, layered_model, layers, codebooks, range_coded):
    samples = 0.1 * np.random.default_rng(0).standard_normal((4, 300 * 512 - 9)).astype(np.float32)
    chosen = layered_model if layers else model
    data = encode(chosen, b"12345678", Scene(samples, 44_100), codebooks, range_coded)
    file = io.BytesIO(data)
    ours = list(read_packets(file, read_header(file, "x"), "x"))
    theirs = read_by_the_document(data)
    assert len(ours) == len(theirs) == 1
    for packet, (layer_numbers, codes) in zip(ours, theirs, strict=True):
        assert layer_numbers == [*packet.timbre, *packet.spatial]
        flat = packet.codes.ravel()
        assert codes == flat[flat >= 0].tolist()
