"""Any codec that runs from a command line as a condition.

A plan names it by an id of its own:

    [parameters.mycodec]
    command = "mycodec --rate 16 {input} {output} --bitstream coded.bin"
    payload = "coded.bin"

The command runs without a shell in an empty folder. ``{input}`` is a 32-bit float WAV file (ACN/SN3D),
``{output}`` the WAV file that it must write, of the same channels and rate; the size of the file `payload`
is what is transmitted. A constant delay is measured and taken out.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from listening.conditions.condition import Rendition, aligned
from render.common.errors import InputError
from render.common.files import sha256
from render.fileio.audio_file import read, write_scene
from render.hoa.scene import Scene

LIMIT_S = 1800.0
REACH_S = 0.25  # longest delay that is looked for


def checked(name: str, command: str, payload: str | None) -> dict[str, str | None]:
    """Parameters of an external condition: command, payload and the program's digest.

    Raises
    ------
    InputError
        If the command has no ``{input}`` or ``{output}``, is no program here, or the payload's name leads
        out of the folder.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"{name}: command {command!r}: {error}") from None
    for field in ("{input}", "{output}"):
        if field not in command:
            raise InputError(f"{name}: command {command!r} has no {field}; it needs {{input}} and {{output}}")
    if payload is not None and (not payload or Path(payload).name != payload):
        raise InputError(f"{name}: payload {payload!r}; the name of a file that the command writes is needed")
    program = shutil.which(words[0])
    if program is None:
        raise InputError(f"{name}: {words[0]}: no such program; install it, or give its path in the plan")
    return {"command": command, "payload": payload, "program_sha256": sha256(Path(program))}


def run(name: str, command: str, payload: str | None, scene: Scene) -> Rendition:
    """Run the command on a scene.

    Raises
    ------
    InputError
        If it fails, takes longer than half an hour, or what it writes has not the reference's channels and
        rate; with the last line that it wrote to stderr.
    """
    with tempfile.TemporaryDirectory(prefix="external-") as place:
        folder = Path(place)
        write_scene(folder / "input.wav", scene)
        files = {"{input}": str(folder / "input.wav"), "{output}": str(folder / "output.wav")}
        words = [_filled(word, files) for word in shlex.split(command)]
        words[0] = shutil.which(words[0]) or words[0]
        try:
            answer = subprocess.run(  # noqa: S603 the plan names the program, and --allow-commands allowed it
                words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"{name}: {words[0]}: {error}") from None
        if answer.returncode:
            said = answer.stderr.decode(errors="replace").strip().splitlines() or [""]
            raise InputError(f"{name}: {words[0]} failed with status {answer.returncode}: {said[-1]}")
        if not (folder / "output.wav").is_file():
            raise InputError(f"{name}: {words[0]} ended well but wrote no {{output}} file")
        samples, rate_hz = read(folder / "output.wav")
        if (len(samples), rate_hz) != (len(scene.samples), scene.sample_rate_hz):
            raise InputError(
                f"{name}: {{output}} has {len(samples)} channels at {rate_hz} Hz; "
                f"the input had {len(scene.samples)} at {scene.sample_rate_hz} Hz"
            )
        coded = None
        if payload is not None:
            if not (folder / payload).is_file():
                raise InputError(f"{name}: {words[0]} wrote no file {payload}, whose size is the bit rate")
            coded = (folder / payload).read_bytes()
    difference = samples.shape[1] - scene.length
    fitted = np.pad(samples[:, : scene.length], ((0, 0), (0, max(-difference, 0))))
    reach = min(round(REACH_S * rate_hz), scene.length // 4)
    made, lag = aligned(scene, Scene(np.ascontiguousarray(fitted), rate_hz), reach)
    facts = {"lag_compensated_samples": lag, "length_difference_samples": difference}
    suffix = Path(payload).suffix if payload else ""
    return Rendition(made, coded, suffix if suffix[1:].isalnum() else ".bin", facts)


def _filled(word: str, files: dict[str, str]) -> str:
    for field, path in files.items():
        word = word.replace(field, path)
    return word
