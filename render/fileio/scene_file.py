"""Ambisonic scenes in files, in one place: what a file says of itself, and scenes that lie in several files.

A scene whose channels are split is named by any one of its files: ``a_01-08ch.wav``, ``a_09-16ch.wav`` and so on.
Samples come as ACN/SN3D. A file that says that it is N3D, FuMa or in another order (.amb, CAF layout tag, ADM) is
converted; one that says that its channels are loudspeakers is refused. A file that says nothing is taken for
ACN/SN3D.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.common.files import sha256
from render.fileio.audio_file import BLOCK_LENGTH, AudioInfo, blocks, info
from render.fileio.channel_statements import Component, Statement, of_convention
from render.hoa.scene import MAX_ORDER, Scene, order_of
from render.hoa.spherical_harmonics import CONVENTIONS, sn3d_to_n3d, to_sn3d

if TYPE_CHECKING:
    from jaxtyping import Float32

_PART = re.compile(r"(?P<stem>.*)_(?P<first>\d+)-(?P<last>\d+)ch$", re.IGNORECASE)


@dataclass(frozen=True)
class SceneInfo(AudioInfo):
    """Properties of a scene's file, or of the first of its files with the channels of all.

    Attributes
    ----------
    paths : tuple of Path
        All files.
    components : tuple of Component
        Spherical harmonic of each channel, as the file says or the user; ACN/SN3D where neither does.
    contradiction : str
        What the file says and the user contradicts; empty if they agree.
    """

    paths: tuple[Path, ...] = ()
    components: tuple[Component, ...] = ()
    contradiction: str = ""

    @property
    def convention(self) -> str:
        """Name of the channels' convention, for records."""
        for name, shown in (("sn3d", "ACN/SN3D"), ("n3d", "ACN/N3D"), ("fuma", "FuMa")):
            if self.components == of_convention(name, self.channels):
                return shown
        return "as described by ADM or CAF"


def scene_name(path: PurePath) -> str:
    """Name of a file without its suffix, and without the range of channels of a part of a scene."""
    named = _PART.fullmatch(path.stem)
    return named["stem"] if named else path.stem


def whole_scenes(paths: Iterable[Path]) -> list[Path]:
    """Leave out the further files of scenes that are named already, as ``*.wav`` names all of them."""
    kept: dict[tuple[Path, str, str], Path] = {}
    for number, path in enumerate(paths):
        named = _PART.fullmatch(path.stem)
        scene = (path.parent, named["stem"] if named else f"/{number}", path.suffix)
        kept.setdefault(scene, path)
    return list(kept.values())


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
    found: list[tuple[int, int, Path]] = []
    for other in sorted(path.parent.iterdir()):
        match = _PART.fullmatch(other.stem)
        if match and match["stem"] == named["stem"] and other.suffix == path.suffix:
            found.append((int(match["first"]), int(match["last"]), other))
    following = 1
    for first, last, _ in sorted(found):
        if first != following or last < first:
            names = ", ".join(part.name for _, _, part in found)
            raise InputError(
                f"{path}: no file continues at channel {following}, found are {names}; "
                "the parts must be named _01-08ch, _09-16ch and so on, each range once"
            )
        following = last + 1
    return tuple(part for _, _, part in sorted(found))


def split_info(paths: Sequence[Path]) -> AudioInfo:
    """Describe the signal that several files make up: the first file's properties, all files' channels.

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
    if len(every) == 1:
        return first
    statements = dict.fromkeys(statement for about in every for statement in about.statements)
    channels = sum(about.channels for about in every)
    return replace(first, channels=channels, channel_mask=0, statements=tuple(statements))


def split_blocks(
    paths: Sequence[Path], start: int = 0, length: int | None = None, block_length: int = BLOCK_LENGTH
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Read the files of one signal block by block, their channels stacked in the order of `paths`."""
    if len(paths) == 1:
        yield from blocks(paths[0], start, length, block_length)
        return
    for parts in zip(*(blocks(path, start, length, block_length) for path in paths), strict=True):
        yield np.concatenate(parts)


