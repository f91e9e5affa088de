"""Headers of the uncompressed audio containers: WAV, RF64, BW64 (BS.2088), Sony Wave64 and CAF.

All of them are lists of chunks around interleaved samples; this module reads and builds everything before the
samples. No size is trusted: each is compared with the size of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from render.common.errors import InputError

# Subtype (libsndfile's name) -> bytes per sample, whether it is floating point
SUBTYPES = {
    "PCM_16": (2, False),
    "PCM_24": (3, False),
    "PCM_32": (4, False),
    "FLOAT": (4, True),
    "DOUBLE": (8, True),
}
_PCM, _IEEE_FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# KSDATAFORMAT_SUBTYPE_PCM and SUBTYPE_AMBISONIC_B_FORMAT_PCM, each after its 16-bit format tag
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_GUID_TAIL_AMBISONIC = bytes.fromhex("00002107d3118644c8c1ca000000")
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_TAIL = bytes.fromhex(
    "f3acd3118cd100c04f8edb8a"
)  # of the GUID of every other Wave64 chunk, after its four letters
_UNKNOWN = 0xFFFFFFFF
_MAX_CHANNELS = 1024
_DAMAGED = "the file is damaged or incomplete: copy or export it again"
_CONVERT = "convert it to WAV, RF64, W64, CAF or FLAC"


@dataclass(frozen=True)
class Header:
    """Format of the samples of an uncompressed file and their place in it.

    Attributes
    ----------
    container : str
        WAV, RF64, BW64, W64 or CAF.
    subtype : str
        A key of `SUBTYPES`.
    channels, sample_rate_hz : int
    channel_mask : int
        dwChannelMask of WAVEFORMATEXTENSIBLE; 0 if no positions are given.
    big_endian : bool
        Byte order of the samples (only CAF has big-endian ones).
    data_offset, data_bytes : int
        Position and size of the samples in the file.
    chunks : bytes
        Further chunks to write before the samples, in RIFF containers only; they are not kept when reading.
    """

    container: str
    subtype: str
    channels: int
    sample_rate_hz: int
    channel_mask: int = 0
    big_endian: bool = False
    data_offset: int = 0
    data_bytes: int = 0
    chunks: bytes = b""

    @property
    def block_align(self) -> int:
        """Bytes that one sample of every channel takes up (nBlockAlign of WAVEFORMAT)."""
        return SUBTYPES[self.subtype][0] * self.channels

    @property
    def length(self) -> int:
        """Samples per channel."""
        return self.data_bytes // self.block_align


def read_header(file: BinaryIO, name: str) -> Header:
    """Read the header of an open file, which messages call `name`.

    Raises
    ------
    InputError
        If the container or encoding is unknown, a chunk is damaged, or the samples are truncated.
    """
    file_bytes = file.seek(0, 2)
    file.seek(0)
    magic = file.read(4)
    if magic in (b"RIFF", b"RF64", b"BW64"):
        container, chunks = (
            "WAV" if magic == b"RIFF" else magic.decode(),
            _riff_chunks(file, file_bytes, name),
        )
    elif magic == b"riff":
        container, chunks = "W64", _w64_chunks(file, file_bytes)
    elif magic == b"caff":
        container, chunks = "CAF", _caf_chunks(file, file_bytes)
    else:
        raise InputError(f"{name}: begins with {magic!r} and is not a known audio file; {_CONVERT}")

    encoding = None
    for chunk, offset, size in chunks:
        if chunk in ("fmt ", "desc"):
            file.seek(offset)
            body = file.read(min(size, 64))
            encoding = _caf_encoding(body, name) if chunk == "desc" else _wave_encoding(body, name)
        elif chunk == "data":
            if encoding is None:
                raise InputError(f"{name}: the samples at byte {offset} come before their format; {_DAMAGED}")
            header = Header(container, *encoding, data_offset=offset, data_bytes=size)
            _check_extent(header, file, file_bytes, name)
            return header
    raise InputError(f"{name}: {container} file of {file_bytes} bytes without samples; {_DAMAGED}")


def _check_extent(header: Header, file: BinaryIO, file_bytes: int, name: str) -> None:
    present = file_bytes - header.data_offset
    if header.data_bytes > present:
        raise InputError(
            f"{name}: truncated: the header declares {header.data_bytes} bytes of samples, "
            f"{present} are present ({present / header.data_bytes:.1%}); {_DAMAGED}"
        )
    if header.data_bytes % header.block_align:
        raise InputError(
            f"{name}: {header.data_bytes} bytes of samples are not a multiple of "
            f"{header.block_align}, the bytes of one sample of all channels; {_DAMAGED}"
        )
    # A plain WAV that grew past 4 GiB, or whose writer was killed, declares less than it holds
    after = present - header.data_bytes
    if header.container == "WAV" and after >= header.block_align:
        file.seek(header.data_offset + header.data_bytes + header.data_bytes % 2)
        following = file.read(4)
        if len(following) == 4 and not all(32 <= byte < 127 for byte in following) and any(following):
            raise InputError(
                f"{name}: the header declares {header.data_bytes} bytes of samples, but {after} more bytes "
                f"follow that are not a chunk (did the size field overflow at 4 GiB?); {_CONVERT}"
            )


def _riff_chunks(file: BinaryIO, file_bytes: int, name: str) -> Iterator[tuple[str, int, int]]:
    """Chunks (name, offset, size) of RIFF, RF64 and BW64; 64-bit sizes come from ds64 (EBU Tech 3306)."""
    position, long_data_bytes = 12, None
    while position < file_bytes:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        chunk, size = head[:4].decode("latin-1"), struct.unpack("<I", head[4:])[0]
        if chunk == "ds64":
            body = file.read(16)
            long_data_bytes = struct.unpack("<QQ", body)[1] if len(body) == 16 else None
        elif chunk == "data" and size == _UNKNOWN:
            if long_data_bytes is None:
                raise InputError(f"{name}: the header does not say how long the samples are; {_CONVERT}")
            size = long_data_bytes
        yield chunk, position + 8, size
        position += 8 + size + size % 2


def _w64_chunks(file: BinaryIO, file_bytes: int) -> Iterator[tuple[str, int, int]]:
    position = 40
    while position < file_bytes:
        file.seek(position)
        head = file.read(24)
        size = struct.unpack("<Q", head[16:])[0] if len(head) == 24 else 0
        if size < 24:
            return
        chunk = head[:4].decode("latin-1") if head[4:16] == _W64_TAIL else ""
        yield chunk, position + 24, size - 24
        position += size + -size % 8


def _caf_chunks(file: BinaryIO, file_bytes: int) -> Iterator[tuple[str, int, int]]:
    position = 8
    while position < file_bytes:
        file.seek(position)
        head = file.read(12)
        if len(head) < 12:
            return
        chunk, size = head[:4].decode("latin-1"), struct.unpack(">q", head[4:])[0]
        if chunk == "data":  # begins with a 32-bit edit count; size -1 means to the end of the file
            size = file_bytes - position - 12 if size == -1 else size
            yield chunk, position + 16, max(size - 4, 0)
        elif size >= 0:
            yield chunk, position + 12, size
        position += 12 + max(size, 0)


def _wave_encoding(body: bytes, name: str) -> tuple[str, int, int, int, bool]:
    if len(body) < 16:
        raise InputError(f"{name}: format chunk of {len(body)} bytes; {_DAMAGED}")
    tag, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    mask = 0
    if tag == _EXTENSIBLE and len(body) >= 40:
        mask, tag = struct.unpack("<IH", body[20:26])
        if body[26:40] not in (_GUID_TAIL, _GUID_TAIL_AMBISONIC):
            tag = _EXTENSIBLE
    if not rate_hz:
        raise InputError(f"{name}: header declares 0 Hz; {_DAMAGED}")
    return _subtype(tag, bits, name), _channels(channels, name), rate_hz, mask, False


def _caf_encoding(body: bytes, name: str) -> tuple[str, int, int, int, bool]:
    if len(body) < 32:
        raise InputError(f"{name}: description chunk of {len(body)} bytes; {_DAMAGED}")
    rate_hz, codec, flags, _, _, channels, bits = struct.unpack(">d4sIIIII", body[:32])
    if codec != b"lpcm" or not 1 <= rate_hz < 1e9:
        raise InputError(f"{name}: CAF encoding {codec!r} at {rate_hz} Hz is not supported; {_CONVERT}")
    subtype = _subtype(_IEEE_FLOAT if flags & 1 else _PCM, bits, name)
    return subtype, _channels(channels, name), int(rate_hz), 0, not flags & 2


def _subtype(tag: int, bits: int, name: str) -> str:
    for subtype, (sample_bytes, is_float) in SUBTYPES.items():
        if bits == 8 * sample_bytes and tag == (_IEEE_FLOAT if is_float else _PCM):
            return subtype
    raise InputError(f"{name}: samples of {bits} bits in encoding {tag:#x} are not supported; {_CONVERT}")


def _channels(channels: int, name: str) -> int:
    if not 1 <= channels <= _MAX_CHANNELS:
        raise InputError(f"{name}: header declares {channels} channels; {_DAMAGED}")
    return channels


def build_header(header: Header) -> bytes:
    """Build the bytes before the samples, whose number does not depend on `data_bytes`.

    A writer can therefore reserve them first and fill them in at the end. A WAV header contains a JUNK chunk where
    RF64 has its 64-bit sizes, and becomes an RF64 header beyond 4 GiB (EBU Tech 3306, clause 4).
    """
    if header.container == "W64":
        return _build_w64(header)
    if header.container == "CAF":
        return _build_caf(header)
    return _build_riff(header)


def trailing_bytes(header: Header) -> bytes:
    """Padding byte of RIFF after an odd number of bytes of samples; elsewhere it would be read as a sample."""
    return bytes(header.data_bytes % 2) if header.container in ("WAV", "RF64", "BW64") else b""


def _build_riff(header: Header) -> bytes:
    encoding = _build_wave_format(header)
    chunks = b"fmt " + struct.pack("<I", len(encoding)) + encoding
    if SUBTYPES[header.subtype][1]:
        chunks += b"fact" + struct.pack("<II", 4, min(header.length, _UNKNOWN))
    chunks += header.chunks
    riff_bytes = 4 + 36 + len(chunks) + 8 + header.data_bytes + header.data_bytes % 2
    if header.container in ("RF64", "BW64") or riff_bytes >= _UNKNOWN:
        magic = b"BW64" if header.container == "BW64" else b"RF64"
        sizes = struct.pack("<QQQI", riff_bytes, header.data_bytes, header.length, 0)
        start = magic + struct.pack("<I", _UNKNOWN) + b"WAVE" + b"ds64" + struct.pack("<I", 28) + sizes
        return start + chunks + b"data" + struct.pack("<I", _UNKNOWN)
    start = b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVE" + b"JUNK" + struct.pack("<I", 28) + bytes(28)
    return start + chunks + b"data" + struct.pack("<I", header.data_bytes)


def _build_wave_format(header: Header) -> bytes:
    sample_bytes, is_float = SUBTYPES[header.subtype]
    tag = _IEEE_FLOAT if is_float else _PCM
    # libsndfile reads floats of WAVE_FORMAT_EXTENSIBLE in Wave64 as integers
    extensible = header.container != "W64" and (header.channels > 2 or header.channel_mask)
    body = struct.pack(
        "<HHIIHH",
        _EXTENSIBLE if extensible else tag,
        header.channels,
        header.sample_rate_hz,
        header.sample_rate_hz * header.block_align,
        header.block_align,
        8 * sample_bytes,
    )
    if extensible:
        body += struct.pack("<HHIH", 22, 8 * sample_bytes, header.channel_mask, tag) + _GUID_TAIL
    return body


def _build_w64(header: Header) -> bytes:
    encoding = _build_wave_format(header)
    encoding += bytes(-len(encoding) % 8)
    chunks = b"fmt " + _W64_TAIL + struct.pack("<Q", 24 + len(encoding)) + encoding
    data = b"data" + _W64_TAIL + struct.pack("<Q", 24 + header.data_bytes)
    file_bytes = 40 + len(chunks) + len(data) + header.data_bytes
    return _W64_RIFF + struct.pack("<Q", file_bytes) + b"wave" + _W64_TAIL + chunks + data


def _build_caf(header: Header) -> bytes:
    sample_bytes, is_float = SUBTYPES[header.subtype]
    description = struct.pack(
        ">d4sIIIII",
        header.sample_rate_hz,
        b"lpcm",
        2 | is_float,  # little-endian
        header.block_align,
        1,
        header.channels,
        8 * sample_bytes,
    )
    start = b"caff" + struct.pack(">HH", 1, 0) + b"desc" + struct.pack(">q", 32) + description
    if header.channel_mask:  # kCAFChannelLayoutTag_UseChannelBitmap: the same bits as in WAV
        start += b"chan" + struct.pack(">qIII", 12, 1 << 16, header.channel_mask, 0)
    return start + b"data" + struct.pack(">qI", 4 + header.data_bytes, 0)
