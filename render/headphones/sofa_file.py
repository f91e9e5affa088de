"""What lies in a SOFA file (AES69), read with h5py in a process of its own.

The HDF5 library trusts what it reads: some damaged files crash it, others send it into an endless loop that
nothing in Python interrupts. The process that calls it therefore has limits of time and memory. It answers with
float64 numbers and, in the last line, JSON.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from render.common.errors import InputError

if TYPE_CHECKING:  # h5py is loaded in the other process only
    import h5py
    from jaxtyping import Float64
    from numpy import ndarray

MAX_VALUES = 20_000_000  # 160 MB as float64; real sets are smaller, but a hostile file may declare more
_MAX_COMPRESSION = 200  # of responses, most of them zeros
_SMALL_BYTES = 1 << 20
_MAX_WORD, _MAX_WORD_BYTES = 40, 4096
_MAX_CPU_S, _MAX_WALL_S, _MAX_BYTES = 10, 60, 10**9  # 160 MB are unpacked in 2 s

_POSITIONS = ("SourcePosition", "ListenerPosition", "ListenerView", "ListenerUp", "ReceiverPosition")
_VARIABLES = ("Data.IR", "Data.SamplingRate", "Data.Delay", *_POSITIONS)

_PROGRAM = f"""
import sys
path, cpu_s, *sys.path = sys.argv[1:]
from {__name__} import answer
answer(path, int(cpu_s), sys.stdout.buffer)
"""


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable of a SOFA file.

    Attributes
    ----------
    values : float64 (any shape)
        Finite.
    kind, units : str, optional
        Attributes Type and Units in small letters without spaces; None where there are none.
    """

    values: Float64[ndarray, "*shape"]
    kind: str | None
    units: str | None


@dataclass(frozen=True, eq=False)
class SofaFile:
    """What this project needs of a SOFA file.

    Attributes
    ----------
    data_type : str
        Attribute DataType in small letters; ``"none"`` where there is none.
    variables : dict of name to Variable
        Those of `_VARIABLES` that the file has.
    """

    data_type: str
    variables: dict[str, Variable]


