"""Synthesise scenes in EigenScape's form: eight classes, fourth order (25 channels), 48 kHz, 24 bit.

The files are made from the seed alone, through a model of the microphone that EigenScape was recorded
with. They are named like EigenScape's (Beach.1.wav ... Woodland.8.wav); a record beside each (.wav.json)
says that it is synthetic and how it was made. Files that are already there are not made again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from render.command import parser, progress, run
from render.errors import InputError
from stimuli.corpus import CLASSES

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy import ndarray

RECORDINGS = range(1, 9)

# Modules of this package that make the samples
_CODE = ("synth", "scenes", "stage", "sources", "field", "renderer", "microphone")

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
        One of `stimuli.corpus.CLASSES`.
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
    import numpy as np

    synthesis = Synthesis(scene_class, recording, seed, round(seconds * sample_rate_hz), order, sample_rate_hz)
    return np.concatenate(list(_blocks(synthesis)), axis=1)


def _blocks(synthesis: Synthesis) -> Iterator[Float32[ndarray, "acn time"]]:
    import numpy as np

    from stimuli.renderer import render
    from stimuli.scenes import sound_field

    _check(synthesis)
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


def _check(synthesis: Synthesis) -> None:
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
    from render.artefact import record_path, sha256, write_json
    from render.audio_file import writer

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
    from render.artefact import read_json, record_path, sha256

    record = read_json(record_path(path))
    if record.get("sha256") != sha256(path):
        raise InputError(f"{path}: is not what its record says; remove it or use --force")
    if record.get("parameters") != asdict(synthesis):
        raise InputError(f"{path}: was made with other parameters; choose another folder or use --force")
    return record.get("code") == code


def _code_digest() -> str:
    """Digest of the code and the libraries that the samples depend on."""
    from importlib.metadata import version

    from render import artefact

    here = Path(__file__).parent
    files = [here / f"{name}.py" for name in _CODE] + [Path(artefact.__file__).with_name("sphere.py")]
    libraries = {name: version(name) for name in ("numpy", "scipy")}
    return artefact.sha256_of({file.name: artefact.sha256(file) for file in files} | libraries)


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


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "stimuli.synth")
    arguments.add_argument("--seed", type=int, default=0, help="one seed makes one corpus (default 0)")
    arguments.add_argument("--seconds", type=float, default=60.0, help="length of each file (default 60)")
    arguments.add_argument("--recordings", default="1-8", help="numbers, as 1,8 or 1-7 (default 1-8)")
    arguments.add_argument("--scenes", default=",".join(CLASSES), help="classes, as Beach,Park (default all)")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default all cores)")
    arguments.add_argument("--force", action="store_true", help="replace files that differ")
    arguments.add_argument("-o", "--output", type=Path, required=True, help="folder for the files")
    options = arguments.parse_args()
    numbers = numbers_of(options.recordings)
    wanted = [
        Synthesis(scene_class, recording, options.seed, round(options.seconds * 48_000))
        for recording in numbers
        for scene_class in options.scenes.split(",")
    ]
    for synthesis in wanted:
        _check(synthesis)
    # One thread per process: the processes share the cores, and sums keep their order
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    from render.engine import in_parallel

    jobs = {synthesis: (synthesis, options.output, options.force) for synthesis in wanted}
    made = in_parallel(write_scene_file, jobs, options.workers, ("stimuli.renderer", "stimuli.scenes"))
    for _ in progress(made, "synthesise", len(jobs)):
        pass
    print(f"{len(wanted)} synthetic scenes of {options.seconds:g} s in {options.output}")


if __name__ == "__main__":
    run(main)