def scene_info(path: Path, convention: str | None = None) -> SceneInfo:
    """Describe a scene without reading its samples.

    Parameters
    ----------
    path : Path
        Its file, or any one of its files.
    convention : str, optional
        ``sn3d``, ``n3d`` (both ACN) or ``fuma``: what the user says, against the file if need be. Without it the
        file is believed, and ACN/SN3D assumed where it says nothing.

    Raises
    ------
    InputError
        If a file cannot be read, no order has the number of channels, or the file says that they are loudspeakers
        or not one scene.
    """
    paths = scene_files(Path(path))
    about = split_info(paths)
    try:
        order = order_of(about.channels)
    except InputError as error:
        part = (
            f" (the channels of {', '.join(one.name for one in paths)})" if _PART.fullmatch(paths[0].stem) else ""
        )
        raise InputError(f"{path}: {error}{part}") from None
    said = _said(about) if order or any(one.components for one in about.statements) else None
    if convention is None:
        if isinstance(said, str):
            raise InputError(f"{path}: {said}")
        components, contradiction = said or of_convention("sn3d", about.channels), ""
    else:
        if convention not in CONVENTIONS:
            raise InputError(f"convention {convention!r} is unknown; known are {', '.join(CONVENTIONS)}")
        components = of_convention(convention, about.channels)
        contradiction = "" if said in (None, components) else _sources(about.statements)
    if len(components) < about.channels:
        raise InputError(f"{path}: FuMa is defined up to order 3, but the scene has order {order}")
    return SceneInfo(**vars(about), paths=paths, components=components, contradiction=contradiction)


def _said(about: AudioInfo) -> tuple[Component, ...] | str | None:
    """Components of the channels by what the file says, None if it says nothing, or why that is no scene."""
    remedy = (
        "if it is an ACN/SN3D scene all the same, stimuli.prepare --convention sn3d and render.decode --input "
        "sn3d take it as it is"
    )
    for statement in about.statements:
        if not statement.components:
            return (
                f"{statement.source} says that the {about.channels} channels are {statement.what}, but an "
                f"Ambisonic scene is needed; {remedy}"
            )
    said = {statement.components for statement in about.statements}
    if not said:
        return None
    components = next(iter(said))
    source = _sources(about.statements)
    if len(said) > 1:
        return f"{source} contradict each other about the channels; {remedy}"
    order = order_of(about.channels)
    if about.ambisonic_order > 3 and any(one.normalisation == "FuMa" for one in components):
        return f"{source} says FuMa, which is defined up to order 3, but the scene has order {order}; {remedy}"
    if sorted(one.acn for one in components) != list(range(about.channels)):
        return (
            f"{source} describes {len(components)} Ambisonic components, which are not the {about.channels} of "
            f"order {order}, each once; {remedy}"
        )
    return components


def _sources(statements: Sequence[Statement]) -> str:
    return " and ".join(sorted(statement.source for statement in statements))


def scene_blocks(
    path: Path,
    start: int = 0,
    length: int | None = None,
    block_length: int = BLOCK_LENGTH,
    convention: str | None = None,
) -> Iterator[Float32[ndarray, "acn time"]]:
    """Read a scene block by block as ACN/SN3D; range and errors as `render.fileio.audio_file.blocks`.

    `convention` and further errors as for `scene_info`.
    """
    about = scene_info(path, convention)
    signal = split_blocks(about.paths, start, length, block_length)
    if about.components == of_convention("sn3d", about.channels):
        yield from signal
        return
    channel_of_acn = np.argsort([component.acn for component in about.components])
    gains = _gains_to_sn3d(about.components)[channel_of_acn, None]
    for block in signal:
        yield gains * block[channel_of_acn]


def scene_samples(
    path: Path, start: int = 0, length: int | None = None
) -> tuple[Float32[ndarray, "acn time"], int]:
    """Read samples of a scene (acn, time) as ACN/SN3D, and the sample rate in Hz; errors as for `scene_blocks`."""
    about = scene_info(path)
    count = about.length - start if length is None else length
    samples = np.empty((about.channels, max(count, 0)), np.float32)
    position = 0
    for block in scene_blocks(path, start, length):
        samples[:, position : position + block.shape[1]] = block
        position += block.shape[1]
    return samples, about.sample_rate_hz


def read_scene(path: Path) -> Scene:
    """Read a scene; errors as for `scene_info` and `scene_blocks`."""
    return Scene(*scene_samples(path))


def scene_sha256(paths: Sequence[Path]) -> str:
    """SHA-256 of a scene's file, or of the digests of its files in their order."""
    if len(paths) == 1:
        return sha256(paths[0])
    return hashlib.sha256("".join(map(sha256, paths)).encode()).hexdigest()


def _gains_to_sn3d(components: Sequence[Component]) -> Float32[ndarray, " channel"]:
    """Gain that makes each channel SN3D."""
    gains = {"SN3D": np.ones((MAX_ORDER + 1) ** 2), "N3D": 1 / sn3d_to_n3d(MAX_ORDER)}
    gains["FuMa"] = to_sn3d(3, "fuma").sum(axis=1)  # one channel for each component
    return np.array([gains[normalisation][acn] for acn, normalisation in components], np.float32)
