"""Read Descript's ``.dac`` files (version 1.0.0) as data.

Such a file is a dictionary written by ``numpy.save``: a pickle inside an ``.npy``. The stock package loads it with
``allow_pickle=True``, which lets it run any code. Here nothing of it is executed (`codec.descript.safe_pickle`).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from codec.descript.safe_pickle import read_pickle
from render.common.errors import InputError

VERSION = "1.0.0"
_NPY_MAGIC = b"\x93NUMPY"
MAX_BYTES = 1 << 28  # 22 hours of one channel
_MAX_DB = 40.0  # loudness, as of the loudest signals that a stream of ours holds
_MAX_FRAME_S = 0.1  # published frames last 12 to 20 ms
_TYPES = frozenset({"u1", "u2", "i2", "i4", "i8", "f4", "f8", "b1"})


@dataclass(frozen=True)
class DacFile:
    """Content of a ``.dac`` file.

    Attributes
    ----------
    codes : int64 (channel, codebook, frame)
        Every channel is coded by itself. The chunks follow one another in time.
    chunk_length : int
        Frames per chunk. If the signal was not longer than the window, one chunk holds all frames.
    original_length : int
        Samples per channel of the encoded signal, at `sample_rate`.
    input_db : float
        Loudness (LUFS) to which the stock decoder brings its output.
    channels : int
    sample_rate : int
        Sample rate of the encoded signal in Hz; that of the model may differ.
    padding : bool
        Whether the convolutions were padded, which is true for a single chunk. Several chunks were coded without
        padding and must be decoded without it (`codec.descript.dac_decode`).
    dac_version : str
    """

    codes: Int[ndarray, "channel codebook frame"]
    chunk_length: int
    original_length: int
    input_db: float
    channels: int
    sample_rate: int
    padding: bool
    dac_version: str


def is_dac_file(path: Path) -> bool:
    """Whether a file begins as NumPy's ``.npy`` files do, and with them ``.dac`` files."""
    with open(path, "rb") as file:
        return file.read(len(_NPY_MAGIC)) == _NPY_MAGIC


