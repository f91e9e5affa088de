"""Read and write audio files block by block.

WAV, RF64, BW64, W64 and CAF are read and written here (see `render.fileio.container` for their headers), FLAC by
libsndfile. The container is identified by its first bytes when reading and by the suffix when writing. Full
scale is 1. Integer samples of b bits are multiples of 2^(1-b); reading and writing them again gives the same
integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.common.files import errors_name, reads, reserve, whole_file
from render.fileio import flac
from render.fileio.channel_statements import Statement
from render.fileio.container import SUBTYPES, Header, build_header, read_header, trailing_bytes
from render.fileio.pcm import decode, encode
from render.hoa.layout import file_order
from render.hoa.scene import Feed, Scene, check_samples, order_of

if TYPE_CHECKING:
    from jaxtyping import Float32

BLOCK_LENGTH = 16384  # samples per channel; 16 channels of them stay in the cache
_CONTAINERS = {".wav": "WAV", ".rf64": "RF64", ".w64": "W64", ".caf": "CAF", ".flac": "FLAC"}


@dataclass(frozen=True)
class AudioInfo:
    """Properties of an audio file from its header, checked against its size.

    Attributes
    ----------
    path : Path
    channels, sample_rate_hz : int
    length : int
        Samples per channel.
    container : str
        WAV, RF64, BW64, W64, CAF or FLAC.
    subtype : str
        PCM_16, PCM_24, PCM_32, FLOAT or DOUBLE.
    channel_mask : int
        dwChannelMask of WAVEFORMATEXTENSIBLE; 0 if no positions are given.
    statements : tuple of Statement
        What the file says about its channels (mask, layout tag, B-format GUID, ADM).
    """

    path: Path
    channels: int
    sample_rate_hz: int
    length: int
    container: str
    subtype: str
    channel_mask: int = 0
    statements: tuple[Statement, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.length / self.sample_rate_hz

    @property
    def ambisonic_order(self) -> int:
        """Order of the Ambisonic scene in the file; InputError if no order has its number of channels."""
        try:
            return order_of(self.channels)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None


def info(path: Path) -> AudioInfo:
    """Describe an audio file without reading its samples.

    Raises
    ------
    InputError
        If the file is missing, not an audio file, empty, damaged or truncated.
    """
    path = Path(path)
    with _opened(path) as file:
        if _is_flac(file):
            with flac.reading(path) as sound:
                found = AudioInfo(path, sound.channels, sound.samplerate, sound.frames, "FLAC", sound.subtype)
        else:
            header = read_header(file, str(path))
            found = AudioInfo(
                path,
                header.channels,
                header.sample_rate_hz,
                header.length,
                header.container,
                header.subtype,
                header.channel_mask,
                header.statements,
            )
    if not found.length:
        raise InputError(f"{path}: holds no samples (length 0); record or export it again")
    return found


def blocks(
    path: Path, start: int = 0, length: int | None = None, block_length: int = BLOCK_LENGTH
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Read a file block by block; memory does not depend on its length.

    Parameters
    ----------
    path : Path
    start, length : int
        Range in samples per channel; the whole file by default.
    block_length : int
        Samples per channel in a block; the last block may be shorter.

    Raises
    ------
    InputError
        As `info`, or if the range exceeds the file, or if a sample is NaN or infinite (the message names channel
        and position).
    """
    path = Path(path)
    about = info(path)
    end = about.length if length is None else start + length
    if not 0 <= start <= end <= about.length:
        raise InputError(f"{path}: samples {start} to {end} were asked for, the file has {about.length}")
    with _opened(path) as file:
        if about.container == "FLAC":
            yield from flac.blocks(path, start, end, block_length)
            return
        header = read_header(file, str(path))
        file.seek(header.data_offset + start * header.block_align)
        for position in range(start, end, block_length):
            block = _read_block(file, header, min(block_length, end - position), path)
            if SUBTYPES[about.subtype][1]:
                check_samples(block, str(path), position)
            yield block


def read(path: Path, start: int = 0, length: int | None = None) -> tuple[Float32[ndarray, "channel time"], int]:
    """Read samples (channel, time) and the sample rate in Hz; range and errors as for `blocks`."""
    about = info(path)
    count = about.length - start if length is None else length
    samples = np.empty((about.channels, max(count, 0)), np.float32)
    position = 0
    for block in blocks(path, start, length):
        samples[:, position : position + block.shape[1]] = block
        position += block.shape[1]
    return samples, about.sample_rate_hz


