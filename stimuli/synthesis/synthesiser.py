"""Synthesise scenes in EigenScape's format, in memory or as files with a record beside each.

A scene depends on its parameters alone. It is rendered through a model of the microphone that EigenScape was
recorded with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.code_digest import code_digest
from render.common.errors import InputError
from render.common.files import read_json, record_path, sha256, sha256_of, write_json
from render.fileio.audio_file import writer
from stimuli.eigenscape.corpus import CLASSES, RECORDINGS
from stimuli.synthesis.renderer import render
from stimuli.synthesis.scene_classes import sound_field

# The fronts of the classes are spread around a circle in this order, so that classes with similar images face
# opposite directions
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
class SceneParameters:
    """Everything that a synthetic scene depends on, apart from the code.

    Attributes
    ----------
    scene_class : str
        One of `stimuli.eigenscape.corpus.CLASSES`.
    recording : int
        1 to 8; the recordings of a class differ in place, levels, sources and timing.
    seed : int
        Not negative. One seed makes one corpus and stands for one microphone.
    length : int
        Samples, at least 1.
    order : int
        0 to 4.
    sample_rate_hz : int
        16000 to 48000.
    """

    scene_class: str
    recording: int
    seed: int
    length: int
    order: int = 4
    sample_rate_hz: int = 48_000

    def check(self) -> None:
        """Raise `InputError` if a value is out of range."""
        if self.scene_class not in CLASSES:
            raise InputError(f"scene class {self.scene_class!r}; known are {', '.join(CLASSES)}")
        if self.recording not in RECORDINGS:
            raise InputError(f"recording {self.recording}; possible are 1 to 8")
        if self.seed < 0:
            raise InputError(f"seed {self.seed}; a seed is 0 or more")
        if not 0 <= self.order <= 4:
            raise InputError(f"order {self.order}; the microphone gives 0 to 4")
        if not 16_000 <= self.sample_rate_hz <= 48_000:
            raise InputError(f"{self.sample_rate_hz} Hz; scenes are made at 16000 to 48000 Hz")
        if self.length < 1:
            raise InputError("a scene needs at least one sample; give more seconds")

    def record(self) -> dict[str, Any]:
        """Contents of ``parameters`` in the record of a scene, where `length` is stored as ``frames``."""
        return {"frames" if name == "length" else name: value for name, value in asdict(self).items()}


def synthesise(
    scene_class: str, recording: int, seed: int, seconds: float, order: int = 4, sample_rate_hz: int = 48_000
) -> Float32[ndarray, "acn time"]:
    """Make one scene in memory (ACN/SN3D, full scale 1); see `SceneParameters` for the arguments.

    The same arguments and number of BLAS threads give the same bits on one machine. Memory grows with `seconds`
    (4.8 MB/s at fourth order); `write_scene_file` writes block by block and has no limit.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    length = round(seconds * sample_rate_hz)
    parameters = SceneParameters(scene_class, recording, seed, length, order, sample_rate_hz)
    return np.concatenate(list(_blocks(parameters)), axis=1)


def write_scene_file(parameters: SceneParameters, folder: Path, force: bool = False) -> str:
    """Write one scene (24 bit) and its record into a folder, unless both exist already; return the file's name.

    A file that an earlier version of this package made with the same parameters is made again.

    Raises
    ------
    InputError
        If a value is out of range; if the file was made with other parameters, or has changed since it was made,
        and `force` is not set.
    """
    path = folder / f"{parameters.scene_class}.{parameters.recording}.wav"
    code = _code_digest()
    if record_path(path).exists() and path.exists() and not force:
        if _is_current(path, parameters, code):
            return path.name
        force = True
    with writer(path, (parameters.order + 1) ** 2, parameters.sample_rate_hz, "PCM_24", force=force) as file:
        for block in _blocks(parameters):
            file.write(block)
    record = {
        "what": "synthetic scene, made by stimuli.synth from a seed; no recording",
        "parameters": parameters.record(),
        "convention": "ACN/SN3D",
        "subtype": "PCM_24",
        "code": code,
        "sha256": sha256(path),
    }
    write_json(record_path(path), record, force=True)
    return path.name


def _blocks(parameters: SceneParameters) -> Iterator[Float32[ndarray, "acn time"]]:
    parameters.check()
    number = CLASSES.index(parameters.scene_class)

    def randomness(*stream: int) -> np.random.Generator:
        entropy = [parameters.seed, number, parameters.recording, *stream]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))

    # Seed and recording rotate and mirror the ring as a whole, so that no two scenes of a set have the same image
    # by accident
    compass = np.random.default_rng([parameters.seed, parameters.recording])
    rotation_deg, sense = compass.uniform(0, 360), compass.choice([-1, 1])
    place_deg = 45 * _RING.index(parameters.scene_class)
    front_deg = rotation_deg + sense * place_deg + randomness(0).uniform(-6, 6)
    rate_hz = parameters.sample_rate_hz
    seconds = parameters.length / rate_hz
    field = sound_field(
        parameters.scene_class, randomness(1), seconds, rate_hz, front_deg, microphone_seed=parameters.seed
    )
    return render(field, randomness, parameters.length, parameters.order, rate_hz)


def _is_current(path: Path, parameters: SceneParameters, code: str) -> bool:
    """Whether the file is what this version would make; False if an earlier version made it."""
    record = read_json(record_path(path))
    if record.get("sha256") != sha256(path):
        raise InputError(f"{path}: is not what its record says; remove it or use --force")
    if record.get("parameters") != parameters.record():
        raise InputError(f"{path}: was made with other parameters; choose another folder or use --force")
    return record.get("code") == code


def _code_digest() -> str:
    """Digest of the code and the libraries that the samples depend on."""
    return sha256_of({"code": code_digest(__name__), **{name: version(name) for name in ("numpy", "scipy")}})
