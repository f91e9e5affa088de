"""Ogg Opus files from audio files and back, and what such a file is; in memory independent of the length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from numpy import ndarray

from listening.opus_codec.codec import (
    BLOCK_SAMPLES,
    OpusSettings,
    coded_peak,
    decode_blocks,
    encode_blocks,
    version,
)
from listening.opus_codec.info import inspect_file
from listening.opus_codec.ogg_opus import SAMPLE_RATE_HZ
from render.common.errors import InputError
from render.common.files import whole_file
from render.fileio import audio_file
from render.fileio.scene_file import scene_blocks, scene_info


def encode_file(path: Path, output: Path, settings: OpusSettings, force: bool = False) -> float:
    """Encode a scene to an Ogg Opus file; return the highest sample of the coded channels (`coded_peak`).

    Raises
    ------
    InputError
        As `codec.encode`; if the channels are not those of a full order; if `output` exists and differs, unless
        `force`.
    """
    about = scene_info(path)
    peak = 0.0

    def measured_blocks() -> Iterator[ndarray]:
        nonlocal peak
        for block in scene_blocks(path, block_length=BLOCK_SAMPLES):
            peak = max(peak, coded_peak(block, settings))
            yield block

    with whole_file(output, force=force) as temporary, open(temporary, "wb") as file:
        pages = encode_blocks(measured_blocks(), about.channels, about.length, about.sample_rate_hz, settings)
        file.writelines(pages)
    return peak


def decode_file(path: Path, output: Path, force: bool = False, take_discrete: bool = False) -> None:
    """Decode an Ogg Opus file to ambiX, 32-bit floats at 48 kHz; errors and `take_discrete` as `decode_blocks`."""
    with open(path, "rb") as file:
        head, blocks = decode_blocks(file, str(path), take_discrete)
        with audio_file.writer(output, head.channels, SAMPLE_RATE_HZ, "FLOAT", force) as audio:
            for block in blocks:
                audio.write(block)


def describe_file(path: Path) -> Iterator[str]:
    """Lines about an Ogg Opus file; if libopus is there, also how high its coded channels reach."""
    with open(path, "rb") as file:
        yield str(inspect_file(file, str(path)))
        try:
            version()
        except InputError:
            yield "beam peak: not measured, it needs libopus"
            return
        file.seek(0)
        head, blocks = decode_blocks(file, str(path))
        settings = OpusSettings(family=head.family)
        peak = max((coded_peak(block, settings) for block in blocks), default=0.0)
    remark = "" if peak <= 1 else "; above 1 the speech modes may have clipped"
    channels = "mixtures" if head.family == 3 else "channels"
    yield f"beam peak: {peak:.3f} of full scale in the decoded {channels}{remark}"
