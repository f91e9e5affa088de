"""Synthesise scenes in EigenScape's form: eight classes, fourth order (25 channels), 48 kHz, 24 bit.

The files are made from the seed alone, through a model of the microphone that EigenScape was recorded
with. They are named like EigenScape's (Beach.1.wav ... Woodland.8.wav); a record beside each (.wav.json)
says that it is synthetic and how it was made. Files that are already there are not made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.code_digest import code_digest
from render.common.errors import InputError
from render.common.files import read_json, record_path, sha256, sha256_of, write_json
from render.fileio.audio_file import writer
from stimuli.eigenscape.corpus import CLASSES
from stimuli.synthesis.renderer import render
from stimuli.synthesis.scene_classes import sound_field

RECORDINGS = range(1, 9)


# Classes of like images stand opposite to each other
_RING = (
    "Beach",
    "BusyStreet",
    "TrainStation",
    "Woodland",
    "PedestrianZone",
    "Park",
    "QuietStreet",
    "ShoppingCentre",
)


@dataclass(frozen=True)
class Synthesis:
    """Everything a synthetic scene depends on, apart from the code."""

    scene_class: str
    recording: int
    seed: int
    frames: int
    order: int = 4
    sample_rate_hz: int = 48_000


def synthesise(
    scene_class: str, recording: int, seed: int, seconds: float, order: int = 4, sample_rate_hz: int = 48_000
) -> Float32[ndarray, "acn time"]:
    """Make one scene (ACN/SN3D, full scale 1).

    The same arguments and number of BLAS threads give the same bits on one machine. Memory grows with `seconds`
    (4.8 MB/s at fourth order); the command line writes block by block and has no limit.

    Parameters
    ----------
    scene_class : str
        One of `stimuli.eigenscape.corpus.CLASSES`.
    recording : int
        1 .. 8; the recordings of a class differ in place, levels, sources and timing.
    seed : int
        Not negative. One seed makes one corpus and stands for one microphone.
    seconds : float
    order : int
        0 .. 4.
    sample_rate_hz : int

    Raises
    ------
    InputError
        For an unknown class or values out of range.
    """
    synthesis = Synthesis(scene_class, recording, seed, round(seconds * sample_rate_hz), order, sample_rate_hz)
    return np.concatenate(list(_blocks(synthesis)), axis=1)


def _blocks(synthesis: Synthesis) -> Iterator[Float32[ndarray, "acn time"]]:

    check(synthesis)
    number = CLASSES.index(synthesis.scene_class)

    def randomness(*stream: int) -> np.random.Generator:
        entropy = [synthesis.seed, number, synthesis.recording, *stream]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))

    # The classes stand around the compass in a fixed ring, turned and mirrored by seed and recording, so
    # that no two scenes of a set have the same image by accident
    compass = np.random.default_rng([synthesis.seed, synthesis.recording])
    turn_deg, sense = compass.uniform(0, 360), compass.choice([-1, 1])
    front_deg = turn_deg + sense * 45 * _RING.index(synthesis.scene_class) + randomness(0).uniform(-6, 6)
    seconds = synthesis.frames / synthesis.sample_rate_hz
    field = sound_field(
        synthesis.scene_class, randomness(1), seconds, synthesis.sample_rate_hz, front_deg, synthesis.seed
    )
    return render(field, randomness, synthesis.frames, synthesis.order, synthesis.sample_rate_hz)


def check(synthesis: Synthesis) -> None:
    """Raise `InputError` if a scene cannot be made."""
    if synthesis.scene_class not in CLASSES:
        raise InputError(f"scene class {synthesis.scene_class!r}; known are {', '.join(CLASSES)}")
    if synthesis.recording not in RECORDINGS:
        raise InputError(f"recording {synthesis.recording}; possible are 1 to 8")
    if synthesis.seed < 0:
        raise InputError(f"seed {synthesis.seed}; a seed is 0 or more")
    if not 0 <= synthesis.order <= 4:
        raise InputError(f"order {synthesis.order}; the microphone gives 0 to 4")
    if not 16_000 <= synthesis.sample_rate_hz <= 48_000:
        raise InputError(f"{synthesis.sample_rate_hz} Hz; scenes are made at 16000 to 48000 Hz")
    if synthesis.frames < 1:
        raise InputError("a scene needs at least one sample; give more seconds")


def write_scene_file(synthesis: Synthesis, folder: Path, force: bool = False) -> str:
    """Write one scene and its record into a folder, unless both are there already; return the file's name.

    A file that an earlier version of this package made with the same parameters is made again.

    Raises
    ------
    InputError
        If the file was made with other parameters or changed since, and `force` is not set.
    """
    path = folder / f"{synthesis.scene_class}.{synthesis.recording}.wav"
    code = _code_digest()
    if record_path(path).exists() and path.exists() and not force:
        if _is_made(path, synthesis, code):
            return path.name
        force = True
    with writer(path, (synthesis.order + 1) ** 2, synthesis.sample_rate_hz, "PCM_24", force=force) as file:
        for block in _blocks(synthesis):
            file.write(block)
    record = {
        "what": "synthetic scene, made by stimuli.synth from a seed; no recording",
        "parameters": asdict(synthesis),
        "convention": "ACN/SN3D",
        "subtype": "PCM_24",
        "code": code,
        "sha256": sha256(path),
    }
    write_json(record_path(path), record, force=True)
    return path.name


def _is_made(path: Path, synthesis: Synthesis, code: str) -> bool:
    """Whether the file is what this version would make; False if an earlier version made it."""
    record = read_json(record_path(path))
    if record.get("sha256") != sha256(path):
        raise InputError(f"{path}: is not what its record says; remove it or use --force")
    if record.get("parameters") != asdict(synthesis):
        raise InputError(f"{path}: was made with other parameters; choose another folder or use --force")
    return record.get("code") == code


def _code_digest() -> str:
    """Digest of the code and the libraries that the samples depend on."""
    return sha256_of({"code": code_digest(__name__), **{name: version(name) for name in ("numpy", "scipy")}})


def numbers_of(text: str) -> list[int]:
    """Numbers of recordings from "1,8" or "1-7"."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise InputError(f"--recordings {text!r}: need numbers 1 to 8, as in 1,8 or 1-7")
        numbers += range(int(first), int(last or first) + 1)
    if outside := set(numbers) - set(RECORDINGS):
        raise InputError(f"recording {min(outside)}; possible are 1 to 8")
    return numbers
