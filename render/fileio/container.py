"""Headers of the uncompressed audio containers: WAV, RF64, BW64 (BS.2088), Sony Wave64 and CAF.

All of them are lists of chunks around interleaved samples; this module reads and builds everything but the
samples. No size is trusted: each is compared with the size of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple

from render.common.errors import InputError
from render.fileio.adm_tracks import adm_statement
from render.fileio.channel_statements import Statement, amb_statement, caf_statement, mask_statement

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
UNKNOWN_BYTES = 0xFFFFFFFF
# Sizes that writers to pipes leave in the header (GStreamer, SoX, ffmpeg and others; -1 in CAF); SoX rounds its
# own down to whole samples of all channels
_SOX_PLACEHOLDER = 0x7FFFF000
_PLACEHOLDERS = (0, 0x7FFF0000, _SOX_PLACEHOLDER, 0x7FFFFFFF, UNKNOWN_BYTES, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_MAX_PADDING_BYTES = 4096  # zeros up to the next block of a disk
_MAX_CHUNKS = 10_000
_STATEMENT_CHUNKS = ("chan", "chna", "axml")
_MAX_STATEMENT_BYTES = 1 << 24
_MAX_CHANNELS = 1024
_DAMAGED = "the file is damaged or incomplete: copy or export it again"
_CONVERT = "convert it to WAV, RF64, W64, CAF or FLAC"


class _Encoding(NamedTuple):
    """The fields of `Header` that the format chunk gives."""

    subtype: str
    channels: int
    sample_rate_hz: int
    channel_mask: int
    big_endian: bool
    statements: tuple[Statement, ...] = ()


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
    statements : tuple of Statement
        What the file says about its channels; found when reading.
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
    statements: tuple[Statement, ...] = ()

    @property
    def block_align(self) -> int:
        """Bytes that one sample of every channel takes up (nBlockAlign of WAVEFORMAT)."""
        return SUBTYPES[self.subtype][0] * self.channels

    @property
    def length(self) -> int:
        """Samples per channel."""
        return self.data_bytes // self.block_align


def read_header(file: BinaryIO, name: str) -> Header:
    """Read the header of an open file, which messages call `name`, and what stands behind the samples.

    Raises
    ------
    InputError
        If the container or encoding is unknown, a chunk is damaged, or the samples are truncated.
    """
    file_bytes = file.seek(0, 2)
    file.seek(0)
    magic = file.read(4)
    if magic in (b"RIFF", b"RF64", b"BW64"):
        container, chunks = "WAV" if magic == b"RIFF" else magic.decode(), _RIFF_CHUNKS
    elif magic == b"riff":
        container, chunks = "W64", _W64_CHUNKS
    elif magic == b"caff":
        container, chunks = "CAF", _CAF_CHUNKS
    else:
        raise InputError(f"{name}: begins with {magic!r} and is not a known audio file; {_CONVERT}")

    encoding, header, described = None, None, {}
    position = chunks.begin
    for _ in range(_MAX_CHUNKS):
        # a size may lead beyond any place that a file can have
        chunk = chunks.read_head(file, position) if position < file_bytes else None
        if chunk is None:
            break
        if chunk.name in ("fmt ", "desc") and encoding is None:
            body = _body(file, chunk, 64)
            encoding = _caf_encoding(body, name) if chunk.name == "desc" else wave_encoding(body, name)
        elif chunk.name == "ds64" and (body := _body(file, chunk, 16)) and len(body) == 16:
            described[chunk.name] = body
        elif chunk.name == "data" and header is None:
            if encoding is None:
                raise InputError(
                    f"{name}: the samples at byte {chunk.offset} come before their format; {_DAMAGED}"
                )
            size = chunk.size
            if "ds64" in described and size in (0, UNKNOWN_BYTES):  # 64-bit sizes (EBU Tech 3306)
                size = struct.unpack("<QQ", described["ds64"])[1]
            header = Header(container, **encoding._asdict(), data_offset=chunk.offset)
            header = replace(header, data_bytes=_data_bytes(header, size, chunks, file, file_bytes, name))
            position = header.data_offset + header.data_bytes
            position += -header.data_bytes % chunks.alignment
            continue
        elif chunk.name in _STATEMENT_CHUNKS and chunk.name not in described:
            described[chunk.name] = _body(file, chunk, _MAX_STATEMENT_BYTES)
        position = chunk.end
    if header is None:
        raise InputError(f"{name}: {container} file of {file_bytes} bytes without samples; {_DAMAGED}")
    return replace(header, statements=header.statements + _statements(described, header.channels, name))


class _Chunk(NamedTuple):
    """A chunk: its name, where its body begins, the size that it declares for it, and where the next begins."""

    name: str
    offset: int
    size: int
    end: int


def _riff_chunk(file: BinaryIO, position: int) -> _Chunk | None:
    file.seek(position)
    head = file.read(8)
    if len(head) < 8:
        return None
    size = struct.unpack("<I", head[4:])[0]
    return _Chunk(head[:4].decode("latin-1"), position + 8, size, position + 8 + size + size % 2)


def _w64_chunk(file: BinaryIO, position: int) -> _Chunk | None:
    file.seek(position)
    head = file.read(24)
    if len(head) < 24:
        return None
    name = head[:4].decode("latin-1") if head[4:16] in (_W64_TAIL, _W64_RIFF[4:]) else "\0"
    size = struct.unpack("<Q", head[16:])[0]  # with this head
    if size < 24 and name != "data":
        return None
    return _Chunk(name, position + 24, max(size - 24, 0), position + max(size, 24) + -size % 8)


def _caf_chunk(file: BinaryIO, position: int) -> _Chunk | None:
    file.seek(position)
    head = file.read(12)
    if len(head) < 12:
        return None
    name, size = head[:4].decode("latin-1"), struct.unpack(">Q", head[4:])[0]
    if name == "data":  # begins with a 32-bit edit count
        return _Chunk(name, position + 16, max(size - 4, 0), position + 12 + size)
    return _Chunk(name, position + 12, size, position + 12 + size)


class _Chunks(NamedTuple):
    """How a container lists its chunks.

    Attributes
    ----------
    read_head : function
        ``(file, position)`` to the chunk there, None if there is none.
    begin : int
        Position of the first chunk.
    head_bytes : int
    alignment : int
        Sizes are rounded up to a multiple of it.
    counted_before_data : int
        Bytes before the samples that the declared size of their chunk includes.
    """

    read_head: Callable[[BinaryIO, int], _Chunk | None]
    begin: int
    head_bytes: int
    alignment: int
    counted_before_data: int


_RIFF_CHUNKS = _Chunks(_riff_chunk, 12, 8, 2, 0)
_W64_CHUNKS = _Chunks(_w64_chunk, 40, 24, 8, 24)  # sizes include the head
_CAF_CHUNKS = _Chunks(_caf_chunk, 8, 12, 1, 4)  # an edit count


def _body(file: BinaryIO, chunk: _Chunk, most: int) -> bytes:
    file.seek(chunk.offset)
    return file.read(min(chunk.size, most))


def _data_bytes(header: Header, size: int, chunks: _Chunks, file: BinaryIO, file_bytes: int, name: str) -> int:
    """Bytes of samples: the declared size where the file agrees with it, or all that follow.

    A program that writes to a pipe cannot come back to fill in the size. What it leaves there (`_PLACEHOLDERS`)
    means "to the end of the file", unless a list of chunks follows, as behind an empty chunk of samples.
    """
    frame, present = header.block_align, max(file_bytes - header.data_offset, 0)
    followed = size <= present and _only_chunks_follow(header, size, chunks, file, file_bytes)
    is_placeholder = size in _PLACEHOLDERS or size + chunks.counted_before_data in _PLACEHOLDERS
    if not followed and (is_placeholder or size == _SOX_PLACEHOLDER // frame * frame):
        padded = chunks is _RIFF_CHUNKS and present % frame == 1 and present % 2 == 0
        size, followed = present - padded, True
    if size > present:
        raise InputError(
            f"{name}: truncated: the header declares {size} bytes of samples, "
            f"{present} are present ({present / size:.1%}); {_DAMAGED}"
        )
    if size % frame:
        raise InputError(
            f"{name}: {size} bytes of samples are not a multiple of "
            f"{frame}, the bytes of one sample of all channels; {_DAMAGED}"
        )
    if not followed:  # a file that grew past 4 GiB, or whose writer was killed, declares less than it holds
        raise InputError(
            f"{name}: the header declares {size} bytes of samples, but {present - size} more bytes "
            f"follow that are not a chunk (did the size field overflow at 4 GiB?); {_CONVERT}"
        )
    return size


def _only_chunks_follow(header: Header, size: int, chunks: _Chunks, file: BinaryIO, file_bytes: int) -> bool:
    """Whether nothing but chunks, or a little padding, lies between the samples and the end of the file."""
    end = header.data_offset + size
    if file_bytes - end < header.block_align:
        return size > 0 or file_bytes == end
    if file_bytes - end <= _MAX_PADDING_BYTES:
        file.seek(end)
        if not any(file.read()):
            return size > 0
    # The padding is sometimes forgotten
    starts = {end, end + -size % chunks.alignment}
    return any(_is_chunk_list(chunks, file, start, file_bytes) for start in starts)


def _is_chunk_list(chunks: _Chunks, file: BinaryIO, position: int, file_bytes: int) -> bool:
    for _ in range(_MAX_CHUNKS):
        if position + chunks.head_bytes > file_bytes:
            return True
        chunk = chunks.read_head(file, position)
        named = chunk and all(" " <= letter <= "~" for letter in chunk.name)
        if chunk is None or not named or chunk.offset + chunk.size > file_bytes:
            return False
        position = chunk.end
    return False


def _statements(described: dict[str, bytes], channels: int, name: str) -> tuple[Statement, ...]:
    """What the chunks beside the format say about the channels."""
    found = []
    if "chan" in described:
        found.append(caf_statement(described["chan"], channels))
    if "chna" in described:
        found.append(adm_statement(described["chna"], described.get("axml", b""), channels, name))
    return tuple(statement for statement in found if statement)


def is_placeholder(size: int) -> bool:
    """Whether a size in a header is one that writers to pipes leave there."""
    return size in _PLACEHOLDERS


def wave_encoding(body: bytes, name: str) -> _Encoding:
    """Encoding that the format chunk of a RIFF file states; `name` is that of the file in error messages."""
    if len(body) < 16:
        raise InputError(f"{name}: format chunk of {len(body)} bytes; {_DAMAGED}")
    tag, channels, rate_hz, _, frame, bits = struct.unpack("<HHIIHH", body[:16])
    mask, statement = 0, None
    if tag == _EXTENSIBLE and len(body) >= 40:
        mask, tag = struct.unpack("<IH", body[20:26])
        statement = mask_statement(mask, channels)
        if body[26:40] not in (_GUID_TAIL, _GUID_TAIL_AMBISONIC):
            tag = _EXTENSIBLE
    if not rate_hz:
        raise InputError(f"{name}: header declares 0 Hz; {_DAMAGED}")
    statements = (statement,) if statement else ()
    if body[26:40] == _GUID_TAIL_AMBISONIC:
        statements += (amb_statement(channels),)
    subtype, channels = _subtype(tag, bits, name), _channels(channels, name)
    _check_frame(frame, subtype, channels, name)
    return _Encoding(subtype, channels, rate_hz, mask, False, statements)


def _caf_encoding(body: bytes, name: str) -> _Encoding:
    if len(body) < 32:
        raise InputError(f"{name}: description chunk of {len(body)} bytes; {_DAMAGED}")
    rate_hz, codec, flags, frame, _, channels, bits = struct.unpack(">d4sIIIII", body[:32])
    if codec != b"lpcm" or not 1 <= rate_hz < 1e9:
        raise InputError(f"{name}: CAF encoding {codec!r} at {rate_hz} Hz is not supported; {_CONVERT}")
    subtype = _subtype(_IEEE_FLOAT if flags & 1 else _PCM, bits, name)
    _check_frame(frame, subtype, _channels(channels, name), name)
    return _Encoding(subtype, channels, int(rate_hz), 0, not flags & 2)


def _check_frame(frame: int, subtype: str, channels: int, name: str) -> None:
    """Refuse samples in wider words: whether their bits lie at the top or at the bottom stands nowhere."""
    bits = 8 * SUBTYPES[subtype][0]
    if frame != bits // 8 * channels:
        raise InputError(
            f"{name}: {channels} channels of {bits} bits need {bits // 8 * channels} bytes, but the header says "
            f"{frame} (samples of {bits} bits in wider words?); export it with {bits} or 32 bits, without filling"
        )


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
        chunks += b"fact" + struct.pack("<II", 4, min(header.length, UNKNOWN_BYTES))
    chunks += header.chunks
    riff_bytes = 4 + 36 + len(chunks) + 8 + header.data_bytes + header.data_bytes % 2
    if header.container in ("RF64", "BW64") or riff_bytes >= UNKNOWN_BYTES:
        magic = b"BW64" if header.container == "BW64" else b"RF64"
        sizes = struct.pack("<QQQI", riff_bytes, header.data_bytes, header.length, 0)
        start = magic + struct.pack("<I", UNKNOWN_BYTES) + b"WAVE" + b"ds64" + struct.pack("<I", 28) + sizes
        return start + chunks + b"data" + struct.pack("<I", UNKNOWN_BYTES)
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
