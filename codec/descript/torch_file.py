"""Read the tensors of a PyTorch checkpoint (``torch.save``) without PyTorch's unpickler.

Since PyTorch 1.6 such a file is a zip archive: ``data.pkl`` describes the content, and ``data/<key>`` hold the raw
numbers. PyTorch trusts the description: a file of 1.5 kB can describe a tensor of 4 TB (with all strides 0), and
even ``torch.load(weights_only=True)`` accepts it. Here the pickle is read as data (`codec.descript.safe_pickle`),
and every size in it is compared with the bytes in the file before anything of that size is allocated.
"""

from __future__ import annotations

import errno
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codec.descript.safe_pickle import Name, read_pickle
from render.common.errors import InputError

MAX_PICKLE_BYTES = 1 << 24
STORAGES = {
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch DoubleStorage": torch.float64,
}
_NAMES = frozenset({*STORAGES, "torch LongStorage", "torch IntStorage", "torch BoolStorage"})


@dataclass(frozen=True)
class StoredTensor:
    """Location of a tensor in the archive, which has not been read yet.

    Attributes
    ----------
    key : str
        Name of the storage, the member ``data/<key>`` of the archive.
    dtype : torch.dtype
    shape : tuple of int
    offset : int
        Index of its first number in the storage.
    """

    key: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int


class TorchFile:
    """An open checkpoint: `content` is what was saved, with a `StoredTensor` in place of every tensor."""

    def __init__(self, archive: zipfile.ZipFile, where: str, file_bytes: int):
        self._archive, self._where = archive, where
        self._root = self._checked_root(file_bytes)
        self._used: set[str] = set()
        pickled = self._bytes("data.pkl", MAX_PICKLE_BYTES)
        self.content = read_pickle(
            pickled, where, functions=self._functions(), names=_NAMES, persistent=self._storage
        )

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read one tensor as float32.

        Files in which tensors share a storage are refused, since a small file could thus become large.
        """
        if stored.key in self._used:
            raise InputError(f"{self._where}: two tensors share the storage {stored.key!r}; refused")
        self._used.add(stored.key)
        raw = self._bytes(f"data/{stored.key}", None)
        count = math.prod(stored.shape)
        numbers = torch.frombuffer(bytearray(raw), dtype=stored.dtype) if raw else torch.empty(0)
        return numbers[stored.offset : stored.offset + count].reshape(stored.shape).float()

    def _checked_root(self, file_bytes: int) -> str:
        """Return the name of the folder in which all members lie, as `torch.save` writes it."""
        members = self._archive.infolist()
        names = [member.filename for member in members]
        root = next(
            (n.removesuffix("data.pkl") for n in names if n.count("/") == 1 and n.endswith("/data.pkl")), None
        )
        if any(name.endswith((".data/extern_modules", ".py")) for name in names):
            raise InputError(
                f"{self._where}: a torch.package, which contains code; give the weights.pth beside it instead"
            )
        if root is None:
            raise InputError(f"{self._where}: not a PyTorch checkpoint (its archive has no data.pkl)")
        if len(set(names)) != len(names) or any(not name.startswith(root) for name in names):
            raise InputError(f"{self._where}: not a PyTorch checkpoint (its archive has other members)")
        packed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1]
        if packed:
            raise InputError(
                f"{self._where}: {packed[0]} is compressed or encrypted, which PyTorch never does; refused"
            )
        if sum(member.file_size for member in members) > file_bytes:
            raise InputError(f"{self._where}: its members claim more bytes than the file has; refused")
        if f"{root}byteorder" in names and self._archive.read(f"{root}byteorder")[:8] != b"little":
            raise InputError(
                f"{self._where}: written on a big-endian machine; save it again on a little-endian one"
            )
        return root

    def _bytes(self, name: str, maximum: int | None) -> bytes:
        """Return the content of a member, whose size was compared with that of the file."""
        try:
            size = self._archive.getinfo(self._root + name).file_size
        except KeyError:
            raise InputError(f"{self._where}: its archive has no {name}") from None
        if maximum is not None and size > maximum:
            raise InputError(f"{self._where}: {name} has {size} bytes, more than {maximum}")
        return self._archive.read(self._root + name)

    def _storage(self, identity: Any) -> tuple[str, torch.dtype | None, int]:
        """Return key, type and length of a persistent id ('storage', type, key, device, length)."""
        kind, numbers, key, _, length = identity
        if kind != "storage" or type(numbers) is not Name or type(key) is not str or type(length) is not int:
            raise ValueError("unknown storage")
        dtype = STORAGES.get(numbers.name)
        if dtype is not None:
            size = self._archive.getinfo(f"{self._root}data/{key}").file_size
            if size != length * dtype.itemsize:
                raise InputError(f"{self._where}: storage {key!r} of {length} numbers has {size} bytes")
        return key, dtype, length

    def _tensor(self, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor | None:
        """Stand in for ``torch._utils._rebuild_tensor_v2``; tensors of integers (of optimisers) become None."""
        key, dtype, length = storage
        numbers = [offset, *shape, *stride]
        if (
            any(type(number) is not int or number < 0 for number in numbers)
            or len(shape) != len(stride)
            or len(shape) > 8
        ):
            raise ValueError("a tensor has no valid shape")
        contiguous = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        # The stride of an axis of one element has no meaning.
        spread = any(have != want for have, want, n in zip(stride, contiguous, shape, strict=True) if n != 1)
        if spread or offset + math.prod(shape) > length:
            raise InputError(
                f"{self._where}: a tensor of shape {_shown(shape)} on a storage of {length} numbers; refused"
            )
        return None if dtype is None else StoredTensor(key, dtype, tuple(shape), offset)

    def _functions(self) -> dict[str, Callable[..., Any]]:
        return {
            "collections OrderedDict": _empty_dictionary,
            "collections defaultdict": lambda *_: {},
            "torch._utils _rebuild_tensor_v2": self._tensor,
            "torch._utils _rebuild_parameter": lambda tensor, *_: tensor,
            "torch Size": lambda sizes: tuple(sizes),
            # numbers in the metadata, which are not needed here
            "numpy dtype": lambda *_: _Ignored(),
            "numpy.core.multiarray scalar": lambda *_: None,
            "numpy._core.multiarray scalar": lambda *_: None,
        }


class _Ignored:
    def set_state(self, _: Any) -> None:
        pass


def _empty_dictionary(*arguments: Any) -> dict:
    if arguments:
        raise ValueError("an OrderedDict is not empty at first")
    return {}


def _shown(shape: Any) -> str:
    return "x".join(f"{n:.3g}" if n < 1e300 else "huge" for n in shape)


@contextmanager
def open_torch_file(path: Path) -> Iterator[TorchFile]:
    """Open a checkpoint.

    Raises
    ------
    InputError
        If the file was not written by `torch.save` with plain tensors in plain containers, is damaged, or claims
        sizes that it does not have. It is also raised while tensors are read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise InputError(
                f"{path}: not a PyTorch checkpoint (not a zip archive; save files of PyTorch before 1.6 again)"
            )
    try:
        with zipfile.ZipFile(path) as archive:
            yield TorchFile(archive, str(path), path.stat().st_size)
    except InputError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
        OverflowError, UnicodeError,
    ) as error:  # fmt: skip
        raise InputError(f"{path}: damaged checkpoint ({str(error)[:100]})") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to before the beginning, because of wrong offsets in the archive
            raise
        raise InputError(f"{path}: damaged checkpoint (offsets beyond the file)") from None
