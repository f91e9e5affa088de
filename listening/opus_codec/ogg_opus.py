"""Opus in Ogg files (RFC 7845), with Ambisonics in them (RFC 8486: channel mapping families 2 and 3)."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, TypeVar

from listening.opus_codec import ogg
from listening.opus_codec.packet import split
from render.common.errors import InputError

SAMPLE_RATE_HZ = 48_000  # of granule positions, whatever the rate of the recording was
PAGE_SAMPLES = SAMPLE_RATE_HZ  # RFC 7845 §6 advises at most one second of audio on a page
AMBISONIC_FAMILIES = (2, 3)  # RFC 8486
DISCRETE_FAMILY = 255  # RFC 7845 §5.1.1.3: channels without a meaning, as ffmpeg writes Ambisonics
_HEAD = struct.Struct("<8sBBHIhB")  # RFC 7845 figure 2, up to the mapping family
_COUNT = struct.Struct("<I")

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class OpusHead:
    """Identification header (RFC 7845 §5.1, RFC 8486 §3).

    Attributes
    ----------
    channels : int
    pre_skip : int
        Samples at 48 kHz to drop from the decoder's output.
    input_rate_hz : int
        Rate of the original recording; decoding is at 48 kHz whatever it says.
    output_gain_q8 : int
        Gain to apply after decoding, in 1/256 dB.
    family : int
        2: each Ambisonic channel is coded by itself. 3: the coded channels times a demixing matrix. 255: as 2, but
        the channels have no meaning.
    streams, coupled : int
        Opus streams in each packet; the first `coupled` of them decode to two channels, the others to one.
    mapping : bytes
        Families 2 and 255: the decoded channel for each output. Family 3: the demixing matrix (channels x decoded
        channels), int16 in 1/32768, little-endian, column by column.
    """

    channels: int
    pre_skip: int
    input_rate_hz: int
    output_gain_q8: int
    family: int
    streams: int
    coupled: int
    mapping: bytes

    def pack(self) -> bytes:
        """Bytes of the header packet."""
        fields = (self.channels, self.pre_skip, self.input_rate_hz, self.output_gain_q8, self.family)
        return _HEAD.pack(b"OpusHead", 1, *fields) + bytes([self.streams, self.coupled]) + self.mapping

    @classmethod
    def parse(cls, packet: bytes, families: tuple[int, ...] = AMBISONIC_FAMILIES) -> OpusHead:
        """Read and check a header packet; raise `ValueError` that says what is wrong, or is of no given family."""
        if packet[:8] != b"OpusHead":
            raise ValueError(f"the stream begins with {packet[:8]!r}, not with an Opus header")
        if len(packet) < _HEAD.size:
            raise ValueError(f"Opus header of {len(packet)} bytes is too short")
        _, version, channels, pre_skip, rate, gain, family = _HEAD.unpack_from(packet)
        if version > 15:
            raise ValueError(f"Opus header version {version} is unknown (known: 1 to 15)")
        if family not in families:
            switch = "; its channels have no meaning: listening.opus decode --family-255 takes them for ACN/SN3D"
            raise ValueError(
                f"channel mapping family {family} is not Ambisonics (families 2 and 3 are, RFC 8486)"
                + (switch if family == DISCRETE_FAMILY else "")
            )
        order = math.isqrt(channels) - 1
        if not 0 <= order <= 14 or channels - (order + 1) ** 2 not in (0, 2):
            raise ValueError(f"{channels} channels are not Ambisonics; (N+1)² or two more are (RFC 8486 §3.1)")
        if len(packet) < _HEAD.size + 2:
            raise ValueError("Opus header without its channel mapping table")
        streams, coupled, mapping = packet[_HEAD.size], packet[_HEAD.size + 1], packet[_HEAD.size + 2 :]
        decoded = streams + coupled
        if not streams or coupled > streams or decoded > 255:
            raise ValueError(f"{streams} streams, {coupled} of them coupled, are impossible (RFC 7845 §5.1.1)")
        need = 2 * channels * decoded if family == 3 else channels
        if len(mapping) != need:
            table = "demixing matrix" if family == 3 else "channel mapping"
            raise ValueError(f"{table} of {len(mapping)} bytes; {channels} x {decoded} channels need {need}")
        if family != 3 and any(index >= decoded and index != 255 for index in mapping):
            raise ValueError(f"channel mapping names decoded channels that are not there (there are {decoded})")
        return cls(channels, pre_skip, rate, gain, family, streams, coupled, mapping)


@dataclass(frozen=True)
class OpusTags:
    """Comment header (RFC 7845 §5.2): name of the encoder library, and ``NAME=value`` comments."""

    vendor: str
    comments: tuple[str, ...] = ()

    def pack(self) -> bytes:
        """Bytes of the header packet."""
        vendor, *comments = (text.encode() for text in (self.vendor, *self.comments))
        counted = [_COUNT.pack(len(comment)) + comment for comment in comments]
        return b"".join((b"OpusTags", _COUNT.pack(len(vendor)), vendor, _COUNT.pack(len(counted)), *counted))

    @classmethod
    def parse(cls, packet: bytes) -> OpusTags:
        """Read and check a header packet; raise `ValueError` that says what is wrong."""
        if packet[:8] != b"OpusTags":
            raise ValueError(f"no Opus comment header; found {packet[:8]!r}")
        try:
            vendor, offset = _counted_text(packet, 8)
            (count,) = _COUNT.unpack_from(packet, offset)
            offset += _COUNT.size
            if count > (len(packet) - offset) // _COUNT.size:
                raise ValueError(f"{count} comments declared in a comment header of {len(packet)} bytes")
            comments = []
            for _ in range(count):
                text, offset = _counted_text(packet, offset)
                comments.append(text)
        except struct.error:
            raise ValueError(f"comment header of {len(packet)} bytes is too short") from None
        return cls(vendor, tuple(comments))


def _counted_text(packet: bytes, offset: int) -> tuple[str, int]:
    """Read a text that is preceded by its size in bytes; also return the offset after it."""
    (size,) = _COUNT.unpack_from(packet, offset)
    begin = offset + _COUNT.size
    if size > len(packet) - begin:
        raise ValueError(f"comment of {size} bytes declared where {len(packet) - begin} are left")
    return packet[begin : begin + size].decode(errors="replace"), begin + size


@dataclass(frozen=True)
class Run:
    """The packets that end on one page.

    Attributes
    ----------
    offset : int
        First byte of the page in the file.
    packets : tuple of bytes
    length : int
        Number of decoded samples at 48 kHz that count, pre-skip included.
    """

    offset: int
    packets: tuple[bytes, ...]
    length: int


def write(head: OpusHead, tags: OpusTags, packets: Iterable[bytes], length: int) -> Iterator[bytes]:
    """Yield the pages of an Ogg Opus file that decodes to `length` samples at 48 kHz.

    The packets must hold ``head.pre_skip + length`` samples; they are consumed until they do. The serial
    number is the digest of the headers and the first page's packets, so equal input gives equal files.
    """
    runs = _runs(packets, head, length)
    run = next(runs)
    digest = hashlib.sha256(b"".join((head.pack(), tags.pack(), *(packet for packet, _ in run))))
    serial = int.from_bytes(digest.digest()[:4], "little")
    headers = [*ogg.lay([(head.pack(), 0)], serial, 0, ogg.FIRST), *ogg.lay([(tags.pack(), 0)], serial, 1)]
    yield from headers
    sequence = len(headers)
    while run is not None:
        following = next(runs, None)
        for page in ogg.lay(run, serial, sequence, ogg.LAST if following is None else 0):
            yield page
            sequence += 1
        run = following


def _runs(packets: Iterable[bytes], head: OpusHead, length: int) -> Iterator[list[tuple[bytes, int]]]:
    """Group packets into runs of a second; each packet comes with its granule position (RFC 7845 §4)."""
    position, begin, end, run = 0, 0, head.pre_skip + length, []
    for packet in packets:
        position += split(packet, head.streams)[0].samples
        run.append((packet, min(position, end)))
        if position >= end:
            yield run
            return
        if position - begin >= PAGE_SAMPLES:
            yield run
            begin, run = position, []
    raise ValueError(f"the packets hold {position} samples, {end} are needed")


def read(
    file: BinaryIO, where: str, families: tuple[int, ...] = AMBISONIC_FAMILIES
) -> tuple[OpusHead, OpusTags, Iterator[Run]]:
    """Read the headers of an Ogg Opus file; its audio comes page by page as the runs are taken.

    Parameters
    ----------
    file : buffered binary file
        At its beginning; must stay open while the runs are taken.
    where : str
        Name of the file in messages.
    families : tuple of int
        Channel mapping families that are taken.

    Raises
    ------
    InputError
        At anything that RFC 3533, 7845 or 8486 forbids, and at other families; the message
        names `where` and the byte offset. Errors after the headers are raised when the runs are taken.
    """
    pages = ogg.read(file, where)
    page = next(pages)
    if len(page.packets) != 1 or page.goes_on or page.granule:
        raise _refused(where, page, "the Opus header does not stand alone on the first page at position 0")
    head = _checked(partial(OpusHead.parse, families=families), page.packets[0], page, where)
    page = next((page for page in pages if page.packets), page)
    if len(page.packets) != 1 or page.goes_on or page.granule:
        raise _refused(where, page, "the comment header does not stand alone on its pages at position 0")
    tags = _checked(OpusTags.parse, page.packets[0], page, where)
    return head, tags, _audio(pages, head, where)


def _audio(pages: Iterable[ogg.Page], head: OpusHead, where: str) -> Iterator[Run]:
    """Check packets and granule positions (RFC 7845 §4) of the pages after the headers."""

    def samples(packet: bytes) -> int:
        return split(packet, head.streams)[0].samples

    position, page = 0, None
    for page in pages:
        if not page.packets:  # the middle of a long packet, or a bare end
            if page.granule not in (ogg.NO_GRANULE, position):
                raise _refused(where, page, f"position {page.granule}, but no packet ends here")
            granule = end = position
        else:
            granule = page.granule
            end = position + sum(_checked(samples, packet, page, where) for packet in page.packets)
        if not (position if page.last else end) <= granule <= end:
            cut = "; it is a cut from a longer one" if position == 0 and granule > end else ""
            raise _refused(where, page, f"position {granule}, but the stream's packets make {end}{cut}")
        if page.last and granule < head.pre_skip:
            raise _refused(where, page, f"the stream ends at {granule}, within its pre-skip of {head.pre_skip}")
        yield Run(page.offset, page.packets, granule - position)
        position = granule
    if page is None:
        raise InputError(f"{where}: the file ends after its headers, without audio")


def _refused(where: str, page: ogg.Page, problem: object) -> InputError:
    return InputError(f"{where}: page at byte {page.offset}: {problem}")


def _checked(parse: Callable[[bytes], Parsed], packet: bytes, page: ogg.Page, where: str) -> Parsed:
    try:
        return parse(packet)
    except ValueError as error:
        raise _refused(where, page, error) from None
