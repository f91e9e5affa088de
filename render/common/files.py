"""Files that are whole or absent, their digests and their sidecar records."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from render.common.errors import InputError

# Name of what will be renamed, then machine, process, its start and a random number, then the suffix
_TEMPORARY = re.compile(r"\..*\.part-([0-9a-f]{16})-(\d+)-(\d+)-[0-9a-f]{16}(\.[^.]*)?", re.DOTALL)
_NAME_BYTES = 255  # of a file name, on every file system in use (NAME_MAX)

_inputs: set[Path] | None = None  # what the running command reads; None while no command runs


def begin_inputs(paths: Iterable[Path] = ()) -> None:
    """From here on, `whole_file` refuses to replace what `reads` is told about, and these files.

    A command calls it when it starts. A library does not: a program may rewrite what it has read.
    """
    global _inputs
    _inputs = {path.absolute() for path in paths}


def end_inputs() -> None:
    """End what `begin_inputs` began."""
    global _inputs
    _inputs = None


def inputs() -> tuple[Path, ...] | None:
    """Files that the running command reads; None while no command runs."""
    return None if _inputs is None else tuple(_inputs)


def reads(path: Path) -> None:
    """Note that the running command reads a file: it must not be replaced, under whatever name."""
    if _inputs is not None:
        _inputs.add(path.absolute())


def refuse_to_replace(source: Path, target: Path) -> None:
    """Raise `InputError` if `target` is the file `source`: itself, or by a symbolic or a hard link."""
    with suppress(FileNotFoundError):
        if os.path.samefile(source, target.resolve()):  # which may lie behind folders that do not exist yet
            same = "" if source.absolute() == target.absolute() else f", {source},"
            raise InputError(
                f"{target}: is the input{same} and would be replaced by what is made of it; name another output"
            )


@contextmanager
def errors_name(what: object) -> Iterator[None]:
    """Let errors of the operating system inside name a file where the system does not.

    A full disk is reported by ``write``, an impossible offset by ``seek``: neither knows a name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(what)) from error


@contextmanager
def whole_file(path: Path, force: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path`, which becomes `path` only when the block ends without error.

    The file is flushed to the disk before it is renamed, so that neither a killed process nor a full
    disk leaves half a file under the final name. It is created exclusively: its name can't be that of another
    process, nor of a link that somebody has put there. What killed processes left is removed at the next write.

    Raises
    ------
    InputError
        If `path` is a folder or a device, or an input of the running command; or if it exists with other content
        and `force` is not set, since results are never overwritten silently. The same content is accepted, so
        every command may be repeated.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, but a file is to be written there; choose another name")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is a device or a pipe, but an ordinary file is to be written there")
    for read in _inputs or ():
        refuse_to_replace(read, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    temporary = _temporary_name(path)
    with errors_name(path):
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            if path.exists() and not force and sha256(path) != sha256(temporary):
                raise InputError(
                    f"{path}: exists and differs from what would be written; remove it or use --force"
                )
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def reserve(file: BinaryIO, size: int) -> None:
    """Make an open file as long as it will be, so that a full disk is found before the work and not after it.

    Writing is faster, too. Where the system or the file system cannot reserve room, nothing happens: in C, the
    portable posix_fallocate would write to every block there.

    Raises
    ------
    OSError
        If there is no room for `size` bytes.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # a command's --help saves it

    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(file.fileno(), 0, 0, size) and ctypes.get_errno() in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a hidden empty folder beside `path`, named after it, and remove it with all that it holds.

    What a killed process could not remove is removed at the next write or temporary folder beside it. Its name
    begins with a dot, which every search for recordings leaves out.
    """
    from shutil import rmtree  # with three compressors, which most commands save

    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    temporary = _temporary_name(path)
    temporary.mkdir(mode=0o700)
    try:
        yield temporary
    finally:
        rmtree(temporary, ignore_errors=True)


def _temporary_name(path: Path) -> Path:
    """Name beside `path` that tells who writes there; its random part makes it nobody else's."""
    token = f".part-{_machine()}-{os.getpid()}-{_started(os.getpid()) or 0}-{os.urandom(8).hex()}{path.suffix}"
    name = f".{path.name}"
    room = _NAME_BYTES - len(os.fsencode(token))
    if len(os.fsencode(name)) > room:
        name = os.fsencode(name)[:room].decode(errors="ignore")  # half a character is left out
    return path.with_name(name + token)


def _machine() -> str:
    """Digest of this host, its boot and the table of processes that this process sees (Linux).

    Only inside of one table a process number says who is meant: containers on one host, and hosts that share a
    folder, have equal numbers for different processes.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        table = os.readlink("/proc/self/ns/pid")
        host = os.uname().nodename
    except OSError:
        host, boot, table = "", "", os.urandom(16).hex()  # nothing can be proven: unlike every other name
    return hashlib.sha256(f"{host}\n{boot}\n{table}".encode()).hexdigest()[:16]


def _started(process: int) -> int | None:
    """When a process began, in clock ticks after the boot (proc(5)); None if that cannot be read.

    A process that has ended, but whose parent has not yet waited for it (state Z), counts as started at 0.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return 0 if fields[0] in "ZX" else int(fields[19])


def _sweep(folder: Path) -> None:
    """Remove what dead processes left in a folder; whatever cannot be removed is left there."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _is_left_by_dead(entry.name):
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        from shutil import rmtree

                        rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def _is_left_by_dead(name: str) -> bool:
    """Whether a name is that of a temporary file or folder whose process provably runs no more."""
    found = _TEMPORARY.fullmatch(name)
    if not found or found[1] != _machine():
        return False
    process, start = int(found[2]), int(found[3])
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # it runs, and is somebody else's
    now_started = _started(process)
    return now_started is not None and now_started != start


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal, read block by block."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(value: Any) -> str:
    """SHA-256 of a JSON value in its canonical form: the key of a build step."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_json(path: Path, value: Any, force: bool = False) -> None:
    """Write a JSON file atomically, keys in the given order, never NaN."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path, force=force) as temporary:
        # A file name that is not UTF-8 contains lone surrogates; escaped with a backslash they are valid JSON
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        If it is not valid JSON in UTF-8; the message gives file, line and column. Numbers that are not finite
        (``NaN``, ``1e999``) are no JSON (RFC 8259, clause 6), though Python's reader lets them pass. Whole numbers
        beyond every double, and one name twice in an object (clause 4), readers understand differently.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_unique
        )
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); is it the right file?") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}:{error.colno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a tower of brackets
        raise InputError(f"{path}: JSON with values that are not supported ({error})") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object; one name twice is an error."""
    members = dict(pairs)
    if len(members) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"'{twice[:40]}' occurs twice in one object")
    return members


def read_record(path: Path) -> dict[str, Any]:
    """Read the sidecar record of a file; return an empty one if there is none or it is not a record."""
    record = record_path(path)
    try:
        content = read_json(record) if record.is_file() else {}
    except InputError:
        return {}
    return content if isinstance(content, dict) else {}


def record_path(path: Path) -> Path:
    """Path of the sidecar record of a file: ``x.wav`` -> ``x.wav.json``."""
    return path.with_name(path.name + ".json")


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package, to record what a result depends on."""
    return {name: _version(name) for name in packages}


@cache
def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
