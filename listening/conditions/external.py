"""Any codec that runs from a command line, as a condition.

A plan gives it an id of its own:

    [parameters.mycodec]
    command = "mycodec --rate 16 {input} {output} --bitstream coded.bin"
    payload = "coded.bin"

The command runs without a shell in an empty folder. ``{input}`` is a 32-bit float WAV file (ACN/SN3D);
``{output}`` is the WAV file that the command must write, with the same channels and rate. The size of the file
`payload` counts as the transmitted bytes. A constant delay is measured and compensated.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from listening.conditions.alignment import aligned
from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId
from render.common.errors import InputError
from render.common.files import sha256
from render.fileio.audio_file import read, write_scene
from render.hoa.scene import Scene

TIME_LIMIT_S = 1800.0
MAX_DELAY_S = 0.25  # the longest delay that is compensated


def create(condition_id: ConditionId, parameters: Mapping[str, Any]) -> Condition:
    """Condition that runs the command line in `parameters`; errors as `check_command`."""
    name, command, payload = condition_id.text, parameters["command"], parameters.get("payload")
    return Condition(
        name,
        __name__,
        lambda scene: run_command(name, command, payload, scene),
        check_command(name, command, payload),
        ExpectedProperties(is_codec=True),
    )


def check_command(name: str, command: str, payload: str | None) -> dict[str, str | None]:
    """Check a command line; return what its renditions depend on: command, payload and the program's SHA-256.

    Raises
    ------
    InputError
        If the command lacks ``{input}`` or ``{output}``, if there is no such program on this machine, or if the
        payload's name leads out of the folder.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"{name}: command {command!r}: {error}") from None
    for field in ("{input}", "{output}"):
        if field not in command:
            raise InputError(f"{name}: command {command!r} has no {field}; it needs {{input}} and {{output}}")
    if payload is not None and (not payload or Path(payload).name != payload):
        raise InputError(f"{name}: payload {payload!r} must be the name of a file that the command writes")
    program = shutil.which(words[0])
    if program is None:
        raise InputError(f"{name}: {words[0]}: no such program; install it, or give its path in the plan")
    return {"command": command, "payload": payload, "program_sha256": sha256(Path(program))}


def run_command(name: str, command: str, payload: str | None, scene: Scene) -> Rendition:
    """Run the command on a scene and read what it wrote.

    An output of another length is cut or padded with zeros, and the difference is recorded.

    Raises
    ------
    InputError
        If the command fails (quotes the last line that it wrote to stderr), takes longer than half an hour, or
        writes a file whose channels or rate differ from the reference's.
    """
    with tempfile.TemporaryDirectory(prefix="external-") as temporary:
        folder = Path(temporary)
        write_scene(folder / "input.wav", scene)
        _run(name, command, folder)
        samples, rate_hz = read(folder / "output.wav")
        if (len(samples), rate_hz) != (len(scene.samples), scene.sample_rate_hz):
            raise InputError(
                f"{name}: {{output}} has {len(samples)} channels at {rate_hz} Hz; "
                f"the input had {len(scene.samples)} at {scene.sample_rate_hz} Hz"
            )
        transmitted = None
        if payload is not None:
            if not (folder / payload).is_file():
                raise InputError(f"{name}: the command wrote no file {payload}, whose size is the bit rate")
            transmitted = (folder / payload).read_bytes()
    difference = samples.shape[1] - scene.length
    fitted = np.pad(samples[:, : scene.length], ((0, 0), (0, max(-difference, 0))))
    reach = min(round(MAX_DELAY_S * rate_hz), scene.length // 4)
    shifted, lag = aligned(scene, Scene(np.ascontiguousarray(fitted), rate_hz), reach)
    facts = {"lag_compensated_samples": lag, "length_difference_samples": difference}
    suffix = Path(payload).suffix if payload else ""
    return Rendition(shifted, transmitted, suffix if suffix[1:].isalnum() else ".bin", facts)


def _run(name: str, command: str, folder: Path) -> None:
    """Run the command in a folder that holds ``input.wav``, until ``output.wav`` is there."""
    words = [
        word.replace("{input}", str(folder / "input.wav")).replace("{output}", str(folder / "output.wav"))
        for word in shlex.split(command)
    ]
    words[0] = shutil.which(words[0]) or words[0]
    try:
        process = subprocess.run(  # noqa: S603 the plan names the program, and --allow-commands allowed it
            words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{name}: {words[0]}: {error}") from None
    if process.returncode:
        lines = process.stderr.decode(errors="replace").strip().splitlines() or [""]
        raise InputError(f"{name}: {words[0]} failed with status {process.returncode}: {lines[-1]}")
    if not (folder / "output.wav").is_file():
        raise InputError(f"{name}: {words[0]} succeeded but wrote no {{output}} file")


KIND = ConditionKind(create)
