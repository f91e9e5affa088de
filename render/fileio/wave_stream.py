"""WAV that is read and written as it arrives, on a pipe whose end is not known."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.fileio.container import UNKNOWN_BYTES, Header, build_header, is_placeholder, wave_encoding
from render.fileio.pcm import decode
from render.hoa.scene import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float32

_BLOCK_LENGTH = 512  # samples; a block waits for its last sample, which is 12 ms at 44.1 kHz
_MAX_CHUNK_BYTES = 1 << 24  # before the samples


class WaveStream(NamedTuple):
    """Format of a WAV stream, and its samples block by block as they arrive."""

    channels: int
    sample_rate_hz: int
    blocks: Iterator[Float32[ndarray, "channel time"]]


def read_wave_stream(file: BinaryIO, where: str) -> WaveStream:
    """Read the header of a WAV or RF64 stream, and its samples up to the size that it states or to the end.

    Parameters
    ----------
    file : BinaryIO
        Buffered; it need not be seekable.
    where : str
        Name of the stream in error messages.

    Raises
    ------
    InputError
        If it is no WAV stream or of an unknown encoding; when its blocks are taken, if a sample is not finite.
    """
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        raise InputError(f"{where}: begins with {head[:4]!r}; what arrives on a pipe must be WAV")
    encoding = None
    while True:
        name, size = struct.unpack("<4sI", _whole(file, 8, where))
        if name == b"data":
            break
        if size > _MAX_CHUNK_BYTES:
            raise InputError(f"{where}: chunk {name!r} of {size} bytes before the samples; the stream is damaged")
        body = _whole(file, size + size % 2, where)
        if name == b"fmt ":
            encoding = wave_encoding(body, where)
    if encoding is None:
        raise InputError(f"{where}: the samples come before their format; the stream is damaged")
    header = Header("WAV", encoding.subtype, encoding.channels, encoding.sample_rate_hz)
    return WaveStream(header.channels, header.sample_rate_hz, _blocks(file, header, size, where))


def _blocks(file: BinaryIO, header: Header, size: int, where: str) -> Iterator[Float32[ndarray, "channel time"]]:
    left = None if is_placeholder(size) else size // header.block_align
    position = 0
    while left is None or position < left:
        length = _BLOCK_LENGTH if left is None else min(_BLOCK_LENGTH, left - position)
        data = file.read(length * header.block_align)
        length = len(data) // header.block_align
        if not length:
            return
        # one spare byte on either side, as `decode` wants it; the offset aligns the samples
        raw = np.empty(length * header.block_align + 8, np.uint8)[3:-3]
        raw[1:-1] = np.frombuffer(data, np.uint8, length * header.block_align)
        block = decode(raw, header.subtype, header.big_endian).reshape(length, header.channels).T
        check_samples(block, where, position)
        position += length
        yield block


def _whole(file: BinaryIO, size: int, where: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise InputError(f"{where}: ends before its samples begin")
    return data


def wave_stream_header(channels: int, sample_rate_hz: int) -> bytes:
    """Return the header of a WAV stream of 32-bit floats whose size is open; the samples follow it."""
    built = build_header(Header("WAV", "FLOAT", channels, sample_rate_hz))
    open_size = struct.pack("<I", UNKNOWN_BYTES)
    return built[:4] + open_size + built[8:-4] + open_size