def block_count(length: int) -> int:
    """Return how many blocks `blocks` reads a file of that length in."""
    return -(-length // BLOCK_LENGTH)


class Writer:
    """Writes samples to a file; created by `writer`.

    Attributes
    ----------
    length : int
        Samples per channel written so far.
    peak : float
        Largest magnitude passed to `write`, relative to full scale.
    clipped : int
        Number of values beyond full scale that were clipped, in all channels (integer subtypes only).
    first_clipped : tuple of int, or None
        Channel and sample of the first clipped value.
    """

    def __init__(self, header: Header, put: Callable[[ndarray], object]):
        self._header = header
        self._put = put
        self.length = 0
        self.peak = 0.0
        self.clipped = 0
        self.first_clipped: tuple[int, int] | None = None

    def write(self, block: Float32[ndarray, "channel time"]) -> None:
        """Append a block; InputError if it is not finite or has another number of channels."""
        if block.ndim != 2 or block.shape[0] != self._header.channels:
            raise InputError(f"block of shape {block.shape} for a file of {self._header.channels} channels")
        peak = float(max(block.max(initial=0.0), -block.min(initial=0.0)))
        if not math.isfinite(peak):
            check_samples(block, "samples to be written", self.length)
        if peak > 1.0 and not SUBTYPES[self._header.subtype][1]:
            self._count_clipped(block)
        self.peak = max(self.peak, peak)
        if block.size:
            self._put(block)
        self.length += block.shape[1]

    def _count_clipped(self, block: ndarray) -> None:
        over = np.argwhere(np.abs(block.T) > 1.0)
        if self.first_clipped is None:
            self.first_clipped = (int(over[0, 1]), self.length + int(over[0, 0]))
        self.clipped += len(over)


@contextmanager
def writer(
    path: Path,
    channels: int,
    sample_rate_hz: int,
    subtype: str = "PCM_24",
    force: bool = False,
    channel_mask: int | None = None,
    chunks: bytes = b"",
    length: int = 0,
) -> Iterator[Writer]:
    """Write a file block by block; it appears under its name only when the block ends without error.

    Parameters
    ----------
    path : Path
        The suffix chooses the container: .wav (RF64 past 4 GiB), .rf64, .w64, .caf, .flac.
    channels, sample_rate_hz : int
    subtype : str
        PCM_16, PCM_24, PCM_32 (rounded to nearest; clipped values are counted), FLOAT or DOUBLE.
    force : bool
        Replace an existing file that differs.
    channel_mask : int, optional
        dwChannelMask for WAV, RF64 and CAF; without it the file gives no loudspeaker positions.
    chunks : bytes
        Further chunks of a .wav file, which makes it a BW64 file (BS.2088).
    length : int
        Samples per channel that will be written, where that is known: room is reserved for them
        (`render.common.files.reserve`).

    Raises
    ------
    InputError
        If the suffix or subtype is unknown, FLAC cannot hold the format, or no sample is written.
    OSError
        If there is no room.

    Examples
    --------
    >>> with writer(Path("silence.wav"), channels=16, sample_rate_hz=48000) as file:  # doctest: +SKIP
    ...     file.write(np.zeros((16, 480), np.float32))
    """
    path = Path(path)
    container = _CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise InputError(f"{path}: suffix {path.suffix!r}; known are {', '.join(_CONTAINERS)}")
    if subtype not in SUBTYPES:
        raise InputError(f"{path}: subtype {subtype!r}; known are {', '.join(SUBTYPES)}")
    if chunks:
        assert container == "WAV", "only BW64 files have further chunks"
        container = "BW64"
    header = Header(container, subtype, channels, int(sample_rate_hz), channel_mask or 0, chunks=chunks)
    with whole_file(path, force=force) as temporary:
        if container == "FLAC":
            with flac.writing(header, temporary, path) as put:
                writing = Writer(header, put)
                yield writing
        else:
            with open(temporary, "wb", buffering=0) as file:
                file.write(build_header(header))
                if length:
                    reserve(file, file.tell() + length * header.block_align)
                writing = Writer(header, lambda block: _write_bytes(file, encode(block, header.subtype)))
                yield writing
                complete = replace(header, data_bytes=writing.length * header.block_align)
                file.write(trailing_bytes(complete))
                file.truncate()
                file.seek(0)
                file.write(build_header(complete))
        if not writing.length:
            raise InputError(f"{path}: there are no samples to write")


def write_scene(path: Path, scene: Scene, subtype: str = "FLOAT", force: bool = False) -> None:
    """Write a scene as an ACN/SN3D (ambiX) file."""
    with writer(path, len(scene.samples), scene.sample_rate_hz, subtype, force, length=scene.length) as file:
        for start in range(0, scene.length, BLOCK_LENGTH):
            file.write(scene.samples[:, start : start + BLOCK_LENGTH])


def write_feed(
    path: Path, feed: Feed, subtype: str = "PCM_24", order: str = "bs2051", force: bool = False
) -> None:
    """Write loudspeaker signals, channels in the order ``bs2051`` or ``wav`` (`render.hoa.layout.file_order`)."""
    permutation, mask = file_order(feed.layout, order)
    with writer(path, len(permutation), feed.sample_rate_hz, subtype, force, mask, length=feed.length) as file:
        for start in range(0, feed.length, BLOCK_LENGTH):
            file.write(feed.samples[list(permutation), start : start + BLOCK_LENGTH])


def _write_bytes(file: FileIO, content: ndarray) -> None:
    """Write all bytes: an unbuffered file may take fewer in one call."""
    left = content.data.cast("B")
    while left:
        left = left[file.write(left) :]


def _read_block(file: FileIO, header: Header, length: int, path: Path) -> ndarray:
    # One spare byte on either side, since 24-bit samples are read as 32-bit words; the offset aligns the samples
    raw = np.empty(length * header.block_align + 8, np.uint8)[3:-3]
    left = raw.data[1:-1]
    while left:
        got = file.readinto(left)
        if not got:
            raise InputError(f"{path}: became shorter while it was being read; copy or export it again")
        left = left[got:]
    return decode(raw, header.subtype, header.big_endian).reshape(length, header.channels).T


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    if path.is_dir():
        raise InputError(f"{path}: is a folder, but an audio file is needed")
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below; errors of the reader are not those of opening
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    with file, errors_name(path):
        reads(path)
        yield file


def _is_flac(file: FileIO) -> bool:
    file.seek(0)
    return file.read(4) == b"fLaC"
