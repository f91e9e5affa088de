"""FLAC files, by libsndfile, which is loaded for them alone: it takes as long as decoding ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from render.common.errors import InputError
from render.fileio.container import SUBTYPES, Header
from render.fileio.pcm import rounded

if TYPE_CHECKING:
    import soundfile
    from jaxtyping import Float32
    from numpy import ndarray

_MAX_CHANNELS = 8


@contextmanager
def reading(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a file after reading its last sample, since the header alone does not prove its length."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if file.frames:
                file.seek(file.frames - 1)
                file.read(1)
            yield file
    except soundfile.LibsndfileError as error:
        reason = error.error_string or f"libsndfile error {error.code}"
        raise InputError(f"{path}: damaged or truncated FLAC file ({reason}); export it again") from None


def blocks(path: Path, start: int, end: int, block_length: int) -> Iterator[Float32[ndarray, "channel time"]]:
    """Read samples `start` to `end` block by block."""
    with reading(path) as file:
        file.seek(start)
        for position in range(start, end, block_length):
            wanted = min(block_length, end - position)
            block = file.read(wanted, dtype="float32", always_2d=True).T
            if block.shape[1] != wanted:
                raise InputError(f"{path}: damaged at sample {position + block.shape[1]}; export it again")
            yield block


@contextmanager
def writing(header: Header, temporary: Path, path: Path) -> Iterator[Callable[[ndarray], None]]:
    """Open `temporary` for writing and yield a function that writes blocks; messages call the file `path`."""
    if header.channels > _MAX_CHANNELS:
        raise InputError(
            f"{path}: FLAC holds at most {_MAX_CHANNELS} channels, not {header.channels}; choose .w64 or .rf64"
        )
    if header.subtype not in ("PCM_16", "PCM_24"):
        raise InputError(f"{path}: FLAC holds PCM_16 or PCM_24, not {header.subtype}; choose .wav or .w64")
    import soundfile

    bits = 8 * SUBTYPES[header.subtype][0]
    try:
        with soundfile.SoundFile(
            temporary, "w", header.sample_rate_hz, header.channels, header.subtype, format="FLAC"
        ) as file:
            yield lambda block: file.write(rounded(block, bits) << (32 - bits))
    except soundfile.LibsndfileError as error:
        raise OSError(f"{path}: libsndfile could not write it ({error.error_string}); is there room?") from None