def read_dac(path: Path) -> DacFile:
    """Read a ``.dac`` file.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another version or inconsistent, or its pickle names or calls anything
        but NumPy's arrays. Whether the codebooks have its codes is checked when it is decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes; the maximum for a .dac file is {MAX_BYTES}")
    content = read_pickle(_pickle_in_npy(path.read_bytes(), str(path)), str(path), functions=_FUNCTIONS)
    content = _only_item(content)
    if type(content) is not dict or set(content) != {"codes", "metadata"}:
        raise InputError(f"{path}: not a .dac file, which has exactly codes and metadata")
    return _checked(content["codes"], content["metadata"], str(path))


def _pickle_in_npy(data: bytes, where: str) -> bytes:
    """Pickled part of an ``.npy`` file of one object (NEP 1)."""
    if data[:6] != _NPY_MAGIC or data[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise InputError(f"{where}: not a .dac file; it does not begin like an .npy")
    size = 2 if data[6] == 1 else 4
    begin = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    header = "".join(data[8 + size : min(begin, 300)].decode("latin-1").split())
    if begin > len(data) or header not in (
        "{'descr':'|O','fortran_order':False,'shape':(),}",
        "{'descr':'|O','fortran_order':False,'shape':()}",
    ):
        raise InputError(f"{where}: not a .dac file; its .npy header is not that of one pickled dictionary")
    return data[begin:]


def _checked(codes: Any, metadata: Any, where: str) -> DacFile:
    kinds: dict[str, tuple[type, ...]] = dict(
        chunk_length=(int,), original_length=(int,), channels=(int,), sample_rate=(int,), padding=(bool,),
        dac_version=(str,),
    )  # fmt: skip
    if type(metadata) is not dict or set(metadata) != {*kinds, "input_db"}:
        raise InputError(f"{where}: its metadata must be exactly {', '.join(sorted({*kinds, 'input_db'}))}")
    for name, allowed in kinds.items():
        if type(metadata[name]) not in allowed:
            raise InputError(f"{where}: {name} is not of the type {allowed[0].__name__}")
    if metadata["dac_version"] != VERSION:
        raise InputError(
            f"{where}: version {metadata['dac_version'][:20]!r} of the format is unknown; known is {VERSION}"
        )
    level = _only_item(metadata["input_db"])
    if type(level) not in (int, float) or not -200 <= level <= _MAX_DB:
        raise InputError(f"{where}: input_db is not a loudness between -200 and {_MAX_DB:g} dB")

    if not isinstance(codes, _Array) or codes.kind != "u2" or len(codes.shape) != 3:
        raise InputError(f"{where}: its codes are not 16-bit integers (channel, codebook, frame)")
    channels, codebooks, frames = codes.shape
    chunk, length, rate = (metadata[k] for k in ("chunk_length", "original_length", "sample_rate"))
    if channels != metadata["channels"] or not 1 <= channels <= 256:
        raise InputError(f"{where}: codes of {channels} channels, metadata of {metadata['channels']}")
    if not 1 <= codebooks <= 64 or frames < 1:
        raise InputError(f"{where}: {codebooks} codebooks and {frames} frames")
    if not 1 <= chunk <= frames or frames % chunk or (metadata["padding"] and chunk != frames):
        raise InputError(f"{where}: {frames} frames are not a whole number of chunks of {chunk}")
    if not 8_000 <= rate <= 192_000 or not 1 <= length <= frames * rate * _MAX_FRAME_S:
        raise InputError(f"{where}: {length} samples at {rate} Hz do not fit {frames} frames")
    return DacFile(codes.numbers().astype(np.int64), input_db=float(level), **{k: metadata[k] for k in kinds})


class _Type:
    """Stands in for a NumPy dtype."""

    def __init__(self, kind: str, *_: Any):
        if type(kind) is not str or kind not in _TYPES | {"O8", "O"}:
            raise ValueError("an array has an unknown type")
        self.kind, self.order = kind, "<"

    def set_state(self, state: Any) -> None:
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", "|"):
            raise ValueError("an array is big-endian")
        self.order = state[1]


class _Array:
    """Stands in for a NumPy array, as its pickle describes it."""

    def __init__(self, *_: Any):
        self.shape: tuple[int, ...] = (0,)
        self.kind, self.content, self.fortran = "", b"", False

    def set_state(self, state: Any) -> None:
        if type(state) is not tuple or len(state) != 5:
            raise ValueError("an array has no valid state")
        _, shape, kind, fortran, content = state
        if type(shape) is not tuple or not all(type(n) is int and 0 <= n < 2**40 for n in shape) or len(shape) > 3:
            raise ValueError("an array has no valid shape")
        if not isinstance(kind, _Type) or type(fortran) is not bool:
            raise ValueError("an array has no valid type")
        count = math.prod(shape)
        if kind.kind.startswith("O"):
            fits = type(content) is list and len(content) == count
        else:
            fits = type(content) is bytes and len(content) == count * int(kind.kind[1:])
        if not fits:
            raise ValueError("the content of an array does not fit its shape")
        self.shape, self.kind, self.fortran, self.content = shape, kind.kind, fortran, content

    def numbers(self) -> ndarray:
        order = "F" if self.fortran else "C"
        return np.frombuffer(bytes(self.content), f"<{self.kind}").reshape(self.shape, order=order)


def _only_item(value: Any) -> Any:
    """Return the only item of an array of one item, and any other value as it is."""
    if not isinstance(value, _Array) or math.prod(value.shape) != 1:
        return value
    return value.content[0] if value.kind.startswith("O") else value.numbers().reshape(()).item()


def _scalar(kind: Any, content: Any) -> Any:
    """Stand in for NumPy's scalars, such as ``numpy.float32(-16)``."""
    if not isinstance(kind, _Type) or kind.kind not in _TYPES or type(content) is not bytes:
        raise ValueError("a number has an unknown type")
    letter = {"u1": "B", "u2": "H", "i2": "h", "i4": "i", "i8": "q", "f4": "f", "f8": "d", "b1": "?"}[kind.kind]
    try:
        return struct.unpack(f"<{letter}", content)[0]
    except struct.error as error:
        raise ValueError("a number has the wrong size") from error


def _latin1(text: Any, encoding: Any) -> bytes:
    """Stand in for ``_codecs.encode``, with which protocol 2 writes bytes."""
    if type(text) is not str or encoding != "latin1":
        raise ValueError("bytes are not stored as Latin-1")
    return text.encode("latin-1")


# NumPy 2 moved these functions, so old and new files name them differently. `_reconstruct` is called with the
# class of the array, which is never called itself.
_FUNCTIONS: dict[str, Any] = {"numpy dtype": _Type, "_codecs encode": _latin1, "numpy ndarray": _Array}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _FUNCTIONS |= {f"{_module} _reconstruct": _Array, f"{_module} scalar": _scalar}