def read(path: Path) -> SofaFile:
    """Read the variables of a SOFA file.

    Raises
    ------
    InputError
        If the file is missing, damaged or no HDF5 file, if it keeps its data elsewhere, or if it declares more
        than it holds.
    ChildProcessError
        If the process that reads it cannot work at all.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    command = [sys.executable, "-c", _PROGRAM, str(path), str(_MAX_CPU_S), *sys.path]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # each thread would take memory
    try:
        done = subprocess.run(  # noqa: S603 our own program
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_MAX_WALL_S
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{path}: was not read within {_MAX_WALL_S} s; it is damaged, or its disk does not answer"
        ) from None
    if done.returncode == -signal.SIGXCPU:
        raise InputError(
            f"{path}: damaged, the HDF5 library is not ready with it after {_MAX_CPU_S} s; export it again"
        )
    if done.returncode < 0:
        end = signal.strsignal(-done.returncode)
        raise InputError(f"{path}: damaged, the HDF5 library ends with {end!r} on it; export it again")
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").splitlines() or ["no reason given"])[-1]
        raise ChildProcessError(f"{path}: the process that reads it failed: {reason}")
    return contents(done.stdout)


def contents(answered: bytes) -> SofaFile:
    """Contents of the file from what `answer` has written about it.

    Raises
    ------
    InputError
        If that is an error.
    """
    about = json.loads(answered[answered.rindex(b"\n") :])
    if "error" in about:
        raise InputError(about["error"])
    variables, begin = {}, 0
    for name, shape, kind, units in about["variables"]:
        values = np.frombuffer(answered, np.float64, math.prod(shape), begin)
        variables[name] = Variable(values.reshape(shape), kind, units)
        begin += values.nbytes
    return SofaFile(about["data_type"], variables)


# ------------------------------------------------------------------------------------------ in the other process


def answer(path: str, cpu_s: int, output: BinaryIO) -> None:
    """Write the numbers of all variables and a line of JSON about them, or an error in their place."""
    _limit_this_process(cpu_s)
    try:
        values, about = _contents(path)
    except InputError as error:
        values, about = [], {"error": str(error)}
    for one in values:
        output.write(one.tobytes())
    output.write(b"\n" + json.dumps(about).encode())
    output.flush()


def _limit_this_process(cpu_s: int) -> None:
    """Let this process end after some processor time, and get no more memory than it may."""
    limits = {resource.RLIMIT_CPU: cpu_s, resource.RLIMIT_AS: _MAX_BYTES, resource.RLIMIT_CORE: 0}
    for limit, value in limits.items():
        most = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if most == resource.RLIM_INFINITY else min(value, most), most))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)  # whoever started us may ignore it


def _contents(path: str) -> tuple[list[ndarray], dict[str, Any]]:
    """Values of the variables, and what else `SofaFile` says."""
    import h5py

    values: list[ndarray] = []
    variables = []
    try:
        with h5py.File(path, "r") as file:
            data_type = _word(file.attrs, "DataType", path) or "none"
            for name in _VARIABLES:
                if file.id.links.exists(name.encode()):
                    values.append(_values(file, name, path, MAX_VALUES - sum(one.size for one in values)))
                    words = [_word(file[name].attrs, word, path) for word in ("Type", "Units")]
                    variables.append((name, values[-1].shape, *words))
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: more than {_MAX_BYTES / 1e9:g} GB would be needed; export it again") from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # what h5py makes of damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a SOFA file, or damaged (HDF5: {reason})") from None
    return values, {"data_type": data_type, "variables": variables}


def _values(file: h5py.File, name: str, path: str, most: int) -> Float64[ndarray, "*shape"]:
    """Read a variable of at most `most` numbers."""
    from h5py import Dataset, h5l  # pyrefly: ignore

    if file.id.links.get_info(name.encode()).type != h5l.TYPE_HARD:
        raise InputError(f"{path}: {name} lies in another file or under another name; export it as one file")
    if not isinstance(file[name], Dataset):
        raise InputError(f"{path}: {name} is no variable; export it again")
    variable = file[name]
    if variable.is_virtual or variable.external:
        raise InputError(f"{path}: {name} lies in another file; export it as one file")
    if variable.dtype.kind not in "fiu" or variable.shape is None:
        raise InputError(f"{path}: {name} of shape {variable.shape} and type {variable.dtype} is not supported")
    # What is not stored is filled in, and what is compressed may be tiny: sizes are bounded by the file
    needed = max(variable.size, math.prod(variable.chunks or (0,))) * variable.dtype.itemsize
    stored = variable.id.get_storage_size()
    if needed > _MAX_COMPRESSION * stored + _SMALL_BYTES:
        raise InputError(
            f"{path}: {name} of shape {variable.shape} declares {needed} bytes, {stored} are stored; "
            "export it again"
        )
    if variable.size > most:
        raise InputError(f"{path}: {name} of shape {variable.shape} and others are more than {MAX_VALUES} numbers")
    values = np.asarray(variable[()], np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: {name} is not finite; export it again")
    return values


def _word(attributes: h5py.AttributeManager, name: str, path: str) -> str | None:
    """Attribute that is one of several words, in small letters and without spaces; None if it is missing.

    The netCDF library writes strings as arrays with one element.
    """
    if name not in attributes:
        return None
    if attributes.get_id(name).get_storage_size() > _MAX_WORD_BYTES:
        raise InputError(f"{path}: attribute {name} is longer than {_MAX_WORD_BYTES} bytes; export it again")
    value = np.asarray(attributes[name])
    word = value.reshape(-1)[0] if value.size == 1 else ""
    text = word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
    return "".join(text.rstrip("\0").split()).lower()[:_MAX_WORD]
