"""Headers byte by byte, from the documents of the containers, and what may stand around the samples."""

import io
from struct import pack

import pytest

from render.common.errors import InputError
from render.fileio.container import Header, build_header, read_header, trailing_bytes

GUID = bytes.fromhex("000000001000800000aa00389b71")  # of KSDATAFORMAT_SUBTYPE_PCM and _IEEE_FLOAT behind the tag
W64 = bytes.fromhex("f3acd3118cd100c04f8edb8a")
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
JUNK = b"JUNK" + pack("<I", 28) + bytes(28)


def header(container="WAV", subtype="PCM_16", channels=2, **values):
    return Header(container, subtype, channels, 48_000, **values)


def fmt(tag, channels, sample_bytes, extension=b""):
    frame = channels * sample_bytes
    body = pack("<HHIIHH", tag, channels, 48_000, 48_000 * frame, frame, 8 * sample_bytes) + extension
    return b"fmt " + pack("<I", len(body)) + body


def extension(bits, mask, tag):
    return pack("<HHI", 22, bits, mask) + pack("<H", tag) + GUID


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (header(), fmt(1, 2, 2)),
        (header(channels=1, subtype="PCM_24", channel_mask=4), fmt(0xFFFE, 1, 3, extension(24, 4, 1))),
        (header(channels=3, subtype="PCM_32"), fmt(0xFFFE, 3, 4, extension(32, 0, 1))),
        (header(subtype="FLOAT"), fmt(3, 2, 4) + b"fact" + pack("<II", 4, 12)),
        (
            header(channels=16, subtype="DOUBLE", channel_mask=0x3F),
            fmt(0xFFFE, 16, 8, extension(64, 0x3F, 3)) + b"fact" + pack("<II", 4, 0),
        ),
        (header(chunks=b"chna" + pack("<I", 2) + b"xy"), fmt(1, 2, 2) + b"chna" + pack("<I", 2) + b"xy"),
    ],
)
def test_wav_headers(given, body):
    """Multiple Channel Audio Data and WAVE Files (Microsoft 2007); a JUNK chunk where RF64 has its sizes."""
    given = Header(**(vars(given) | {"data_bytes": 96}))
    data = b"data" + pack("<I", 96)
    total = 4 + len(JUNK) + len(body) + 8 + 96
    assert build_header(given) == b"RIFF" + pack("<I", total) + b"WAVE" + JUNK + body + data
    sizes = pack("<QQQI", total, 96, 96 // given.block_align, 0)
    ds64 = b"ds64" + pack("<I", 28) + sizes
    for magic in ("RF64", "BW64"):  # EBU Tech 3306, ITU-R BS.2088
        expected = magic.encode() + b"\xff\xff\xff\xffWAVE" + ds64 + body + b"data\xff\xff\xff\xff"
        assert build_header(Header(**(vars(given) | {"container": magic}))) == expected


def test_a_wav_file_becomes_rf64_where_its_size_needs_more_than_32_bits():
    """Beside the samples and the first 8 bytes there are 4 + 36 + 24 + 8 = 72 bytes."""
    largest = build_header(header(data_bytes=2**32 - 2 - 72))
    assert largest[:8] == b"RIFF" + pack("<I", 2**32 - 2)
    assert largest[-4:] == pack("<I", 2**32 - 74)
    larger = build_header(header(data_bytes=2**32 - 1 - 72))
    assert larger[:8] == b"RF64\xff\xff\xff\xff"
    assert larger[20:44] == pack("<QQQ", 2**32, 2**32 - 73, (2**32 - 73) // 4)
    assert build_header(header(subtype="FLOAT", channels=1, data_bytes=2**35))[-12:-8] == b"\xff\xff\xff\xff"


def test_samples_of_an_odd_number_of_bytes_are_padded_in_riff_only():
    for container, padding in (("WAV", 1), ("RF64", 1), ("BW64", 1), ("W64", 0), ("CAF", 0)):
        assert trailing_bytes(header(container, "PCM_24", 1, data_bytes=9)) == bytes(padding)
        assert trailing_bytes(header(container, "PCM_24", 1, data_bytes=12)) == b""
    assert build_header(header("WAV", "PCM_24", 1, data_bytes=9))[4:8] == pack("<I", 72 + 10)


@pytest.mark.parametrize(("subtype", "tag", "sample_bytes"), [("PCM_24", 1, 3), ("FLOAT", 3, 4)])
def test_wave64_headers(subtype, tag, sample_bytes):
    """Sony Pictures Digital, Wave64: sizes of 64 bits that include 24 bytes of name and size."""
    body = fmt(tag, 16, sample_bytes)[8:]
    expected = b"fmt " + W64 + pack("<Q", 24 + 16) + body + b"data" + W64 + pack("<Q", 24 + 960)
    expected = W64_RIFF + pack("<Q", 40 + len(expected) + 960) + b"wave" + W64 + expected
    assert build_header(header("W64", subtype, 16, data_bytes=960)) == expected


@pytest.mark.parametrize(
    ("subtype", "flags", "bits", "mask", "layout"),
    [
        ("PCM_16", 2, 16, 0, b""),
        ("DOUBLE", 3, 64, 0, b""),
        ("PCM_24", 2, 24, 0x3F, b"chan" + pack(">qIII", 12, 0x10000, 0x3F, 0)),
    ],
)
def test_caf_headers(subtype, flags, bits, mask, layout):
    """Apple Core Audio Format Specification 1.0: version 1, flags 0; an edit count before the samples."""
    frame = 6 * bits // 8
    expected = b"caff\0\1\0\0desc" + pack(">q", 32) + pack(">d", 48_000) + b"lpcm"
    expected += pack(">5I", flags, frame, 1, 6, bits) + layout + b"data" + pack(">qI", 4 + 10 * frame, 0)
    given = header("CAF", subtype, 6, channel_mask=mask, data_bytes=10 * frame)
    assert build_header(given) == expected


CONTAINERS = ("WAV", "RF64", "BW64", "W64", "CAF")


def file_of(container, samples, channels=4, declared=None, after=b""):
    """A file of 16-bit samples whose header declares another size, and what follows."""
    start = build_header(header(container, channels=channels, data_bytes=len(samples)))
    if declared is not None and container in ("RF64", "BW64"):
        start = start[:28] + pack("<Q", declared) + start[36:]
    elif declared is not None:
        size = {"WAV": 4, "W64": 8, "CAF": 12}[container]
        new = {"WAV": pack("<I", declared), "W64": pack("<Q", declared + 24), "CAF": pack(">qI", declared + 4, 0)}
        start = start[:-size] + new[container]
    return start + samples + after


def read(data):
    return read_header(io.BytesIO(data), "x")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_what_is_built_is_read(container, subtype):
    for channels in (1, 2, 16, 1024):
        given = header(container, subtype, channels, data_bytes=30 * channels * 8)
        start = build_header(given)
        found = read(start + bytes(given.data_bytes))
        assert (found.data_offset, found.data_bytes) == (len(start), given.data_bytes)
        assert found.length == given.data_bytes // given.block_align
        assert (found.container, found.subtype, found.channels) == (container, subtype, channels)
        assert (found.sample_rate_hz, found.big_endian) == (48_000, False)


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_may_follow_the_samples(container):
    """A little padding, less than a sample of all channels, a list of chunks; nothing else."""
    samples = b"\1" * 80
    chunk = {
        "W64": b"note" + W64 + pack("<Q", 24 + 8) + b"\2" * 8,
        "CAF": b"note" + pack(">q", 8) + b"\2" * 8,
    }.get(container, b"note" + pack("<I", 8) + b"\2" * 8)
    for after in (b"", b"\1" * 7, bytes(8), bytes(4096), chunk, chunk + chunk, chunk + b"\1" * 3):
        assert read(file_of(container, samples, after=after)).data_bytes == 80
    head_bytes = {"W64": 24, "CAF": 12}.get(container, 8)
    for after in (b"\1" * head_bytes, bytes(4097), bytes(4095) + b"\1", chunk[:-1], chunk + b"\1" * 40):
        with pytest.raises(InputError, match=f"declares 80 bytes of samples, but {len(after)} more bytes follow"):
            read(file_of(container, samples, after=after))


@pytest.mark.parametrize(
    ("container", "size", "padding", "chunk"),
    [
        ("WAV", 81, 1, b"note" + pack("<I", 8) + b"\2" * 8),
        ("W64", 81, 7, b"note" + W64 + pack("<Q", 32) + b"\2" * 8),
        ("W64", 81, 7, b"list" + W64_RIFF[4:] + pack("<Q", 32) + b"\2" * 8),
    ],
)
def test_the_padding_before_the_next_chunk_is_sometimes_forgotten(container, size, padding, chunk):
    samples = b"\1" * size
    for between in (b"", b"\1" * padding):
        start = build_header(header(container, "PCM_24", 1, data_bytes=size))
        assert read(start + samples + between + chunk).data_bytes == size
    with pytest.raises(InputError, match="more bytes follow that are not a chunk"):
        read(start + samples + b"\1" * (padding + 2) + chunk)


def test_a_chunk_before_the_samples_is_passed_with_its_padding():
    plain = file_of("WAV", b"\1" * 80)
    for body in (b"", b"x", b"xyz", b"wxyz"):
        chunk = b"note" + pack("<I", len(body)) + body + bytes(len(body) % 2)
        found = read(plain[:12] + chunk + plain[12:])
        assert (found.data_offset, found.data_bytes) == (len(plain) - 80 + len(chunk), 80)
    plain = file_of("W64", b"\1" * 80)
    for body in (b"", b"x", b"7 bytes", b"8 bytes."):
        chunk = b"note" + W64 + pack("<Q", 24 + len(body)) + body + bytes(-len(body) % 8)
        assert read(plain[:40] + chunk + plain[40:]).data_offset == len(plain) - 80 + len(chunk)
    plain = file_of("CAF", b"\1" * 80)
    for body in (b"", b"x", b"xyz"):
        chunk = b"note" + pack(">q", len(body)) + body
        assert read(plain[:8] + chunk + plain[8:]).data_offset == len(plain) - 80 + len(chunk)


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_open_size_means_to_the_end(container):
    """In frames of 8 bytes; SoX rounds 0x7FFFF000 down to whole samples of all channels, here of 3."""
    for declared in (0, 0x7FFF0000, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF):
        if container in ("RF64", "BW64") and declared == 0xFFFFFFFF:
            continue
        found = read(file_of(container, b"\1" * 80, declared=declared))
        assert (found.data_bytes, found.length) == (80, 10)
    assert read(file_of(container, b"\1" * 78, channels=3, declared=0x7FFFF000 // 6 * 6)).data_bytes == 78
    with pytest.raises(InputError, match=r"declares 2147479546 bytes of samples, 78 are present \(0\.0%\)"):
        read(file_of(container, b"\1" * 78, channels=3, declared=0x7FFFF000 // 6 * 6 - 2))
    assert read(file_of(container, bytes(80), declared=0)).data_bytes == 80  # silence
    with pytest.raises(InputError, match="3 bytes of samples are not a multiple of 8"):
        read(file_of(container, b"\1" * 3, declared=0))


def test_the_padding_byte_of_an_open_riff_file_is_no_sample():
    """Three samples of 24 bits in one channel and the padding: 10 bytes, one more than a multiple of 3."""
    start = build_header(header("WAV", "PCM_24", 1))[:-4] + b"\xff" * 4
    assert read(start + b"\1" * 9 + b"\0").data_bytes == 9
    with pytest.raises(InputError, match="11 bytes of samples are not a multiple of 3"):
        read(start + b"\1" * 11)
    with pytest.raises(InputError, match="7 bytes of samples are not a multiple of 3"):  # odd: there is no padding
        read(start + b"\1" * 7)


@pytest.mark.parametrize(("at", "value", "message"), [
    (0, pack(">d", 1), None),
    (0, pack(">d", 999_999_999), None),
    (0, pack(">d", 1e9), "CAF encoding b'lpcm' at 1000000000.0 Hz is not supported"),
    (0, pack(">d", 0.5), "at 0.5 Hz is not supported"),
    (8, b"aac ", "CAF encoding b'aac ' at 48000.0 Hz is not supported"),
    (12, pack(">I", 0), None),
    (12, pack(">I", 3), r"samples of 16 bits in encoding 0x3 are not supported"),
    (16, pack(">I", 9), "4 channels of 16 bits need 8 bytes, but the header says 9"),
    (24, pack(">I", 0), "declares 0 channels"),
    (24, pack(">I", 1025), "declares 1025 channels"),
    (28, pack(">I", 20), "samples of 20 bits in encoding 0x1"),
])  # fmt: skip
def test_the_description_of_a_caf_file(at, value, message):
    data = file_of("CAF", b"\1" * 80)
    data = data[: 20 + at] + value + data[20 + at + len(value) :]
    if message:
        with pytest.raises(InputError, match=message):
            read(data)
        return
    found = read(data)
    assert found.big_endian == (at == 12)
    assert found.sample_rate_hz in (1, 48_000, 999_999_999)


def test_short_formats_and_files_of_headers_only_are_refused():
    with pytest.raises(InputError, match="format chunk of 15 bytes"):
        read(b"RIFF....WAVEfmt " + pack("<I", 15) + bytes(15))
    with pytest.raises(InputError, match="description chunk of 31 bytes"):
        read(b"caff\0\1\0\0desc" + pack(">q", 31) + bytes(31))
    with pytest.raises(InputError, match="WAV file of 12 bytes without samples"):
        read(b"RIFF....WAVE")
    with pytest.raises(InputError, match="the samples at byte 20 come before their format"):
        read(b"RIFF....WAVEdata" + pack("<I", 8) + bytes(8))
    with pytest.raises(InputError, match="header declares 0 Hz"):
        read(b"RIFF....WAVEfmt " + pack("<IHHIIHH", 16, 1, 1, 0, 0, 2, 16) + b"data" + pack("<I", 2) + bytes(2))


def test_a_second_format_and_second_samples_count_for_nothing():
    data = file_of("WAV", b"\1" * 80)
    again = fmt(3, 1, 4) + b"data" + pack("<I", 4) + bytes(4)
    found = read(data + again)
    assert (found.subtype, found.channels, found.data_bytes) == ("PCM_16", 4, 80)


def test_an_unknown_guid_is_refused():
    plain = build_header(header(channels=4, data_bytes=8))
    at = plain.index(GUID)
    for changed in (at, at + 13):
        data = plain[:changed] + b"\x55" + plain[changed + 1 :]
        with pytest.raises(InputError, match="samples of 16 bits in encoding 0xfffe are not supported"):
            read(data + bytes(8))


@pytest.mark.parametrize("samples", [80, 81])
def test_what_a_caf_file_says_of_its_channels_may_stand_behind_the_samples(samples):
    """CAF has no padding: after an odd number of bytes the next chunk begins at once."""
    start = build_header(header("CAF", "PCM_24" if samples == 81 else "PCM_16", 1, data_bytes=samples))
    layout = b"chan" + pack(">qIII", 12, (190 << 16) | 1, 0, 0)  # kAudioChannelLayoutTag_HOA_ACN_SN3D
    found = read(start + b"\1" * samples + layout).statements
    assert found == read(start[:52] + layout + start[52:] + b"\1" * samples).statements
    assert len(found) == 1
