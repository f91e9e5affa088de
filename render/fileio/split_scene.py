"""Scenes whose channels are split over several files: ``a_01-08ch.wav``, ``a_09-16ch.wav`` and so on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.errors import InputError
from render.fileio.audio_file import AudioInfo, blocks, info

_PART = re.compile(r"(?P<stem>.*)_(?P<first>\d+)-(?P<last>\d+)ch$")


def scene_files(path: Path) -> tuple[Path, ...]:
    """Find all files of a scene from any one of them; a file that is not named as a part stands alone.

    Raises
    ------
    InputError
        If the channel ranges in the names do not follow one another from channel 1 on.
    """
    path = Path(path)
    named = _PART.fullmatch(path.stem)
    if not named or not path.exists():
        return (path,)
    found = {}
    for other in path.parent.glob(f"*{path.suffix}"):
        match = _PART.fullmatch(other.stem)
        if match and match["stem"] == named["stem"]:
            found[int(match["first"]), int(match["last"])] = other
    following = 1
    for first, last in sorted(found):
        if first != following or last < first:
            names = ", ".join(part.name for part in found.values())
            raise InputError(
                f"{path}: no file continues at channel {following}, found are {names}; "
                "the parts must be named _01-08ch, _09-16ch and so on"
            )
        following = last + 1
    return tuple(found[span] for span in sorted(found))


def split_info(paths: Sequence[Path]) -> AudioInfo:
    """Describe the scene that several files make up: the first file's properties, all files' channels.

    Raises
    ------
    InputError
        If the sample rates or lengths differ, or a file does not have as many channels as its name says.
    """
    every = [info(path) for path in paths]
    first = every[0]
    for path, about in zip(paths, every, strict=True):
        named = _PART.fullmatch(Path(path).stem)
        if named and about.channels != int(named["last"]) - int(named["first"]) + 1:
            raise InputError(
                f"{path}: {about.channels} channels, but its name says {named['first']} to {named['last']}"
            )
        if (about.sample_rate_hz, about.length) != (first.sample_rate_hz, first.length):
            raise InputError(
                f"{path}: {about.length} samples at {about.sample_rate_hz} Hz, but {first.path.name} has "
                f"{first.length} at {first.sample_rate_hz} Hz; the parts of a scene must be equally long"
            )
    return replace(first, channels=sum(about.channels for about in every))


def split_blocks(paths: Sequence[Path]) -> Iterator[Float32[ndarray, "channel time"]]:
    """Read the files of one scene block by block, their channels stacked in the order of `paths`."""
    if len(paths) == 1:
        yield from blocks(paths[0])
        return
    for parts in zip(*(blocks(path) for path in paths), strict=True):
        yield np.concatenate(parts)
